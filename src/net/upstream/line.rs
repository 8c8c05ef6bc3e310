//! A connection that several exchanges share, each with an id of its own (RFC 7766 §6.2.1.1, RFC 9103 §6.3).
//!
//! ```text
//!   exchange ──query──┐                          ┌──messages of its id──▶ exchange
//!   exchange ──query──┼─▶ task ──▶ primary ──────┼──messages of its id──▶ exchange
//!   exchange ──query──┘   (one for each line)    └─  …
//! ```
//!
//! The task connects, writes queries as they come, reads messages and hands each to the seat with its id. It waits while
//! the exchange has as much before it as it may ([`WINDOW`]), and so the primary waits too. It ends when nobody holds the
//! [`Line`] any more, or with the connection. What the messages say is not its matter.
//!
//! An exchange that ends before its answer does leaves the line closed to further ones: the rest of the answer would be
//! in their way.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::io::AsyncBufReadExt;
use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio::time::timeout;

use super::connection::{Connection, Refused, Stood, broken, closed, framed};
use super::exchange::{Exchange, silence};
use super::manners::Manners;
use super::{Bounds, POISONED, Target, random_id};
use crate::reason::{Code, Reason};

/// Octets of messages that may wait for an exchange; at least one message (64 KiB) must fit.
const WINDOW: usize = 256 * 1024;
/// An answer beyond this makes its line one for it alone: what would come behind goes over another.
const LARGE: u64 = 512 * 1024;
/// Ids of answers that have ended, kept to know what still comes under them.
const FORMER_MAX: usize = 64;

/// A connection, or one that is being made.
#[derive(Debug)]
pub(super) struct Line {
    shared: Arc<Shared>,
    queries: mpsc::UnboundedSender<Vec<u8>>,
    ready: watch::Receiver<Option<Result<Stood, Refused>>>,
}

/// What the task and the exchanges both see.
#[derive(Debug)]
struct Shared {
    began: Instant,
    state: Mutex<State>,
    /// The last exchange has left a line that is closed to others.
    over: Notify,
}

#[derive(Debug, Default)]
struct State {
    seats: HashMap<u16, Seat>,
    /// Takes no further exchanges.
    closed: bool,
    /// The exchange whose answer is large.
    large: Option<u16>,
    /// One exchange at a time.
    alone: bool,
    /// Two exchanges were under way at once since the line was idle last.
    overlapped: bool,
    /// Answers that were read to their end.
    answered: u64,
    last_octet: Option<Instant>,
    last_used: Option<Instant>,
    /// Of answers that have ended, whether whole or not.
    former: VecDeque<u16>,
    /// Why the connection has ended.
    ended: Option<Reason>,
}

#[derive(Debug)]
struct Seat {
    messages: mpsc::UnboundedSender<Vec<u8>>,
    progress: Arc<Progress>,
}

/// How far the answer of one exchange has come; told by the task octet by octet, not only message by message.
#[derive(Debug)]
struct Progress {
    octets: AtomicU64,
    /// Milliseconds after the line began when the query went out.
    asked: AtomicU64,
    /// Milliseconds after the line began: as `asked`, later when the last octet came.
    last: AtomicU64,
    /// Milliseconds after the line began when the first octet came; 0: it has not.
    first: AtomicU64,
    /// Octets of messages that may still wait.
    window: Semaphore,
    /// The first octet has come, or the line has ended.
    sign: Notify,
}

/// How a line stands, for those who look for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It has room for another exchange.
    Open,
    /// It has none, for now.
    Busy,
    /// It will have none any more.
    Over,
}

impl Line {
    /// Begins to connect; the line can be sat on at once. `alone`: for one exchange at a time.
    pub(super) fn begin(target: &Target, bounds: &Bounds, manners: Arc<Manners>, alone: bool) -> Arc<Line> {
        let state = State { alone, ..State::default() };
        let shared = Arc::new(Shared { began: Instant::now(), state: Mutex::new(state), over: Notify::new() });
        let (queries, received) = mpsc::unbounded_channel();
        let (stood, ready) = watch::channel(None);
        let task = Task { shared: shared.clone(), queries: received, patience: bounds.idle };
        let (target, bounds) = (target.clone(), *bounds);
        tokio::spawn(async move {
            match Connection::make(&target, &bounds, &manners).await {
                Ok((connection, standing)) => {
                    let _ = stood.send(Some(Ok(standing)));
                    task.run(connection, target.address, &manners).await;
                }
                Err(refused) => {
                    task.shared.end(refused.reason.clone());
                    let _ = stood.send(Some(Err(refused)));
                }
            }
        });
        Arc::new(Line { shared, queries, ready })
    }

