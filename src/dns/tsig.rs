//! Signed messages: TSIG (RFC 8945), for requests, answers and streams, on both sides.
//!
//! In: a whole message and a key or keyring, `now`, and the MAC of the request where the RFC binds the answer to it.
//! Out: the message with a TSIG record, or how long it is without one, or what was wrong. Used by `net` on both
//! sides of NOTIFY, SOA, AXFR and IXFR. Keeps secrets inside `ring`'s key; nothing here prints them.
//!
//! ```text
//! request   = key, message, variables                         sign / verify_request
//! answer    = request MAC, message, variables                  sign / StreamVerifier (first message)
//! later     = MAC before, unsigned messages..., message, timers  StreamSigner / StreamVerifier
//! ```

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::edns::Opt;
use super::message::{self, CLASS_ANY, HEADER_OCTETS, Header, RawRecord, Rcode};
use super::{Name, RecordType};
use crate::reason::{Code, Reason};
use crate::time::Timestamp;

/// Seconds by which clocks may differ (RFC 8945 §10 recommends 300).
pub const FUDGE_SECS: u16 = 300;
/// Most unsigned messages in a row inside a stream (RFC 8945 §5.3.1).
pub const UNSIGNED_MESSAGES_MAX: usize = 99;

/// TSIG errors (RFC 8945 §3).
mod error {
    pub(super) const BADSIG: u16 = 16;
    pub(super) const BADKEY: u16 = 17;
    pub(super) const BADTIME: u16 = 18;
    pub(super) const BADTRUNC: u16 = 22;
}

mod hmac;

/// The HMACs we know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// `hmac-md5.sig-alg.reg.int`; only where a configuration insists (RFC 8945 §6: "MUST NOT use").
    HmacMd5,
    /// `hmac-sha1`; for old primaries.
    HmacSha1,
    /// `hmac-sha224`; for old primaries.
    HmacSha224,
    /// `hmac-sha256`, the mandatory one.
    HmacSha256,
    /// `hmac-sha384`.
    HmacSha384,
    /// `hmac-sha512`.
    HmacSha512,
}

impl Algorithm {
    const ALL: [Algorithm; 6] = [
        Algorithm::HmacMd5,
        Algorithm::HmacSha1,
        Algorithm::HmacSha224,
        Algorithm::HmacSha256,
        Algorithm::HmacSha384,
        Algorithm::HmacSha512,
    ];

    /// The name as configurations write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Algorithm::HmacMd5 => "hmac-md5",
            Algorithm::HmacSha1 => "hmac-sha1",
            Algorithm::HmacSha224 => "hmac-sha224",
            Algorithm::HmacSha256 => "hmac-sha256",
            Algorithm::HmacSha384 => "hmac-sha384",
            Algorithm::HmacSha512 => "hmac-sha512",
        }
    }

    fn name(self) -> Name {
        let word = match self {
            Algorithm::HmacMd5 => MD5_NAME,
            _ => self.as_str(),
        };
        word.parse().expect("an algorithm's word is a domain name")
    }

    /// Octets of a whole MAC, and those that a secret should have at least (RFC 8945 §8).
    pub fn mac_octets(self) -> usize {
        match self {
            Algorithm::HmacMd5 => 16,
            Algorithm::HmacSha1 => 20,
            Algorithm::HmacSha224 => 28,
            Algorithm::HmacSha256 => 32,
            Algorithm::HmacSha384 => 48,
            Algorithm::HmacSha512 => 64,
        }
    }
}

/// What the protocol calls HMAC-MD5 (RFC 8945 §6).
const MD5_NAME: &str = "hmac-md5.sig-alg.reg.int";

/// The text names no algorithm we know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown TSIG algorithm {0:?}: one of hmac-sha256, hmac-sha384, hmac-sha512, hmac-sha1, hmac-sha224")]
pub struct UnknownAlgorithm(pub String);

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    /// The word in any case, with or without a final dot.
    fn from_str(text: &str) -> Result<Algorithm, UnknownAlgorithm> {
        let word = text.strip_suffix('.').unwrap_or(text);
        Algorithm::ALL
            .into_iter()
            .find(|a| a.as_str().eq_ignore_ascii_case(word) || a.name().without_dot().eq_ignore_ascii_case(word))
            .ok_or_else(|| UnknownAlgorithm(text.to_owned()))
    }
}

