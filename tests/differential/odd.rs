//! Messages that nobody should send: what all peers do with them, we do; where they differ, we are with one of them.
//!
//! Compared are: whether a reply comes at all, its RCODE (with the bits in OPT), AA, TC, the number of questions repeated,
//! whether there are answers, and whether there is an OPT. RFC 8906 is the reason: silence and wild guesses break clients.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use secondaryd::dns::{RecordType, message};

use crate::peer::{Peer, Program, Setup};
use crate::serve::Served;
use crate::zones::{self, Zone};

/// How long silence is listened to after an ordinary query behind the odd one has been answered; much longer before we
/// are called alone.
const PATIENCE: Duration = Duration::from_millis(20);
const MUCH_PATIENCE: Duration = Duration::from_secs(1);
/// Messages that a failure shows.
const REPORTED_MAX: usize = 40;

/// Where we are alone on purpose: the messages this is true of, the aspect, and why.
type Excuse = (fn(&[u8]) -> bool, &'static str, &'static str);
const EXCUSES: &[Excuse] = &[];

/// What a reply is, as far as it is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    rcode: u16,
    authoritative: bool,
    truncated: bool,
    questions: u16,
    has_answer: bool,
    has_opt: bool,
}

struct Asked {
    name: String,
    udp: UdpSocket,
}

impl Asked {
    fn new(name: String, address: SocketAddr) -> Asked {
        let udp = UdpSocket::bind("127.0.0.1:0").expect("a port");
        udp.connect(address).expect("connected");
        Asked { name, udp }
    }

    /// What comes back to `odd`, whose id is its own; `None`: nothing. An ordinary query behind it tells when the server
    /// has come past it; then a little more patience is enough.
    fn ask(&self, odd: &[u8], patience: Duration) -> Option<Seen> {
        let sentinel = message::query(0xfffe, &"www.ordinary.example".parse().expect("a name"), RecordType::A, None);
        self.udp.send(odd).expect("sent");
        self.udp.send(&sentinel).expect("sent");
        let mut end = Instant::now() + Duration::from_secs(10);
        let mut reply = vec![0; 65_535];
        let mut is_past = false;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                assert!(is_past, "{}: no reply to an ordinary query behind {odd:02x?}", self.name);
                return None;
            }
            self.udp.set_read_timeout(Some(left)).expect("timeout");
            let Ok(len) = self.udp.recv(&mut reply) else { continue };
            if reply[..2] == [0xff, 0xfe] {
                (is_past, end) = (true, Instant::now() + patience);
            } else if odd.len() >= 2 && reply[..2] == odd[..2] {
                return Some(Seen::read(&reply[..len]));
            }
        }
    }
}

impl Seen {
    fn read(reply: &[u8]) -> Seen {
        assert!(reply.len() >= 12, "{reply:02x?}");
        let count = |at: usize| u16::from_be_bytes([reply[at], reply[at + 1]]);
        // ours and theirs are sound messages; where a refusal repeats rubbish there is nothing to walk
        let opt = secondaryd::dns::edns::Opt::find(reply).ok().flatten();
        Seen {
            rcode: opt.as_ref().map_or(0, |opt| u16::from(opt.extended_rcode) << 4) | u16::from(reply[3] & 15),
            authoritative: reply[2] & 4 != 0,
            truncated: reply[2] & 2 != 0,
            questions: count(4),
            has_answer: count(6) > 0,
            has_opt: opt.is_some(),
        }
    }
}

/// In what nobody agrees with us.
fn deviations(ours: &Option<Seen>, theirs: &[Option<Seen>]) -> Vec<&'static str> {
    let Some(ours) = ours else {
        return if theirs.contains(&None) { Vec::new() } else { vec!["silence"] };
    };
    if theirs.iter().all(Option::is_none) {
        return vec!["a reply"];
    }
    let theirs: Vec<&Seen> = theirs.iter().flatten().collect();
    let mut aspects = Vec::new();
    let mut compare = |aspect, is_same: &dyn Fn(&Seen) -> bool| {
        if !theirs.iter().any(|seen| is_same(seen)) {
            aspects.push(aspect);
        }
    };
    compare("rcode", &|seen| seen.rcode == ours.rcode);
    compare("aa", &|seen| seen.authoritative == ours.authoritative);
    compare("tc", &|seen| seen.truncated == ours.truncated);
    compare("questions", &|seen| seen.questions == ours.questions);
    compare("answer", &|seen| seen.has_answer == ours.has_answer);
    compare("opt", &|seen| seen.has_opt == ours.has_opt);
    aspects
}