    /// Whether another exchange may come, if `seats_max` are allowed at once.
    pub(super) fn standing(&self, seats_max: usize, keep: Duration) -> Standing {
        let state = self.shared.lock();
        let stale = state.seats.is_empty() && state.last_used.is_some_and(|used| used.elapsed() >= keep);
        match () {
            _ if state.ended.is_some() || stale => Standing::Over,
            _ if state.closed => {
                if state.seats.is_empty() {
                    Standing::Over
                } else {
                    Standing::Busy
                }
            }
            _ if state.large.is_some() => Standing::Busy,
            _ if state.alone && !state.seats.is_empty() || state.seats.len() >= seats_max => Standing::Busy,
            _ => Standing::Open,
        }
    }

    /// Whether no exchange is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.shared.lock().seats.is_empty()
    }

    /// Whether it was made after `then`.
    pub(super) fn is_younger_than(&self, then: Instant) -> bool {
        self.shared.began > then
    }

    /// Takes no further exchanges.
    pub(super) fn close(&self) {
        self.shared.lock().closed = true;
    }

    /// A seat with an id that nobody else has here.
    pub(super) fn sit(self: &Arc<Line>) -> Exchange {
        let (sender, messages) = mpsc::unbounded_channel();
        let progress = Arc::new(Progress {
            octets: AtomicU64::new(0),
            asked: AtomicU64::new(self.shared.now()),
            last: AtomicU64::new(self.shared.now()),
            first: AtomicU64::new(0),
            window: Semaphore::new(WINDOW),
            sign: Notify::new(),
        });
        let mut state = self.shared.lock();
        let id = loop {
            let id = random_id();
            if !state.seats.contains_key(&id) && !state.former.contains(&id) {
                break id;
            }
        };
        let was_used = state.answered > 0;
        state.overlapped |= !state.seats.is_empty();
        state.seats.insert(id, Seat { messages: sender, progress: progress.clone() });
        drop(state);
        Exchange::new(Seated { line: self.clone(), id, messages, progress, was_used })
    }

    /// When the connection stands, or cannot.
    pub(super) async fn stood(&self) -> Result<Stood, Refused> {
        let mut ready = self.ready.clone();
        match ready.wait_for(Option::is_some).await {
            Ok(stood) => stood.clone().expect("waited for"),
            Err(_) => Err(Refused::because(Reason::new(Code::Cancelled, "the daemon is stopping"))),
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect(POISONED)
    }

    /// Milliseconds since the line began, from 1 on.
    fn now(&self) -> u64 {
        self.began.elapsed().as_millis() as u64 + 1
    }

    fn end(&self, reason: Reason) {
        let mut state = self.lock();
        state.ended.get_or_insert(reason);
        state.closed = true;
        // Whoever still sits here sees the end of its messages.
        for (_, seat) in state.seats.drain() {
            seat.progress.sign.notify_one();
        }
    }
}

/// A seat, as the exchange on it has it.
#[derive(Debug)]
pub(super) struct Seated {
    line: Arc<Line>,
    /// The id that query and answer have.
    pub(super) id: u16,
    messages: mpsc::UnboundedReceiver<Vec<u8>>,
    progress: Arc<Progress>,
    /// Answers have come over the line before.
    pub(super) was_used: bool,
}

/// How a line and an answer on it stand.
#[derive(Debug)]
pub(super) struct Look {
    /// Since the query went out, or the last octet of the answer came.
    pub(super) silent: Duration,
    /// Since anything came over the line; `None`: nothing ever has.
    pub(super) line_silent: Option<Duration>,
    /// From the query to the first octet of the answer.
    pub(super) round_trip: Option<Duration>,
    /// Octets of the answer.
    pub(super) octets: u64,
    /// The line takes no further exchanges, or another answer on it is large.
    pub(super) better_elsewhere: bool,
    /// Two exchanges were under way at once.
    pub(super) overlapped: bool,
    /// Why the connection has ended.
    pub(super) ended: Option<Reason>,
}

