//! What replies are about, to those who limit how many equal ones a client gets: a forger of questions must not be able to vary
//! it without end.

use secondaryd::dns::{Name, RecordType, zonefile};

use super::stage::{Question, Stage};

const ZONE: &str = "
$TTL 60
@ SOA ns host 1 2 3 4 5
@ NS ns
dname DNAME invalid.
short DNAME z.
inside DNAME elsewhere.example.
*.elsewhere A 192.0.2.1
two DNAME dname.example.
*.alias CNAME x.wild.example.
*.wild A 192.0.2.2
*.out CNAME www.invalid.
cut NS ns.cut
ns.cut A 192.0.2.3
";

fn stage() -> Stage {
    let mut stage = Stage::new();
    for (apex, text) in
        [("example.", ZONE), ("apex.test.", "$TTL 60\n@ SOA ns host 1 2 3 4 5\n@ NS ns\n@ DNAME com.\n")]
    {
        let apex: Name = apex.parse().expect("a name");
        stage.serve(&apex, &zonefile::parse(text, &apex).expect("records"));
    }
    stage
}

fn question(name: &str, class: u16) -> Vec<u8> {
    Question { class, ..Question::new(name, RecordType::A) }.to_message()
}

/// Not in an RFC; after the scheme of BIND's RRL, where all names below one wildcard are one.
#[test]
fn random_names_that_lead_to_one_record_are_about_one_thing() {
    let stage = stage();
    let below = [
        ("dname.example.", 1),
        ("short.example.", 1),
        ("inside.example.", 1),
        ("two.example.", 1),
        ("alias.example.", 1),
        ("out.example.", 1),
        ("wild.example.", 1),
        ("cut.example.", 1),
        ("example.", 1),
        ("apex.test.", 1),
        // nobody's, and of classes CHAOS and HESIOD
        ("nobody.test.", 1),
        ("bind.", 3),
        ("example.", 4),
    ];
    for (suffix, class) in below {
        // given two names below it, when both are asked for
        let [first, second] = ["one", "another.one"].map(|label| question(&format!("{label}.{suffix}"), class));
        // then they are about the same
        assert_eq!(stage.subject(&first), stage.subject(&second), "{suffix} {class}");
    }
    // and what stands behind one record is no other's
    let of = |name: &str| stage.subject(&question(name, 1));
    assert_ne!(of("one.dname.example."), of("one.short.example."));
    assert_ne!(of("one.wild.example."), of("one.cut.example."));
}
