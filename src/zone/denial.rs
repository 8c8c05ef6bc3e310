//! Which owner's NSEC or NSEC3 proves that a name does not exist (RFC 4035 §3.1.3, RFC 5155 §7.2).
//!
//! In: the entries of a version, and which of them changed. Out: the entry whose record covers a name or a hash; `answer`
//! copies its image like any other. Present only in zones that have NSEC or, with a NSEC3PARAM at the apex, NSEC3 records of that parameter set.
//!
//! NSEC and NSEC3 records are ordinary RRsets of ordinary entries; what is kept here is only the order of their owners,
//! told again from the entries at a restart. So nothing on disk depends on it, and zones without DNSSEC pay nothing.
//! An owner with NSEC3 does not count as existing when asked for by name (RFC 5155 §7.2.8): that is the answer's business.

use super::entry::Entry;
use super::order::Order;
use super::snapshot::Changes;
use crate::dns::RecordType;

/// Octets of a SHA-1 hash, the only one NSEC3 knows.
pub const NSEC3_HASH_OCTETS: usize = 20;

/// How the names of a zone are hashed for NSEC3 (RFC 5155 §4), with SHA-1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nsec3Params {
    /// Additional rounds.
    pub iterations: u16,
    /// Appended to the input of each round.
    pub salt: Box<[u8]>,
}

impl Nsec3Params {
    /// Reads NSEC3PARAM rdata, or the same fields at the start of a NSEC3's. `None` for another hash algorithm.
    fn parse(rdata: &[u8]) -> Option<Nsec3Params> {
        let [1, _, high, low, salt_octets, rest @ ..] = rdata else { return None };
        let salt = rest.get(..*salt_octets as usize)?;
        Some(Nsec3Params { iterations: u16::from_be_bytes([*high, *low]), salt: salt.into() })
    }
}

/// The owners of NSEC in canonical order, and those of NSEC3 in the order of their hashes.
#[derive(Clone, Debug, Default)]
pub(super) struct Denial {
    params: Option<Nsec3Params>,
    nsec: Order,
    nsec3: Order,
}

impl Denial {
    /// For the zone with this apex: from all entries, or from an earlier version and what changed since.
    pub(super) fn new<'a>(
        apex: Entry<'_>,
        entries: impl Iterator<Item = Entry<'a>>,
        earlier: Option<(&Denial, &Changes<'_>)>,
    ) -> Denial {
        let params = params_of(apex);
        match earlier {
            Some((earlier, changes)) if earlier.params == params => {
                changes.iter().fold(earlier.clone(), |denial, change| denial.edited(*change))
            }
            _ => Denial::of(entries, params),
        }
    }

    fn of<'a>(entries: impl Iterator<Item = Entry<'a>>, params: Option<Nsec3Params>) -> Denial {
        let (mut nsec, mut nsec3) = (Vec::new(), Vec::new());
        for entry in entries {
            nsec.extend(nsec_key(entry));
            nsec3.extend(nsec3_key(entry, params.as_ref()));
        }
        nsec.sort_unstable();
        nsec3.sort_unstable();
        let nsec = Order::from_sorted(nsec.iter().map(|key| &key[..]));
        Denial { params, nsec, nsec3: Order::from_sorted(nsec3.iter().map(|key| &key[..])) }
    }

    fn edited(mut self, (old, new): (Option<Entry<'_>>, Option<Entry<'_>>)) -> Denial {
        let keys = |entry: Option<Entry<'_>>| {
            (entry.and_then(nsec_key), entry.and_then(|e| nsec3_key(e, self.params.as_ref())))
        };
        let (gone, come) = (keys(old), keys(new));
        if gone.0 != come.0 {
            gone.0.iter().for_each(|key| self.nsec = self.nsec.edited(key, false));
            come.0.iter().for_each(|key| self.nsec = self.nsec.edited(key, true));
        }
        if gone.1 != come.1 {
            gone.1.iter().for_each(|key| self.nsec3 = self.nsec3.edited(key, false));
            come.1.iter().for_each(|key| self.nsec3 = self.nsec3.edited(key, true));
        }
        self
    }

    pub(super) fn params(&self) -> Option<&Nsec3Params> {
        self.params.as_ref()
    }

    /// The relative owner of the NSEC at or before `relative` in canonical order.
    pub(super) fn nsec_at_or_before(&self, relative: &[u8]) -> Option<Vec<u8>> {
        self.nsec.at_or_before(&canonical_key(relative)).map(name_of_key)
    }

    /// The relative owner of the NSEC3 at or before `hash`, which is the last one if none is before.
    pub(super) fn nsec3_at_or_before(&self, hash: &[u8; NSEC3_HASH_OCTETS]) -> Option<[u8; 33]> {
        self.nsec3.at_or_before(hash).map(hash_label)
    }

    #[cfg(test)]
    pub(super) fn keys(&self) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
        (self.nsec.keys(), self.nsec3.keys())
    }
}