impl Seated {
    /// Sends the query.
    pub(super) fn send(&self, query: &[u8]) {
        self.progress.last.store(self.line.shared.now(), Ordering::Relaxed);
        self.progress.asked.store(self.line.shared.now(), Ordering::Relaxed);
        // If the task has ended, the next look says why.
        let _ = self.line.queries.send(framed(query));
    }

    pub(super) fn look(&self) -> Look {
        let (now, progress) = (self.line.shared.now(), &self.progress);
        let first = progress.first.load(Ordering::Relaxed);
        let millis = |from: u64, to: u64| Duration::from_millis(to.saturating_sub(from));
        let state = self.line.shared.lock();
        Look {
            silent: millis(progress.last.load(Ordering::Relaxed), now),
            line_silent: state.last_octet.map(|octet| octet.elapsed()),
            round_trip: (first > 0).then(|| millis(progress.asked.load(Ordering::Relaxed), first)),
            octets: progress.octets.load(Ordering::Relaxed),
            better_elsewhere: state.closed || state.large.is_some_and(|id| id != self.id),
            overlapped: state.overlapped,
            ended: state.ended.clone(),
        }
    }

    /// Returns when the first octet has come, or the line has ended; perhaps before.
    pub(super) async fn sign(&self) {
        self.progress.sign.notified().await;
    }

    /// The next message; `None` when the line has ended.
    pub(super) async fn message(&mut self) -> Option<Vec<u8>> {
        let message = self.messages.recv().await?;
        self.progress.window.add_permits(message.len().max(1));
        Some(message)
    }

    /// Leaves the line. If the answer is `whole` and nothing came behind it, others may use the line.
    pub(super) fn leave(&mut self, whole: bool) {
        self.messages.close();
        // The task may be waiting for room that nobody will give any more.
        self.progress.window.close();
        let behind = self.messages.try_recv().is_ok();
        let mut state = self.line.shared.lock();
        state.seats.remove(&self.id);
        state.former.push_back(self.id);
        if state.former.len() > FORMER_MAX {
            state.former.pop_front();
        }
        if state.large == Some(self.id) {
            state.large = None;
        }
        state.last_used = Some(Instant::now());
        state.answered += u64::from(whole);
        state.closed |= !whole || behind;
        if state.seats.is_empty() && state.ended.is_none() {
            state.overlapped = false;
            if state.closed {
                self.line.shared.over.notify_one();
            }
        }
    }
}

/// The task of a line.
struct Task {
    shared: Arc<Shared>,
    queries: mpsc::UnboundedReceiver<Vec<u8>>,
    /// How long a query may take to be written.
    patience: Duration,
}

impl Task {
    async fn run(mut self, mut connection: Connection, primary: SocketAddr, manners: &Manners) {
        let reason = self.carry(&mut connection).await;
        let state = self.shared.lock();
        // What began together was not answered together: ask for one thing at a time from now on (RFC 7766 §6.2.1.1
        // lets a server be so).
        if state.overlapped && state.seats.values().any(|seat| !seat.progress.has_begun()) {
            manners.learn_one_at_a_time(primary);
        }
        drop(state);
        self.shared.end(reason);
    }

    /// Writes and reads until the connection ends; why it did.
    async fn carry(&mut self, connection: &mut Connection) -> Reason {
        let mut partial = Partial::default();
        loop {
            tokio::select! {
                () = self.shared.over.notified() => return unneeded(),
                query = self.queries.recv() => {
                    let Some(query) = query else { return unneeded() };
                    match timeout(self.patience, connection.send(&query)).await {
                        Ok(Ok(())) => {}
                        Ok(Err(error)) => return broken(&error),
                        Err(_) => return silence(self.patience),
                    }
                }
                read = connection.stream.fill_buf() => match read {
                    Ok([]) => return closed(),
                    Ok(octets) => {
                        let taken = partial.take(octets);
                        self.came(&mut partial, taken);
                        connection.stream.consume(taken);
                        if partial.is_whole()
                            && let Err(reason) = self.deliver(&mut partial).await
                        {
                            return reason;
                        }
                    }
                    Err(error) => return broken(&error),
                },
            }
        }
    }

