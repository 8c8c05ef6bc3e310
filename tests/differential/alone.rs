//! The same question to us and to the peers: where nobody agrees with us we are wrong, unless [`proves_both_halves`],
//! [`just_does_not_fit`], [`is_cut_at_our_bound`] or [`is_continued`] says why not.
//!
//! Compared are RCODE, AA, TC, and answer and authority as sets. In the additional section records are optional; but
//! what all peers give, we give. NS of the apex beside a positive answer are optional too and left out.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use secondaryd::answer::CHAIN_LINKS_MAX;
use secondaryd::dns::edns::Opt;
use secondaryd::dns::{Name, Record, RecordType, message, presentation, zonefile};

use crate::corners;
use crate::peer::{Peer, Program, Setup};
use crate::random;
use crate::serve::Served;
use crate::witness::{self, Reply, Rr};
use crate::zones::{self, Zone};

/// Longer than any answer takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);

/// Questions that a failure shows in full.
const REPORTED_MAX: usize = 40;

/// The size in [`Edns::Narrow`]: the least one.
const NARROW_OCTETS: usize = 512;

/// How a question speaks EDNS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Edns {
    None,
    Plain,
    DnssecOk,
    /// With DO, the least size, and options of several kinds.
    Narrow,
}

impl Edns {
    fn to_opt(self) -> Option<Opt> {
        let mut opt = Opt::default();
        match self {
            Edns::None => return None,
            Edns::Plain => {}
            Edns::DnssecOk => opt.dnssec_ok = true,
            Edns::Narrow => {
                (opt.dnssec_ok, opt.udp_payload) = (true, NARROW_OCTETS as u16);
                opt = opt.with_option(3, b"").with_option(65_001, b"unknown");
            }
        }
        Some(opt)
    }
}

struct Server {
    is_ours: bool,
    name: String,
    address: SocketAddr,
    udp: UdpSocket,
}

impl Server {
    fn new(is_ours: bool, name: String, address: SocketAddr) -> Server {
        let udp = UdpSocket::bind("127.0.0.1:0").expect("a port");
        udp.set_read_timeout(Some(PATIENCE)).expect("timeout");
        udp.connect(address).expect("connected");
        Server { is_ours, name, address, udp }
    }

    fn send(&self, query: &[u8]) {
        self.udp.send(query).expect("sent");
    }

    /// The reply to the query sent last.
    fn receive(&self, query: &[u8]) -> Reply {
        let mut reply = vec![0; 4096];
        let len = self.udp.recv(&mut reply).unwrap_or_else(|error| panic!("{}: {error}: {query:02x?}", self.name));
        self.read(query, &reply[..len])
    }

    fn ask_tcp(&self, query: &[u8]) -> Reply {
        self.read(query, &self.octets_over_tcp(query))
    }

    fn octets_over_tcp(&self, query: &[u8]) -> Vec<u8> {
        let mut stream = TcpStream::connect(self.address).expect("connected");
        stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
        stream.write_all(&[&(query.len() as u16).to_be_bytes(), query].concat()).expect("written");
        let mut length = [0; 2];
        stream.read_exact(&mut length).expect("a length");
        let mut reply = vec![0; u16::from_be_bytes(length) as usize];
        stream.read_exact(&mut reply).expect("a reply");
        reply
    }

    fn read(&self, query: &[u8], reply: &[u8]) -> Reply {
        if self.is_ours {
            return witness::read(query, reply);
        }
        let mut reply = witness::read_theirs(query, reply);
        [&mut reply.answer, &mut reply.authority, &mut reply.additional].into_iter().for_each(Vec::dedup);
        reply
    }
}

/// The zones which every peer loads as they are.
fn fixtures() -> Vec<Zone> {
    vec![
        zones::fixture("ordinary.zone", "ordinary.example", 2026112101),
        zones::fixture("delegations.zone", "delegations.example", 7),
        zones::fixture("signed-nsec.zone", "signed-nsec.example", 7),
        zones::fixture("signed-nsec3.zone", "signed-nsec3.example", 7),
        zones::fixture("signed-nsec3-closed.zone", "signed-nsec3-closed.example", 7),
        zones::fixture("reverse.zone", "2.0.192.in-addr.arpa", 2026112101),
        all_types(),
    ]
}