/// A shared secret with its name.
pub struct Key {
    /// Name of the key, part of what is signed.
    pub name: Name,
    /// Its algorithm.
    pub algorithm: Algorithm,
    hmac: hmac::Key,
}

impl Key {
    /// A key from the raw octets of its secret.
    pub fn new(name: Name, algorithm: Algorithm, secret: &[u8]) -> Key {
        Key { name, algorithm, hmac: hmac::Key::new(algorithm, secret) }
    }

    /// Octets a TSIG record of this key adds to a message (without other-data).
    pub fn record_octets(&self) -> usize {
        self.name.as_wire().len() + 10 + self.algorithm.name().as_wire().len() + 16 + self.algorithm.mac_octets()
    }
}

impl fmt::Debug for Key {
    /// Name and algorithm; never the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({} {})", self.name, self.algorithm.as_str())
    }
}

/// Keys by name.
#[derive(Clone, Debug, Default)]
pub struct Keyring(HashMap<Name, Arc<Key>>);

impl Keyring {
    /// The key with that name.
    pub fn find(&self, name: &Name) -> Option<&Arc<Key>> {
        self.0.get(name)
    }
}

impl FromIterator<Arc<Key>> for Keyring {
    fn from_iter<I: IntoIterator<Item = Arc<Key>>>(keys: I) -> Keyring {
        Keyring(keys.into_iter().map(|key| (key.name.clone(), key)).collect())
    }
}

/// A TSIG record as it stands at the end of a message.
#[derive(Clone, Debug)]
struct Tsig {
    /// Offset of the record, the length of the message without it.
    at: usize,
    key: Name,
    algorithm: Name,
    time_signed: u64,
    fudge: u16,
    mac: Vec<u8>,
    original_id: u16,
    error: u16,
    other: Vec<u8>,
}

/// What cannot be read: FORMERR (RFC 8945 §5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unreadable {
    /// The message, so that nobody knows whether it is signed.
    Message,
    /// Its TSIG record, or that is not where it must be.
    Record,
}

impl Tsig {
    /// The TSIG record of `message`, which must be its last (RFC 8945 §5.1).
    fn find(message: &[u8]) -> Result<Option<Tsig>, Unreadable> {
        let header = Header::read(message).map_err(|_| Unreadable::Message)?;
        if header.additionals == 0 {
            return Ok(None);
        }
        let at = message::skip_questions(message, header).map_err(|_| Unreadable::Message)?;
        let before = header.answers as usize + header.authorities as usize;
        let count = before + header.additionals as usize;
        let mut last = None;
        for (i, record) in message::records(message, at, count).enumerate() {
            let record = record.map_err(|_| Unreadable::Message)?;
            if record.rtype == RecordType::TSIG && (i + 1 < count || i < before) {
                return Err(Unreadable::Record);
            }
            last = Some(record);
        }
        match last {
            Some(record) if record.rtype == RecordType::TSIG => Tsig::read(message, &record).map(Some),
            _ => Ok(None),
        }
    }

    fn read(message: &[u8], record: &RawRecord) -> Result<Tsig, Unreadable> {
        let (key, _) = Name::read(message, record.owner).map_err(|_| Unreadable::Record)?;
        let (algorithm, mut at) = Name::read(message, record.rdata).map_err(|_| Unreadable::Record)?;
        if record.class != CLASS_ANY || record.ttl_bits != 0 || record.end() != message.len() {
            return Err(Unreadable::Record);
        }
        let mut take = |octets: usize| {
            let field = message.get(at..at + octets).ok_or(Unreadable::Record)?;
            at += octets;
            Ok(field)
        };
        let u16_of = |field: &[u8]| u16::from_be_bytes([field[0], field[1]]);
        let time_signed = take(6)?.iter().fold(0, |n, &octet| n << 8 | octet as u64);
        let fudge = u16_of(take(2)?);
        let mac_octets = u16_of(take(2)?) as usize;
        let mac = take(mac_octets)?.to_vec();
        let original_id = u16_of(take(2)?);
        let error = u16_of(take(2)?);
        let other_octets = u16_of(take(2)?) as usize;
        let other = take(other_octets)?.to_vec();
        let tsig = Tsig { at: record.owner, key, algorithm, time_signed, fudge, mac, original_id, error, other };
        if at == record.end() { Ok(tsig) } else { Err(Unreadable::Record) }
    }

