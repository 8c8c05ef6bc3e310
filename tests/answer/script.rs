//! Runs `fixtures/scripts/*.txt`: zones, questions, and what must come back, each with the sentence that demands it.
//!
//! | Line | Meaning |
//! | --- | --- |
//! | `; ...` | a comment; the one before a question is shown when it fails |
//! | `%zone APEX FIXTURE` | serves `fixtures/zones/FIXTURE.zone` |
//! | `%zone APEX` ... `%end` | serves the zone file between |
//! | `%state APEX STATE` | a zone without contents: `not-loaded`, `expired`, `damaged`, `disabled` |
//! | `%server nsid=TEXT version=TEXT host=TEXT secrets=HEX,HEX require-cookie nsec3-iterations-max=N now=SECS` | what the server is from here on |
//! | `%expires APEX SECS` | until when the zone is good |
//! | `%loading` | from here on not all zones are known yet |
//! | `%held APEX` | a version of the zone waits for approval |
//! | `? NAME TYPE [tcp] [tls] [do] [edns=N] [version=N] [class=N] [rd] [cd] [opt=CODE[:HEX]]...` | asks; `do` and `opt` imply `edns=1232` |
//! | `= RCODE [aa] [tc] [ede=N]` | header and OPT of the reply |
//! | `op CODE HEX`, `op CODE "TEXT"` | all options of the reply; without such a line they are not looked at |
//! | `octets N` | the length of the reply |
//! | `an RR`, `au RR`, `ad RR` | all records of the three sections, in any order |
//! | `ad *` | whatever stands in the additional section |

use std::fs;
use std::path::Path;

use secondaryd::answer::{self, Cookies, Identity};
use secondaryd::dns::{Name, zonefile};
use secondaryd::served::{State, Transport};
use secondaryd::time::Timestamp;

use super::stage::{Edns, Question, Stage};
use super::witness::{self, Rr};

#[test]
fn every_scenario_of_the_fixtures_holds() {
    let mut asked = 0;
    let mut paths: Vec<_> =
        fs::read_dir(fixtures("scripts")).expect("scripts").map(|e| e.expect("entry").path()).collect();
    paths.sort();
    for path in paths {
        asked += run(&path);
    }
    assert!(asked >= 60, "only {asked} questions were asked");
}

fn fixtures(folder: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(folder)
}

fn run(path: &Path) -> usize {
    let text = fs::read_to_string(path).expect("a script");
    let mut stage = Stage::new();
    let mut lines = text.lines().enumerate().peekable();
    let (mut why, mut asked) = (String::new(), 0);
    while let Some((number, line)) = lines.next() {
        let place = format!("{}:{}", path.file_name().expect("name").to_string_lossy(), number + 1);
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            [] => why.clear(),
            [first, ..] if first.starts_with(';') => why.push_str(line.trim_start_matches([';', ' '])),
            ["%zone", apex, fixture] => {
                let file = fixtures("zones").join(fixture).with_extension("zone");
                serve(&mut stage, apex, &fs::read_to_string(file).expect("a zone"));
            }
            ["%zone", apex] => {
                let zone: Vec<_> = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "%end").collect();
                serve(&mut stage, apex, &zone.join("\n"));
            }
            ["%state", apex, state] => {
                let state = match state {
                    "not-loaded" => State::NotLoaded,
                    "expired" => State::Expired,
                    "damaged" => State::Damaged,
                    "disabled" => State::Disabled,
                    _ => panic!("{place}: no state {state}"),
                };
                stage.add_as(&name(apex), state);
            }
            ["%server", ref settings @ ..] => configure(&mut stage, settings),
            ["%expires", apex, secs] => {
                stage.set_expires(&name(apex), Timestamp::from_secs(secs.parse().expect("seconds")));
            }
            ["%loading"] => stage.is_loading(),
            ["%held", apex] => stage.hold(&name(apex)),
            ["?", qname, qtype, ref options @ ..] => {
                let mut expected = Vec::new();
                while let Some((_, line)) = lines.next_if(|(_, line)| {
                    ["= ", "an ", "au ", "ad ", "op ", "octets "].iter().any(|p| line.starts_with(p))
                }) {
                    expected.push(line);
                }
                ask(&stage, &format!("{place}: {line}\n{why}"), qname, qtype, options, &expected);
                asked += 1;
            }
            _ => panic!("{place}: {line}"),
        }
    }
    asked
}

