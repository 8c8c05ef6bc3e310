//! The bare floor of a secondary: a process that asks the primary for everything a secondary has to ask for, looks at
//! nothing but serials, keeps nothing else, and answers every question by the SOA of its zone. What it takes is the
//! primary, the kernel and whoever asks; no server here can be faster.
//!
//! Its state on disk is a file with the serials, so that it can be started again without the primary.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use secondaryd::dns::message::{self, HEADER_OCTETS, Header, Question, RawRecord};
use secondaryd::dns::{Name, RecordType, rdata};

use crate::echo;

/// Connections to the primary, with a thread each.
const CONNECTIONS: usize = 64;
/// Questions on their way on each of them.
const PIPELINED: usize = 1;
/// The five numbers behind the names of a SOA.
const NUMBERS: usize = 20;

/// A SOA of the question's name up to its numbers, with the root for both of its names.
const SOA: [u8; 14] = [0xC0, 0x0C, 0, 6, 0, 1, 0, 0, 0, 60, 0, 22, 0, 0];
/// How often the serials are written down, if they have changed.
const KEEP_PAUSE: Duration = Duration::from_millis(100);

/// Owner in lower case, wire form, and the five numbers of its SOA; `None` until it has been transferred.
type Serials = RwLock<HashMap<Vec<u8>, Option<[u8; NUMBERS]>>>;

struct Bare {
    primary: SocketAddr,
    serials: Serials,
    is_changed: AtomicBool,
    /// Where the serials are kept over a restart.
    file: PathBuf,
}

/// Returns on errors only; the process is killed. `zones` is a file with a name on each line.
pub(crate) fn run(listen: SocketAddr, primary: SocketAddr, directory: &Path, zones: &Path) -> io::Result<Infallible> {
    let socket = UdpSocket::bind(listen)?;
    let file = directory.join("serials");
    let kept = fs::read(&file).ok();
    let mut serials = HashMap::new();
    let mut asked = Vec::new();
    match &kept {
        Some(kept) => {
            let mut rest = &kept[..];
            while let [len, more @ ..] = rest {
                let (owner, more) = more.split_at(usize::from(*len));
                let (numbers, more) = more.split_at(NUMBERS);
                serials.insert(owner.to_vec(), Some(numbers.try_into().expect("so many octets")));
                rest = more;
            }
        }
        None => {
            for name in fs::read_to_string(zones)?.split_ascii_whitespace() {
                let name: Name = name.parse().map_err(|_| io::ErrorKind::InvalidInput)?;
                serials.insert(name.as_wire().to_ascii_lowercase(), None);
                asked.push(name);
            }
        }
    }
    let bare = Arc::new(Bare { primary, serials: RwLock::new(serials), is_changed: false.into(), file });
    let (wanted, queue) = channel();
    let queue = Arc::new(Mutex::new(queue));
    asked.into_iter().for_each(|name| wanted.send(name).expect("it is read"));
    for _ in 0..CONNECTIONS {
        let (bare, queue) = (bare.clone(), queue.clone());
        std::thread::spawn(move || bare.transfer(&queue));
    }
    let keeper = bare.clone();
    std::thread::spawn(move || keeper.keep());
    echo::run(&socket, |buffer, octets| bare.answer(buffer, octets, &wanted))
}

impl Bare {
    fn numbers(&self, owner: &[u8]) -> Option<Option<[u8; NUMBERS]>> {
        self.serials.read().unwrap_or_else(PoisonError::into_inner).get(&owner.to_ascii_lowercase()).copied()
    }

    /// Answers a query by a SOA, and a NOTIFY by its header. How many octets the answer has.
    fn answer(&self, buffer: &mut [u8], octets: usize, wanted: &Sender<Name>) -> usize {
        let Ok((question, end)) = Question::read(&buffer[..octets], HEADER_OCTETS) else { return octets };
        let numbers = self.numbers(question.name.as_wire()).flatten();
        // QR and AA; one answer or none
        buffer[2] |= 0x84;
        buffer[6..12].fill(0);
        if buffer[2] & 0x78 == 0x20 {
            wanted.send(question.name).expect("it is read");
            return end;
        }
        let Some(numbers) = numbers else {
            // SERVFAIL
            buffer[3] |= 2;
            return end;
        };
        buffer[7] = 1;
        let answer = [&SOA[..], &numbers].concat();
        buffer[end..end + answer.len()].copy_from_slice(&answer);
        end + answer.len()
    }