    /// Appends the record to `message` and counts it.
    fn append(&self, message: &mut Vec<u8>) {
        let time = &self.time_signed.to_be_bytes()[2..];
        let mac_octets = (self.mac.len() as u16).to_be_bytes();
        let other_octets = (self.other.len() as u16).to_be_bytes();
        let rdata = [
            self.algorithm.as_wire(),
            time,
            &self.fudge.to_be_bytes(),
            &mac_octets,
            &self.mac,
            &self.original_id.to_be_bytes(),
            &self.error.to_be_bytes(),
            &other_octets,
            &self.other,
        ]
        .concat();
        message.extend_from_slice(self.key.as_wire());
        message.extend_from_slice(&RecordType::TSIG.0.to_be_bytes());
        message.extend_from_slice(&CLASS_ANY.to_be_bytes());
        message.extend_from_slice(&[0; 4]);
        message.extend_from_slice(&(rdata.len() as u16).to_be_bytes());
        message.extend_from_slice(&rdata);
        message::add_additionals(message, 1);
    }

    /// Digests the variables of RFC 8945 §4.3.3.
    fn digest_variables(&self, context: &mut hmac::Context) {
        context.update(self.key.as_wire());
        context.update(&CLASS_ANY.to_be_bytes());
        context.update(&[0; 4]);
        context.update(self.algorithm.as_wire());
        self.digest_timers(context);
        context.update(&self.error.to_be_bytes());
        context.update(&(self.other.len() as u16).to_be_bytes());
        context.update(&self.other);
    }

    /// Digests what later messages of a stream have instead of the variables (RFC 8945 §5.3.1).
    fn digest_timers(&self, context: &mut hmac::Context) {
        context.update(&self.time_signed.to_be_bytes()[2..]);
        context.update(&self.fudge.to_be_bytes());
    }

    /// Digests `message` as it was before it got this record (RFC 8945 §4.3.2).
    fn digest_message(&self, message: &[u8], context: &mut hmac::Context) {
        let additionals = u16::from_be_bytes([message[10], message[11]]) - 1;
        context.update(&self.original_id.to_be_bytes());
        context.update(&message[2..10]);
        context.update(&additionals.to_be_bytes());
        context.update(&message[HEADER_OCTETS..self.at]);
    }

    /// A record of `key` for a message with `id` signed at `now`, its MAC still empty.
    fn unsigned(key: &Key, id: u16, now: Timestamp) -> Tsig {
        Tsig {
            at: 0,
            key: key.name.clone(),
            algorithm: key.algorithm.name(),
            time_signed: now.as_secs(),
            fudge: FUDGE_SECS,
            mac: Vec::new(),
            original_id: id,
            error: 0,
            other: Vec::new(),
        }
    }

    /// Whether the clocks are too far apart, and by how much: positive if the peer's is ahead.
    fn skew_secs(&self, now: Timestamp) -> Option<i64> {
        let skew = self.time_signed as i64 - now.as_secs() as i64;
        (skew.unsigned_abs() > self.fudge as u64).then_some(skew)
    }
}

fn digest_mac(mac: &[u8], context: &mut hmac::Context) {
    context.update(&(mac.len() as u16).to_be_bytes());
    context.update(mac);
}

/// Whether `received` is the MAC `context` comes to.
fn is_mac(key: &Key, context: hmac::Context, received: &[u8]) -> bool {
    is_equal(key, &context.sign(), received)
}

/// Compares in constant time: both are hashed once more under the key, so what a comparison could leak says nothing about
/// the right MAC.
fn is_equal(key: &Key, ours: &[u8], received: &[u8]) -> bool {
    hmac::sign(&key.hmac, ours) == hmac::sign(&key.hmac, received)
}

fn id_of(message: &[u8]) -> u16 {
    u16::from_be_bytes([message[0], message[1]])
}

