//! What the tests say of each primary.

use crate::daemon::{Entry, Secondaryd};
use crate::peer::{Peer, Program, Setup};
use crate::zones::Zone;

/// The four primaries.
pub(crate) const ALL: [Program; 4] = [Program::Knot, Program::Nsd, Program::Bind, Program::PowerDns];

/// The four that are installed; says which are skipped.
pub(crate) fn installed() -> impl Iterator<Item = Program> {
    ALL.into_iter().filter(|program| program.is_installed())
}

/// What a primary answers when it is asked for IXFR after an edit.
pub(crate) fn answers_ixfr_with(program: Program) -> &'static str {
    match program {
        Program::Knot | Program::Nsd | Program::Bind => "IXFR",
        // PowerDNS 4.7 keeps no differences: the whole zone.
        Program::PowerDns => "AXFR",
    }
}

/// A primary as `setup` says, with `zones`, and secondaryd with all of them from it; the NOTIFYs of one reach the other.
#[track_caller]
pub(crate) fn pair(setup: Setup, zones: &[Zone]) -> (Peer, Secondaryd) {
    let mut ours = Secondaryd::reserve();
    let key = setup.key;
    let peer = setup.notifying(ours.address()).start(zones);
    for zone in zones {
        ours = ours.with_zone(Entry::new(&zone.name, &[peer.address()]).with_key(key));
    }
    (peer, ours.started())
}
