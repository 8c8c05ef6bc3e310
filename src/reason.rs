//! The one table of reason codes: why an exchange with a primary ended as it did.
//!
//! The same codes stand in logs, metrics, status items, history, `explain` and every API dialect. The sentence of a
//! code is fixed text; what is particular goes into the detail behind it. `src/manual/reasons.md` explains each code
//! to operators and a test holds the two lists against each other.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! codes {
    ($($(#[doc = $doc:literal])* $variant:ident = $code:literal, $status:ident, $sentence:expr;)*) => {
        /// How an attempt at a primary ended, or where it stands.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Code {
            $($(#[doc = $doc])* #[serde(rename = $code)] $variant,)*
        }

        impl Code {
            /// Every code, in the order of the manual.
            pub const ALL: &'static [Code] = &[$(Code::$variant,)*];

            /// The stable key.
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$variant => $code,)* }
            }

            /// Which of the five words of the status items the code means.
            pub fn status(self) -> StatusWord {
                match self { $(Code::$variant => StatusWord::$status,)* }
            }

            /// The fixed sentence for people; empty for codes that are no failure.
            pub fn sentence(self) -> &'static str {
                match self { $(Code::$variant => $sentence,)* }
            }
        }
    };
}

/// The closed set of words in `items[].status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum StatusWord {
    /// No attempt has ended yet.
    Pending,
    /// An SOA query or transfer is running now.
    InProgress,
    /// The last attempt ended well.
    Ok,
    /// The primary answers with an older serial than the served one.
    Lagging,
    /// The last attempt failed.
    Error,
}

const UNREACHABLE: &str = "Connection with primary nameserver could not be established";
const TLS: &str = "TLS session with primary nameserver could not be established";
const SLOW: &str = "Primary nameserver did not answer in time";
const RCODE: &str = "Primary nameserver answered with an error";
const TSIG: &str = "Transfer could not be authenticated (TSIG)";
const INVALID: &str = "Primary nameserver sent an invalid message";
const CONTENT: &str = "Transferred zone is not valid";
const POLICY: &str = "Transferred zone was held back by policy";
const LIMIT: &str = "Zone exceeds the configured limit";
const STORAGE: &str = "Zone could not be stored";