const NAME: &[u8] = b"\x03www\x08ordinary\x07example\0";
const OPT: &[u8] = b"\0\0\x29\x04\xd0\0\0\0\0\0\0";

fn with(flags: [u8; 2], counts: [u8; 4], parts: &[&[u8]]) -> Vec<u8> {
    let [q, an, ns, ar] = counts;
    let mut message = vec![0, 0, flags[0], flags[1], 0, q, 0, an, 0, ns, 0, ar];
    parts.iter().for_each(|part| message.extend_from_slice(part));
    message
}

/// The RFC 8906 matrix and what else has been seen in the wild, one by one.
fn written() -> Vec<(String, Vec<u8>)> {
    let a: &[u8] = &[0, 1, 0, 1];
    let plain = |flags| with(flags, [1, 0, 0, 0], &[NAME, a]);
    let asking = |opt: &[u8]| with([0, 0], [1, 0, 0, 1], &[NAME, a, opt]);
    let option = |code: u8, value: &[u8]| {
        let head = [0, 0, 41, 4, 208, 0, 0, 0, 0, 0, value.len() as u8 + 4, 0, code, 0, value.len() as u8];
        [&head[..], value].concat()
    };
    let mut all: Vec<(String, Vec<u8>)> = Vec::new();
    let mut add = |what: &str, message: Vec<u8>| all.push((what.to_owned(), message));
    for bit in 0..8 {
        add(&format!("high flag {bit}"), plain([1 << bit, 0]));
        add(&format!("low flag {bit}"), plain([0, 1 << bit]));
    }
    for opcode in 0..16u8 {
        add(&format!("opcode {opcode}"), plain([opcode << 3, 0]));
        add(&format!("opcode {opcode}, header only"), with([opcode << 3, 0], [0; 4], &[]));
        add(&format!("opcode {opcode}, EDNS"), with([opcode << 3, 0], [1, 0, 0, 1], &[NAME, a, OPT]));
    }
    for rcode in 1..16 {
        add(&format!("rcode {rcode}"), plain([0, rcode]));
    }
    for qtype in [0u16, 41, 99, 103, 128, 200, 248, 249, 250, 251, 252, 253, 254, 255, 256, 32768, 65280, 65535] {
        let question = [qtype.to_be_bytes(), [0, 1]].concat();
        add(&format!("type {qtype}"), with([0, 0], [1, 0, 0, 0], &[NAME, &question]));
        add(&format!("type {qtype}, EDNS"), with([0, 0], [1, 0, 0, 1], &[NAME, &question, OPT]));
    }
    for class in [0u16, 2, 3, 4, 5, 254, 255, 256, 65535] {
        let question = [[0, 1], class.to_be_bytes()].concat();
        add(&format!("class {class}"), with([0, 0], [1, 0, 0, 0], &[NAME, &question]));
    }
    for counts in
        [[0, 0, 0, 0], [2, 0, 0, 0], [1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 0, 1], [0, 1, 0, 0], [0, 0, 0, 1], [255; 4]]
    {
        add(&format!("counts {counts:?} over one question"), with([0, 0], counts, &[NAME, a]));
    }
    add("two equal questions", with([0, 0], [2, 0, 0, 0], &[NAME, a, NAME, a]));
    add("nothing behind the header", with([0, 0], [1, 0, 0, 0], &[]));
    add("OPT without a question", with([0, 0], [0, 0, 0, 1], &[OPT]));
    let record: &[u8] = b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\x7f\0\0\x01";
    add("a record in the answer", with([0, 0], [1, 1, 0, 0], &[NAME, a, record]));
    add("a record in the authority", with([0, 0], [1, 0, 1, 0], &[NAME, a, record]));
    add("a record in the additional", with([0, 0], [1, 0, 0, 1], &[NAME, a, record]));
    add("a record before OPT", with([0, 0], [1, 0, 0, 2], &[NAME, a, record, OPT]));
    add("a record behind OPT", with([0, 0], [1, 0, 0, 2], &[NAME, a, OPT, record]));
    add("two OPTs", with([0, 0], [1, 0, 0, 2], &[NAME, a, OPT, OPT]));
    add("OPT in the answer", with([0, 0], [1, 1, 0, 0], &[NAME, a, OPT]));
    add("OPT in the authority", with([0, 0], [1, 0, 1, 0], &[NAME, a, OPT]));
    add("OPT with an owner", asking(b"\x01x\0\0\x29\x04\xd0\0\0\0\0\0\0"));
    add("octets behind the question", with([0, 0], [1, 0, 0, 0], &[NAME, a, b"rest"]));
    add("octets behind OPT", asking(&[OPT, b"rest"].concat()));
    add("OPT cut short", asking(&OPT[..7]));
    for version in [1, 2, 100, 255] {
        add(&format!("EDNS version {version}"), asking(&[0, 0, 41, 4, 208, 0, version, 0, 0, 0, 0]));
        add(
            &format!("EDNS version {version} and an option"),
            asking(&[0, 0, 41, 4, 208, 0, version, 0, 0, 0, 4, 0, 100, 0, 0]),
        );
    }
    for flag in 0..8 {
        add(&format!("EDNS flag {flag}"), asking(&[0, 0, 41, 4, 208, 0, 0, 1 << flag, 0, 0, 0]));
        add(&format!("EDNS low flag {flag}"), asking(&[0, 0, 41, 4, 208, 0, 0, 0, 1 << flag, 0, 0]));
    }
    add("EDNS extended rcode", asking(&[0, 0, 41, 4, 208, 7, 0, 0, 0, 0, 0]));
    for size in [0u16, 1, 12, 511, 512, 65535] {
        let [high, low] = size.to_be_bytes();
        add(&format!("EDNS size {size}"), asking(&[0, 0, 41, high, low, 0, 0, 0, 0, 0, 0]));
    }
    for (code, value) in [
        (3, &b""[..]),
        (3, b"x"),
        (5, b"\x08\x0d"),
        (8, b"\0\x01\x18\0\xc0\0\x02"),
        (8, b"\0\x01\x21\0\xc0\0\x02\x01\x07"),
        (8, b""),
        (9, b""),
        (9, b"\0\0\0\x07"),
        (9, b"\0"),
        (10, b"8 octets"),
        (10, b"8 octets and then sixteen"),
        (10, b"8 octets, no more than 40 in all, not one"),
        (10, b"7 octet"),
        (10, b""),
        (11, b""),
        (11, b"\0\x07"),
        (12, b""),
        (12, b"\0\0\0"),
        (12, b"not zero"),
        (13, b"\x01x\0"),
        (15, b"\0\x0e"),
        (15, b""),
        (18, b"\0"),
        (19, b""),
        (19, b"\0"),
        (100, b"who knows"),
        (255, b""),
    ] {
        add(&format!("option {code} of {} octets", value.len()), asking(&option(code, value)));
    }
    let mut torn = option(3, b"xyz");
    torn[14] = 9;
    add("an option longer than the rdata", asking(&torn));
    add("half an option's head", asking(&[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 3, 0, 3, 0]));
    // questions
    add("a compressed question", with([0, 0], [1, 0, 0, 0], &[b"\xc0\x0c", a]));
    add("a question compressed into the header", with([0, 0], [1, 0, 0, 0], &[b"\x03www\xc0\x04", a]));
    add("a question that points ahead", with([0, 0], [1, 0, 0, 0], &[b"\x03www\xc0\x20", a]));
    add("label type 01", with([0, 0], [1, 0, 0, 0], &[b"\x41x\0", a]));
    add("label type 10", with([0, 0], [1, 0, 0, 0], &[b"\x81x\0", a]));
    add("a name without an end", with([0, 0], [1, 0, 0, 0], &[b"\x03www\x08ordinary"]));
    add("a question without type", with([0, 0], [1, 0, 0, 0], &[NAME]));
    add("a question with half a class", with([0, 0], [1, 0, 0, 0], &[NAME, &a[..3]]));
    let label = [&b"\x3f"[..], &[b'a'; 63]].concat();
    let tail: &[u8] = b"\x08ordinary\x07example\0";
    let long = |last: u8| {
        let rest = [&[last][..], &vec![b'b'; last.into()]].concat();
        [&label[..], &label, &label, &rest, tail].concat()
    };
    add("a name of 255 octets", with([0, 0], [1, 0, 0, 0], &[&long(44), a]));
    add("a name of 256 octets", with([0, 0], [1, 0, 0, 0], &[&long(45), a]));
    let deep = [&b"\x01x".repeat(118)[..], tail].concat();
    add("a name of 254 octets and 120 labels", with([0, 0], [1, 0, 0, 0], &[&deep, a]));
    add("127 labels of nobody", with([0, 0], [1, 0, 0, 0], &[&b"\x01x".repeat(127), b"\0", a]));
    add("128 labels", with([0, 0], [1, 0, 0, 0], &[&b"\x01x".repeat(128), b"\0", a]));
    add("the root", with([0, 0], [1, 0, 0, 0], &[b"\0", &[0, 2, 0, 1]]));
    add("octets no name has", with([0, 0], [1, 0, 0, 0], &[b"\x05\0\xff .\\", tail, a]));
    for (name, qtype) in [
        ("\x07version\x04bind\0", 16u8),
        ("\x08hostname\x04bind\0", 16),
        ("\x02id\x06server\0", 16),
        ("\x07version\x04bind\0", 1),
        ("\x07authors\x04bind\0", 16),
        ("\0", 2),
    ] {
        add(&format!("CHAOS {name:?} {qtype}"), with([0, 0], [1, 0, 0, 0], &[name.as_bytes(), &[0, qtype, 0, 3]]));
    }
    // signatures of nobody
    let tsig: &[u8] = b"\x01k\0\0\xfa\0\xff\0\0\0\0\0\x3a\x0bhmac-sha256\0\0\0\x6a\x5b\x7c\x8d\x01\x2c\0\x20\
        0123456789abcdef0123456789abcdef\0\0\0\0\0\0";
    add("TSIG of an unknown key", with([0, 0], [1, 0, 0, 1], &[NAME, a, tsig]));
    add("TSIG before OPT", with([0, 0], [1, 0, 0, 2], &[NAME, a, tsig, OPT]));
    add("TSIG behind OPT", with([0, 0], [1, 0, 0, 2], &[NAME, a, OPT, tsig]));
    add("TSIG in the answer", with([0, 0], [1, 1, 0, 0], &[NAME, a, tsig]));
    add("TSIG without rdata", with([0, 0], [1, 0, 0, 1], &[NAME, a, b"\x01k\0\0\xfa\0\xff\0\0\0\0\0\0"]));
    // transfers and NOTIFY that are not
    add("AXFR over UDP", with([0, 0], [1, 0, 0, 0], &[&NAME[4..], &[0, 252, 0, 1]]));
    add("IXFR without SOA", with([0, 0], [1, 0, 0, 0], &[&NAME[4..], &[0, 251, 0, 1]]));
    add("NOTIFY of nobody", with([0x24, 0], [1, 0, 0, 0], &[&NAME[4..], &[0, 6, 0, 1]]));
    add("NOTIFY of an A", with([0x24, 0], [1, 0, 0, 0], &[&NAME[4..], a]));
    add("NOTIFY for another zone", with([0x24, 0], [1, 0, 0, 0], &[b"\x02zz\0", &[0, 6, 0, 1]]));
    // scraps
    for len in 0..12 {
        add(&format!("{len} octets"), plain([0, 0])[..len].to_vec());
    }
    add("12 octets of 0", vec![0; 12]);
    add("12 octets of ff", vec![0xff; 12]);
    add("512 octets of 0", vec![0; 512]);
    all
}

