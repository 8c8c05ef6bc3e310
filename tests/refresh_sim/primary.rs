//! A scripted primary: what it holds, what is wrong with it, and how it therefore answers.

use std::net::SocketAddr;

use secondaryd::dns::Serial;
use secondaryd::reason::Code;

use crate::random::Random;

/// What is wrong with a primary at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    None,
    /// Its port is closed.
    Refusing,
    /// Nothing comes back.
    Silent,
    /// UDP gets lost, TCP works.
    UdpBlocked,
    /// UDP works, TCP is closed.
    TcpClosed,
    /// Answers IXFR with NOTIMP.
    NoIxfr,
    /// Its differences do not apply.
    BadIxfr,
    /// Transfers break in the middle.
    Breaking,
    /// The zone always changes in flight.
    Changing,
    /// Answers everything with REFUSED.
    Unwilling,
    /// Shows, in answers and NOTIFYs, serials that it does not have.
    Boasting,
    /// Several servers behind one address, not all of them up to date.
    Flapping,
    /// Shows a serial half the number space away.
    Absurd,
}

const TROUBLES: [Trouble; 13] = [
    Trouble::None,
    Trouble::Refusing,
    Trouble::Silent,
    Trouble::UdpBlocked,
    Trouble::TcpClosed,
    Trouble::NoIxfr,
    Trouble::BadIxfr,
    Trouble::Breaking,
    Trouble::Changing,
    Trouble::Unwilling,
    Trouble::Boasting,
    Trouble::Flapping,
    Trouble::Absurd,
];

impl Trouble {
    pub(crate) fn any(random: &mut Random) -> Trouble {
        TROUBLES[random.below(TROUBLES.len() as u64) as usize]
    }
}

/// How an exchange goes, and how long it takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    pub(crate) outcome: Result<Serial, Code>,
    pub(crate) after_ms: u64,
}

pub(crate) struct Primary {
    pub(crate) address: SocketAddr,
    pub(crate) trouble: Trouble,
    /// The version of each zone it has.
    pub(crate) serials: Vec<Serial>,
}

impl Primary {
    /// Answers a SOA query.
    pub(crate) fn probe(&self, zone: usize, random: &mut Random) -> Answer {
        let quick = 1 + random.below(200);
        let after = |outcome, after_ms| Answer { outcome, after_ms };
        let serial = self.serials[zone];
        match self.trouble {
            Trouble::Refusing => after(Err(Code::ConnectRefused), quick),
            Trouble::Silent => after(Err(Code::ConnectTimeout), 5000 + random.below(10_000)),
            Trouble::UdpBlocked => after(Ok(serial), 5000 + quick),
            Trouble::Unwilling => after(Err(Code::RcodeRefused), quick),
            Trouble::Boasting => after(Ok(serial.plus(1 + random.below(1000) as u32)), quick),
            Trouble::Flapping => after(Ok(self.one_of_many(zone, random)), quick),
            Trouble::Absurd => after(Ok(Serial(serial.0 ^ 0x8000_0000)), quick),
            _ => after(Ok(serial), quick),
        }
    }

    /// Answers a transfer; the serial is the version that comes.
    pub(crate) fn transfer(&self, zone: usize, ixfr: bool, random: &mut Random) -> Answer {
        let while_ms = 1 + random.below(3000);
        let after = |outcome, after_ms| Answer { outcome, after_ms };
        let serial = self.serials[zone];
        match self.trouble {
            Trouble::Refusing | Trouble::TcpClosed => after(Err(Code::ConnectRefused), 1 + random.below(200)),
            Trouble::Silent => after(Err(Code::ConnectTimeout), 10_000),
            Trouble::NoIxfr if ixfr => after(Err(Code::RcodeNotimp), while_ms),
            Trouble::BadIxfr if ixfr => after(Err(Code::IxfrInapplicable), while_ms),
            Trouble::Breaking => after(Err(Code::TruncatedStream), while_ms),
            Trouble::Changing => after(Err(Code::SoaMismatch), while_ms),
            Trouble::Unwilling => after(Err(Code::RcodeRefused), while_ms),
            Trouble::Flapping => after(Ok(self.one_of_many(zone, random)), while_ms),
            _ => after(Ok(serial), while_ms),
        }
    }

    /// What it says in a NOTIFY.
    pub(crate) fn hint(&self, zone: usize, random: &mut Random) -> Option<Serial> {
        let serial = self.serials[zone];
        match self.trouble {
            Trouble::Boasting => Some(serial.plus(1 + random.below(1_000_000) as u32)),
            _ => random.chance(60).then_some(serial),
        }
    }

    fn one_of_many(&self, zone: usize, random: &mut Random) -> Serial {
        let behind = random.below(3) as u32;
        Serial(self.serials[zone].0.wrapping_sub(behind))
    }
}
