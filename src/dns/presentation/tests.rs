//! Text and octets of single records; whole zones against other programs stand in `tests/zonefile.rs`.

use super::*;
use proptest::prelude::*;

const ORIGIN: &[u8] = b"\x07Example\x00";

fn round(rtype: &str, text: &str) -> String {
    let rtype: RecordType = rtype.parse().expect("type");
    match parse(rtype, text, ORIGIN) {
        Ok(rdata) => rdata_text(rtype, &rdata),
        Err(error) => format!("error: {error}"),
    }
}

/// Each line: what is written in a zone file, and how it is written back.
#[test]
fn fields_read_and_write_as_their_rfcs_have_it() {
    for (rtype, text, back) in [
        ("A", "192.0.2.1", "192.0.2.1"),
        ("AAAA", "2001:DB8::0:1", "2001:db8::1"),
        ("NS", "ns", "ns.Example."),
        ("NS", "@", "Example."),
        ("NS", "a\\.b.C.", "a\\.b.C."),
        ("SOA", "@ h 1 1h 15m 1w 1d2h", "Example. h.Example. 1 3600 900 604800 93600"),
        ("TXT", "a \"b c\" \"\\\"\\065\\255\"", "\"a\" \"b c\" \"\\\"A\\255\""),
        ("TXT", "\"\"", "\"\""),
        ("HINFO", "PC-Intel \"Linux 6\"", "\"PC-Intel\" \"Linux 6\""),
        ("ISDN", "150862028003217 004", "\"150862028003217\" \"004\""),
        ("ISDN", "150862028003217", "\"150862028003217\""),
        ("WKS", "10.0.0.1 tcp smtp 21", "10.0.0.1 6 21 25"),
        ("NSAP", "0x47.0005.80", "0x47000580"),
        ("ATMA", "+61.200", "+61200"),
        ("ATMA", "39.246f", "39246F"),
        ("LOC", "42 21 54 N 71 06 18 W -24m 30m", "42 21 54.000 N 71 6 18.000 W -24.00m 30.00m 10000.00m 10.00m"),
        ("LOC", "52 S 0 0 0.001 E 0", "52 0 0.000 S 0 0 0.001 E 0.00m 1.00m 10000.00m 10.00m"),
        ("NXT", "next.example. A MX NXT", "next.example. A MX NXT"),
        ("CERT", "PKIX 1 RSASHA256 AQID", "1 1 8 AQID"),
        ("APL", "1:192.168.32.0/21 !1:192.168.38.0/28", "1:192.168.32.0/21 !1:192.168.38.0/28"),
        ("APL", "2:2001:db8::/32", "2:2001:db8::/32"),
        ("DS", "60485 ECDSAP256SHA256 2 2BB1 83AF", "60485 13 2 2BB183AF"),
        ("IPSECKEY", "10 1 2 192.0.2.38 AQNR", "10 1 2 192.0.2.38 AQNR"),
        ("IPSECKEY", "10 0 2 . AQNR", "10 0 2 . AQNR"),
        ("IPSECKEY", "10 3 2 gw AQNR", "10 3 2 gw.Example. AQNR"),
        ("AMTRELAY", "10 1 2 2001:db8::15", "10 1 2 2001:db8::15"),
        ("AMTRELAY", "128 0 3 amt", "128 0 3 amt.Example."),
        (
            "RRSIG",
            "A 5 3 86400 20380119031407 2037 2642 e. oJB1",
            "A 5 3 86400 20380119031407 19700101003357 2642 e. oJB1",
        ),
        ("NSEC", "host A TYPE1234 MX", "host.Example. A MX TYPE1234"),
        ("NSEC3", "1 1 12 aabb 2t7b4g4vsa5smi47k61mv5bv1a22bojr A", "1 1 12 AABB 2t7b4g4vsa5smi47k61mv5bv1a22bojr A"),
        ("NSEC3PARAM", "1 0 0 -", "1 0 0 -"),
        ("HIP", "2 20010010 AwEA rvs.e. b", "2 20010010 AwEA rvs.e. b.Example."),
        ("SVCB", "1 . port=8004 alpn=\"h2,h3\" ech=AAEC", "1 . alpn=\"h2,h3\" port=8004 ech=AAEC"),
        ("SVCB", "1 . alpn=\"f\\\\\\\\oo\\\\,bar,h2\"", "1 . alpn=\"f\\\\\\\\oo\\\\,bar,h2\""),
        ("SVCB", "0 svc", "0 svc.Example."),
        (
            "HTTPS",
            "1 . mandatory=ipv4hint,alpn alpn=h2 ipv4hint=192.0.2.1,192.0.2.2 no-default-alpn",
            "1 . mandatory=alpn,ipv4hint alpn=\"h2\" no-default-alpn ipv4hint=192.0.2.1,192.0.2.2",
        ),
        ("SVCB", "1 . key667=\"hello\\210 qoo\"", "1 . key667=\"hello\\210 qoo\""),
        ("NID", "10 14:4fff:ff20:ee64", "10 0014:4fff:ff20:ee64"),
        ("EUI48", "00-00-5E-00-53-2a", "00-00-5e-00-53-2a"),
        ("URI", "10 1 \"ftp://x\"", "10 1 \"ftp://x\""),
        ("CAA", "0 issue \"ca; a=b\"", "0 issue \"ca; a=b\""),
        ("DOA", "0 1 2 \"text/plain\" -", "0 1 2 \"text/plain\" -"),
        ("TYPE65280", "\\# 3 ab CDef", "\\# 3 ABCDEF"),
        ("NULL", "\\# 0", "\\# 0"),
        ("A", "\\# 4 c0000201", "192.0.2.1"),
    ] {
        assert_eq!(round(rtype, text), back, "{rtype} {text}");
    }
}