/// The zone with a record of every type, without those that the witness does not read (see `tests/answer/laws.rs`).
fn all_types() -> Zone {
    let unseen = [RecordType::MB, RecordType::MG, RecordType::MR, RecordType::MINFO, RecordType::SIG];
    let mut zone = zones::all_types(Program::Nsd);
    let apex: Name = zone.name.parse().expect("a name");
    let mut records = zonefile::parse(&zone.text, &apex).expect("records");
    records.retain(|record| !unseen.contains(&record.rtype) && !record.rdata.is_empty());
    zone.text.clear();
    for Record { owner, ttl, rtype, rdata } in &records {
        let data = match *rtype {
            RecordType::SOA => presentation::rdata_text(*rtype, rdata),
            _ => presentation::generic_text(rdata),
        };
        writeln!(zone.text, "{owner} {ttl} IN TYPE{} {data}", rtype.0).expect("text");
    }
    zone.text = zone.text.replace("TYPE6 ", "SOA ");
    zone
}

/// Every owner, its ancestors, and names that do not exist beside and below them.
fn names(zone: &Zone) -> BTreeSet<Name> {
    let apex: Name = zone.name.parse().expect("a name");
    let mut names = BTreeSet::new();
    for record in zonefile::parse(&zone.text, &apex).expect("records") {
        let mut name = record.owner;
        while name.is_at_or_below(&apex) {
            for new in [&b"\x010"[..], b"\x03zzz", b"\x01*", b"\x01a\x01b"] {
                names.extend(Name::from_relative(new, &name));
            }
            names.insert(name.clone());
            let Some(parent) = name.parent() else { break };
            name = parent;
        }
    }
    names
}

/// Records of the authority section that must be there.
fn authority(reply: &Reply) -> Vec<&Rr> {
    let is_positive = !reply.answer.is_empty() && reply.authoritative;
    let is_ns = |rr: &Rr| {
        rr.rtype == RecordType::NS
            || rr.rtype == RecordType::RRSIG && rr.rdata.starts_with(&RecordType::NS.0.to_be_bytes())
    };
    reply.authority.iter().filter(|rr| !(is_positive && is_ns(rr))).collect()
}

/// Whether both say the same. BIND lets nobody keep a negative answer about SOA (TTL 0), a rule that RFC 2308 §5 does not
/// know; that alone is no difference.
fn is_same_authority(ours: &Reply, peer: &Reply) -> bool {
    let (ours, theirs) = (authority(ours), authority(peer));
    let is_of_soa = |rr: &Rr| {
        rr.rtype == RecordType::SOA
            || rr.rtype == RecordType::RRSIG && rr.rdata.starts_with(&RecordType::SOA.0.to_be_bytes())
    };
    ours.len() == theirs.len()
        && ours.into_iter().zip(theirs).all(|(ours, theirs)| {
            ours == theirs || theirs.ttl == 0 && is_of_soa(theirs) && Rr { ttl: 0, ..ours.clone() } == *theirs
        })
}

/// Whether both say the same, TC and the additional section apart.
fn is_same(ours: &Reply, peer: &Reply) -> bool {
    (ours.rcode, ours.authoritative) == (peer.rcode, peer.authoritative)
        && ours.answer == peer.answer
        && is_same_authority(ours, peer)
}

/// In which aspects nobody agrees with us.
fn deviations(ours: &Reply, peers: &[Reply]) -> Vec<&'static str> {
    let mut aspects = Vec::new();
    let mut compare = |aspect, is_same: &dyn Fn(&Reply) -> bool| {
        if !peers.iter().any(is_same) {
            aspects.push(aspect);
        }
    };
    compare("rcode", &|peer| peer.rcode == ours.rcode);
    compare("aa", &|peer| peer.authoritative == ours.authoritative);
    compare("tc", &|peer| peer.truncated == ours.truncated);
    compare("answer", &|peer| peer.answer == ours.answer);
    compare("authority", &|peer| is_same_authority(ours, peer));
    let given_by_all = peers[0].additional.iter().filter(|rr| peers.iter().all(|peer| peer.additional.contains(rr)));
    if given_by_all.into_iter().any(|rr| !ours.additional.contains(rr)) {
        aspects.push("additional");
    }
    aspects
}

