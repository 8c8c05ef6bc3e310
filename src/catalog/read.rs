//! What a catalog says, and what has changed since it was read before.

use std::collections::HashMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::dns::{Name, RecordRef, RecordType};
use crate::zone::Snapshot;

use super::{COO, GROUP, SCHEMA, VERSION, ZONES};

/// Groups of one member that are looked at; a consumer picks one of them.
const GROUPS_MAX: usize = 16;

/// A zone that a catalog lists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The zone.
    pub name: Name,
    /// The label of its node, without its length. Another label means that the zone is another one, too: whatever is known
    /// of it is to be forgotten (RFC 9432 §5.4).
    pub label: Box<[u8]>,
    /// Which of the consumer's settings it is to have (§4.3.2), in canonical order.
    pub groups: Vec<String>,
    /// The catalog that may take it over (§4.3.1).
    pub successor: Option<Name>,
}

/// A catalog as it was read: its members by name.
pub type Catalog = HashMap<Name, Member>;

/// Why a zone is no catalog, or must not be followed (§5.1, §4.2.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Broken {
    /// There is no version, or there are several.
    Version,
    /// A version we do not know.
    OtherVersion(String),
    /// A node with several members, or a property with several values where one is allowed.
    Several(Name),
    /// A zone under two nodes.
    Twice(Name),
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Broken::Version => f.write_str("there is not exactly one TXT record at \"version\" with one string"),
            Broken::OtherVersion(version) => write!(f, "version {version:?} of the schema, only \"2\" is known"),
            Broken::Several(owner) => write!(f, "{owner} has several PTR records, one is allowed"),
            Broken::Twice(member) => write!(f, "{member} is listed twice"),
        }
    }
}

/// What a consumer has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The zone is a member now.
    Joined(Member),
    /// It is no longer.
    Left(Name),
    /// It still is, under another label: it starts anew.
    Reset(Member),
    /// It still is, with other properties.
    Altered(Member),
}

/// Reads a catalog. Broken ones change nothing (§5.1); what is unknown in a catalog is passed over. O(records).
pub fn read(snapshot: &Snapshot) -> Result<Catalog, Broken> {
    let apex = snapshot.apex().as_wire();
    let mut version = None;
    let mut nodes: HashMap<Box<[u8]>, Node> = HashMap::new();
    let mut records = snapshot.records();
    while let Some(record) = records.advance() {
        let Some(relative) = record.owner.strip_suffix(apex) else { continue };
        if relative.eq_ignore_ascii_case(VERSION) && record.rtype == RecordType::TXT {
            let text = one_string(record.rdata).ok_or(Broken::Version)?;
            if version.replace(text.to_vec()).is_some() {
                return Err(Broken::Version);
            }
            continue;
        }
        let Some((property, label)) = place(relative) else { continue };
        let several = || Broken::Several(record.to_record().owner);
        match (property, record.rtype) {
            (None, RecordType::PTR) => {
                let node = nodes.entry(label.into()).or_default();
                if node.member.replace(target(&record)).is_some() {
                    return Err(several());
                }
            }
            (Some(GROUP), RecordType::TXT) => {
                let node = nodes.entry(label.into()).or_default();
                if node.groups.len() < GROUPS_MAX {
                    node.groups.push(String::from_utf8_lossy(&all_strings(record.rdata)).into_owned());
                }
            }
            (Some(COO), RecordType::PTR) => {
                let node = nodes.entry(label.into()).or_default();
                if node.successor.replace(target(&record)).is_some() {
                    return Err(several());
                }
            }
            _ => {}
        }
    }
    match version.as_deref() {
        None => return Err(Broken::Version),
        Some(SCHEMA) => {}
        Some(other) => return Err(Broken::OtherVersion(String::from_utf8_lossy(other).into_owned())),
    }
    let mut catalog = Catalog::with_capacity(nodes.len());
    for (label, Node { member, mut groups, successor }) in nodes {
        // A node without a member has properties of nothing.
        let Some(name) = member else { continue };
        groups.sort_unstable();
        if catalog.insert(name.clone(), Member { name: name.clone(), label, groups, successor }).is_some() {
            return Err(Broken::Twice(name));
        }
    }
    Ok(catalog)
}

#[derive(Default)]
struct Node {
    member: Option<Name>,
    groups: Vec<String>,
    successor: Option<Name>,
}

/// Of `[property.]LABEL.zones` the property with its length octet, and the label without.
fn place(relative: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    let above = relative.strip_suffix(ZONES)?;
    let (first, rest) = above.split_at_checked(1 + usize::from(*above.first()?))?;
    if rest.is_empty() {
        return Some((None, &first[1..]));
    }
    let (second, rest) = rest.split_at_checked(1 + usize::from(rest[0]))?;
    rest.is_empty().then_some((Some(first), &second[1..]))
}

fn target(record: &RecordRef<'_>) -> Name {
    Name::from_wire(record.rdata).expect("the PTRs of a zone have been checked")
}

/// The string of a TXT record that has only one.
fn one_string(rdata: &[u8]) -> Option<&[u8]> {
    let (len, text) = rdata.split_first()?;
    (text.len() == usize::from(*len)).then_some(text)
}

/// The strings of a TXT record, put together.
fn all_strings(mut rdata: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    while let [len, rest @ ..] = rdata {
        let (string, rest) = rest.split_at(usize::from(*len).min(rest.len()));
        text.extend(string);
        rdata = rest;
    }
    text
}