codes! {
    /// A transfer was committed.
    Ok = "OK", Ok, "";
    /// The primary's serial equals ours.
    UpToDate = "UP_TO_DATE", Ok, "";
    /// An exchange is running.
    InProgress = "IN_PROGRESS", InProgress, "";
    /// An exchange waits for its turn.
    Queued = "QUEUED", Pending, "";
    /// Nothing has been tried since the primary was configured.
    NeverTried = "NEVER_TRIED", Pending, "";
    /// The port is closed.
    ConnectRefused = "CONNECT_REFUSED", Error, UNREACHABLE;
    /// No answer to the connection attempt.
    ConnectTimeout = "CONNECT_TIMEOUT", Error, UNREACHABLE;
    /// No route.
    NetUnreachable = "NET_UNREACHABLE", Error, UNREACHABLE;
    /// Connected, then silence.
    IdleTimeout = "IDLE_TIMEOUT", Error, SLOW;
    /// The exchange took longer than allowed in all.
    TotalTimeout = "TOTAL_TIMEOUT", Error, SLOW;
    /// Data came below the lowest allowed rate.
    TooSlow = "TOO_SLOW", Error, SLOW;
    /// The stream ended before the last SOA.
    TruncatedStream = "TRUNCATED_STREAM", Error, "Connection was closed before the transfer was complete";
    /// TC was set on a message of a TCP stream.
    TcInStream = "TC_IN_STREAM", Error, INVALID;
    /// QR, id, opcode, counts or question of a message are wrong.
    BadHeader = "BAD_HEADER", Error, INVALID;
    /// The first record of a transfer is not a SOA.
    NotSoaFirst = "NOT_SOA_FIRST", Error, INVALID;
    /// The SOA belongs to another zone.
    WrongZone = "WRONG_ZONE", Error, CONTENT;
    /// The SOA at the end differs from the one at the start, or another came in between.
    SoaMismatch = "SOA_MISMATCH", Error, INVALID;
    /// A record does not parse.
    MalformedRr = "MALFORMED_RR", Error, INVALID;
    /// A record of a class other than IN.
    BadClass = "BAD_CLASS", Error, INVALID;
    /// A record of a type that cannot be zone data.
    MetaType = "META_TYPE", Error, INVALID;
    /// More octets than allowed.
    LimitBytes = "LIMIT_BYTES", Error, LIMIT;
    /// More records than allowed.
    LimitRecords = "LIMIT_RECORDS", Error, LIMIT;
    /// An RRset that fits no message.
    LimitRrset = "LIMIT_RRSET", Error, LIMIT;
    /// More empty messages in a row than allowed.
    LimitEmpty = "LIMIT_EMPTY", Error, LIMIT;
    /// More types at one owner than allowed.
    LimitTypes = "LIMIT_TYPES", Error, LIMIT;
    /// The work on the zone took longer than allowed.
    LimitTime = "LIMIT_TIME", Error, LIMIT;
    /// The differences do not start at our serial or are not contiguous.
    IxfrGap = "IXFR_GAP", Error, INVALID;
    /// A difference removes what is absent or adds what is present.
    IxfrInapplicable = "IXFR_INAPPLICABLE", Error, INVALID;
    /// The primary's serial is older than ours.
    SerialBehind = "SERIAL_BEHIND", Lagging, "Primary offers an older serial than the served one";
    /// The primary's serial is exactly 2^31 away from ours.
    SerialUndefined = "SERIAL_UNDEFINED", Error, "Serials of primary and served zone cannot be compared (RFC 1982)";
    /// Answers of one address jump between serials.
    SerialFlapping = "SERIAL_FLAPPING", Error, "Answers of the primary nameserver jump between serials";
    /// AA was clear in the SOA answer.
    NotAuthoritative = "NOT_AUTHORITATIVE", Error, "Answer of the primary nameserver is not authoritative (AA bit is clear)";
    /// FORMERR.
    RcodeFormerr = "RCODE_FORMERR", Error, RCODE;
    /// SERVFAIL.
    RcodeServfail = "RCODE_SERVFAIL", Error, RCODE;
    /// NXDOMAIN.
    RcodeNxdomain = "RCODE_NXDOMAIN", Error, RCODE;
    /// NOTIMP.
    RcodeNotimp = "RCODE_NOTIMP", Error, RCODE;
    /// REFUSED.
    RcodeRefused = "RCODE_REFUSED", Error, "Primary nameserver refused the transfer";
    /// NOTAUTH without a TSIG error.
    RcodeNotauth = "RCODE_NOTAUTH", Error, "Primary nameserver is not authoritative for the zone";
    /// BADVERS.
    RcodeBadvers = "RCODE_BADVERS", Error, RCODE;
    /// Any other RCODE; the detail says which.
    RcodeOther = "RCODE_OTHER", Error, RCODE;
    /// A signature was expected and none came.
    TsigMissing = "TSIG_MISSING", Error, TSIG;
    /// One side does not know the key or algorithm.
    TsigBadKey = "TSIG_BADKEY", Error, TSIG;
    /// The signature does not verify.
    TsigBadSig = "TSIG_BADSIG", Error, TSIG;
    /// The clocks differ by more than the fudge.
    TsigBadTime = "TSIG_BADTIME", Error, TSIG;
    /// The MAC was truncated too far.
    TsigBadTrunc = "TSIG_BADTRUNC", Error, TSIG;
    /// The certificate names another host.
    TlsName = "TLS_NAME", Error, TLS;
    /// The certificate has expired or is not valid yet.
    TlsExpired = "TLS_EXPIRED", Error, TLS;
    /// The certificate is not signed by a trusted authority or not pinned.
    TlsUntrusted = "TLS_UNTRUSTED", Error, TLS;
    /// No common TLS version or protocol.
    TlsVersion = "TLS_VERSION", Error, TLS;
    /// The handshake broke off for another reason.
    TlsHandshake = "TLS_HANDSHAKE", Error, TLS;
    /// A CNAME beside other data, or two CNAMEs.
    ContentCname = "CONTENT_CNAME", Error, CONTENT;
    /// No SOA, or more than one, at the apex.
    ContentSoa = "CONTENT_SOA", Error, CONTENT;
    /// Names below a DNAME, where policy refuses them.
    ContentDname = "CONTENT_DNAME", Error, CONTENT;
    /// DS at the apex, where policy refuses it.
    ContentDs = "CONTENT_DS", Error, CONTENT;
    /// No NS at the apex, or NS at a wildcard, where policy refuses that.
    ContentNs = "CONTENT_NS", Error, CONTENT;
    /// Names were chosen to collide under the hash.
    ContentCollision = "CONTENT_COLLISION", Error, CONTENT;
    /// Too many records would vanish at once.
    GuardShrink = "GUARD_SHRINK", Error, POLICY;
    /// The apex NS or DNSKEY would vanish.
    GuardApex = "GUARD_APEX", Error, POLICY;
    /// All signatures would vanish.
    GuardSigned = "GUARD_SIGNED", Error, POLICY;
    /// A catalog zone that RFC 9432 does not let us follow.
    CatalogBroken = "CATALOG_BROKEN", Error, "Catalog zone cannot be followed";
    /// The external check said no.
    HookRefused = "HOOK_REFUSED", Error, POLICY;
    /// The external check did not answer.
    HookTimeout = "HOOK_TIMEOUT", Error, POLICY;
    /// The zone's digest does not match (RFC 8976).
    ZonemdMismatch = "ZONEMD_MISMATCH", Error, CONTENT;
    /// Signatures have expired where policy refuses that.
    DnssecExpired = "DNSSEC_EXPIRED", Error, CONTENT;
    /// The disk refused the write.
    StorageFailed = "STORAGE_FAILED", Error, STORAGE;
    /// Stored data of the zone is damaged.
    StorageCorrupt = "STORAGE_CORRUPT", Error, STORAGE;
    /// This host gave no socket for the exchange: no descriptor, no port, no memory, no such address of ours.
    LocalSocket = "LOCAL_SOCKET", Error, "This host gave no socket to ask the primary nameserver with";
    /// The daemon was restarted while the exchange ran.
    Interrupted = "INTERRUPTED", Error, "Transfer was interrupted by a restart";
    /// The zone or the primary was removed while the exchange ran.
    Cancelled = "CANCELLED", Error, "Transfer was cancelled";
    /// The SOA query was answered with a CNAME.
    SoaCname = "SOA_CNAME", Error, "Primary nameserver does not serve the zone";
    /// The SOA query was answered with a referral.
    SoaReferral = "SOA_REFERRAL", Error, "Primary nameserver does not serve the zone";
    /// The SOA query was answered without a SOA.
    SoaNodata = "SOA_NODATA", Error, "Primary nameserver does not serve the zone";
    /// The SOA query was answered with several SOAs.
    SoaMultiple = "SOA_MULTIPLE", Error, INVALID;
    /// The primary is this very daemon.
    Loop = "LOOP", Error, "Primary is this server itself";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A code with what is particular about this case, e.g. `timed out after 5 s`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// The stable key.
    pub code: Code,
    /// Text behind the code's sentence; may be empty. Never holds secrets; octets from the network are escaped.
    pub detail: String,
}

