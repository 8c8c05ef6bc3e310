//! Small zones by chance, in the forms that matter to answering: cuts, wildcards, empty non-terminals, CNAME, DNAME;
//! unsigned, with NSEC, with NSEC3 and with opt-out. Signatures are made up: no server here looks into them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use secondaryd::dns::Name;

use crate::proofs::{base32, hash};
use crate::zones::Zone;

/// How a zone is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signed {
    No,
    Nsec,
    Nsec3 { opt_out: bool },
}

/// A sequence of numbers that a seed decides (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
    }

    fn one_of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len())]
    }
}

/// Owner -> type -> rdata of its records.
type Contents = BTreeMap<Name, BTreeMap<&'static str, BTreeSet<String>>>;

/// The zone with this number, and for some numbers a zone below one of its cuts as well; the same ones each time.
pub(crate) fn zones(number: u64) -> Vec<Zone> {
    let mut random = Random(0x9e37_79b9_7f4a_7c15u64.wrapping_mul(number + 1));
    let apex: Name = format!("r{number}.test").parse().expect("a name");
    let contents = contents(&apex, &apex, &mut random);
    let cut = contents.iter().find(|(owner, types)| **owner != apex && types.contains_key("NS"));
    let child = cut.map(|(owner, _)| owner.clone()).filter(|_| number.is_multiple_of(3));
    let mut zones = vec![finish(&apex, contents, number)];
    if let Some(child) = child {
        // its CNAMEs lead back into the parent as well
        let mut contents = self::contents(&child, &apex, &mut random);
        // no DNAME in it: NSD 4.6 then finds data below some where there is none, and does not load the zone
        contents.values_mut().for_each(|types| _ = types.remove("DNAME"));
        contents.retain(|_, types| !types.is_empty());
        zones.push(finish(&child, contents, number / 4));
    }
    zones
}

/// Signs the zone as its number says, and writes it down.
fn finish(apex: &Name, mut contents: Contents, number: u64) -> Zone {
    let signed = [Signed::No, Signed::Nsec, Signed::Nsec3 { opt_out: false }, Signed::Nsec3 { opt_out: true }]
        [number as usize % 4];
    if signed != Signed::No {
        sign(apex, &mut contents, signed, number);
    }
    let mut text = String::new();
    for (owner, types) in &contents {
        for (rtype, rdatas) in types {
            // TTLs differ between RRsets, and from the SOA's
            let ttl = 60 * (1 + rtype.len());
            rdatas.iter().for_each(|rdata| writeln!(text, "{owner} {ttl} IN {rtype} {rdata}").expect("text"));
        }
    }
    Zone { name: apex.without_dot(), text, serial: 1 }
}

/// Contents of the zone at `apex`; what points somewhere points below `around`.
fn contents(apex: &Name, around: &Name, random: &mut Random) -> Contents {
    let mut contents = Contents::new();
    let mut add = |owner: &Name, rtype, rdata: String| {
        contents.entry(owner.clone()).or_default().entry(rtype).or_default().insert(rdata);
    };
    add(apex, "SOA", format!("ns.{apex} host.{apex} 1 3600 600 604800 60"));
    add(apex, "NS", format!("ns.{apex}"));
    add(&format!("ns.{apex}").parse().expect("a name"), "A", "192.0.2.1".to_owned());
    let labels = ["a", "b", "c", "*", "d"];
    let many = [14, 14, 14, 60][random.below(4)];
    for _ in 0..4 + random.below(many) {
        let depth = 1 + random.below(4);
        let relative: Vec<&str> = (0..depth).map(|_| random.one_of(&labels)).collect();
        let owner: Name = format!("{}.{apex}", relative.join(".")).parse().expect("a name");
        let target = match random.below(5) {
            0 => "elsewhere.invalid.".to_owned(),
            1 => format!("{apex}"),
            2 => format!("{}.{}.{apex}", random.one_of(&labels), random.one_of(&labels)),
            _ => format!("{}.{}.{around}", random.one_of(&labels), random.one_of(&labels)),
        };
        match random.below(15) {
            0..=3 => add(&owner, "A", format!("192.0.2.{}", random.below(3))),
            4 | 5 => add(&owner, "TXT", "text".to_owned()),
            6 => add(&owner, "MX", format!("5 {target}")),
            7 | 8 => add(&owner, "NS", format!("ns.{owner}")),
            9 => {
                add(&owner, "NS", format!("ns.{owner}"));
                add(&owner, "DS", format!("1 13 2 {}", "AB".repeat(32)));
                add(&format!("ns.{owner}").parse().expect("a name"), "A", "192.0.2.9".to_owned());
            }
            10 => add(&owner, "CNAME", target),
            11 => add(&owner, "DNAME", target),
            12 => (0..40).for_each(|i| add(&owner, "A", format!("198.51.100.{i}"))),
            13 => add(&owner, "NS", target),
            _ => add(&owner, "SRV", format!("1 2 53 {target}")),
        }
    }
    // what servers refuse to load: CNAME beside others, several CNAME or DNAME, cuts at wildcards, names below a DNAME
    for types in contents.values_mut() {
        if types.len() > 1 {
            types.remove("CNAME");
        }
        if types.contains_key("NS") && !types.contains_key("SOA") {
            types.retain(|rtype, _| ["NS", "DS"].contains(rtype));
        }
        for single in ["CNAME", "DNAME"] {
            if let Some(rdatas) = types.get_mut(single) {
                *rdatas = rdatas.first().cloned().into_iter().collect();
            }
        }
    }
    for (_, types) in contents.iter_mut().filter(|(owner, _)| owner.as_wire()[..].windows(2).any(|w| w == b"\x01*")) {
        types.retain(|rtype, _| !["NS", "DS", "DNAME"].contains(rtype));
    }
    let dnames: Vec<Name> =
        contents.iter().filter(|(_, types)| types.contains_key("DNAME")).map(|(owner, _)| owner.clone()).collect();
    contents.retain(|owner, types| {
        !types.is_empty() && !dnames.iter().any(|dname| owner != dname && owner.is_at_or_below(dname))
    });
    contents
}

