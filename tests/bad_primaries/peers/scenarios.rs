//! What is played to every server. Each zone is loaded with serial 1; then its primary announces 2 and misbehaves so.

use std::sync::Arc;
use std::time::Duration;

use secondaryd::dns::RecordType;

use crate::Key;
use crate::primary::{Over, Query, Step};
use crate::reply::{self, Reply, around, body, records, soa, soa_with};
use crate::signed::{self, Signing};

/// What a sound secondary serves in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expect {
    /// The old version, all the time.
    Old,
    /// The new version, by another way.
    Taken,
    /// A matter of policy; but whole.
    Either,
}

pub(super) struct Scenario {
    pub(super) number: &'static str,
    pub(super) name: &'static str,
    pub(super) what: &'static str,
    pub(super) expect: Expect,
    /// The primary goes on with an exchange for ever: it is for the secondary to end it.
    pub(super) hangs: bool,
    /// What is answered to IXFR is no transfer. Not so where a whole zone would fare no better (signatures), or where
    /// there is nothing to be had.
    pub(super) fails_ixfr: bool,
    pub(super) key: Option<Key>,
    pub(super) script: Script,
}

pub(super) type Script = Arc<dyn Fn(&Query, &str) -> Vec<Step> + Send + Sync>;

impl Scenario {
    pub(super) fn zone(&self) -> String {
        format!("{}.example", self.name)
    }

    fn hanging(self) -> Scenario {
        Scenario { hangs: true, ..self }
    }

    fn keyed(self) -> Scenario {
        Scenario { key: Some(signed::KEY), ..self }
    }
}

/// A good primary of a zone with a key.
pub(super) fn signed_well(zone: &str, serial: u32) -> impl Fn(&Query) -> Vec<Step> + Send + Sync + 'static {
    signed::script(zone, serial, Signing::Good, Signing::Good)
}

fn any(
    number: &'static str,
    name: &'static str,
    what: &'static str,
    expect: Expect,
    script: impl Fn(&Query, &str) -> Vec<Step> + Send + Sync + 'static,
) -> Scenario {
    Scenario { number, name, what, expect, hangs: false, fails_ixfr: false, key: None, script: Arc::new(script) }
}

/// Shows serial 2 and misbehaves when it is asked for a transfer.
fn transfer(
    number: &'static str,
    name: &'static str,
    what: &'static str,
    expect: Expect,
    script: impl Fn(&Query, &str) -> Vec<Step> + Send + Sync + 'static,
) -> Scenario {
    let played = any(number, name, what, expect, move |query, zone| match query.qtype {
        RecordType::SOA => vec![Reply::to(query).with(&[soa(zone, 2)]).send()],
        _ => script(query, zone),
    });
    Scenario { fails_ixfr: expect == Expect::Old && number != "B15", ..played }
}

/// Misbehaves when it is asked for IXFR and gives the whole zone well.
fn ixfr(
    number: &'static str,
    name: &'static str,
    what: &'static str,
    script: impl Fn(&Query, &str) -> Vec<Step> + Send + Sync + 'static,
) -> Scenario {
    let played = transfer(number, name, what, Expect::Taken, move |query, zone| match query.qtype {
        RecordType::IXFR => script(query, zone),
        _ => reply::good(zone, 2)(query),
    });
    Scenario { fails_ixfr: true, ..played }
}

/// The good zone with `more` behind it.
fn with(query: &Query, zone: &str, more: &str) -> Vec<Step> {
    let mut all = body(zone, 2);
    all.extend(records(zone, more));
    around(soa(zone, 2), all).chunks(100).map(|part| Reply::to(query).with(part).send()).collect()
}

/// The good zone with one raw record after the SOA.
fn with_raw(query: &Query, zone: &str, rtype: u16, class: u16, ttl: u32, rdata: &[u8]) -> Vec<Step> {
    let whole = reply::zone(zone, 2);
    let www = whole[4].owner.as_wire();
    vec![Reply::to(query).with(&whole[..4]).with_raw(www, rtype, class, ttl, rdata).with(&whole[5..]).send()]
}

