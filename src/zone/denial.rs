//! Which owner's NSEC or NSEC3 proves that a name does not exist (RFC 4035 §3.1.3, RFC 5155 §7.2).
//!
//! In: the entries of a version, and which of them changed. Out: the entry whose record covers a name or a hash; `answer`
//! copies its image like any other. Present only in zones that have NSEC or, with a NSEC3PARAM at the apex, NSEC3 records of that parameter set.
//!
//! NSEC and NSEC3 records are ordinary RRsets of ordinary entries; what is kept here is only the order of their owners,
//! told again from the entries at a restart. So nothing on disk depends on it, and zones without DNSSEC pay nothing.
//! An owner with NSEC3 does not count as existing when asked for by name (RFC 5155 §7.2.8): that is the answer's business.

use sha1::{Digest, Sha1};

use super::entry::Entry;
use super::order::{KEY_OCTETS_MAX, Order};
use super::snapshot::Changes;
use crate::dns::name::NAME_OCTETS_MAX;
use crate::dns::{Name, RecordType};

/// Octets of a SHA-1 hash, the only one NSEC3 knows.
pub const NSEC3_HASH_OCTETS: usize = 20;

/// Octets that SHA-1 takes at a time, and its state before the first (FIPS 180-4 §5.3.1).
const SHA1_BLOCK_OCTETS: usize = 64;
const SHA1_START: [u32; 5] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];

/// Additional rounds beyond which validators take a zone for insecure or broken (RFC 9276 §3.2). Who transfers such a zone
/// is told; its proofs are given all the same, although each costs as many rounds, up to a bound that `answer` has.
pub const NSEC3_ITERATIONS_ADVISED: u16 = 150;

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

    /// The hash of a whole name in wire form and lower case (RFC 5155 §5). No allocation; one SHA-1 for each round.
    pub fn hash(&self, name: &[u8]) -> [u8; NSEC3_HASH_OCTETS] {
        let first = Sha1::new().chain_update(name).chain_update(&self.salt).finalize().into();
        match self.rounds_block() {
            Some(mut block) => (0..self.iterations).fold(first, |hash, _| {
                block[..NSEC3_HASH_OCTETS].copy_from_slice(&hash);
                let mut state = SHA1_START;
                sha1::compress(&mut state, &[block.into()]);
                let mut hash = [0; NSEC3_HASH_OCTETS];
                hash.as_chunks_mut().0.iter_mut().zip(state).for_each(|(to, word)| *to = word.to_be_bytes());
                hash
            }),
            None => (0..self.iterations)
                .fold(first, |hash, _| Sha1::new().chain_update(hash).chain_update(&self.salt).finalize().into()),
        }
    }

    /// The one block that SHA-1 makes of a hash, still to be put in, and the salt; `None` if they do not fit one.
    fn rounds_block(&self) -> Option<[u8; SHA1_BLOCK_OCTETS]> {
        let octets = NSEC3_HASH_OCTETS + self.salt.len();
        let mut block = [0; SHA1_BLOCK_OCTETS];
        let (message, bits) = block.split_at_mut(SHA1_BLOCK_OCTETS - 8);
        *message.get_mut(octets)? = 0x80;
        message[NSEC3_HASH_OCTETS..octets].copy_from_slice(&self.salt);
        bits.copy_from_slice(&(8 * octets as u64).to_be_bytes());
        Some(block)
    }
}

/// What is known of a hash: the entry with the NSEC3 that says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nsec3Of<'a> {
    /// It is the hash of a name in the chain.
    Matched(Entry<'a>),
    /// It lies behind this one and before the next.
    Covered(Entry<'a>),
}

/// The owners of NSEC in canonical order, and those of NSEC3 in the order of their hashes.
#[derive(Clone, Debug)]
pub(super) struct Denial {
    params: Option<Nsec3Params>,
    apex_hashes: ApexHashes,
    nsec: Order,
    nsec3: Order,
}

/// The hashes of two names that most negative answers speak of: names that do not exist are mostly asked for right below
/// the apex.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApexHashes {
    /// Of the apex.
    pub apex: [u8; NSEC3_HASH_OCTETS],
    /// Of the wildcard right below it.
    pub wildcard: [u8; NSEC3_HASH_OCTETS],
}

