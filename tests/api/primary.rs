//! A primary in the test's process: answers SOA over UDP and TCP, and AXFR and IXFR with the whole zone.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use secondaryd::dns::{Name, Record, RecordType, zonefile};
use socket2::{Domain, Socket, Type};

/// How often the threads look whether they shall end.
const TICK: Duration = Duration::from_millis(50);
/// A message is sent once it is this long.
const MESSAGE_OCTETS: usize = 16 * 1024;

pub(crate) struct Primary {
    pub(crate) port: u16,
    records: Arc<Mutex<Vec<Record>>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Primary {
    /// Serves the zone file `text`, which must begin with the SOA.
    pub(crate) fn start(apex: &str, text: &str) -> Primary {
        let (udp, tcp) = sockets();
        let port = udp.local_addr().expect("an address").port();
        let records = Arc::new(Mutex::new(parse(apex, text)));
        let stop = Arc::new(AtomicBool::new(false));
        let threads = vec![
            std::thread::spawn({
                let (records, stop) = (records.clone(), stop.clone());
                move || serve_udp(&udp, &records, &stop)
            }),
            std::thread::spawn({
                let (records, stop) = (records.clone(), stop.clone());
                move || serve_tcp(&tcp, &records, &stop)
            }),
        ];
        Primary { port, records, stop, threads }
    }

    /// As it stands in `primaryIps`.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1#{}", self.port)
    }

    /// Serves another version from now on.
    pub(crate) fn replace(&self, apex: &str, text: &str) {
        *self.records.lock().expect("not poisoned") = parse(apex, text);
    }
}

impl Drop for Primary {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
        keep_closed(self.port);
    }
}

/// Keeps a port that is closed now from being given to another listener of the tests, which would let a client wait: a
/// socket that is bound and does not listen refuses connections. It stays until the process ends.
fn keep_closed(port: u16) {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let Ok(socket) = Socket::new(Domain::IPV4, Type::STREAM, None) else { return };
    // Only to get past the connections that have just ended.
    if socket.set_reuse_address(true).is_ok()
        && socket.bind(&address.into()).is_ok()
        && socket.set_reuse_address(false).is_ok()
    {
        std::mem::forget(socket);
    }
}

fn parse(apex: &str, text: &str) -> Vec<Record> {
    let records = zonefile::parse(text, &apex.parse::<Name>().expect("a name")).expect("a zone file");
    assert_eq!(records[0].rtype, RecordType::SOA, "the SOA comes first");
    records
}

/// One port that is free for both.
fn sockets() -> (UdpSocket, TcpListener) {
    loop {
        let udp = UdpSocket::bind("127.0.0.1:0").expect("a port");
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().expect("an address")) {
            udp.set_read_timeout(Some(TICK)).expect("a timeout");
            tcp.set_nonblocking(true).expect("non-blocking");
            return (udp, tcp);
        }
    }
}

fn serve_udp(socket: &UdpSocket, records: &Mutex<Vec<Record>>, stop: &AtomicBool) {
    let mut buffer = [0; 4096];
    while !stop.load(Ordering::Relaxed) {
        if let Ok((len, peer)) = socket.recv_from(&mut buffer) {
            let records = records.lock().expect("not poisoned");
            let _ = socket.send_to(&message(&buffer[..len], &records[..1]), peer);
        }
    }
}

fn serve_tcp(listener: &TcpListener, records: &Mutex<Vec<Record>>, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        match listener.accept() {
            Ok((stream, _)) => {
                let _ = serve_stream(stream, records, stop);
            }
            Err(_) => std::thread::sleep(TICK),
        }
    }
}

/// Answers the queries of one connection until it is closed.
fn serve_stream(mut stream: TcpStream, records: &Mutex<Vec<Record>>, stop: &AtomicBool) -> std::io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(TICK * 10))?;
    while !stop.load(Ordering::Relaxed) {
        let mut len = [0; 2];
        stream.read_exact(&mut len)?;
        let mut query = vec![0; usize::from(u16::from_be_bytes(len))];
        stream.read_exact(&mut query)?;
        let zone = records.lock().expect("not poisoned").clone();
        if query_type(&query) == RecordType::SOA.0 {
            send(&mut stream, &message(&query, &zone[..1]))?;
            continue;
        }
        // RFC 5936 §2.2: the SOA comes first and last.
        let (mut batch, mut octets) = (Vec::new(), 0);
        for record in zone.iter().chain(&zone[..1]) {
            octets += record.rdata.len() + 300;
            batch.push(record.clone());
            if octets > MESSAGE_OCTETS {
                send(&mut stream, &message(&query, &batch))?;
                (batch, octets) = (Vec::new(), 0);
            }
        }
        if !batch.is_empty() {
            send(&mut stream, &message(&query, &batch))?;
        }
    }
    Ok(())
}

fn send(stream: &mut TcpStream, message: &[u8]) -> std::io::Result<()> {
    stream.write_all(&[&(message.len() as u16).to_be_bytes()[..], message].concat())
}

/// The query's header as that of an authoritative answer, its question, and `records` without compression.
fn message(query: &[u8], records: &[Record]) -> Vec<u8> {
    let mut message = query[..2].to_vec();
    message.extend_from_slice(&[0x84, 0x00, 0, 1]);
    message.extend_from_slice(&(records.len() as u16).to_be_bytes());
    message.extend_from_slice(&[0; 4]);
    message.extend_from_slice(&query[12..question_end(query)]);
    for record in records {
        message.extend_from_slice(record.owner.as_wire());
        message.extend_from_slice(&record.rtype.0.to_be_bytes());
        message.extend_from_slice(&[0, 1]);
        message.extend_from_slice(&record.ttl.to_be_bytes());
        message.extend_from_slice(&(record.rdata.len() as u16).to_be_bytes());
        message.extend_from_slice(&record.rdata);
    }
    message
}

fn question_end(query: &[u8]) -> usize {
    12 + secondaryd::dns::name::wire_len(&query[12..]).expect("a question") + 4
}

fn query_type(query: &[u8]) -> u16 {
    let end = question_end(query);
    u16::from_be_bytes([query[end - 4], query[end - 3]])
}