pub(super) fn all() -> Vec<Scenario> {
    use Expect::{Either, Old, Taken};
    let second = Duration::from_secs(1);
    let millis = Duration::from_millis;
    let halves = |query: &Query, zone: &str, more: Vec<Step>| {
        let first = Reply::to(query).with(&reply::zone(zone, 2)[..2]).send();
        [vec![first], more].concat()
    };
    vec![
        transfer("B2", "silent", "accepts, never sends", Old, |_, _| vec![Step::Hold]).hanging(),
        transfer("B3", "drip", "one octet a second", Old, move |query, zone| {
            let message = Reply::to(query).with(&reply::zone(zone, 2)).octets();
            // A length that is never reached at this rate.
            vec![Step::Drip([&[0xff, 0xff][..], &message.repeat(100)].concat(), second)]
        })
        .hanging(),
        transfer("B3", "drops", "a tiny message every 4 s", Old, move |query, zone| {
            let more = Reply::to(query).with(&body(zone, 2)[..1]).octets();
            halves(query, zone, vec![Step::Endless(more, 4 * second)])
        })
        .hanging(),
        transfer("B4", "cut", "closes between messages", Old, move |query, zone| {
            halves(query, zone, vec![Step::Close])
        }),
        transfer("B4", "torn", "closes in mid-message", Old, |query, zone| {
            let message = Reply::to(query).with(&reply::zone(zone, 2)).octets();
            vec![Step::Raw([&1000u16.to_be_bytes()[..], &message].concat()), Step::Close]
        }),
        transfer("B5", "endless", "never the last SOA (limit of 10 MB or 100,000 records where there is one)", Old, {
            move |query, zone| {
                let hosts: String = (0..400).map(|n| format!("host{n} 60 A 192.0.2.1\n")).collect();
                let more = Reply::to(query).with(&records(zone, &hosts)).octets();
                halves(query, zone, vec![Step::Endless(more, millis(50))])
            }
        })
        .hanging(),
        transfer("B6", "empty", "endless empty messages", Old, move |query, zone| {
            let more = Reply::to(query).octets();
            halves(query, zone, vec![Step::Endless(more, millis(50))])
        })
        .hanging(),
        transfer("B7", "otherend", "another SOA at the end", Old, |query, zone| {
            let mut whole = reply::zone(zone, 2);
            whole.pop();
            whole.push(soa_with(zone, 3, "1 2 3 4"));
            vec![Reply::to(query).with(&whole).send(), Step::Close]
        }),
        transfer("B8", "nosoa", "does not begin with the SOA", Old, |query, zone| {
            vec![Reply::to(query).with(&body(zone, 2)).with(&[soa(zone, 2)]).send(), Step::Close]
        }),
        transfer("B8", "wrongzone", "sends another zone", Old, |query, _| {
            vec![Reply::to(query).with(&reply::zone("other.example", 2)).send(), Step::Close]
        }),
        transfer("B9", "otherid", "answers with another id", Old, |query, zone| {
            vec![Reply::to(query).with(&reply::zone(zone, 2)).but(|r| r.id ^= 1).send(), Step::Close]
        }),
        transfer("B9", "isquery", "answers with QR clear", Old, |query, zone| {
            vec![Reply::to(query).with(&reply::zone(zone, 2)).but(|r| r.flags &= 0x7fff).send(), Step::Close]
        }),
        transfer("B10", "tc", "TC in the middle, then goes on without some records", Old, |query, zone| {
            let whole = reply::zone(zone, 2);
            let first = Reply::to(query).with(&whole[..2]).send();
            let cut = Reply::to(query).with(&whole[2..3]).but(|r| r.flags |= 0x200).send();
            vec![first, cut, Reply::to(query).with(&whole[5..]).send()]
        }),
        transfer("B11", "refuses", "REFUSED to every transfer", Old, |query, _| vec![Reply::to(query).rcode(5).send()]),
        transfer("B11", "servfail", "SERVFAIL in the middle", Old, move |query, zone| {
            let failure = Reply::to(query).rcode(2).send();
            halves(query, zone, vec![failure, Step::Close])
        }),
        ixfr("B12", "noixfr", "NOTIMP to IXFR only", |query, _| vec![Reply::to(query).rcode(4).send()]),
        ixfr("B12", "noixfr5", "REFUSED to IXFR only", |query, _| vec![Reply::to(query).rcode(5).send()]),
        ixfr("B12", "ixfr-empty", "an empty answer to IXFR only", |query, _| vec![Reply::to(query).send()]),
        ixfr("B12", "ixfr-closed", "closes on IXFR only", |_, _| vec![Step::Close]),
        any("B13", "noudp", "UDP dead, TCP alive", Taken, |query, zone| match query.over {
            Over::Udp => Vec::new(),
            _ => reply::good(zone, 2)(query),
        }),
        any("B14", "lower", "announces 2, has a lower serial", Old, |query, zone| {
            reply::good(zone, 0xffff_fff0)(query)
        }),
        any("B14", "undefined", "announces 2, has a serial 2^31 away", Old, |query, zone| {
            reply::good(zone, 0x8000_0001)(query)
        }),
        transfer("B15", "promise", "shows 2, gives 1 again and again", Old, |query, zone| {
            vec![Reply::to(query).with(&reply::zone(zone, 1)).send()]
        }),
        transfer("B15", "backwards", "shows 2, gives 0", Old, |query, zone| {
            vec![Reply::to(query).with(&reply::zone(zone, 0)).send()]
        }),
        any("B17", "unsigned", "transfers without the TSIG that is asked for", Old, |query, zone| {
            signed::script(zone, 2, Signing::Good, Signing::Never)(query)
        })
        .keyed(),
        any("B17", "badmac", "a bad MAC on the last message", Old, |query, zone| {
            signed::script(zone, 2, Signing::Good, Signing::BadMac(2))(query)
        })
        .keyed(),
        transfer("B18", "loop", "a compression loop", Old, |query, zone| {
            let first = Reply::to(query).with(&[soa(zone, 2)]);
            let at = first.octets().len() as u16;
            let record = [&(0xc000 | at).to_be_bytes()[..], &[0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1]].concat();
            vec![first.with_octets(&record).with(&[soa(zone, 2)]).send(), Step::Close]
        }),
        transfer("B18", "beyond", "RDLENGTH beyond the message", Old, |query, zone| {
            let record = [&[0xc0, 12][..], &[0, 1, 0, 1, 0, 0, 0, 60, 0xf0, 0, 192, 0, 2, 1]].concat();
            let whole = reply::zone(zone, 2);
            vec![Reply::to(query).with(&whole[..2]).with_octets(&record).send(), Step::Close]
        }),
        transfer("B18", "badrdata", "an A record of three octets", Old, |query, zone| {
            with_raw(query, zone, 1, 1, 60, &[192, 0, 2])
        }),
        transfer("B19", "cname", "a CNAME beside other data (refused, or served whole)", Either, |query, zone| {
            with(query, zone, "www 60 CNAME ns1")
        }),
        transfer(
            "B19",
            "bigset",
            "an RRset that fits no message (refused, or the rest served)",
            Either,
            |query, zone| {
                let more: String = (0..300).map(|n| format!("large 60 TXT \"{n}{}\"\n", "x".repeat(240))).collect();
                with(query, zone, &more)
            },
        ),
        transfer("B20", "outside", "records outside the zone (refused, or left out)", Either, |query, zone| {
            let mut all = body(zone, 2);
            all.extend(records("example", "stranger 60 A 192.0.2.66"));
            vec![Reply::to(query).with(&around(soa(zone, 2), all)).send()]
        }),
        transfer("B20", "chaos", "a record of class CH (refused, or left out)", Either, |query, zone| {
            with_raw(query, zone, 1, 3, 60, &[192, 0, 2, 2])
        }),
        transfer("B20", "meta", "an OPT record as data (refused, or left out)", Either, |query, zone| {
            with_raw(query, zone, 41, 1, 60, &[192, 0, 2, 2])
        }),
        transfer("B22", "ttlbit", "a TTL with the top bit set", Taken, |query, zone| {
            with_raw(query, zone, 1, 1, 0x8000_0010, &[192, 0, 2, 2])
        }),
        any("B24", "noedns", "FORMERR to EDNS", Taken, |query, zone| {
            if has_opt(&query.message) {
                let mut reply = Reply::to(query).rcode(1);
                reply.question = None;
                return vec![reply.send()];
            }
            reply::good(zone, 2)(query)
        }),
        ixfr("B25", "othersoa", "differences that begin at another SOA with our serial", |query, zone| {
            let mut diff = reply::difference(zone, 1, 2);
            diff[1] = soa_with(zone, 1, "1 2 3 4");
            vec![Reply::to(query).with(&diff).send()]
        }),
        ixfr("B25", "absent", "differences that remove what is absent", |query, zone| {
            let mut diff = reply::difference(zone, 1, 2);
            diff.insert(2, records(zone, "nobody 60 A 192.0.2.7").remove(0));
            vec![Reply::to(query).with(&diff).send()]
        }),
        ixfr("B25", "otherstart", "differences that begin at another serial", |query, zone| {
            let mut diff = reply::difference(zone, 0, 2);
            diff[1] = soa(zone, 0);
            vec![Reply::to(query).with(&diff).send()]
        }),
        ixfr("B25", "brokenchain", "a chain of differences with a hole", |query, zone| {
            let mut diff = reply::difference(zone, 1, 2);
            diff.pop();
            diff.extend([soa(zone, 5), soa(zone, 6), soa(zone, 2)]);
            vec![Reply::to(query).with(&diff).send(), Step::Close]
        }),
        any("B27", "elsewhere", "first an answer to the SOA query from another address", Old, |query, zone| {
            match (query.over, query.qtype) {
                (Over::Udp, _) => {
                    let forged = Reply::to(query).with(&[soa(zone, 2)]).octets();
                    let own = Reply::to(query).with(&[soa(zone, 1)]);
                    vec![Step::Elsewhere(forged), own.send()]
                }
                _ => reply::good(zone, 1)(query),
            }
        }),
    ]
}

/// Whether a query has an OPT record: what stands behind the question (and the SOA of an IXFR) is the root and type 41.
fn has_opt(query: &[u8]) -> bool {
    query.windows(3).skip(12).any(|at| at == [0, 0, 41])
}