/// Signs a request, or (with the MAC of its request) a single answer. Appends the TSIG record; returns its MAC, to
/// which answers are bound.
///
/// # Panics
/// If `message` has no header.
pub fn sign(message: &mut Vec<u8>, key: &Key, now: Timestamp, request_mac: Option<&[u8]>) -> Vec<u8> {
    let mut tsig = Tsig::unsigned(key, id_of(message), now);
    let mut context = hmac::Context::with_key(&key.hmac);
    if let Some(mac) = request_mac {
        digest_mac(mac, &mut context);
    }
    context.update(message);
    tsig.digest_variables(&mut context);
    tsig.mac = context.sign();
    tsig.append(message);
    tsig.mac
}

/// Takes the TSIG record off a message that was verified: cuts it at `unsigned_len` and corrects ARCOUNT.
pub fn cut(message: &mut Vec<u8>, unsigned_len: usize) {
    if unsigned_len < message.len() && unsigned_len >= HEADER_OCTETS {
        message.truncate(unsigned_len);
        message::add_additionals(message, -1);
    }
}

/// A request with a good signature.
#[derive(Clone, Debug)]
pub struct Verified {
    /// Whose.
    pub key: Arc<Key>,
    /// Its MAC: [`sign`] and [`StreamSigner`] bind the answer to it.
    pub mac: Vec<u8>,
    /// Octets of the message without its TSIG record, for [`cut`].
    pub unsigned_len: usize,
}

/// Why a request's signature was not accepted, with what the answer needs.
#[derive(Clone, Debug)]
pub struct TsigFailure {
    /// The code and detail, for logs and counters.
    pub reason: Reason,
    answer: Answer,
}

#[derive(Clone, Debug)]
enum Answer {
    /// FORMERR without TSIG.
    FormErr,
    /// NOTAUTH with a TSIG record without MAC: RFC 8945 §5.3.2.
    Unsigned(Box<Tsig>),
    /// NOTAUTH with a signed TSIG record, bound to the request.
    Signed { tsig: Box<Tsig>, key: Arc<Key>, request_mac: Vec<u8> },
}

impl TsigFailure {
    /// The RCODE of the answer.
    pub fn rcode(&self) -> Rcode {
        match self.answer {
            Answer::FormErr => Rcode::FORMERR,
            _ => Rcode::NOTAUTH,
        }
    }

    /// The whole answer to `request`, with this OPT before the TSIG record, if the request has one.
    pub fn response(&self, request: &[u8], opt: Option<&Opt>) -> Vec<u8> {
        let mut out = message::reply(request, 0, self.rcode());
        if let Some(opt) = opt {
            opt.append(&mut out);
        }
        match &self.answer {
            Answer::FormErr => {}
            Answer::Unsigned(tsig) => tsig.append(&mut out),
            Answer::Signed { tsig, key, request_mac } => {
                let mut tsig = tsig.clone();
                let mut context = hmac::Context::with_key(&key.hmac);
                digest_mac(request_mac, &mut context);
                context.update(&out);
                tsig.digest_variables(&mut context);
                tsig.mac = context.sign();
                tsig.append(&mut out);
            }
        }
        out
    }
}