impl ApexHashes {
    /// Of a zone without NSEC3.
    pub(super) const NONE: ApexHashes = ApexHashes { apex: [0; NSEC3_HASH_OCTETS], wildcard: [0; NSEC3_HASH_OCTETS] };

    fn new(params: &Nsec3Params, apex: &Name) -> ApexHashes {
        // a wildcard too long to be a name is asked for by nobody
        let wildcard = [b"\x01*", apex.as_wire()].concat();
        ApexHashes { apex: params.hash(apex.as_wire()), wildcard: params.hash(&wildcard) }
    }
}

impl Denial {
    /// For the zone with this apex: from all entries, or from an earlier version and what changed since.
    pub(super) fn new<'a>(
        (apex, entry): (&Name, Entry<'_>),
        entries: impl Iterator<Item = Entry<'a>>,
        earlier: Option<(&Denial, &Changes<'_>)>,
    ) -> Denial {
        let params = params_of(entry);
        match earlier {
            Some((earlier, changes)) if earlier.params == params => {
                changes.iter().fold(earlier.clone(), |denial, change| denial.edited(*change))
            }
            _ => Denial::of(entries, params, apex),
        }
    }

    fn of<'a>(entries: impl Iterator<Item = Entry<'a>>, params: Option<Nsec3Params>, apex: &Name) -> Denial {
        let (mut nsec, mut nsec3) = (Vec::new(), Vec::new());
        for entry in entries {
            nsec.extend(nsec_key(entry));
            nsec3.extend(nsec3_key(entry, params.as_ref()));
        }
        nsec.sort_unstable();
        nsec3.sort_unstable();
        let nsec = Order::from_sorted(nsec.iter().map(|key| &key[..]));
        let apex_hashes = params.as_ref().map_or(ApexHashes::NONE, |params| ApexHashes::new(params, apex));
        Denial { params, apex_hashes, nsec, nsec3: Order::from_sorted(nsec3.iter().map(|key| &key[..])) }
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

    pub(super) fn apex_hashes(&self) -> &ApexHashes {
        &self.apex_hashes
    }

    pub(super) fn params(&self) -> Option<&Nsec3Params> {
        self.params.as_ref()
    }

    /// The relative owner of the NSEC at or before `relative` in canonical order.
    pub(super) fn nsec_at_or_before(&self, relative: &[u8]) -> Option<Relative> {
        let mut key = [0; KEY_OCTETS_MAX];
        let len = write_canonical_key(relative, &mut key);
        self.nsec.at_or_before(&key[..len]).map(Relative::of_key)
    }

    /// The relative owner of the NSEC3 at or before `hash`, which is the last one if none is before, and whether it is
    /// at it.
    pub(super) fn nsec3_at_or_before(&self, hash: &[u8; NSEC3_HASH_OCTETS]) -> Option<([u8; 33], bool)> {
        self.nsec3.at_or_before(hash).map(|key| (hash_label(key), key == hash))
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
    let mut key = [0; KEY_OCTETS_MAX];
    let len = write_canonical_key(relative, &mut key);
    key[..len].to_vec()
}

/// Writes the canonical key to the start of `key` and returns its octets. Queries come here: no allocation.
fn write_canonical_key(relative: &[u8], key: &mut [u8; KEY_OCTETS_MAX]) -> usize {
    let mut starts = [0; 128];
    let count = crate::dns::name::label_starts(relative, &mut starts);
    let mut len = 0;
    for &start in starts[..count].iter().rev() {
        let start = start as usize;
        for &octet in &relative[start + 1..start + 1 + relative[start] as usize] {
            if octet <= 1 {
                key[len..len + 2].copy_from_slice(&[1, octet + 1]);
                len += 2;
            } else {
                key[len] = octet;
                len += 1;
            }
        }
        key[len] = 0;
        len += 1;
    }
    len
}

/// An owner relative to its apex, read from its canonical key.
pub(super) struct Relative {
    octets: [u8; NAME_OCTETS_MAX],
    start: usize,
}

impl Relative {
    /// The inverse of [`canonical_key`]. Labels come from the right, so the name is written from its end.
    fn of_key(key: &[u8]) -> Relative {
        let mut name = Relative { octets: [0; NAME_OCTETS_MAX], start: NAME_OCTETS_MAX };
        for label in key.split(|&octet| octet == 0).filter(|label| !label.is_empty()) {
            let mut rest = label.iter();
            let octets = std::iter::from_fn(move || match rest.next()? {
                1 => rest.next().map(|escaped| escaped - 1),
                &plain => Some(plain),
            });
            let len = octets.clone().count();
            name.start -= 1 + len;
            name.octets[name.start] = len as u8;
            name.octets[name.start + 1..].iter_mut().zip(octets).for_each(|(to, octet)| *to = octet);
        }
        name
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        &self.octets[self.start..]
    }
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
            snapshot.nsec3_of(&hash).map(|(Nsec3Of::Matched(entry) | Nsec3Of::Covered(entry))| {
                String::from_utf8_lossy(&entry.name()[1..]).into_owned()
            })
        };
        let is_matched = |hash: [u8; 20]| matches!(base.nsec3_of(&hash), Some(Nsec3Of::Matched(_)));
        assert!(is_matched(hash(LOW)) && !is_matched([0x80; 20]));
        assert_eq!(base.nsec3_params().map(|p| (p.iterations, p.salt.len())), Some((12, 4)));
        assert_eq!(owner(&base, hash(LOW)).as_deref(), Some(LOW));
        assert_eq!(owner(&base, [0x80; 20]).as_deref(), Some(LOW), "an NSEC3 of another parameter set is passed over");
        assert_eq!(owner(&base, [0xff; 20]).as_deref(), Some(HIGH));
        assert_eq!(owner(&base, [0; 20]).as_deref(), Some(HIGH), "the order is a ring");
        let (next, _) = apply(&base, &[diff((1, 2), "@ NSEC3PARAM 1 0 12 aabbccdd", "@ NSEC3PARAM 1 0 5 aabbccdd")])
            .expect("applicable");
        assert_eq!(owner(&next, [0; 20]).as_deref(), Some("2t7b4g4vsa5smi47k61mv5bv1a22bojr"));
        assert_eq!(zone("").nsec3_of(&[0; 20]), None);
    }