fn configure(stage: &mut Stage, settings: &[&str]) {
    let value = |key: &str| settings.iter().find_map(|setting| setting.strip_prefix(key)?.strip_prefix('='));
    let octets = |key: &str| value(key).unwrap_or_default().as_bytes().to_vec();
    let secrets = value("secrets")
        .map_or(Vec::new(), |all| all.split(',').map(|secret| hex(secret).try_into().expect("16 octets")).collect());
    let cookies = Cookies::new(secrets, settings.contains(&"require-cookie"));
    stage.identity = Identity::default()
        .with_nsid(&octets("nsid"))
        .with_version(&octets("version"))
        .with_host(&octets("host"))
        .with_cookies(cookies);
    stage.nsec3_iterations_max =
        value("nsec3-iterations-max").map_or(answer::NSEC3_ITERATIONS_MAX, |rounds| rounds.parse().expect("a number"));
    stage.now = Timestamp::from_secs(value("now").map_or(0, |secs| secs.parse().expect("seconds")));
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).expect("digits")).collect()
}

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

fn serve(stage: &mut Stage, apex: &str, text: &str) {
    let apex = name(apex);
    let records = zonefile::parse(text, &apex).unwrap_or_else(|errors| panic!("{apex}: {errors:?}"));
    stage.serve(&apex, &records);
}

fn ask(stage: &Stage, place: &str, qname: &str, qtype: &str, options: &[&str], expected: &[&str]) {
    let mut question = Question::new(qname, qtype.parse().expect("a type"));
    let mut transport = Transport::Udp;
    for option in options {
        let number = |prefix: &str| option.strip_prefix(prefix).and_then(|n| n.parse::<u16>().ok());
        let edns = Edns { octets: 1232, version: 0, dnssec_ok: false };
        match *option {
            "tcp" => transport = Transport::Tcp,
            "tls" => transport = Transport::Tls,
            _ if option.starts_with("opt=") => {
                let (code, value) = option[4..].split_once(':').unwrap_or((&option[4..], ""));
                let (code, value) = (code.parse::<u16>().expect("a code"), hex(value));
                question.edns.get_or_insert(edns);
                question.options.extend_from_slice(&code.to_be_bytes());
                question.options.extend_from_slice(&(value.len() as u16).to_be_bytes());
                question.options.extend_from_slice(&value);
            }
            "do" => question.edns = Some(Edns { dnssec_ok: true, ..question.edns.unwrap_or(edns) }),
            "rd" => question.flags[0] |= 1,
            "cd" => question.flags[1] |= 0x10,
            _ => match (number("edns="), number("version="), number("class=")) {
                (Some(octets), ..) => question.edns = Some(Edns { octets, ..question.edns.unwrap_or(edns) }),
                (_, Some(version), _) => {
                    question.edns = Some(Edns { version: version as u8, ..question.edns.unwrap_or(edns) })
                }
                (.., Some(class)) => question.class = class,
                _ => panic!("{place}: no option {option}"),
            },
        }
    }
    let query = question.to_message();
    let bytes = stage.respond(&query, transport).unwrap_or_else(|outcome| panic!("{place}: {outcome:?}"));
    let octets = expected.iter().find_map(|line| line.strip_prefix("octets "));
    assert!(octets.is_none_or(|octets| octets.parse() == Ok(bytes.len())), "{place}: {} octets", bytes.len());
    if question.class == 3 {
        return in_chaos(place, &bytes, expected);
    }
    let reply = witness::read(&query, &bytes);
    assert_eq!(bytes[12..12 + question.name.len()], question.name, "{place}: the question's own spelling");
    let limit = match (transport, question.edns) {
        (Transport::Tcp | Transport::Tls, _) => 65_535,
        (_, Some(edns)) => edns.octets.clamp(512, 1232) as usize,
        (_, None) => 512,
    };
    assert!(bytes.len() <= limit, "{place}: {} octets", bytes.len());
    assert_eq!(reply.edns.is_some(), question.edns.is_some(), "{place}: EDNS if and only if the client speaks it");
    if let (Some(ours), Some(theirs)) = (&reply.edns, question.edns) {
        assert_eq!((ours.octets, ours.version, ours.dnssec_ok), (1232, 0, theirs.dnssec_ok), "{place}");
    }
    let header = expected.iter().find_map(|line| line.strip_prefix("= ")).expect("a line with =");
    let mut seen = rcode_word(reply.rcode).to_owned();
    for (flag, word) in [(reply.authoritative, " aa"), (reply.truncated, " tc")] {
        seen.push_str(if flag { word } else { "" });
    }
    if let Some(error) = reply.edns.as_ref().and_then(|edns| edns.error) {
        seen.push_str(&format!(" ede={error}"));
    }
    assert_eq!(seen, header.trim(), "{place}\n{reply:#?}");
    let options: Vec<String> = expected.iter().filter_map(|line| line.strip_prefix("op ")).map(str::to_owned).collect();
    if !options.is_empty() {
        let seen = reply.edns.as_ref().map_or(&[][..], |edns| &edns.options);
        let seen: Vec<String> = seen.iter().map(|(code, value)| option_text(*code, value)).collect();
        assert_eq!(seen, options, "{place}");
    }
    for (prefix, section) in [("an ", &reply.answer), ("au ", &reply.authority), ("ad ", &reply.additional)] {
        let lines: Vec<_> = expected.iter().filter_map(|line| line.strip_prefix(prefix)).collect();
        if lines != ["*"] {
            assert_eq!(*section, records(&lines), "{place}: {prefix}\n{reply:#?}");
        }
    }
}

