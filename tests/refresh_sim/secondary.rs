//! Our side of a zone in the simulation: the machine under test, what would be answered, what is on disk, and a second,
//! naive account of the expiry against which the machine is checked.

use std::sync::Arc;
use std::time::Duration;

use secondaryd::dns::Serial;
use secondaryd::refresh::{
    Accept, Action, Confirmation, PrimaryState, Refresh, Restored, Settings, SoaTimers, Transferred,
};
use secondaryd::time::Timestamp;

/// What a crash leaves.
#[derive(Clone, Default)]
pub(crate) struct Disk {
    pub(crate) served: Option<SoaTimers>,
    pub(crate) confirmation: Option<Confirmation>,
    pub(crate) states: Vec<Option<PrimaryState>>,
}

pub(crate) struct Secondary {
    pub(crate) zone: Refresh,
    pub(crate) served: Option<SoaTimers>,
    /// Whether queries would be answered.
    pub(crate) answered: bool,
    /// By the naive account; `None` before the first version.
    pub(crate) expires: Option<Timestamp>,
    pub(crate) disk: Disk,
    /// Outstanding exchanges, as the caller sees them.
    probing: Vec<bool>,
    transferring: Option<(usize, Accept)>,
    /// The last forced transfer may bring an older serial.
    pub(crate) forced: bool,
    pub(crate) actions: u64,
}

impl Secondary {
    pub(crate) fn start(
        settings: &Arc<Settings>,
        primaries: usize,
        seed: u64,
        disk: Option<Disk>,
        now: Timestamp,
    ) -> Secondary {
        let disk = disk.unwrap_or_default();
        let served = disk.served;
        let restored = Restored {
            soa: disk.served,
            confirmation: disk.confirmation,
            primaries: disk.states.clone(),
            ask_within: None,
        };
        let expires = served.map(|_| disk.confirmation.map_or(now, |confirmed| confirmed.expires));
        Secondary {
            zone: Refresh::new(settings.clone(), primaries, seed, Some(restored), now),
            served,
            answered: served.is_some() && expires.is_some_and(|expires| now < expires),
            expires,
            disk,
            probing: vec![false; primaries],
            transferring: None,
            forced: false,
            actions: 0,
        }
    }

    pub(crate) fn take_actions(&mut self, settings: &Settings, now: Timestamp) -> Vec<Action> {
        let mut taken = Vec::new();
        while let Some(action) = self.zone.poll_action() {
            self.actions += 1;
            match action {
                Action::Expire => {
                    assert!(self.expires.is_some_and(|expires| expires <= now), "expired too early");
                    self.answered = false;
                }
                Action::Confirm { expires, .. } => {
                    let served = self.served.expect("only a loaded zone can be confirmed");
                    assert_eq!(expires, now + served.expire(settings));
                    self.expires = Some(expires);
                    self.answered = true;
                }
                Action::Probe { primary, .. } => {
                    assert!(!self.probing[primary], "two SOA queries to one primary");
                    self.probing[primary] = true;
                    taken.push(action);
                }
                Action::Transfer { primary, accept, .. } => {
                    assert!(self.transferring.is_none(), "two transfers of one zone");
                    let expired = self.expires.is_some_and(|expires| expires <= now);
                    let may_fall = self.served.is_none() || expired || self.forced;
                    assert!(accept != Accept::Any || may_fall, "an older serial would be taken");
                    self.transferring = Some((primary, accept));
                    taken.push(action);
                }
            }
            assert!(taken.len() <= 100, "endless actions");
        }
        taken
    }

    pub(crate) fn probe_ended(&mut self, primary: usize) {
        assert!(std::mem::take(&mut self.probing[primary]));
    }

    /// What a transfer that brought `soa` means; commits it if it is to be taken.
    pub(crate) fn transfer_ended(&mut self, primary: usize, brought: Option<SoaTimers>) -> Option<Transferred> {
        let (running, first_accept) = self.transferring.take().expect("a transfer was running");
        assert_eq!(running, primary);
        let soa = brought?;
        let served = self.served.map(|soa| soa.serial);
        // As control does: when the first SOA has come, and again before the commit.
        let accept = self.zone.accept();
        if !first_accept.takes(served, soa.serial) || !accept.takes(served, soa.serial) {
            return Some(Transferred::UpToDate { serial: soa.serial, expire_option: None });
        }
        let falls = served.is_some_and(|served| !soa.serial.is_newer_than(served) && soa.serial != served);
        assert!(!falls || accept == Accept::Any, "the served serial fell");
        self.served = Some(soa);
        Some(Transferred::Committed(secondaryd::refresh::Committed {
            soa,
            kind: secondaryd::refresh::TransferKind::Axfr,
            expire_option: None,
            records: 1,
            messages: 1,
            octets: 100,
            duration_ms: 1,
            zone_records: None,
        }))
    }

    /// Writes everything, as the store does within a second.
    pub(crate) fn flush(&mut self) {
        self.disk = Disk {
            served: self.served,
            confirmation: self.zone.confirmation(),
            states: self.zone.primaries().cloned().map(Some).collect(),
        };
    }

    /// What must hold at any time.
    pub(crate) fn check(&self, now: Timestamp) {
        assert_eq!(self.zone.served_serial(), self.served.map(|soa| soa.serial));
        let expired = self.expires.is_some_and(|expires| expires <= now);
        assert!(!(expired && self.answered), "an expired zone is answered");
        assert_eq!(self.zone.is_expired(), self.served.is_some() && !self.answered);
        assert!(self.zone.poll_timeout().is_none_or(|due| due >= now), "a deadline was missed");
        let waits = self.transferring.is_some() || self.probing.contains(&true);
        assert!(waits || self.zone.poll_timeout().is_some(), "a zone that nothing wakes");
        assert!(waits || self.zone.next_refresh().is_some_and(|next| next.since(now) <= Duration::from_secs(3600)));
    }

    pub(crate) fn serial(&self) -> Option<Serial> {
        self.served.map(|soa| soa.serial)
    }
}
