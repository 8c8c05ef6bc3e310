//! What a version looks like from outside: hashes over its SOA and the signatures of that, by which two versions with one
//! serial are told apart (P5, B16). Taken of what is published and of what a primary's SOA answer shows.

use siphasher::sip::SipHasher13;

use crate::dns::{Record, RecordType, rdata};
use crate::refresh::Fingerprint;
use crate::zone::Snapshot;

/// How the version looks to somebody who asks for its SOA with signatures.
pub(super) fn of_version(snapshot: &Snapshot) -> Fingerprint {
    let apex = snapshot.apex();
    let soa = snapshot.apex_entry().rrset(RecordType::SOA);
    let mut signature = None;
    // every version comes here, and few are signed
    let signed = soa.filter(|block| block.signature_octets() > 0).map(|_| snapshot.records_at(apex));
    for record in signed.into_iter().flatten() {
        if record.rtype == RecordType::RRSIG && record.rdata.starts_with(&RecordType::SOA.0.to_be_bytes()) {
            // As in the answer to a probe: whatever the order of the signatures.
            signature = Some(signature.unwrap_or(0u64).wrapping_add(SipHasher13::new().hash(&record.rdata)));
        }
    }
    Fingerprint { signature, ..of_soa(&snapshot.soa_record()) }
}

/// How a SOA without its signatures looks.
pub(super) fn of_soa(soa: &Record) -> Fingerprint {
    let mut canonical = Vec::with_capacity(soa.rdata.len());
    rdata::canonical(RecordType::SOA, &soa.rdata, &mut canonical);
    Fingerprint { soa: SipHasher13::new().hash(&canonical), signature: None }
}