/// The text of an extended error in words, everything else in digits.
fn option_text(code: u16, value: &[u8]) -> String {
    match (code, value) {
        (15, [_, _, text @ ..]) => format!("15 {:?}", String::from_utf8_lossy(text)),
        _ => {
            format!("{code} {}", value.iter().map(|octet| format!("{octet:02x}")).collect::<String>()).trim().to_owned()
        }
    }
}

/// Replies of class CHAOS hold one text or nothing.
fn in_chaos(place: &str, bytes: &[u8], expected: &[&str]) {
    let message = hickory_proto::op::Message::from_vec(bytes).expect("a message");
    let mut seen = rcode_word(u16::from(message.metadata.response_code)).to_owned();
    seen.push_str(if message.metadata.authoritative { " aa" } else { "" });
    let opt = secondaryd::dns::edns::Opt::find(bytes).expect("a sound reply");
    if let Some([c0, c1, ..]) = opt.as_ref().and_then(|opt| opt.option(15)) {
        seen.push_str(&format!(" ede={}", u16::from_be_bytes([*c0, *c1])));
    }
    let texts: Vec<String> = message.answers.iter().map(|record| format!("an {}", record.data)).collect();
    let wanted: Vec<&str> = expected.iter().filter(|line| line.starts_with("an ")).copied().collect();
    assert_eq!(
        (format!("= {seen}"), texts),
        (expected[0].to_owned(), wanted.iter().map(|s| s.to_string()).collect()),
        "{place}"
    );
}

fn records(lines: &[&str]) -> Vec<Rr> {
    let records = zonefile::parse(lines.join("\n"), &Name::root()).unwrap_or_else(|e| panic!("{lines:?}: {e:?}"));
    let mut records: Vec<Rr> = records.iter().map(Rr::from).collect();
    records.sort();
    records
}

fn rcode_word(rcode: u16) -> &'static str {
    match rcode {
        0 => "NOERROR",
        1 => "FORMERR",
        2 => "SERVFAIL",
        3 => "NXDOMAIN",
        4 => "NOTIMP",
        5 => "REFUSED",
        6 => "YXDOMAIN",
        16 => "BADVERS",
        23 => "BADCOOKIE",
        _ => "?",
    }
}
