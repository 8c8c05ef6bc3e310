//! A zone of 1,000,000 records from Knot: transferred, served, restarted from disk, killed at random moments, edited.
//!
//! Every record carries the mark of its version, so a mix of two versions would show in any AXFR. The moments at which
//! the daemon is killed come from a seed that is printed; `INTEROP_SEED` repeats them.

use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use hickory_proto::rr::{RData, RecordType};

use crate::client::Over;
use crate::daemon::{Entry, Secondaryd};
use crate::peer::{Peer, Program, Setup};
use crate::random::Random;
use crate::wait;
use crate::zones::Zone;

const NAME: &str = "million.example";
/// Each has an A and an AAAA record; with SOA, NS, the address of the name server and a TXT that makes a million.
const HOSTS: u32 = 499_998;
const RECORDS: usize = 1_000_000;
/// Marks of the two versions: the first octet of every A, the third group of every AAAA.
const OLD: u8 = 11;
const NEW: u8 = 12;
/// What `h0 A` has for a mark after it was edited.
const EDITED: u8 = 99;
/// Kills while the transfer runs, and while it is written to disk.
const KILLS: u32 = 5;
/// Nothing here takes so long, unless the machine does something else.
const LONG: Duration = Duration::from_secs(180);

#[test]
fn a_million_records_survive_anything() {
    if !Program::Knot.is_installed() {
        return;
    }
    let mut moments = Random::seeded();
    let mut clock = Clock(Instant::now());

    // Given one Knot with the old version, and another with the new one, in which every record differs
    let reserved = Secondaryd::reserve();
    let address = reserved.address();
    let (mut first, second) = std::thread::scope(|scope| {
        let second = scope.spawn(|| Setup::primary(Program::Knot).start(&[zone(5, NEW, NEW)]));
        let first = Setup::primary(Program::Knot).notifying(address).start(&[zone(1, OLD, OLD)]);
        (first, second.join().expect("the other Knot"))
    });
    clock.lap("two Knots with a million records each");

    // Transferred and served
    let mut ours = reserved.with_zone(Entry::new(NAME, &[first.address()])).started();
    ours.dns.wait_serial(NAME, 1, LONG);
    let transfer = clock.lap("transferred by AXFR");
    let path = format!("{}/axfr", ours.zone_path(NAME));
    wait::until_true("the zone is stored", LONG, || ours.expect("GET", &path, 202)["storedSerial"] == 1);
    let write = clock.lap("written to disk");
    assert_whole(&ours, 1, OLD);
    assert_eq!(ours.record_count(NAME), RECORDS as u64);
    clock.lap("read back by AXFR");

    // Restarted from disk, before any contact
    assert!(ours.stop().success());
    clock.lap("stopped");
    let saved = tempfile::tempdir().expect("temporary directory");
    copy(&ours.state(), saved.path());
    first.process().pause();
    ours.start();
    assert_eq!(ours.dns.serial(NAME), Some(1), "readiness means that the zone is served");
    clock.lap("started from disk");
    assert_whole(&ours, 1, OLD);
    first.process().resume();
    clock.lap("read back by AXFR");

    an_edited_record_comes_by_ixfr(&mut first, &ours);
    clock.lap("one record edited: Knot's diff, NOTIFY, IXFR");
    first.stop();

    // kill -9 during the transfer and during the write: the old version or the new one
    ours.stop();
    ours.set_primaries(0, &[second.address()]);
    for kill in 0..2 * KILLS {
        let writing = kill % 2 == 1;
        std::fs::remove_dir_all(ours.state()).expect("state");
        copy(saved.path(), &ours.state());
        ours.start();
        ours.expect("PUT", &format!("{}/axfr?mode=refresh", ours.zone_path(NAME)), 202);
        let moment = if writing {
            ours.dns.wait_serial(NAME, 5, LONG);
            // Replacing a version takes longer than the first write, so both outcomes happen.
            moments.within(4 * write)
        } else {
            wait::until_true("the transfer has begun", LONG, || transfer_began(&second));
            moments.within(transfer)
        };
        std::thread::sleep(moment);
        ours.kill();
        second.process().pause();
        ours.start();
        let seen = read_zone(ours.address()).expect("AXFR");
        let version = if seen.serial == 1 { (1, vec![OLD]) } else { (5, vec![NEW]) };
        assert_eq!((seen.serial, &seen.marks), (version.0, &version.1), "one version, whole");
        assert_eq!((seen.records, seen.hosts), (RECORDS, 2 * HOSTS as usize), "every record, once");
        let during = if writing { "write" } else { "transfer" };
        clock.lap(&format!("killed {moment:?} into the {during}: serial {}", seen.serial));
        ours.kill();
        second.process().resume();
    }
}

/// Criterion: answered here after its NOTIFY by IXFR, seen in the primary's log, not AXFR.
fn an_edited_record_comes_by_ixfr(knot: &mut Peer, ours: &Secondaryd) {
    let before = knot.sent();
    knot.load(&zone(2, OLD, EDITED));
    ours.dns.wait_serial(NAME, 2, LONG);
    let answer = ours.dns.ask(Over::Udp, &format!("h0.{NAME}"), RecordType::A).expect("answer");
    assert!(answer.metadata.authoritative);
    assert!(
        matches!(&answer.answers[..], [record] if matches!(&record.data, RData::A(a) if a.octets() == [EDITED, 0, 0, 0])),
        "{answer}"
    );
    wait::until_true("Knot has logged the transfer", LONG, || knot.sent() != before);
    let after = knot.sent();
    assert_eq!((after.ixfr, after.axfr), (before.ixfr + 1, before.axfr), "by IXFR, not AXFR\n{}", knot.log());
    let item = ours.wait_item(NAME, 0, "at 2", |item| item["lastTransfer"]["toSerial"] == 2);
    assert_eq!((&item["lastTransfer"]["type"], &item["status"]), (&"IXFR".into(), &"OK".into()), "{item:#}");
}

