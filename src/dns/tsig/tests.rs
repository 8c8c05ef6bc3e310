//! Each rule of RFC 8945 that the module keeps, and dnspython as the independent witness of the MACs.

use super::*;
use proptest::prelude::*;

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

fn key(algorithm: Algorithm) -> Arc<Key> {
    Arc::new(Key::new("transfer.example".parse().expect("name"), algorithm, SECRET))
}

fn keyring() -> Keyring {
    [key(Algorithm::HmacSha256)].into_iter().collect()
}

fn request() -> Vec<u8> {
    message::query(0x1234, &"zone.example".parse().expect("name"), RecordType::AXFR, None)
}

/// The messages of fixtures/tsig/dnspython.txt: algorithm, role, octets.
fn witness() -> Vec<(Algorithm, &'static str, Vec<u8>)> {
    include_str!("../../../fixtures/tsig/dnspython.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let mut words = line.split(' ');
            let mut word = || words.next().expect("three words");
            let (algorithm, role, hex) = (word().parse().expect("algorithm"), word(), word());
            let octets = (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16));
            (algorithm, role, octets.collect::<Result<_, _>>().expect("hex"))
        })
        .collect()
}

#[test]
fn what_dnspython_signs_verifies_here() {
    let mut verifier: Option<StreamVerifier> = None;
    for (algorithm, role, octets) in witness() {
        if role == "request" {
            let keyring = [key(algorithm)].into_iter().collect();
            let verified = verify_request(&octets, &keyring, NOW).expect("verifies").expect("is signed");
            verifier = Some(StreamVerifier::new(key(algorithm), verified.mac));
        } else {
            verifier.as_mut().expect("request first").verify(&octets, NOW).expect("verifies");
        }
    }
    verifier.expect("messages").finish().expect("the last is signed");
}

#[test]
fn we_sign_with_the_macs_of_dnspython() {
    let mut signer: Option<StreamSigner> = None;
    for (algorithm, role, octets) in witness() {
        let Some(theirs) = Tsig::find(&octets).expect("readable") else { continue };
        let mut plain = octets.clone();
        cut(&mut plain, theirs.at);
        if role == "request" {
            let mac = sign(&mut plain, &key(algorithm), NOW, None);
            signer = Some(StreamSigner { key: key(algorithm), last_mac: mac.clone(), first: true });
            assert_eq!(mac, theirs.mac);
            continue;
        }
        let signer = signer.as_mut().expect("request first");
        let before = plain.len();
        if signer_is_in_step(&octets) {
            signer.sign(&mut plain, NOW);
            assert_eq!(Tsig::find(&plain).expect("readable").expect("signed").mac, theirs.mac);
            assert_eq!(plain.len(), before + signer.record_octets());
        }
    }
}

/// The witness leaves its third answer unsigned, which we never do; only the first two compare.
fn signer_is_in_step(octets: &[u8]) -> bool {
    octets.windows(3).any(|w| w == b"\x02m0" || w == b"\x02m1")
}

#[test]
fn an_unsigned_request_is_no_failure() {
    assert!(verify_request(&request(), &keyring(), NOW).expect("no failure").is_none());
}

#[test]
fn a_signed_request_verifies_and_cuts_back_to_what_it_was() {
    let mut signed = request();
    let mac = sign(&mut signed, &key(Algorithm::HmacSha256), NOW, None);
    let verified = verify_request(&signed, &keyring(), NOW).expect("good").expect("signed");
    assert_eq!((&verified.mac, verified.unsigned_len), (&mac, request().len()));
    cut(&mut signed, verified.unsigned_len);
    assert_eq!(signed, request());
}

