//! What a catalog says, and what has changed since it was read before.

use std::collections::{BTreeSet, HashMap};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::dns::{Name, RecordRef, RecordType};
use crate::zone::{self, Snapshot};

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
    check_version(snapshot)?;
    let apex = snapshot.apex().as_wire();
    let mut nodes: HashMap<Box<[u8]>, Node> = HashMap::new();
    let mut records = snapshot.records();
    while let Some(record) = records.advance() {
        let Some((property, label)) = record.owner.strip_suffix(apex).and_then(place) else { continue };
        match nodes.get_mut(label) {
            Some(node) => node.take(property, record)?,
            None => nodes.entry(label.into()).or_default().take(property, record)?,
        }
    }
    let mut catalog = Catalog::with_capacity(nodes.len());
    for member in nodes.into_iter().filter_map(|(label, node)| node.member(label)) {
        if let Some(other) = catalog.insert(member.name.clone(), member) {
            return Err(Broken::Twice(other.name));
        }
    }
    Ok(catalog)
}

/// About how many members a version has, without a look at them: changes of ownership count, too.
pub fn members_about(snapshot: &Snapshot) -> u64 {
    let types = snapshot.type_counts();
    types.binary_search_by_key(&RecordType::PTR, |of| of.0).map_or(0, |at| types[at].1.into())
}

/// "exactly one TXT RR" with the version that we know (§4.2.1).
fn check_version(snapshot: &Snapshot) -> Result<(), Broken> {
    let owner = Name::from_relative(VERSION, snapshot.apex()).map_err(|_| Broken::Version)?;
    let texts = snapshot.records_at(&owner).filter(|record| record.rtype == RecordType::TXT);
    match &texts.collect::<Vec<_>>()[..] {
        [text] => match one_string(&text.rdata) {
            Some(SCHEMA) => Ok(()),
            Some(other) => Err(Broken::OtherVersion(String::from_utf8_lossy(other).into_owned())),
            None => Err(Broken::Version),
        },
        _ => Err(Broken::Version),
    }
}

/// What stands at and below one label.
#[derive(Default)]
struct Node {
    name: Option<Name>,
    groups: Vec<String>,
    successor: Option<Name>,
}

impl Node {
    /// The node of this label as a version has it. O(its records).
    fn of(snapshot: &Snapshot, label: &[u8]) -> Result<Node, Broken> {
        let at = [&[label.len() as u8], label, ZONES].concat();
        let mut node = Node::default();
        for property in [None, Some(GROUP), Some(COO)] {
            let relative = [property.unwrap_or_default(), &at].concat();
            // What does not fit into a name is not there.
            let Ok(owner) = Name::from_relative(&relative, snapshot.apex()) else { continue };
            let mut records = snapshot.records_at(&owner);
            while let Some(record) = records.advance() {
                node.take(property, record)?;
            }
        }
        Ok(node)
    }

    fn take(&mut self, property: Option<&[u8]>, record: RecordRef<'_>) -> Result<(), Broken> {
        let single = match (property, record.rtype) {
            (None, RecordType::PTR) => &mut self.name,
            (Some(COO), RecordType::PTR) => &mut self.successor,
            (Some(GROUP), RecordType::TXT) if self.groups.len() < GROUPS_MAX => {
                self.groups.push(String::from_utf8_lossy(&all_strings(record.rdata)).into_owned());
                return Ok(());
            }
            _ => return Ok(()),
        };
        let target = Name::from_wire(record.rdata).expect("the PTRs of a zone have been checked");
        match single.replace(target) {
            None => Ok(()),
            Some(_) => Err(Broken::Several(record.to_record().owner)),
        }
    }