    /// RFC 5155 Appendix A: H(example) and others, with salt aabbccdd and 12 iterations.
    #[test]
    fn names_hash_as_in_the_rfc() {
        let params = Nsec3Params { iterations: 12, salt: [0xaa, 0xbb, 0xcc, 0xdd].into() };
        for (name, label) in [
            ("example", LOW),
            ("a.example", "35mthgpgcu1qg68fab165klnsnk3dpvl"),
            ("*.w.example", "r53bq7cc2uvmubfu5ocmm6pers9tk9en"),
            ("x.y.w.example", "2vptu5timamqttgl4luu9kg21e0aor3s"),
        ] {
            let name: Name = name.parse().expect("a name");
            assert_eq!(params.hash(name.as_wire()), hash(label), "{name}");
        }
    }

    /// RFC 9276 §3.2 bounds what validators do, not what is served.
    #[test]
    fn any_number_of_iterations_is_proved_with() {
        let chain = |rounds| format!("@ NSEC3PARAM 1 0 {rounds} -\n{LOW} NSEC3 1 0 {rounds} - {LOW} A\n");
        for rounds in [0, 2501, u16::MAX] {
            assert!(zone(&chain(rounds)).nsec3_of(&[7; 20]).is_some(), "{rounds}");
        }
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
            let back = Relative::of_key(&canonical_key(&a));
            prop_assert_eq!(back.as_slice(), &a[..]);
        }

        /// RFC 5155 §5: "IH(salt, x, k) = H(IH(salt, x, k-1) || salt)", by another SHA-1 and whatever the salt's length.
        #[test]
        fn rounds_are_those_of_the_rfc(
            name in prop::collection::vec(any::<u8>(), 1..255),
            salt in prop::collection::vec(any::<u8>(), 0..=255),
            iterations in 0..4u16,
        ) {
            use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
            let round = |x: &[u8]| digest(&SHA1_FOR_LEGACY_USE_ONLY, &[x, &salt].concat()).as_ref().to_vec();
            let expected = (0..iterations).fold(round(&name), |hash, _| round(&hash));
            let params = Nsec3Params { iterations, salt: salt.clone().into() };
            prop_assert_eq!(&params.hash(&name)[..], &expected[..]);
        }

        #[test]
        fn hashes_and_labels_are_one_to_one(hash in any::<[u8; 20]>()) {
            prop_assert_eq!(hash_of_label(&hash_label(&hash)), Some(hash));
        }
    }
}