impl Reason {
    /// A code with its detail.
    pub fn new(code: Code, detail: impl Into<String>) -> Reason {
        Reason { code, detail: detail.into() }
    }

    /// The sentence of the code with the detail behind it, as shown to people.
    pub fn message(&self) -> String {
        match (self.code.sentence(), self.detail.as_str()) {
            (sentence, "") => sentence.to_owned(),
            ("", detail) => detail.to_owned(),
            (sentence, detail) => format!("{sentence}: {detail}"),
        }
    }
}

impl From<Code> for Reason {
    fn from(code: Code) -> Reason {
        Reason { code, detail: String::new() }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if self.detail.is_empty() { Ok(()) } else { write!(f, " ({})", self.detail) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_has_a_sentence_and_the_rest_have_none() {
        for &code in Code::ALL {
            let failed = matches!(code.status(), StatusWord::Error | StatusWord::Lagging);
            assert_eq!(failed, !code.sentence().is_empty(), "{code}");
        }
    }

    #[test]
    fn codes_are_unique_and_serialize_as_written() {
        let mut seen = std::collections::HashSet::new();
        for &code in Code::ALL {
            assert!(seen.insert(code.as_str()));
            assert_eq!(serde_json::to_string(&code).expect("json"), format!("\"{code}\""));
        }
    }

    #[test]
    fn message_is_sentence_and_detail() {
        let reason = Reason::new(Code::ConnectTimeout, "timed out after 5 s");
        assert_eq!(
            reason.message(),
            "Connection with primary nameserver could not be established: timed out after 5 s"
        );
    }
}