    /// `None`: properties of nothing.
    fn member(self, label: Box<[u8]>) -> Option<Member> {
        let Node { name, mut groups, successor } = self;
        groups.sort_unstable();
        Some(Member { name: name?, label, groups, successor })
    }
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

/// What leads from the members of `old`, which is not broken, to those of `new`; from none without `old`. Sorted by the names
/// of the zones, so that it is the same every time. Costs as much as what differs between the two.
///
/// Of a zone that is listed twice, once in what differs and once in what does not, the caller is told that it has joined: he
/// knows the members.
pub fn changes(old: Option<&Snapshot>, new: &Snapshot) -> Result<Vec<Change>, Broken> {
    let Some(old) = old else {
        return Ok(between(Catalog::new(), read(new)?));
    };
    check_version(new)?;
    let (apex, diff) = (new.apex().as_wire(), zone::between(old, new));
    let touched = diff.deleted().chain(diff.added()).filter_map(|record| place(record.owner.strip_suffix(apex)?));
    let labels: BTreeSet<&[u8]> = touched.map(|(_, label)| label).collect();
    let (mut before, mut after) = (Catalog::new(), Catalog::new());
    for label in labels {
        let old = Node::of(old, label)?.member(label.into());
        let new = Node::of(new, label)?.member(label.into());
        before.extend(old.map(|member| (member.name.clone(), member)));
        if let Some(other) = new.and_then(|member| after.insert(member.name.clone(), member)) {
            return Err(Broken::Twice(other.name));
        }
    }
    Ok(between(before, after))
}

fn between(old: Catalog, new: Catalog) -> Vec<Change> {
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
    use proptest::prelude::*;

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
        let old =
            "a.zones 0 PTR a.example.\nb.zones 0 PTR b.example.\nc.zones 0 PTR c.example.\nd.zones 0 PTR d.example.\n";
        let new = "a.zones 0 PTR a.example.\nb2.zones 0 PTR b.example.\nc.zones 0 PTR c.example.\n\
                   group.c.zones 0 TXT g\ne.zones 0 PTR e.example.\n";
        let member = |name: &str| of(new)[&name.parse::<Name>().expect("a name")].clone();
        let version = |text: &str| snapshot(&format!("{TWO}{text}"));
        assert_eq!(
            changes(Some(&version(old)), &version(new)).expect("catalogs"),
            [
                Change::Reset(member("b.example")),
                Change::Altered(member("c.example")),
                Change::Left(name("d.example")),
                Change::Joined(member("e.example")),
            ]
        );
        assert_eq!(changes(Some(&version(old)), &version(old)), Ok(Vec::new()));
        assert_eq!(changes(Some(&version(old)), &snapshot(new)), Err(Broken::Version));
        let twice = format!("{new}x.zones 0 PTR y.example.\ny.zones 0 PTR y.example.\n");
        assert_eq!(changes(Some(&version(old)), &version(&twice)), Err(Broken::Twice(name("y.example"))));
    }

    /// Few labels, zones and properties, so that they meet.
    fn lines() -> impl Strategy<Value = Vec<(u8, u8, Option<u8>, Option<u8>)>> {
        let zone = 0u8..5;
        proptest::collection::btree_map(0u8..6, (zone.clone(), proptest::option::of(zone), any::<Option<bool>>()), 0..6)
            .prop_map(|nodes| {
                let of = |(label, (zone, successor, group)): (u8, (u8, Option<u8>, Option<bool>))| {
                    (label, zone, successor, group.map(u8::from))
                };
                nodes.into_iter().map(of).collect()
            })
    }

    fn text(lines: &[(u8, u8, Option<u8>, Option<u8>)]) -> String {
        let line = |(label, zone, successor, group): &(u8, u8, Option<u8>, Option<u8>)| {
            let coo = successor.map(|to| format!("coo.l{label}.zones 0 PTR c{to}.\n")).unwrap_or_default();
            let group = group.map(|group| format!("group.l{label}.zones 0 TXT g{group}\n")).unwrap_or_default();
            format!("l{label}.zones 0 PTR z{zone}.\n{coo}{group}")
        };
        lines.iter().map(line).collect::<String>() + TWO
    }

    proptest! {
        /// The law of [`changes`]: by what differs they are the same as by a look at everything.
        #[test]
        fn changes_by_what_differs_are_those_of_the_whole(old in lines(), new in lines()) {
            let (old, new) = (snapshot(&text(&old)), snapshot(&text(&new)));
            let Ok(before) = read(&old) else { return Ok(()) };
            let found = changes(Some(&old), &new);
            match read(&new) {
                Ok(after) => prop_assert_eq!(found, Ok(between(before, after))),
                // Told as broken, or as a zone that joins and has been a member all the time.
                Err(Broken::Twice(_)) => {
                    let is_known = |change: &Change| matches!(change, Change::Joined(member) if before.contains_key(&member.name));
                    let is_told = found.as_ref().map_or(true, |changes| changes.iter().any(is_known));
                    prop_assert!(is_told, "{:?}", found);
                }
                Err(other) => prop_assert_eq!(found, Err(other)),
            }
        }
    }
}