/// The first NSEC3PARAM with flags 0 (RFC 5155 §4.1.2: others are ignored) and a known algorithm.
fn params_of(apex: Entry<'_>) -> Option<Nsec3Params> {
    let block = apex.rrset(RecordType::NSEC3PARAM)?;
    let mut rdatas = block.rrs().map(|rr| &block.image()[rr.rdata]);
    rdatas.find_map(|rdata| Nsec3Params::parse(rdata).filter(|_| rdata[1] == 0))
}

fn nsec_key(entry: Entry<'_>) -> Option<Vec<u8>> {
    let block = entry.rrset(RecordType::NSEC)?;
    (block.rr_count() > 0).then(|| canonical_key(entry.name()))
}

fn nsec3_key(entry: Entry<'_>, params: Option<&Nsec3Params>) -> Option<[u8; NSEC3_HASH_OCTETS]> {
    let (block, params) = (entry.rrset(RecordType::NSEC3)?, params?);
    let belongs = |rdata: &[u8]| Nsec3Params::parse(rdata).as_ref() == Some(params);
    let hash = hash_of_label(entry.name())?;
    block.rrs().any(|rr| belongs(&block.image()[rr.rdata])).then_some(hash)
}

/// The name as octets that compare as RFC 4034 §6.1 wants: labels from the right, each ended by 0, with 0 and 1 in
/// labels escaped by 1.
fn canonical_key(relative: &[u8]) -> Vec<u8> {
    let mut starts = [0; 128];
    let count = super::hash::label_starts(relative, &mut starts);
    let mut key = Vec::with_capacity(relative.len() + 8);
    for &start in starts[..count].iter().rev() {
        let start = start as usize;
        for &octet in &relative[start + 1..start + 1 + relative[start] as usize] {
            if octet <= 1 {
                key.extend_from_slice(&[1, octet + 1]);
            } else {
                key.push(octet);
            }
        }
        key.push(0);
    }
    key
}

/// The inverse of [`canonical_key`].
fn name_of_key(key: &[u8]) -> Vec<u8> {
    let mut labels: Vec<Vec<u8>> = vec![Vec::new()];
    let mut rest = key.iter();
    while let Some(&octet) = rest.next() {
        let label = labels.last_mut().expect("it begins with one");
        match octet {
            0 => labels.push(Vec::new()),
            1 => label.extend(rest.next().map(|octet| octet - 1)),
            _ => label.push(octet),
        }
    }
    labels.pop();
    labels.into_iter().rev().flat_map(|label| [vec![label.len() as u8], label].concat()).collect()
}

/// Base32 with the extended hex alphabet (RFC 4648 §7) in lower case, as in stored owners.
const BASE32: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";

/// The relative owner of the NSEC3 with this hash, which is one label of 32 octets.
fn hash_label(hash: &[u8]) -> [u8; 33] {
    let mut name = [32; 33];
    for (octets, digits) in hash.chunks_exact(5).zip(name[1..].chunks_exact_mut(8)) {
        let bits = octets.iter().fold(0u64, |bits, &octet| bits << 8 | octet as u64);
        for (n, digit) in digits.iter_mut().enumerate() {
            *digit = BASE32[(bits >> (35 - 5 * n)) as usize & 31];
        }
    }
    name
}

/// The inverse of [`hash_label`]; `None` for any other name.
fn hash_of_label(relative: &[u8]) -> Option<[u8; NSEC3_HASH_OCTETS]> {
    let [32, digits @ ..] = relative else { return None };
    let mut hash = [0; NSEC3_HASH_OCTETS];
    if digits.len() != 32 {
        return None;
    }
    for (digits, octets) in digits.chunks_exact(8).zip(hash.chunks_exact_mut(5)) {
        let mut bits = 0u64;
        for digit in digits {
            bits = bits << 5 | BASE32.iter().position(|known| known == digit)? as u64;
        }
        octets.copy_from_slice(&bits.to_be_bytes()[3..]);
    }
    Some(hash)
}

#[cfg(test)]
mod tests {
    use super::super::text::{diff, zone};
    use super::super::{Snapshot, apply};
    use super::*;
    use crate::dns::Name;
    use proptest::prelude::*;

    fn relative(text: &str) -> Vec<u8> {
        let apex: Name = "example".parse().expect("a name");
        let name: Name = format!("{text}.example").trim_start_matches('.').parse().expect("a name");
        name.relative_to(&apex).expect("below the apex").to_vec()
    }