/// Whether a transfer is on its way: more have begun than ended.
fn transfer_began(knot: &Peer) -> bool {
    let log = knot.log();
    let lines = |words: &str| log.lines().filter(|line| line.contains("XFR, outgoing") && line.contains(words)).count();
    lines("started") > lines("finished") + lines("failed")
}

/// The zone in which every record has `mark`, but `h0 A`, which has `edited`.
fn zone(serial: u32, mark: u8, edited: u8) -> Zone {
    let mut text = String::with_capacity(48 << 20);
    write!(
        text,
        "$ORIGIN {NAME}.\n$TTL 3600\n@ SOA ns hostmaster {serial} 86400 43200 1209600 300\n@ NS ns\nns A 192.0.2.1\n\
         mark TXT \"{serial}\"\n"
    )
    .expect("text");
    for host in 0..HOSTS {
        let [_, a, b, c] = host.to_be_bytes();
        let first = if host == 0 { edited } else { mark };
        writeln!(
            text,
            "h{host} A {first}.{a}.{b}.{c}\nh{host} AAAA 2001:db8:{mark:x}::{:x}:{:x}",
            host >> 16,
            host & 0xffff
        )
        .expect("text");
    }
    Zone { name: NAME.to_owned(), text, serial }
}

#[track_caller]
fn assert_whole(ours: &Secondaryd, serial: u32, mark: u8) {
    let seen = read_zone(ours.address()).expect("AXFR");
    assert_eq!((seen.serial, seen.marks, seen.records, seen.hosts), (serial, vec![mark], RECORDS, 2 * HOSTS as usize));
}

/// What an AXFR showed.
struct Seen {
    serial: u32,
    /// Records, the SOA once.
    records: usize,
    /// Different addresses of hosts, without the mark.
    hosts: usize,
    /// Different marks.
    marks: Vec<u8>,
}

/// Reads the zone by AXFR, message by message; a million records are too many for a general client.
fn read_zone(server: SocketAddr) -> std::io::Result<Seen> {
    let mut stream = TcpStream::connect(server)?;
    stream.set_read_timeout(Some(LONG))?;
    let mut query = vec![0x12, 0x34, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in NAME.split('.') {
        query.push(label.len() as u8);
        query.extend_from_slice(label.as_bytes());
    }
    query.extend_from_slice(&[0, 0, 252, 0, 1]);
    stream.write_all(&(query.len() as u16).to_be_bytes())?;
    stream.write_all(&query)?;

    let mut seen = Seen { serial: 0, records: 0, hosts: 0, marks: Vec::new() };
    let mut there = [vec![false; HOSTS as usize], vec![false; HOSTS as usize]];
    let mut reader = std::io::BufReader::with_capacity(1 << 16, stream);
    let (mut message, mut soas) = (Vec::new(), 0);
    while soas < 2 {
        let mut length = [0; 2];
        reader.read_exact(&mut length)?;
        message.resize(usize::from(u16::from_be_bytes(length)), 0);
        reader.read_exact(&mut message)?;
        let number = |at: usize| usize::from(u16::from_be_bytes([message[at], message[at + 1]]));
        assert_eq!(message[3] & 15, 0, "RCODE of the AXFR");
        let mut at = 12;
        for _ in 0..number(4) {
            at = after_name(&message, at) + 4;
        }
        for _ in 0..number(6) {
            at = after_name(&message, at);
            let (rtype, length) = (number(at), number(at + 8));
            let data = &message[at + 10..at + 10 + length];
            at += 10 + length;
            let (mark, host, kind) = match (rtype, data) {
                (6, data) => {
                    let serial = &data[data.len() - 20..data.len() - 16];
                    seen.serial = u32::from_be_bytes(serial.try_into().expect("four octets"));
                    soas += 1;
                    seen.records += usize::from(soas == 1);
                    continue;
                }
                (1, &[mark @ (OLD | NEW), a, b, c]) => (mark, u32::from_be_bytes([0, a, b, c]), 0),
                (28, data) => (data[5], u32::from_be_bytes(data[12..16].try_into().expect("four octets")), 1),
                _ => {
                    seen.records += 1;
                    continue;
                }
            };
            seen.records += 1;
            if !seen.marks.contains(&mark) {
                seen.marks.push(mark);
            }
            seen.hosts += usize::from(!std::mem::replace(&mut there[kind][host as usize], true));
        }
    }
    Ok(seen)
}

fn after_name(message: &[u8], mut at: usize) -> usize {
    loop {
        match message[at] {
            0 => return at + 1,
            0xc0.. => return at + 2,
            length => at += 1 + usize::from(length),
        }
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("directory");
    for entry in std::fs::read_dir(from).expect("directory") {
        let entry = entry.expect("entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("type").is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("copy");
        }
    }
}

/// Says how long each part took.
struct Clock(Instant);

impl Clock {
    fn lap(&mut self, what: &str) -> Duration {
        let took = self.0.elapsed();
        eprintln!("{:6.1} s  {what}", took.as_secs_f32());
        self.0 = Instant::now();
        took
    }
}
