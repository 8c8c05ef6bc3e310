//! What an exchange with a primary saw, as far as it came: also, and above all, when it failed.
//!
//! Filled in while the exchange runs, given out beside its outcome. For status, history and `explain`; decides nothing.

use std::net::SocketAddr;
use std::time::Duration;

use crate::net::tls::TlsSession;
use crate::reason::Reason;
use crate::refresh::TransferKind;

/// The furthest an exchange has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Making a connection, or sending a datagram.
    Connect,
    /// The TLS handshake.
    Tls,
    /// The SOA query is out.
    Soa,
    /// The IXFR query is out.
    Ixfr,
    /// The AXFR query is out.
    Axfr,
    /// The answer is whole; its contents are built and checked. Set by control.
    Verify,
    /// The new version is taken and written. Set by control.
    Store,
}

impl Phase {
    /// The word of the phase in the API and the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Connect => "connect",
            Phase::Tls => "tls",
            Phase::Soa => "soa",
            Phase::Ixfr => "ixfr",
            Phase::Axfr => "axfr",
            Phase::Verify => "verify",
            Phase::Store => "store",
        }
    }

    /// The phase in which a query of this kind is out.
    pub(super) fn asking(kind: TransferKind) -> Phase {
        match kind {
            TransferKind::Soa => Phase::Soa,
            TransferKind::Ixfr => Phase::Ixfr,
            TransferKind::Axfr => Phase::Axfr,
        }
    }
}

/// How the last query travelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// A datagram.
    Udp,
    /// A TCP connection in clear text.
    Tcp,
    /// TLS over TCP (RFC 9103).
    Tls,
}

impl Transport {
    /// The word of the transport in the API and the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
            Transport::Tls => "tls",
        }
    }
}

/// How much an exchange moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Volume {
    /// DNS messages.
    pub messages: u64,
    /// Records in answer sections.
    pub records: u64,
    /// Octets of messages, their length prefixes not counted.
    pub octets: u64,
    /// Records of differences that do not belong to the zone and were left out.
    pub skipped_out_of_zone: u64,
    /// Records whose TTL had its top bit set and was read as 0 (RFC 2181 §8).
    pub negative_ttls: u64,
    /// From the query to the last message.
    pub duration: Duration,
}

/// What one exchange saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The furthest reached.
    pub phase: Phase,
    /// How the last query travelled.
    pub transport: Transport,
    /// How long the connection took to stand; `None`: a kept connection, or a datagram.
    pub connected_in: Option<Duration>,
    /// From the last query to the first octet of its answer.
    pub round_trip: Option<Duration>,
    /// What came.
    pub volume: Volume,
    /// What was asked for.
    pub asked: TransferKind,
    /// What came; a single SOA in answer to IXFR is [`TransferKind::Soa`]. `None`: nothing that could be told.
    pub got: Option<TransferKind>,
    /// The address we asked from, as far as this host knows it.
    pub local: Option<SocketAddr>,
    /// The TLS session, if one came about; also of a certificate that was refused.
    pub tls: Option<TlsSession>,
    /// Why an opportunistic exchange went in clear text.
    pub fell_back: Option<Reason>,
    /// The answer had an OPT record.
    pub edns: bool,
    /// The primary's own explanation (RFC 8914): code and text, bounded; without control characters.
    pub ede: Option<(u16, String)>,
}

impl Seen {
    /// Of an exchange that has not begun.
    pub fn new(asked: TransferKind) -> Seen {
        Seen {
            phase: Phase::Connect,
            transport: if asked == TransferKind::Soa { Transport::Udp } else { Transport::Tcp },
            connected_in: None,
            round_trip: None,
            volume: Volume::default(),
            asked,
            got: None,
            local: None,
            tls: None,
            fell_back: None,
            edns: false,
            ede: None,
        }
    }

    /// The exchange has come at least this far.
    pub fn reached(&mut self, phase: Phase) {
        self.phase = self.phase.max(phase);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An AXFR in the same round follows a failed IXFR, and building follows both.
    #[test]
    fn a_phase_is_never_taken_back() {
        let mut seen = Seen::new(TransferKind::Axfr);
        for phase in [Phase::Axfr, Phase::Connect, Phase::Verify, Phase::Tls] {
            seen.reached(phase);
        }
        assert_eq!(seen.phase, Phase::Verify);
    }
}