/// Checks a request: `None` if it is not signed, or cannot be read so far as to tell. In the order of RFC 8945 §5.2: key,
/// MAC, time, truncation.
pub fn verify_request(message: &[u8], keyring: &Keyring, now: Timestamp) -> Result<Option<Verified>, TsigFailure> {
    let tsig = match Tsig::find(message) {
        Ok(Some(tsig)) => tsig,
        // who reads the message finds out what is wrong with it
        Ok(None) | Err(Unreadable::Message) => return Ok(None),
        Err(Unreadable::Record) => {
            let reason = Reason::new(Code::TsigBadSig, "the TSIG record is malformed or misplaced");
            return Err(TsigFailure { reason, answer: Answer::FormErr });
        }
    };
    let unsigned = |error, code, detail: String| TsigFailure {
        reason: Reason::new(code, detail),
        answer: Answer::Unsigned(Box::new(Tsig { error, mac: Vec::new(), other: Vec::new(), ..tsig.clone() })),
    };
    let Some(key) = keyring.find(&tsig.key).filter(|key| key.algorithm.name() == tsig.algorithm) else {
        let detail = format!("key {} with {} is not known here", tsig.key, tsig.algorithm.without_dot());
        return Err(unsigned(error::BADKEY, Code::TsigBadKey, detail));
    };
    let whole = key.algorithm.mac_octets();
    if tsig.mac.len() > whole || tsig.mac.len() < (whole / 2).max(10) {
        // RFC 8945 §5.2.2.1 items 1 and 4
        let reason = Reason::new(Code::TsigBadSig, format!("MAC of {} octets", tsig.mac.len()));
        return Err(TsigFailure { reason, answer: Answer::FormErr });
    }
    let mut context = hmac::Context::with_key(&key.hmac);
    tsig.digest_message(message, &mut context);
    tsig.digest_variables(&mut context);
    let signed = |error, other: Vec<u8>, code, detail: String| TsigFailure {
        reason: Reason::new(code, detail),
        answer: Answer::Signed {
            tsig: Box::new(Tsig { error, mac: Vec::new(), other, ..tsig.clone() }),
            key: key.clone(),
            request_mac: tsig.mac.clone(),
        },
    };
    if tsig.mac.len() < whole {
        // Our policy is the whole MAC; the octets that came must still be right to be worth a signed answer.
        let ours = context.sign();
        return Err(match is_equal(key, &ours[..tsig.mac.len()], &tsig.mac) {
            true => {
                let detail = format!("MAC of {} octets, {whole} are wanted", tsig.mac.len());
                signed(error::BADTRUNC, Vec::new(), Code::TsigBadTrunc, detail)
            }
            false => unsigned(error::BADSIG, Code::TsigBadSig, format!("key {}", tsig.key)),
        });
    }
    if !is_mac(key, context, &tsig.mac) {
        return Err(unsigned(error::BADSIG, Code::TsigBadSig, format!("key {}", tsig.key)));
    }
    if let Some(skew) = tsig.skew_secs(now) {
        // RFC 8945 §5.2.3: the client's time in Time Signed, the server's in Other Data.
        let other = now.as_secs().to_be_bytes()[2..].to_vec();
        return Err(signed(error::BADTIME, other, Code::TsigBadTime, skew_text("client", skew)));
    }
    Ok(Some(Verified { key: key.clone(), unsigned_len: tsig.at, mac: tsig.mac }))
}

fn skew_text(peer: &str, skew_secs: i64) -> String {
    let direction = if skew_secs > 0 { "ahead of" } else { "behind" };
    format!("clock of the {peer} is {} s {direction} ours", skew_secs.unsigned_abs())
}

/// Checks the messages of an answer to a request that [`sign`] signed: one message, or a stream.
#[derive(Debug)]
pub struct StreamVerifier {
    key: Arc<Key>,
    /// MAC of the request, then of the last signed message.
    last_mac: Vec<u8>,
    /// Digest over the last MAC and the messages since.
    context: Option<hmac::Context>,
    unsigned: usize,
    first: bool,
}

impl StreamVerifier {
    /// For the answer to the request with `request_mac`.
    pub fn new(key: Arc<Key>, request_mac: Vec<u8>) -> StreamVerifier {
        StreamVerifier { key, last_mac: request_mac, context: None, unsigned: 0, first: true }
    }

    /// Takes the next message; returns its length without TSIG. After an error the stream is void (G3).
    ///
    /// RFC 8945 §5.3.1: the first and last message are signed, at most 99 unsigned ones stand in between; every
    /// octet goes into the next MAC.
    pub fn verify(&mut self, message: &[u8], now: Timestamp) -> Result<usize, Reason> {
        let tsig = Tsig::find(message)
            .map_err(|_| Reason::new(Code::TsigBadSig, "the TSIG record is malformed or misplaced"))?;
        let mut context = self.context.take().unwrap_or_else(|| {
            let mut context = hmac::Context::with_key(&self.key.hmac);
            digest_mac(&self.last_mac, &mut context);
            context
        });
        let Some(tsig) = tsig else {
            if self.first {
                let rcode = Header::read(message).map(Header::rcode).unwrap_or(Rcode::FORMERR);
                return Err(Reason::new(Code::TsigMissing, format!("the answer ({rcode}) is not signed")));
            }
            self.unsigned += 1;
            if self.unsigned > UNSIGNED_MESSAGES_MAX {
                let detail = format!("more than {UNSIGNED_MESSAGES_MAX} unsigned messages in a row");
                return Err(Reason::new(Code::TsigMissing, detail));
            }
            context.update(message);
            self.context = Some(context);
            return Ok(message.len());
        };
        self.check_key(&tsig)?;
        tsig.digest_message(message, &mut context);
        if self.first {
            tsig.digest_variables(&mut context);
        } else {
            tsig.digest_timers(&mut context);
        }
        self.check_error(&tsig, now)?;
        let whole = self.key.algorithm.mac_octets();
        if tsig.mac.len() < whole {
            let detail = format!("MAC of {} octets, {whole} are wanted", tsig.mac.len());
            return Err(Reason::new(Code::TsigBadTrunc, detail));
        }
        if !is_mac(&self.key, context, &tsig.mac) {
            return Err(Reason::new(Code::TsigBadSig, format!("key {}", self.key.name)));
        }
        if let Some(skew) = tsig.skew_secs(now) {
            return Err(Reason::new(Code::TsigBadTime, skew_text("primary", skew)));
        }
        (self.first, self.unsigned, self.last_mac) = (false, 0, tsig.mac);
        Ok(tsig.at)
    }