/// No data at a wildcard that is an empty non-terminal, behind a DNAME. RFC 4035 §3.1.3.4 wants two NSEC: that nothing
/// matches closer (it covers the name), and that the wildcard has no such type (here it covers the wildcard and ends below
/// it). Asked for at once the peers give both as well; behind a DNAME Knot and BIND give only the first and NSD only the
/// second, which proves nothing. We are right if we give what each of them gives and nothing that none of them gives. TTLs
/// are not looked at here: Knot leaves the signature of the SOA its own, where the others give it that of the SOA.
fn proves_both_halves(ours: &Reply, peers: &[Reply]) -> bool {
    let is_behind_dname = ours.answer.iter().any(|rr| rr.rtype == RecordType::DNAME);
    let proofs = authority(ours);
    let theirs: Vec<Vec<&Rr>> = peers.iter().map(authority).collect();
    is_behind_dname
        && peers.iter().all(|peer| peer.rcode == ours.rcode)
        && theirs.iter().flatten().all(|rr| gives(proofs.iter().copied(), rr))
        && proofs.iter().all(|rr| theirs.iter().any(|theirs| gives(theirs.iter().copied(), rr)))
}

/// Whether `rr` is among the records, whatever its TTL.
fn gives<'a>(mut records: impl Iterator<Item = &'a Rr>, rr: &Rr) -> bool {
    records.any(|given| Rr { ttl: rr.ttl, ..given.clone() } == *rr)
}

/// Octets by which a peer may be shorter with the same records: some let owners point into the rdata of records before
/// them, we only into the question and to owners.
const POINTERS_OCTETS: usize = 16;

/// Whether TC is right although nobody else sets it: the whole answer is a peer's too, does not fit as we write it, and fits
/// as the peer does by some octets only.
fn just_does_not_fit(us: &Server, peers: &[Server], query: &[u8], ours: &Reply, theirs: &[Reply]) -> bool {
    let octets = us.octets_over_tcp(query).len();
    octets > NARROW_OCTETS
        && octets <= NARROW_OCTETS + POINTERS_OCTETS
        && peers
            .iter()
            .zip(theirs)
            .any(|(peer, reply)| is_same(ours, reply) && peer.octets_over_tcp(query).len() + POINTERS_OCTETS >= octets)
}

/// Whether the answer is a chain that goes on for ever, as of two DNAMEs that make each other's names longer. Everybody ends it
/// at another link (Knot after 5, BIND after 11, NSD after as many as fit): ours holds all that who stops sooner gives, and
/// nothing that who stops later does not give.
fn is_cut_at_our_bound(ours: &Reply, peers: &[Reply]) -> bool {
    let links = ours.answer.iter().filter(|rr| rr.rtype == RecordType::CNAME).count();
    let holds = |more: &Reply, less: &Reply| less.answer.iter().all(|rr| gives(more.answer.iter(), rr));
    links >= CHAIN_LINKS_MAX
        && peers.iter().all(|peer| holds(ours, peer) || holds(peer, ours))
        && peers.iter().any(|peer| holds(peer, ours))
}

#[test]
fn no_answer_on_the_fixtures_is_ours_alone() {
    compare(&fixtures(), types_of);
}

/// The types a zone has, and some that are special everywhere.
fn types_of(zone: &Zone) -> BTreeSet<RecordType> {
    let more = [RecordType::DS, RecordType::ANY, RecordType::RRSIG, RecordType::CNAME, RecordType(65280)];
    let apex: Name = zone.name.parse().expect("a name");
    let records = zonefile::parse(&zone.text, &apex).expect("records");
    records.iter().map(|record| record.rtype).chain(more).collect()
}

/// The zone at the top encloses every name; it is served alone.
#[test]
fn no_answer_of_the_root_is_ours_alone() {
    compare(&[zones::fixture("root.zone", ".", 2026112200)], types_of);
}