/// What leads from the members that were to those that are. Sorted by the names of the zones, so that it is the same every
/// time.
pub fn changes(old: &Catalog, new: Catalog) -> Vec<Change> {
    let mut changes: Vec<Change> =
        old.keys().filter(|name| !new.contains_key(name)).cloned().map(Change::Left).collect();
    for (name, member) in new {
        match old.get(&name) {
            None => changes.push(Change::Joined(member)),
            Some(before) if before.label != member.label => changes.push(Change::Reset(member)),
            Some(before) if *before != member => changes.push(Change::Altered(member)),
            Some(_) => {}
        }
    }
    changes.sort_unstable_by(|a, b| a.zone().as_wire().cmp(b.zone().as_wire()));
    changes
}

impl Change {
    /// Whom it is about.
    pub fn zone(&self) -> &Name {
        match self {
            Change::Left(name) => name,
            Change::Joined(member) | Change::Reset(member) | Change::Altered(member) => &member.name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::zonefile;
    use crate::zone::{Builder, HashKey, Limits};

    const HEAD: &str = "@ 0 SOA invalid. invalid. 1 3600 600 86400 0\n@ 0 NS invalid.\n";
    const TWO: &str = "version 0 TXT \"2\"\n";

    fn snapshot(text: &str) -> Snapshot {
        let apex: Name = "catalog.example".parse().expect("a name");
        let mut builder = Builder::new(apex.clone(), HashKey::from_bytes([7; 16]), Limits::default());
        for record in zonefile::parse(format!("{HEAD}{text}"), &apex).expect("records") {
            builder.add(record.borrow()).expect("a record");
        }
        builder.finish(None).expect("a zone").0
    }

    fn of(text: &str) -> Catalog {
        read(&snapshot(&format!("{TWO}{text}"))).expect("a catalog")
    }

    fn name(text: &str) -> Name {
        text.parse().expect("a name")
    }

    /// RFC 9432 Appendix A, without the properties of implementations.
    #[test]
    fn the_example_of_the_rfc_is_read() {
        let catalog = of("nj2xg5b.zones 0 PTR example.com.\nnvxxezj.zones 0 PTR example.net.\n\
             group.nvxxezj.zones 0 TXT \"operator-x-foo\"\nnfwxa33.zones 0 PTR example.org.\n\
             coo.nfwxa33.zones 0 PTR newcatz.invalid.\ngroup.nfwxa33.zones 0 TXT \"operator-y-bar\"\n");
        assert_eq!(catalog.len(), 3);
        let org = &catalog[&name("example.org")];
        assert_eq!((&*org.label, &org.groups[..]), (&b"nfwxa33"[..], &["operator-y-bar".to_owned()][..]));
        assert_eq!(org.successor, Some(name("newcatz.invalid")));
        assert_eq!(catalog[&name("example.com")].groups, [""; 0]);
    }

    /// "a consumer MUST NOT apply zone updates" of a catalog whose version is missing, unknown or there twice (§4.2.1).
    #[test]
    fn only_version_two_is_followed() {
        let member = "a.zones 0 PTR example.com.\n";
        assert_eq!(read(&snapshot(member)), Err(Broken::Version));
        assert_eq!(read(&snapshot(&format!("version 0 TXT \"1\"\n{member}"))), Err(Broken::OtherVersion("1".into())));
        assert_eq!(read(&snapshot(&format!("{TWO}version 0 TXT \"3\"\n{member}"))), Err(Broken::Version));
        assert_eq!(read(&snapshot(&format!("version 0 TXT \"2\" \"2\"\n{member}"))), Err(Broken::Version));
        assert_eq!(read(&snapshot(&format!("version.zones 0 TXT \"2\"\n{member}"))), Err(Broken::Version));
    }

    /// "a catalog zone that contains ... is broken" (§4.2.1, §4.3.1, §5.1).
    #[test]
    fn a_broken_catalog_is_told_from_one_that_says_more_than_we_know() {
        let broken = |text: &str| read(&snapshot(&format!("{TWO}{text}"))).expect_err("broken");
        let node = name("a.zones.catalog.example");
        assert_eq!(broken("a.zones 0 PTR b.example.\na.zones 0 PTR c.example.\n"), Broken::Several(node));
        assert_eq!(broken("a.zones 0 PTR b.example.\nc.zones 0 PTR B.example.\n"), Broken::Twice(name("b.example")));
        let coo = "a.zones 0 PTR b.example.\ncoo.a.zones 0 PTR x.\ncoo.a.zones 0 PTR y.\n";
        assert_eq!(broken(coo), Broken::Several(name("coo.a.zones.catalog.example")));
        // custom properties, members of nothing, other types, other places
        let more = of("a.zones 0 PTR b.example.\nfoo.ext.a.zones 0 TXT x\nbar.a.zones 0 TXT x\next 0 TXT x\n\
             group.gone.zones 0 TXT x\na.zones 0 TXT x\nzones 0 PTR c.example.\n");
        assert_eq!(more.keys().collect::<Vec<_>>(), [&name("b.example")]);
    }

    #[test]
    fn changes_are_those_of_the_members_that_differ() {
        let old = of(
            "a.zones 0 PTR a.example.\nb.zones 0 PTR b.example.\nc.zones 0 PTR c.example.\nd.zones 0 PTR d.example.\n",
        );
        let new = "a.zones 0 PTR a.example.\nb2.zones 0 PTR b.example.\nc.zones 0 PTR c.example.\n\
                   group.c.zones 0 TXT g\ne.zones 0 PTR e.example.\n";
        let member = |name: &str| of(new)[&name.parse::<Name>().expect("a name")].clone();
        assert_eq!(
            changes(&old, of(new)),
            [
                Change::Reset(member("b.example")),
                Change::Altered(member("c.example")),
                Change::Left(name("d.example")),
                Change::Joined(member("e.example")),
            ]
        );
        assert_eq!(changes(&old, old.clone()), []);
    }
}
