//! Whole zones, side by side: `kdig` asks both servers for AXFR, so both are written by one hand.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::process::Command;

use crate::Key;

/// Every record of the zone at `server`, one line each, by AXFR. Owners in lower case (RFC 4034 6.2 does not care, and
/// servers differ in what they keep); data in the form of RFC 3597, so that no difference hides behind a spelling.
pub(crate) fn zone_of(server: SocketAddr, zone: &str, key: Option<Key>) -> Result<BTreeSet<String>, String> {
    let mut command = Command::new("kdig");
    command.args([&format!("@{}", server.ip()), "-p", &server.port().to_string()]);
    if let Some(key) = key {
        command.args(["-y", &format!("{}:{}:{}", key.algorithm, key.name, key.secret)]);
    }
    command.args([zone, "AXFR", "+noall", "+answer", "+generic", "+time=20", "+retry=0"]);
    let output = command.output().map_err(|error| format!("kdig: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        return Err(format!("AXFR of {zone} from {server}: {}\n{text}\n{why}", output.status));
    }
    let line = |line: &str| {
        let mut fields = line.split_whitespace();
        let owner = fields.next().filter(|owner| !owner.starts_with(';'))?.to_ascii_lowercase();
        Some([owner.as_str()].into_iter().chain(fields).collect::<Vec<_>>().join(" "))
    };
    Ok(text.lines().filter_map(line).collect())
}

/// Both servers hold the same zone, record for record.
#[track_caller]
pub(crate) fn assert_same_zone(zone: &str, theirs: SocketAddr, key: Option<Key>, ours: SocketAddr) -> usize {
    let primary = zone_of(theirs, zone, key).unwrap_or_else(|error| panic!("{error}"));
    let secondary = zone_of(ours, zone, None).unwrap_or_else(|error| panic!("{error}"));
    let only = |a: &BTreeSet<String>, b: &BTreeSet<String>| a.difference(b).take(10).cloned().collect::<Vec<_>>();
    assert!(
        primary == secondary,
        "{zone}: {} records there, {} here\nonly there: {:#?}\nonly here: {:#?}",
        primary.len(),
        secondary.len(),
        only(&primary, &secondary),
        only(&secondary, &primary)
    );
    primary.len()
}