/// RFC 9276 wants no iterations, but who has them is answered: with proofs, like the peers. Beyond 2,500, which nobody was
/// ever allowed, only the peers go on.
#[test]
fn no_answer_behind_many_iterations_is_ours_alone() {
    let zones: Vec<Zone> = [150, 151, 500, 501, 2500].into_iter().map(corners::iterated).collect();
    compare(&zones, |_| [RecordType::A, RecordType::DS].into());
}

/// Where the chain in an answer leaves the zone of `qname` for another one that is served: the name there.
fn border(ours: &Reply, qname: &Name, qtype: RecordType, apexes: &[Name]) -> Option<Name> {
    let zone_of = |name: &Name| {
        let may_hold = |apex: &&Name| name.is_at_or_below(apex) && !(qtype == RecordType::DS && *apex == name);
        apexes.iter().filter(may_hold).max_by_key(|apex| apex.label_count())
    };
    let (home, mut name) = (zone_of(qname)?, qname.clone());
    for _ in 0..=ours.answer.len() {
        let is_next = |rr: &&Rr| rr.rtype == RecordType::CNAME && rr.owner.eq_ignore_ascii_case(name.as_wire());
        let cname = ours.answer.iter().find(is_next)?;
        name = Name::from_wire(&cname.rdata).ok()?;
        match zone_of(&name)? {
            zone if zone != home => return Some(name),
            _ => {}
        }
    }
    None
}

/// Whether an answer is that of Knot and BIND, which end a chain at the zone's border, and behind it what we say to who
/// asks there at once. Only NSD goes on too, but its proofs behind a border are not those it gives when asked at once.
fn is_continued(
    us: &Server,
    ours: &Reply,
    theirs: &[Reply],
    qname: &Name,
    (qtype, variant): (RecordType, Edns),
    apexes: &[Name],
) -> bool {
    let Some(target) = border(ours, qname, qtype, apexes) else { return false };
    let rest = us.ask_tcp(&message::query(1, &target, qtype, variant.to_opt().as_ref()));
    let before = || ours.answer.iter().filter(|rr| !rest.answer.contains(rr));
    ours.rcode == rest.rcode
        && rest.answer.iter().all(|rr| ours.answer.contains(rr))
        && rest.authority.iter().all(|rr| ours.authority.contains(rr))
        && theirs.iter().any(|peer| peer.rcode == 0 && peer.authoritative && peer.answer.iter().eq(before()))
}

/// `DIFFERENTIAL_CORNERS=1` asks for more types, in zones signed in each way.
#[test]
fn no_answer_in_any_corner_is_ours_alone() {
    let all = std::env::var_os("DIFFERENTIAL_CORNERS").is_some();
    compare(&corners::zones(if all { &[0, 1, 2, 3] } else { &[1, 3] }), |_| {
        let mut types = vec![
            RecordType::A,
            RecordType::NS,
            RecordType::MX,
            RecordType::DS,
            RecordType::SVCB,
            RecordType::NSEC,
            RecordType::ANY,
        ];
        if all {
            types.extend([RecordType::CNAME, RecordType::DNAME, RecordType::TXT, RecordType::SRV, RecordType::HTTPS]);
            types.extend([RecordType::SOA, RecordType::DNSKEY, RecordType::NSEC3PARAM, RecordType::RRSIG]);
        }
        types.into_iter().collect()
    });
}