/// What a client says to the answer of a server that refuses its signature.
fn refused(signed: &[u8], mac: Vec<u8>, keys: &Keyring, server_now: Timestamp) -> (TsigFailure, Reason, Tsig) {
    let failure = verify_request(signed, keys, server_now).expect_err("must fail");
    let answer = failure.response(signed, Some(&Opt::default()));
    let header = Header::read(&answer).expect("header");
    assert_eq!((header.id, header.rcode(), header.has(message::flag::QR)), (0x1234, Rcode::NOTAUTH, true));
    let mut verifier = StreamVerifier::new(key(Algorithm::HmacSha256), mac);
    let reason = verifier.verify(&answer, NOW).expect_err("client must see it");
    (failure, reason, Tsig::find(&answer).expect("readable").expect("has TSIG"))
}

/// RFC 8945 §5.2.1: an unknown key: NOTAUTH and BADKEY; §5.3.2: "an error message with no MAC".
#[test]
fn unknown_key_or_algorithm_is_badkey_without_mac() {
    for other in [
        Key::new("other.example".parse().expect("name"), Algorithm::HmacSha256, SECRET),
        Key::new("transfer.example".parse().expect("name"), Algorithm::HmacSha512, SECRET),
    ] {
        let mut signed = request();
        let mac = sign(&mut signed, &other, NOW, None);
        let failure = verify_request(&signed, &keyring(), NOW).expect_err("must fail");
        let answer = failure.response(&signed, None);
        let tsig = Tsig::find(&answer).expect("readable").expect("has TSIG");
        assert_eq!((failure.reason.code, tsig.error, tsig.mac.len()), (Code::TsigBadKey, error::BADKEY, 0));
        let reason = StreamVerifier::new(Arc::new(other), mac).verify(&answer, NOW).expect_err("fails");
        assert_eq!(reason.code, Code::TsigBadKey);
    }
}

/// RFC 8945 §5.2.2: NOTAUTH and BADSIG, no MAC.
#[test]
fn wrong_mac_is_badsig_without_mac() {
    let mut signed = request();
    let mac = sign(&mut signed, &key(Algorithm::HmacSha256), NOW, None);
    signed[13] ^= 0x20; // the spelling of the question is part of what is signed
    let (failure, reason, tsig) = refused(&signed, mac, &keyring(), NOW);
    assert_eq!((failure.reason.code, reason.code), (Code::TsigBadSig, Code::TsigBadSig));
    assert_eq!((tsig.error, tsig.mac.len()), (error::BADSIG, 0));
}

/// RFC 8945 §5.2.3: NOTAUTH and BADTIME, signed, the client's time in Time Signed and ours in Other Data.
#[test]
fn skewed_clock_is_badtime_signed_with_our_time() {
    let mut signed = request();
    let mac = sign(&mut signed, &key(Algorithm::HmacSha256), NOW, None);
    let server = Timestamp::from_secs(NOW.as_secs() + 600);
    let (failure, reason, tsig) = refused(&signed, mac.clone(), &keyring(), server);
    assert_eq!(failure.reason.detail, "clock of the client is 600 s behind ours");
    assert_eq!(reason.code, Code::TsigBadTime);
    assert_eq!(reason.detail, "primary refuses our time; clock of the primary is 600 s ahead of ours");
    assert_eq!((tsig.error, tsig.time_signed), (error::BADTIME, NOW.as_secs()));
    assert_eq!(tsig.other, server.as_secs().to_be_bytes()[2..]);
    let answer = failure.response(&signed, Some(&Opt::default()));
    let mut context = hmac::Context::with_key(&key(Algorithm::HmacSha256).hmac);
    digest_mac(&mac, &mut context);
    tsig.digest_message(&answer, &mut context);
    tsig.digest_variables(&mut context);
    assert!(is_mac(&key(Algorithm::HmacSha256), context, &tsig.mac));
}

