//! Addresses of hosts that records name: what a client would ask next.
//!
//! Never required, so what does not fit is left out without TC; required glue is not handled here.

use std::ops::Range;

use super::folded::Folded;
use super::lookup::host;
use super::resolve::{Held, Reply};
use super::write::{Names, Section, owner_end};
use crate::dns::RecordType;

/// Hosts whose addresses are added to one reply. The root has 13 name servers.
const HOSTS_MAX: usize = 32;

/// Octets of an RR between owner and rdata.
const RR_FIXED_OCTETS: usize = 10;

/// Where in the rdata of such records the host stands; `None` for types that name none (RFC 1035 §3.3.9, §3.3.11,
/// RFC 2782, RFC 9460 §4.1).
#[inline]
pub(super) fn target_offset(rtype: RecordType) -> Option<usize> {
    match rtype {
        RecordType::NS => Some(0),
        RecordType::MX | RecordType::SVCB | RecordType::HTTPS => Some(2),
        RecordType::SRV => Some(6),
        _ => None,
    }
}

/// The cut of a referral: hosts at or below it have been handled as glue.
#[derive(Clone, Copy)]
pub(super) struct Cut<'n> {
    pub(super) depth: usize,
    /// Its owner in lower case.
    pub(super) owner: &'n [u8],
}

/// Adds the addresses, known to the same zone, of the hosts that the RRs at `rrs` of the message name. With `cut` this
/// is a referral; with `glue` addresses below (other) cuts are wanted as well (sibling glue, RFC 9471 §2.2).
#[inline(never)]
pub(super) fn add_addresses(
    reply: &mut Reply<'_, '_>,
    held: &Held<'_>,
    rrs: Range<usize>,
    offset: usize,
    cut: Option<Cut<'_>>,
    glue: bool,
) {
    let apex_depth = held.apex_depth();
    let mut seen = [0; HOSTS_MAX];
    let mut hosts = 0;
    let mut target = Folded::new();
    let mut at = rrs.start;
    while at < rrs.end && hosts < HOSTS_MAX {
        let message = reply.writer.written();
        let fixed_at = owner_end(message, at);
        let Some(fixed) = message.get(fixed_at..).and_then(|rest| rest.first_chunk::<RR_FIXED_OCTETS>()) else {
            return;
        };
        let rdata_at = fixed_at + RR_FIXED_OCTETS;
        at = rdata_at + usize::from(u16::from_be_bytes([fixed[8], fixed[9]]));
        let name_at = rdata_at + offset;
        if !target.read(message, name_at) || target.labels() < apex_depth || target.suffix(apex_depth) != held.apex() {
            continue;
        }
        if cut.is_some_and(|cut| target.labels() >= cut.depth && target.suffix(cut.depth) == cut.owner) {
            continue;
        }
        target.hash(held.snapshot.key());
        let hash = target.hash_at(target.labels());
        if seen[..hosts].contains(&hash) {
            continue;
        }
        seen[hosts] = hash;
        hosts += 1;
        let Some(entry) = host(held.snapshot, &target, apex_depth, glue) else {
            continue;
        };
        // addresses have no names in their rdata, so the apex does not matter
        let names = Names {
            owner_at: name_at,
            owner: target.lower(),
            apex_at: name_at,
            apex_in_full: false,
            apex: held.apex(),
            entry,
        };
        for rtype in [RecordType::A, RecordType::AAAA] {
            if let Some(block) = entry.rrset(rtype).filter(|block| block.rr_count() > 0) {
                // where one does not fit a smaller one may
                let _ = reply.put(Section::Additional, held, entry, &block, &names);
            }
        }
    }
}
