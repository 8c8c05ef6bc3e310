//! Runs `fixtures/scripts/*.txt`: zones, questions, and what must come back, each with the sentence that demands it.
//!
//! | Line | Meaning |
//! | --- | --- |
//! | `; ...` | a comment; the one before a question is shown when it fails |
//! | `%zone APEX FIXTURE` | serves `fixtures/zones/FIXTURE.zone` |
//! | `%zone APEX` ... `%end` | serves the zone file between |
//! | `%state APEX STATE` | a zone without contents: `not-loaded`, `expired`, `damaged`, `disabled` |
//! | `? NAME TYPE [tcp] [do] [edns=N] [version=N] [class=N] [rd] [cd]` | asks; `do` implies `edns=1232` |
//! | `= RCODE [aa] [tc] [ede=N]` | header and OPT of the reply |
//! | `an RR`, `au RR`, `ad RR` | all records of the three sections, in any order |
//! | `ad *` | whatever stands in the additional section |

use std::fs;
use std::path::Path;

use secondaryd::dns::{Name, zonefile};
use secondaryd::served::{State, Transport};

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
            ["?", qname, qtype, ref options @ ..] => {
                let mut expected = Vec::new();
                while let Some((_, line)) =
                    lines.next_if(|(_, line)| ["= ", "an ", "au ", "ad "].iter().any(|p| line.starts_with(p)))
                {
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
    let reply = witness::read(&query, &bytes);
    assert_eq!(bytes[12..12 + question.name.len()], question.name, "{place}: the question's own spelling");
    let limit = match (transport, question.edns) {
        (Transport::Tcp, _) => 65_535,
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
    for (prefix, section) in [("an ", &reply.answer), ("au ", &reply.authority), ("ad ", &reply.additional)] {
        let lines: Vec<_> = expected.iter().filter_map(|line| line.strip_prefix(prefix)).collect();
        if lines != ["*"] {
            assert_eq!(*section, records(&lines), "{place}: {prefix}\n{reply:#?}");
        }
    }
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
        _ => "?",
    }
}
