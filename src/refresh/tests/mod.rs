//! The rules, one test each. The random runs against a simulated network are in `tests/refresh_sim`.

mod choice;
mod expiry;
mod findings;
mod frozen;
mod histories;
mod notify;
mod status;

use std::sync::Arc;

use super::*;

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

const REFRESH: u64 = 3600;
const RETRY: u64 = 600;
const EXPIRE: u64 = 604_800;

/// A zone and its virtual clock. Actions stay outstanding until they are answered by `shows`, `gives` and the like.
struct Bench {
    zone: Refresh,
    now: Timestamp,
}

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn soa(serial: u32) -> SoaTimers {
    SoaTimers {
        serial: Serial(serial),
        refresh_secs: REFRESH as u32,
        retry_secs: RETRY as u32,
        expire_secs: EXPIRE as u32,
    }
}

/// Without jitter, so that tests can name moments.
fn settings() -> Settings {
    Settings { jitter_percent: 0, start_spread: Duration::ZERO, ..Settings::default() }
}

fn committed(serial: u32, kind: TransferKind) -> Committed {
    Committed {
        soa: soa(serial),
        kind,
        expire_option: None,
        records: 10,
        messages: 1,
        octets: 500,
        duration_ms: 20,
        zone_records: None,
    }
}

impl Bench {
    /// Never loaded; its first probes are not taken yet.
    fn empty(primaries: usize) -> Bench {
        Bench::with(settings(), primaries, None)
    }

    /// Serves `serial`, which the first primary has just confirmed.
    fn loaded(primaries: usize, serial: u32) -> Bench {
        Bench::with(settings(), primaries, Some(restored(serial)))
    }

    fn with(settings: Settings, primaries: usize, restored: Option<Restored>) -> Bench {
        Bench { zone: Refresh::new(Arc::new(settings), primaries, 1, restored, NOW), now: NOW }
    }

    /// A loaded zone whose primaries have all shown that they are well.
    fn healthy(primaries: usize, serial: u32) -> Bench {
        let mut bench = Bench::loaded(primaries, serial);
        bench.wait_until_refresh();
        bench.actions();
        (0..primaries).for_each(|ix| bench.shows(ix, serial));
        bench.actions();
        bench
    }

    /// Lets the time pass to `now + d`, with every deadline met on the way.
    fn wait(&mut self, d: Duration) {
        let end = self.now + d;
        while let Some(due) = self.zone.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.zone.handle_timeout(self.now);
            assert!(self.zone.poll_timeout().is_none_or(|next| next > self.now), "a deadline that stays in the past");
        }
        self.now = end;
    }

    fn wait_until_refresh(&mut self) {
        let due = self.zone.next_refresh().expect("quiet");
        self.wait(due.since(self.now));
    }

    fn actions(&mut self) -> Vec<Action> {
        std::iter::from_fn(|| self.zone.poll_action()).collect()
    }

    /// Takes all actions and returns whom the SOA queries go to.
    fn probes(&mut self) -> Vec<usize> {
        probes_in(&self.actions())
    }

    /// Takes all actions and returns the transfer that starts.
    fn transfer(&mut self) -> Option<(usize, TransferKind)> {
        self.actions().into_iter().find_map(|action| match action {
            Action::Transfer { primary, kind, .. } => Some((primary, kind)),
            _ => None,
        })
    }

    fn notify(&mut self, sender: usize, hint: Option<u32>) {
        self.zone.handle_notify(self.now, Some(sender), hint.map(Serial));
    }

    fn shows(&mut self, ix: usize, serial: u32) {
        self.zone.handle_probe(self.now, ix, Ok(Probed { serial: Serial(serial), expire_option: None }));
    }

    fn shows_with_expire(&mut self, ix: usize, serial: u32, expire: u32) {
        self.zone.handle_probe(self.now, ix, Ok(Probed { serial: Serial(serial), expire_option: Some(expire) }));
    }

    fn is_silent(&mut self, ix: usize) {
        self.fails_probe(ix, Code::ConnectTimeout);
    }

    fn fails_probe(&mut self, ix: usize, code: Code) {
        self.zone.handle_probe(self.now, ix, Err(code.into()));
    }

    /// Answers with a SOA that looks so.
    fn looks(&mut self, ix: usize, serial: u32, soa: u64, signature: Option<u64>) {
        self.zone.note_look(ix, Fingerprint { soa, signature });
        self.shows(ix, serial);
    }

    fn findings(&self) -> Vec<FindingCode> {
        self.zone.findings(self.now).into_iter().map(|finding| finding.code).collect()
    }

    /// Killed and started again on what was on disk.
    fn restart(&mut self, settings: Settings) {
        let primaries = self.zone.primaries().cloned().map(Some).collect::<Vec<_>>();
        let stored = serde_json::to_vec(&primaries).expect("plain data");
        let primaries: Vec<Option<PrimaryState>> = serde_json::from_slice(&stored).expect("what was written");
        let restored =
            Restored { soa: self.zone.soa(), confirmation: self.zone.confirmation(), primaries, ask_within: None };
        self.zone = Refresh::new(Arc::new(settings), restored.primaries.len(), 1, Some(restored), self.now);
    }

    fn gives(&mut self, ix: usize, serial: u32, kind: TransferKind) {
        self.zone.handle_transfer(self.now, ix, Ok(Transferred::Committed(committed(serial, kind))));
    }

    fn has_nothing_new(&mut self, ix: usize, serial: u32) {
        let outcome = Transferred::UpToDate { serial: Serial(serial), expire_option: None };
        self.zone.handle_transfer(self.now, ix, Ok(outcome));
    }

    fn fails(&mut self, ix: usize, code: Code) {
        self.zone.handle_transfer(self.now, ix, Err(code.into()));
    }

    /// Drains the actions and says how long until the next round.
    fn pause(&mut self) -> u64 {
        self.actions();
        self.zone.next_refresh().expect("quiet").since(self.now).as_secs()
    }

    fn served(&self) -> u32 {
        self.zone.served_serial().expect("loaded").0
    }

    fn code(&self, ix: usize) -> Code {
        self.zone.primary(ix).expect("a primary").code
    }
}

fn probes_in(actions: &[Action]) -> Vec<usize> {
    let probe = |action: &Action| match action {
        Action::Probe { primary, .. } => Some(*primary),
        _ => None,
    };
    actions.iter().filter_map(probe).collect()
}

fn restored(serial: u32) -> Restored {
    Restored {
        soa: Some(soa(serial)),
        confirmation: Some(Confirmation { at: NOW, by: 0, expires: NOW + secs(EXPIRE) }),
        primaries: Vec::new(),
        ask_within: None,
    }
}

#[test]
fn a_zone_costs_less_than_a_kilobyte() {
    assert!(size_of::<Refresh>() <= 320, "{}", size_of::<Refresh>());
    assert!(size_of::<primary::Primary>() <= 224, "{}", size_of::<primary::Primary>());
}