    fn nsec_owner(snapshot: &Snapshot, asked: &str) -> String {
        snapshot.nsec_covering(&relative(asked)).expect("a chain").owner(snapshot.apex()).to_string()
    }

    /// RFC 4035 §3.1.3.2: the NSEC "that covers" the name stands before it in canonical order.
    #[test]
    fn the_nsec_at_or_before_a_name_covers_it() {
        let base = zone("@ NSEC a NS SOA NSEC\na NSEC c.b A NSEC\nc.b NSEC @ A NSEC\na A 192.0.2.1\nc.b A 192.0.2.1");
        for (asked, owner) in [
            ("", "example."),
            ("a", "a.example."),
            ("Z.a", "a.example."),
            ("b", "a.example."),
            ("c.b", "c.b.example."),
            ("z", "c.b.example."),
            ("1", "example."),
        ] {
            assert_eq!(nsec_owner(&base, &asked.to_lowercase()), owner, "{asked}");
        }
        let (next, _) = apply(&base, &[diff((1, 2), "a NSEC c.b A NSEC", "b NSEC @ NSEC")]).expect("applicable");
        assert_eq!(nsec_owner(&next, "a"), "example.");
        assert_eq!(nsec_owner(&next, "bb"), "c.b.example.");
        assert_eq!(nsec_owner(&next, "a.b"), "b.example.");
    }

    const LOW: &str = "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom";
    const HIGH: &str = "gjeqe526plbf1g8mklp59enfd789njgi";

    fn hash(label: &str) -> [u8; 20] {
        hash_of_label(&[&[32], label.as_bytes()].concat()).expect("a hash")
    }

    /// RFC 5155 §7.2.1: an NSEC3 covers the hashes behind its own up to the next; the last one wraps round.
    #[test]
    fn the_nsec3_at_or_before_a_hash_covers_it() {
        let nsec3 = |owner, next| format!("{owner} NSEC3 1 1 12 aabbccdd {next} A\n");
        let other = format!("2t7b4g4vsa5smi47k61mv5bv1a22bojr NSEC3 1 1 5 aabbccdd {LOW} A\n");
        let base = zone(&format!("@ NSEC3PARAM 1 0 12 aabbccdd\n{}{}{other}", nsec3(LOW, HIGH), nsec3(HIGH, LOW)));
        let owner = |snapshot: &Snapshot, hash| {
            snapshot.nsec3_covering(&hash).map(|entry| String::from_utf8_lossy(&entry.name()[1..]).into_owned())
        };
        assert_eq!(base.nsec3_params().map(|p| (p.iterations, p.salt.len())), Some((12, 4)));
        assert_eq!(owner(&base, hash(LOW)).as_deref(), Some(LOW));
        assert_eq!(owner(&base, [0x80; 20]).as_deref(), Some(LOW), "an NSEC3 of another parameter set is passed over");
        assert_eq!(owner(&base, [0xff; 20]).as_deref(), Some(HIGH));
        assert_eq!(owner(&base, [0; 20]).as_deref(), Some(HIGH), "the order is a ring");
        let (next, _) = apply(&base, &[diff((1, 2), "@ NSEC3PARAM 1 0 12 aabbccdd", "@ NSEC3PARAM 1 0 5 aabbccdd")])
            .expect("applicable");
        assert_eq!(owner(&next, [0; 20]).as_deref(), Some("2t7b4g4vsa5smi47k61mv5bv1a22bojr"));
        assert_eq!(zone("").nsec3_covering(&[0; 20]), None);
    }

    proptest! {
        #[test]
        fn keys_order_names_canonically(
            names in prop::collection::vec(prop::collection::vec(prop::collection::vec(0..4u8, 1..3), 0..4), 2)
        ) {
            let wire = |labels: &Vec<Vec<u8>>| -> Vec<u8> { labels.iter().flat_map(|l| [vec![l.len() as u8], l.clone()].concat()).collect() };
            let (a, b) = (wire(&names[0]), wire(&names[1]));
            let name = |relative: &[u8]| Name::from_relative(relative, &Name::root()).expect("a name");
            prop_assert_eq!(canonical_key(&a).cmp(&canonical_key(&b)), name(&a).cmp(&name(&b)));
            prop_assert_eq!(name_of_key(&canonical_key(&a)), a);
        }

        #[test]
        fn hashes_and_labels_are_one_to_one(hash in any::<[u8; 20]>()) {
            prop_assert_eq!(hash_of_label(&hash_label(&hash)), Some(hash));
        }
    }
}