/// RFC 8945 §5.2.3: "if the server time is outside the time interval"; the fudge itself is still inside.
#[test]
fn clocks_may_differ_by_the_fudge() {
    let mut signed = request();
    sign(&mut signed, &key(Algorithm::HmacSha256), NOW, None);
    for (secs, good) in [(300, true), (301, false)] {
        let later = Timestamp::from_secs(NOW.as_secs() + secs);
        let earlier = Timestamp::from_secs(NOW.as_secs() - secs);
        assert_eq!(verify_request(&signed, &keyring(), later).is_ok(), good);
        assert_eq!(verify_request(&signed, &keyring(), earlier).is_ok(), good);
    }
}

/// A truncated record in place of the one at the end of `signed`.
fn with_mac(signed: &[u8], octets: usize) -> Vec<u8> {
    let mut tsig = Tsig::find(signed).expect("readable").expect("signed");
    let mut message = signed.to_vec();
    cut(&mut message, tsig.at);
    tsig.mac.truncate(octets);
    tsig.append(&mut message);
    message
}

/// RFC 8945 §5.2.2.1: shorter than half the HMAC (or ten octets): FORMERR; §5.2.4: below policy: BADTRUNC, signed.
#[test]
fn truncated_macs_are_refused() {
    let mut signed = request();
    let mac = sign(&mut signed, &key(Algorithm::HmacSha256), NOW, None);
    let (failure, reason, tsig) = refused(&with_mac(&signed, 16), mac, &keyring(), NOW);
    assert_eq!((failure.reason.code, reason.code), (Code::TsigBadTrunc, Code::TsigBadTrunc));
    assert_eq!((tsig.error, tsig.mac.len()), (error::BADTRUNC, 32));
    let failure = verify_request(&with_mac(&signed, 15), &keyring(), NOW).expect_err("too short");
    assert_eq!(failure.rcode(), Rcode::FORMERR);
    assert_eq!(failure.response(&signed, None).len(), request().len());
}

/// RFC 8945 §5.1: "If there are multiple TSIG RRs or a TSIG RR that is not the last record: FORMERR".
#[test]
fn a_tsig_record_stands_last_and_once() {
    let mut signed = request();
    sign(&mut signed, &key(Algorithm::HmacSha256), NOW, None);
    let mut twice = signed.clone();
    sign(&mut twice, &key(Algorithm::HmacSha256), NOW, None);
    Opt::default().append(&mut signed);
    for message in [twice, signed] {
        assert_eq!(verify_request(&message, &keyring(), NOW).expect_err("bad").rcode(), Rcode::FORMERR);
    }
}

/// A stream of `count` messages, message i signed if `is_signed(i)`.
fn stream(count: usize, is_signed: impl Fn(usize) -> bool) -> (StreamVerifier, Vec<Vec<u8>>) {
    let key = key(Algorithm::HmacSha256);
    let mut mac = sign(&mut request(), &key, NOW, None);
    let verifier = StreamVerifier::new(key.clone(), mac.clone());
    let mut context: Option<hmac::Context> = None;
    let messages = (0..count).map(|i| {
        let mut message = [&request()[..], &[]].concat();
        message[2] |= 0x80;
        let mut current = context.take().unwrap_or_else(|| {
            let mut c = hmac::Context::with_key(&key.hmac);
            digest_mac(&mac, &mut c);
            c
        });
        current.update(&message);
        if is_signed(i) {
            let mut tsig = Tsig::unsigned(&key, id_of(&message), NOW);
            if i == 0 {
                tsig.digest_variables(&mut current)
            } else {
                tsig.digest_timers(&mut current)
            }
            tsig.mac = current.sign();
            mac = tsig.mac.clone();
            tsig.append(&mut message);
        } else {
            context = Some(current);
        }
        message
    });
    (verifier, messages.collect())
}

fn run(verifier: &mut StreamVerifier, messages: &[Vec<u8>]) -> Result<(), Reason> {
    for message in messages {
        verifier.verify(message, NOW)?;
    }
    verifier.finish()
}