    /// Takes names from the queue and transfers them, as many at a time as are pipelined, over one connection while it lasts.
    fn transfer(&self, queue: &Mutex<Receiver<Name>>) {
        let mut connection: Option<Connection> = None;
        loop {
            let batch: Vec<Name> = {
                let queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
                let Ok(first) = queue.recv() else { return };
                std::iter::once(first).chain(queue.try_iter().take(PIPELINED - 1)).collect()
            };
            // A connection that the primary has closed meanwhile is made anew, once.
            let done = connection.as_mut().is_some_and(|kept| self.exchange(kept, &batch).is_ok());
            if !done {
                connection = Connection::new(self.primary).ok();
                if connection.as_mut().is_none_or(|fresh| self.exchange(fresh, &batch).is_err()) {
                    connection = None;
                }
            }
        }
    }

    /// Asks for all of them in one segment, and reads until each has ended.
    fn exchange(&self, connection: &mut Connection, batch: &[Name]) -> io::Result<()> {
        let mut queries = Vec::new();
        for (id, name) in batch.iter().enumerate() {
            let query = match self.numbers(name.as_wire()).flatten() {
                None => message::query(id as u16, name, RecordType::AXFR, None),
                Some(numbers) => {
                    // The SOA we have, with the root for both of its names.
                    let mut query = message::query(id as u16, name, RecordType::IXFR, None);
                    query[9] = 1;
                    query.extend(SOA);
                    query.extend(numbers);
                    query
                }
            };
            queries.extend((query.len() as u16).to_be_bytes());
            queries.extend(query);
        }
        connection.stream.write_all(&queries)?;
        // The end of each is known by the numbers of its first SOA.
        let mut ends: Vec<Option<[u8; NUMBERS]>> = vec![None; batch.len()];
        let mut left = batch.len();
        while left > 0 {
            let message = connection.message()?;
            let header = Header::read(message).map_err(|_| io::ErrorKind::InvalidData)?;
            let slot = usize::from(header.id);
            let first = ends[slot].is_none();
            if first {
                ends[slot] = Some(first_numbers(message).ok_or(io::ErrorKind::InvalidData)?);
            }
            let numbers = ends[slot].expect("set above");
            if (first && header.answers == 1) || (message.ends_with(&numbers) && !(first && header.answers < 2)) {
                left -= 1;
                let owner = batch[slot].as_wire().to_ascii_lowercase();
                self.serials.write().unwrap_or_else(PoisonError::into_inner).insert(owner, Some(numbers));
                self.is_changed.store(true, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    /// Writes the serials down whenever they have changed and all of them are known.
    fn keep(&self) {
        loop {
            std::thread::sleep(KEEP_PAUSE);
            if !self.is_changed.swap(false, Ordering::Relaxed) {
                continue;
            }
            let entry = |(owner, numbers): (&Vec<u8>, &Option<[u8; NUMBERS]>)| {
                numbers.map(|numbers| [&[owner.len() as u8], &owner[..], &numbers].concat())
            };
            let serials = self.serials.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(all) = serials.iter().map(entry).collect::<Option<Vec<_>>>() {
                fs::write(&self.file, all.concat()).expect("its own directory");
            }
        }
    }
}

/// The numbers of the SOA that a transfer begins with.
fn first_numbers(message: &[u8]) -> Option<[u8; NUMBERS]> {
    let questions = Header::read(message).ok()?.questions;
    let start = if questions == 0 { HEADER_OCTETS } else { Question::read(message, HEADER_OCTETS).ok()?.1 };
    let record = RawRecord::read(message, start).ok().filter(|record| record.rtype == RecordType::SOA)?;
    let mut soa = Vec::new();
    rdata::expand(message, record.rdata, record.rdata_len, record.rtype, &mut soa).ok()?;
    soa.last_chunk().copied()
}

/// A connection, and what has been read of it.
struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// What of the buffer has been read and not looked at.
    unread: std::ops::Range<usize>,
}

impl Connection {
    fn new(primary: SocketAddr) -> io::Result<Connection> {
        let stream = TcpStream::connect(primary)?;
        stream.set_nodelay(true)?;
        Ok(Connection { stream, buffer: vec![0; 256 << 10], unread: 0..0 })
    }

    /// The next message, without its length.
    fn message(&mut self) -> io::Result<&[u8]> {
        self.fill(2)?;
        let start = self.unread.start;
        let len = usize::from(u16::from_be_bytes([self.buffer[start], self.buffer[start + 1]]));
        self.fill(2 + len)?;
        let start = self.unread.start;
        self.unread.start += 2 + len;
        Ok(&self.buffer[start + 2..start + 2 + len])
    }

    /// Reads until so many octets are there.
    fn fill(&mut self, octets: usize) -> io::Result<()> {
        if self.unread.start + octets > self.buffer.len() {
            self.buffer.copy_within(self.unread.clone(), 0);
            self.unread = 0..self.unread.len();
        }
        while self.unread.len() < octets {
            let read = self.stream.read(&mut self.buffer[self.unread.end..])?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.unread.end += read;
        }
        Ok(())
    }
}