/// `DIFFERENTIAL_ZONES=2000 DIFFERENTIAL_ONE_IN=11` asks about more of them (from `DIFFERENTIAL_FIRST` on), and one question
/// in eleven: all questions about so many take an hour. A divisor of neither the types nor the variants, so that each has
/// its turn.
#[test]
fn no_answer_on_random_zones_is_ours_alone() {
    let (count, first) = (number("DIFFERENTIAL_ZONES", 16), number("DIFFERENTIAL_FIRST", 0));
    let zones: Vec<Zone> = (first..first + count).flat_map(random::zones).collect();
    // a server that holds thousands of zones takes its time to start; some hundreds at once go faster
    for some in zones.chunks(400) {
        compare(some, |_| {
            [
                RecordType::A,
                RecordType::TXT,
                RecordType::NS,
                RecordType::DS,
                RecordType::CNAME,
                RecordType::SOA,
                RecordType::MX,
                RecordType::NSEC,
                RecordType::ANY,
                RecordType(65280),
            ]
            .into()
        });
    }
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Asks every server about all names of `zones` with the types that `types_of` wants for each.
fn compare(zones: &[Zone], types_of: impl Fn(&Zone) -> BTreeSet<RecordType>) {
    let peers: Vec<Peer> = [Program::Nsd, Program::Knot, Program::Bind]
        .into_iter()
        .filter(|program| program.is_installed())
        .map(|program| Setup::primary(program).without_differences().start(zones))
        .collect();
    if peers.len() < 2 {
        eprintln!("skipped: fewer than two peers");
        return;
    }
    let served = Served::start(zones);
    let us = Server::new(true, "secondaryd".to_owned(), served.address);
    let peers: Vec<Server> =
        peers.iter().map(|peer| Server::new(false, format!("{:?}", peer.setup.program), peer.address())).collect();

    let apexes: Vec<Name> = zones.iter().map(|zone| zone.name.parse().expect("a name")).collect();
    let one_in = number("DIFFERENTIAL_ONE_IN", 1).max(1);
    let (mut thought_of, mut asked, mut wrong, mut report) = (0, 0, 0, String::new());
    for zone in zones {
        let types = types_of(zone);
        for name in names(zone) {
            for &qtype in &types {
                for variant in [Edns::None, Edns::Plain, Edns::DnssecOk, Edns::Narrow] {
                    thought_of += 1;
                    if thought_of % one_in != 0 {
                        continue;
                    }
                    let query = message::query(asked as u16, &name, qtype, variant.to_opt().as_ref());
                    let is_many = qtype == RecordType::ANY || qtype == RecordType::RRSIG;
                    // over UDP all are asked before the first is listened to: they work at the same time
                    if !is_many {
                        peers.iter().chain([&us]).for_each(|server| server.send(&query));
                    }
                    let ask = |server: &Server| if is_many { server.ask_tcp(&query) } else { server.receive(&query) };
                    let (mut ours, mut theirs) = (ask(&us), peers.iter().map(ask).collect::<Vec<_>>());
                    let mut aspects = deviations(&ours, &theirs);
                    if aspects != ["tc"] && (ours.truncated || theirs.iter().any(|reply| reply.truncated)) {
                        ours = us.ask_tcp(&query);
                        theirs = peers.iter().map(|peer| peer.ask_tcp(&query)).collect();
                        aspects = deviations(&ours, &theirs);
                    }
                    asked += 1;
                    if aspects == ["tc"] && ours.truncated {
                        // Does more of the same not fit?
                        ours = us.ask_tcp(&query);
                        theirs = peers.iter().map(|peer| peer.ask_tcp(&query)).collect();
                        if proves_both_halves(&ours, &theirs) || just_does_not_fit(&us, &peers, &query, &ours, &theirs)
                        {
                            aspects.clear();
                        }
                    }
                    if aspects == ["tc"] && !ours.truncated {
                        // Who writes the very same with more octets has to cut where we have not.
                        let theirs: Vec<Reply> = peers.iter().map(|peer| peer.ask_tcp(&query)).collect();
                        if theirs.iter().any(|peer| is_same(&ours, peer) && peer.additional == ours.additional) {
                            aspects.clear();
                        }
                    }
                    if aspects == ["answer"] && is_cut_at_our_bound(&ours, &theirs) {
                        aspects.clear();
                    }
                    if aspects == ["authority"] && proves_both_halves(&ours, &theirs) {
                        aspects.clear();
                    }
                    if aspects.is_empty() || is_continued(&us, &ours, &theirs, &name, (qtype, variant), &apexes) {
                        continue;
                    }
                    wrong += 1;
                    if wrong <= REPORTED_MAX {
                        writeln!(report, "--- {name} {qtype} {variant:?}: alone in {aspects:?}\n{ours:?}")
                            .expect("text");
                        for (peer, reply) in peers.iter().zip(&theirs) {
                            writeln!(report, "{}: {reply:?}", peer.name).expect("text");
                        }
                    }
                }
            }
        }
    }
    eprintln!("{asked} questions, alone in {wrong}");
    assert!(wrong == 0, "{report}");
}