/// RFC 8945 §5.3.1: clients "MUST be prepared to receive up to 99 intermediary messages without a TSIG".
#[test]
fn up_to_99_unsigned_messages_in_a_row() {
    let (mut verifier, messages) = stream(101, |i| i % 100 == 0);
    assert_eq!(run(&mut verifier, &messages), Ok(()));
    let (mut verifier, messages) = stream(102, |i| i % 101 == 0);
    assert_eq!(run(&mut verifier, &messages).expect_err("too many").code, Code::TsigMissing);
}

#[test]
fn first_and_last_message_must_be_signed() {
    let (mut verifier, messages) = stream(3, |i| i > 0);
    assert_eq!(run(&mut verifier, &messages).expect_err("first").code, Code::TsigMissing);
    let (mut verifier, messages) = stream(3, |i| i < 2);
    assert_eq!(run(&mut verifier, &messages).expect_err("last").code, Code::TsigMissing);
    let (mut verifier, _) = stream(1, |_| true);
    assert_eq!(run(&mut verifier, &[]).expect_err("none").code, Code::TsigMissing);
}

/// G3: any octet of any message, signed or not, is under the running MAC; order and omission too.
#[test]
fn a_changed_dropped_or_swapped_message_is_badsig() {
    for changed in 0..4 {
        let (mut verifier, mut messages) = stream(4, |i| i != 1);
        messages[changed][14] ^= 0x20;
        assert_eq!(run(&mut verifier, &messages).expect_err("changed").code, Code::TsigBadSig);
    }
    let (mut verifier, mut messages) = stream(4, |i| i != 1);
    messages.remove(1);
    assert_eq!(run(&mut verifier, &messages).expect_err("dropped").code, Code::TsigBadSig);
    let (mut verifier, mut messages) = stream(4, |_| true);
    messages[1][14] ^= 0x20;
    messages.swap(1, 2);
    assert_eq!(run(&mut verifier, &messages).expect_err("swapped").code, Code::TsigBadSig);
}

#[test]
fn an_answer_by_another_key_is_badkey() {
    let (_, messages) = stream(1, |_| true);
    let other = Arc::new(Key::new("other.example".parse().expect("name"), Algorithm::HmacSha256, SECRET));
    let mut verifier = StreamVerifier::new(other, vec![0; 32]);
    assert_eq!(run(&mut verifier, &messages).expect_err("other key").code, Code::TsigBadKey);
}

#[test]
fn an_unsigned_answer_names_its_rcode() {
    let mut answer = message::reply(&request(), 0, Rcode::REFUSED);
    let (mut verifier, _) = stream(1, |_| true);
    let reason = verifier.verify(&answer, NOW).expect_err("unsigned");
    assert_eq!(reason.to_string(), "TSIG_MISSING (the answer (REFUSED) is not signed)");
    answer.truncate(3);
    let (mut verifier, _) = stream(1, |_| true);
    assert_eq!(verifier.verify(&answer, NOW).expect_err("cut").code, Code::TsigBadSig);
}

#[test]
fn secrets_are_not_shown() {
    let shown = format!("{:?} {:?}", keyring(), stream(1, |_| true).0);
    assert!(shown.contains("Key(transfer.example. hmac-sha256)"), "{shown}");
    assert!(!shown.contains("0123") && !shown.contains("48, 49, 50"), "{shown}");
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), tail in 0usize..80) {
        let (mut verifier, _) = stream(1, |_| true);
        let _ = verifier.verify(&bytes, NOW);
        if let Err(failure) = verify_request(&bytes, &keyring(), NOW) {
            failure.response(&bytes, None);
        }
        // a good message with a damaged end
        let mut signed = request();
        sign(&mut signed, &key(Algorithm::HmacSha256), NOW, None);
        bytes.truncate(tail);
        let keep = signed.len() - bytes.len().min(signed.len() - 12);
        let damaged = [&signed[..keep], &bytes[..signed.len() - keep]].concat();
        if let Err(failure) = verify_request(&damaged, &keyring(), NOW) {
            failure.response(&damaged, None);
        }
    }
}