#[test]
fn bad_text_says_what_is_wrong_with_it() {
    for (rtype, text, error) in [
        ("A", "192.0.2", "\"192.0.2\" is not an IPv4 address"),
        ("A", "", "an IPv4 address is missing"),
        ("A", "192.0.2.1 x", "nothing may follow before \"x\""),
        ("MX", "70000 m", "\"70000\" is not a number up to 65535"),
        ("NS", "a..b", "\"a..b\": empty label"),
        ("TXT", "\"open", "quoted string does not end"),
        ("TXT", "\\300", "\"\\\\300\" is not a string with escapes up to \\255"),
        ("DS", "1 8 2 abc", "\"abc\" is not hex with an even number of digits"),
        ("TYPE65280", "x", "type TYPE65280 is written as \\# length hex (RFC 3597)"),
        ("TYPE65280", "\\# 2 ab", "\\# says 2 octets but 1 follow"),
        ("A", "\\# 3 abcdef", "rdata ends inside a field"),
        ("SVCB", "1 . port=1 port=2", "\"port=1port=2\" is not a list of different SvcParams"),
        ("LOC", "91 N 0 E 0", "\"91\" is not degrees, minutes, seconds and a letter N, S, E or W"),
        (
            "RRSIG",
            "A 5 3 1 20381319031407 1 1 e. AA==",
            "\"20381319031407\" is not a time (YYYYMMDDHHmmSS, or seconds since 1970)",
        ),
    ] {
        assert_eq!(round(rtype, text), format!("error: {error}"), "{rtype} {text}");
    }
}

/// Octets which the text form of their type cannot say are still written, and read back.
#[test]
fn what_has_no_text_is_written_in_hex() {
    for (rtype, rdata) in [
        (RecordType::APL, &b"\x00\x09\x08\x01\x01"[..]),
        (RecordType::NSEC, b"\x00\x00\x01\x00"),
        (RecordType::DS, b"\x00\x01\x08\x02"),
        (RecordType::LOC, b"\x01\x02"),
        (RecordType::SVCB, b"\x00\x01\x00\x00\x03\x00\x01\x00"),
        (RecordType::TXT, b""),
    ] {
        let text = rdata_text(rtype, rdata);
        if rdata::validate(rtype, rdata).is_ok() {
            assert_eq!(parse(rtype, &text, b"\0").as_deref(), Ok(rdata), "{rtype} {text}");
        }
        assert!(text.starts_with("\\#") || rtype == RecordType::DS, "{rtype} {text}");
    }
}

proptest! {
    #[test]
    fn every_rdata_reads_back_from_its_text(
        rtype in prop_oneof![0u16..110, 255u16..264],
        rdata in proptest::collection::vec(prop_oneof![any::<u8>(), 0u8..5], 0..60),
    ) {
        let rtype = RecordType(rtype);
        let text = rdata_text(rtype, &rdata);
        if rdata::validate(rtype, &rdata).is_ok() {
            prop_assert_eq!(parse(rtype, &text, ORIGIN), Ok(rdata));
        }
    }

    #[test]
    fn arbitrary_text_never_panics(rtype in prop_oneof![0u16..110, 255u16..264], text in "[ -~\\n]{0,40}") {
        let _ = parse(RecordType(rtype), &text, ORIGIN);
    }

    #[test]
    fn arbitrary_words_never_panic(
        rtype in prop_oneof![0u16..110, 255u16..264],
        words in proptest::collection::vec("[0-9]{1,3}|[NSEWm.@-]|-?[0-9]{1,9}\\.?[0-9]{0,3}m?|\\\\#|alpn=x,|A|MX|0xab|[a-f0-9]{4}|1:1.2.3.4/9|TCP", 0..9),
    ) {
        let _ = parse(RecordType(rtype), &words.join(" "), ORIGIN);
    }
}