    /// After the last message: it has to have been signed.
    pub fn finish(&self) -> Result<(), Reason> {
        if self.first || self.unsigned > 0 {
            return Err(Reason::new(Code::TsigMissing, "the last message is not signed"));
        }
        Ok(())
    }

    fn check_key(&self, tsig: &Tsig) -> Result<(), Reason> {
        if tsig.key == self.key.name && tsig.algorithm == self.key.algorithm.name() {
            return Ok(());
        }
        let detail = format!(
            "answer is signed by {} with {}, expected {} with {}",
            tsig.key,
            tsig.algorithm.without_dot(),
            self.key.name,
            self.key.algorithm.as_str()
        );
        Err(Reason::new(Code::TsigBadKey, detail))
    }

    /// What the peer says about our own signature. Such an answer fails whether it is signed or not.
    fn check_error(&self, tsig: &Tsig, now: Timestamp) -> Result<(), Reason> {
        Err(match tsig.error {
            0 => return Ok(()),
            error::BADKEY => {
                let algorithm = self.key.algorithm.as_str();
                Reason::new(
                    Code::TsigBadKey,
                    format!("primary does not know key {} with {algorithm}", self.key.name.without_dot()),
                )
            }
            error::BADTIME => {
                let theirs = tsig.other.iter().take(6).fold(0u64, |n, &octet| n << 8 | octet as u64);
                let skew = theirs as i64 - now.as_secs() as i64;
                Reason::new(Code::TsigBadTime, format!("primary refuses our time; {}", skew_text("primary", skew)))
            }
            error::BADTRUNC => Reason::new(Code::TsigBadTrunc, "primary wants a longer MAC"),
            error::BADSIG => {
                Reason::new(Code::TsigBadSig, format!("primary refuses our signature by key {}", self.key.name))
            }
            other => Reason::new(Code::TsigBadSig, format!("primary answers with TSIG error {other}")),
        })
    }
}

/// Signs each message of an answer, one or many.
#[derive(Debug)]
pub struct StreamSigner {
    key: Arc<Key>,
    last_mac: Vec<u8>,
    first: bool,
}

impl StreamSigner {
    /// For the answer to `request`.
    pub fn new(request: &Verified) -> StreamSigner {
        StreamSigner { key: request.key.clone(), last_mac: request.mac.clone(), first: true }
    }

    /// Octets each message must leave free.
    pub fn record_octets(&self) -> usize {
        self.key.record_octets()
    }

    /// Appends the TSIG record to the next message.
    ///
    /// # Panics
    /// If `message` has no header.
    pub fn sign(&mut self, message: &mut Vec<u8>, now: Timestamp) {
        let mut tsig = Tsig::unsigned(&self.key, id_of(message), now);
        let mut context = hmac::Context::with_key(&self.key.hmac);
        digest_mac(&self.last_mac, &mut context);
        context.update(message);
        if self.first {
            tsig.digest_variables(&mut context);
        } else {
            tsig.digest_timers(&mut context);
        }
        tsig.mac = context.sign();
        tsig.append(message);
        (self.first, self.last_mac) = (false, tsig.mac);
    }
}

#[cfg(test)]
mod tests;