/// Adds a key, signatures and a chain.
fn sign(apex: &Name, contents: &mut Contents, signed: Signed, number: u64) {
    let junk = format!("{}==", "Q".repeat(86));
    let at_apex = contents.get_mut(apex).expect("an apex");
    at_apex.insert("DNSKEY", [format!("257 3 13 {junk}")].into());
    let salt = if number % 8 < 4 { "-" } else { "AABB" };
    let iterations = number / 4 % 3;
    if signed != Signed::Nsec {
        at_apex.insert("NSEC3PARAM", [format!("1 0 {iterations} {salt}")].into());
    }
    let cuts: Vec<Name> = contents
        .iter()
        .filter(|(owner, types)| *owner != apex && types.contains_key("NS"))
        .map(|(owner, _)| owner.clone())
        .collect();
    let is_ours = |owner: &Name| !cuts.iter().any(|cut| owner != cut && owner.is_at_or_below(cut));
    // name -> types in its bitmap
    let mut chain: BTreeMap<Name, Vec<&str>> = BTreeMap::new();
    for (owner, types) in contents.iter().filter(|(owner, _)| is_ours(owner)) {
        let is_insecure = cuts.contains(owner) && !types.contains_key("DS");
        if signed == (Signed::Nsec3 { opt_out: true }) && is_insecure {
            continue;
        }
        let mut bitmap: Vec<&str> = types.keys().copied().collect();
        if !is_insecure || signed == Signed::Nsec {
            bitmap.push("RRSIG");
        }
        if signed == Signed::Nsec {
            bitmap.push("NSEC");
        } else {
            let mut parent = owner.clone();
            while parent != *apex {
                parent = parent.parent().expect("below the apex");
                chain.entry(parent.clone()).or_default();
            }
        }
        chain.insert(owner.clone(), bitmap);
    }
    let records: Vec<(Name, &'static str, String)> = match signed {
        Signed::No => Vec::new(),
        Signed::Nsec => {
            let names: Vec<&Name> = chain.keys().collect();
            let next = |at: usize| names[(at + 1) % names.len()];
            let of = |(at, (owner, bitmap)): (usize, (&Name, &Vec<&str>))| {
                (owner.clone(), "NSEC", format!("{} {}", next(at), bitmap.join(" ")))
            };
            chain.iter().enumerate().map(of).collect()
        }
        Signed::Nsec3 { opt_out } => {
            let salt_octets: &[u8] = if salt == "-" { &[] } else { &[0xaa, 0xbb] };
            let params = [&[1, 0, 0, iterations as u8, salt_octets.len() as u8], salt_octets].concat();
            let text = |name: &Name| String::from_utf8(base32(&hash(name, &params))).expect("ASCII");
            let hashed: BTreeMap<String, &Vec<&str>> =
                chain.iter().map(|(name, bitmap)| (text(name), bitmap)).collect();
            let labels: Vec<&String> = hashed.keys().collect();
            let next = |at: usize| labels[(at + 1) % labels.len()];
            let of = |(at, (label, bitmap)): (usize, (&String, &&Vec<&str>))| {
                let owner = format!("{label}.{apex}").parse().expect("a name");
                let flags = u8::from(opt_out);
                (owner, "NSEC3", format!("1 {flags} {iterations} {salt} {} {}", next(at), bitmap.join(" ")))
            };
            hashed.iter().enumerate().map(of).collect()
        }
    };
    let is_signed = |owner: &Name, rtype: &str| is_ours(owner) && !(cuts.contains(owner) && rtype == "NS");
    let mut covered: Vec<(Name, &str)> = contents
        .iter()
        .flat_map(|(owner, types)| types.keys().map(|rtype| (owner.clone(), *rtype)))
        .filter(|(owner, rtype)| is_signed(owner, rtype))
        .collect();
    for (owner, rtype, rdata) in records {
        covered.push((owner.clone(), rtype));
        contents.entry(owner).or_default().entry(rtype).or_default().insert(rdata);
    }
    for (owner, rtype) in covered {
        let labels = owner.label_count() - usize::from(owner.as_wire().starts_with(b"\x01*"));
        let rdata = format!("{rtype} 13 {labels} 300 20380101000000 20260101000000 7 {apex} {junk}");
        contents.entry(owner).or_default().entry("RRSIG").or_default().insert(rdata);
    }
}