    /// Tells the exchange whose message is coming that octets have come.
    fn came(&self, partial: &mut Partial, octets: usize) {
        let mut state = self.shared.lock();
        state.last_octet = Some(Instant::now());
        if partial.progress.is_none() {
            partial.progress = state.seat(partial.id()).map(|(_, seat)| seat.progress.clone());
        }
        drop(state);
        if let Some(progress) = &partial.progress {
            progress.came(octets as u64, self.shared.now());
        }
    }

    /// Hands a whole message to the seat it is for. Fails if that cannot be told.
    async fn deliver(&self, partial: &mut Partial) -> Result<(), Reason> {
        let Partial { message, .. } = std::mem::take(partial);
        let id = message.first_chunk().map(|id| u16::from_be_bytes(*id));
        let (messages, progress) = {
            let mut state = self.shared.lock();
            let seat = state.seat(id).map(|(id, seat)| (id, seat.messages.clone(), seat.progress.clone()));
            let Some((seated, messages, progress)) = seat else {
                // The rest of an answer that its exchange does not want is to be expected.
                if state.closed && id.is_some_and(|id| state.former.contains(&id)) {
                    return Ok(());
                }
                let id = id.map_or_else(|| "a message of less than 2 octets".to_owned(), |id| format!("id {id}"));
                return Err(Reason::new(Code::BadHeader, format!("{id} was not asked for on this connection")));
            };
            if progress.octets.load(Ordering::Relaxed) > LARGE {
                state.large = Some(seated);
            }
            (messages, progress)
        };
        // The exchange gives the room back when it takes the message; without exchange there is room at once.
        let octets = message.len().max(1) as u32;
        if let Ok(room) = progress.window.acquire_many(octets).await {
            room.forget();
            let _ = messages.send(message);
        }
        Ok(())
    }
}

fn unneeded() -> Reason {
    Reason::new(Code::Cancelled, "nobody needs the connection any more")
}

impl State {
    /// The seat a message with this id is for. Somebody alone gets what has another id, or none, and says what is wrong.
    fn seat(&self, id: Option<u16>) -> Option<(u16, &Seat)> {
        if let Some((id, seat)) = id.and_then(|id| self.seats.get_key_value(&id)) {
            return Some((*id, seat));
        }
        let is_former = id.is_some_and(|id| self.former.contains(&id));
        let mut seats = self.seats.iter();
        match (seats.next(), seats.next()) {
            (Some((id, seat)), None) if !is_former => Some((*id, seat)),
            _ => None,
        }
    }
}

/// A message that is coming, behind its length (RFC 1035 §4.2.2).
#[derive(Default)]
struct Partial {
    length: [u8; 2],
    /// Octets of the length that have come.
    got: usize,
    message: Vec<u8>,
    progress: Option<Arc<Progress>>,
}

impl Partial {
    /// Takes what belongs to this message from `octets`; says how much that was.
    fn take(&mut self, octets: &[u8]) -> usize {
        if self.got < 2 {
            let taken = octets.len().min(2 - self.got);
            self.length[self.got..self.got + taken].copy_from_slice(&octets[..taken]);
            self.got += taken;
            return taken;
        }
        // Grows as octets come, so a length alone costs nothing.
        let taken = octets.len().min(self.wanted() - self.message.len());
        self.message.extend_from_slice(&octets[..taken]);
        taken
    }

    fn wanted(&self) -> usize {
        usize::from(u16::from_be_bytes(self.length))
    }

    fn is_whole(&self) -> bool {
        self.got == 2 && self.message.len() == self.wanted()
    }

    fn id(&self) -> Option<u16> {
        self.message.first_chunk().map(|id| u16::from_be_bytes(*id))
    }
}

impl Progress {
    pub(super) fn has_begun(&self) -> bool {
        self.first.load(Ordering::Relaxed) > 0
    }

    fn came(&self, octets: u64, now: u64) {
        self.octets.fetch_add(octets, Ordering::Relaxed);
        self.last.store(now, Ordering::Relaxed);
        if !self.has_begun() {
            self.first.store(now, Ordering::Relaxed);
            self.sign.notify_one();
        }
    }
}