/// Sound queries with some octets changed, added or taken away.
fn mutated(count: u64) -> Vec<(String, Vec<u8>)> {
    let names: [&[u8]; 4] = [NAME, b"\x08ordinary\x07example\0", b"\x04none\x08ordinary\x07example\0", b"\x02zz\0"];
    (0..count)
        .map(|seed| {
            let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
            let mut below = |bound: usize| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state >> 33) as usize % bound
            };
            let qtype = [1u8, 2, 6, 15, 16, 28, 43, 255][below(8)];
            let mut message = with([below(2) as u8, 0], [1, 0, 0, 1], &[names[below(4)], &[0, qtype, 0, 1], OPT]);
            if below(2) == 0 {
                message.truncate(message.len() - OPT.len());
                message[11] = 0;
            }
            for _ in 0..1 + below(3) {
                // the id stays what it is
                let at = 2 + below(message.len() - 2);
                match below(5) {
                    0 => message[at] ^= 1 << below(8),
                    1 => message[at] = below(256) as u8,
                    2 => message.insert(at, below(256) as u8),
                    3 if message.len() > 14 => _ = message.remove(at),
                    _ => message.truncate(at.max(12)),
                }
            }
            (format!("mutation {seed}"), message)
        })
        .collect()
}

/// `DIFFERENTIAL_MUTATIONS=20000` asks more of the second kind.
#[test]
fn nothing_odd_is_treated_by_us_alone() {
    let count = std::env::var("DIFFERENTIAL_MUTATIONS").ok().and_then(|count| count.parse().ok()).unwrap_or(400);
    let zones: Vec<Zone> = vec![zones::fixture("ordinary.zone", "ordinary.example", 2026112101)];
    let peers: Vec<Peer> = [Program::Nsd, Program::Knot, Program::Bind]
        .into_iter()
        .filter(|program| program.is_installed())
        .map(|program| Setup::primary(program).without_differences().start(&zones))
        .collect();
    if peers.len() < 3 {
        eprintln!("skipped: not all peers are there");
        return;
    }
    let served = Served::start(&zones);
    let us = Asked::new("secondaryd".to_owned(), served.address);
    let peers: Vec<Asked> =
        peers.iter().map(|peer| Asked::new(format!("{:?}", peer.setup.program), peer.address())).collect();
    let (mut wrong, mut report) = (0, String::new());
    let mut seen = BTreeSet::new();
    let all = written().into_iter().chain(mutated(count));
    for (index, (what, mut odd)) in all.enumerate() {
        if odd.len() >= 2 {
            odd[..2].copy_from_slice(&(index as u16 & 0x7fff).to_be_bytes());
        }
        if !seen.insert(odd.get(2..).map(<[u8]>::to_vec)) {
            continue;
        }
        let ask = |patience| {
            let ours = us.ask(&odd, patience);
            (ours, peers.iter().map(|peer| peer.ask(&odd, patience)).collect::<Vec<_>>())
        };
        let (mut ours, mut theirs) = ask(PATIENCE);
        let mut aspects = deviations(&ours, &theirs);
        if !aspects.is_empty() {
            (ours, theirs) = ask(MUCH_PATIENCE);
            aspects = deviations(&ours, &theirs);
        }
        aspects.retain(|aspect| !EXCUSES.iter().any(|(is_meant, of, _)| of == aspect && is_meant(&odd)));
        if aspects.is_empty() {
            continue;
        }
        wrong += 1;
        if wrong <= REPORTED_MAX {
            writeln!(report, "--- {what}: alone in {aspects:?}\n{odd:02x?}\nours: {ours:?}").expect("text");
            for (peer, seen) in peers.iter().zip(&theirs) {
                writeln!(report, "{}: {seen:?}", peer.name).expect("text");
            }
        }
    }
    eprintln!("{} messages, alone in {wrong}", seen.len());
    assert!(wrong == 0, "{report}");
}
