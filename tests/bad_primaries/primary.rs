//! A primary that does as it is told: each query is handed to the test's script, which says what to send, how, and
//! when to be silent. UDP and TCP, or TLS, at one loopback address of its own; any number of connections, a thread each.

use std::io::{Read, Result, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use secondaryd::dns::message::{HEADER_OCTETS, Question};
use secondaryd::dns::{RecordType, message, tsig};
use secondaryd::time::Timestamp;

use crate::{address, reply};

/// How often threads look whether they shall end.
const TICK: Duration = Duration::from_millis(20);
/// No connection is served longer than this, whatever its script says.
const SERVED_MAX: Duration = Duration::from_secs(60);

/// What a query came over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    Udp,
    Tcp,
    Tls,
}

/// A query as it came.
#[derive(Clone, Debug)]
pub(crate) struct Query {
    pub(crate) over: Over,
    pub(crate) qtype: RecordType,
    pub(crate) message: Vec<u8>,
    /// How many queries came over the same connection before.
    pub(crate) nth: usize,
}

impl Query {
    /// The name that is asked for, without the final dot.
    pub(crate) fn zone(&self) -> String {
        let (question, _) = Question::read(&self.message, HEADER_OCTETS).expect("a question");
        question.name.without_dot()
    }
}

/// One thing to do in answer to a query, in order.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// A whole message: a datagram, or framed by its length.
    Send(Vec<u8>),
    /// Octets of a TCP stream as they are.
    Raw(Vec<u8>),
    /// Octets one by one with a pause behind each.
    Drip(Vec<u8>, Duration),
    /// This message again and again with a pause behind each, until nobody reads any more.
    Endless(Vec<u8>, Duration),
    /// A datagram from another port.
    Elsewhere(Vec<u8>),
    /// Nothing for a while.
    Pause(Duration),
    /// Nothing, until the other side closes.
    Hold,
    /// The end of the connection.
    Close,
}

type Script = Arc<dyn Fn(&Query) -> Vec<Step> + Send + Sync>;

/// A running primary; ended when dropped.
pub(crate) struct Primary {
    address: SocketAddr,
    stage: Arc<Stage>,
}

/// How connections begin.
#[derive(Clone)]
pub(crate) enum Greeting {
    /// In clear text.
    Clear,
    /// With a TLS handshake.
    Tls(Arc<ServerConfig>),
    /// With silence, whatever the other side says.
    Silence,
}

struct Stage {
    script: Mutex<Script>,
    greeting: Mutex<Greeting>,
    seen: Mutex<Vec<(Over, RecordType)>>,
    ended: AtomicBool,
    open: AtomicUsize,
    opened: AtomicUsize,
}

impl Primary {
    /// A primary that answers as `script` says.
    pub(crate) fn start(script: impl Fn(&Query) -> Vec<Step> + Send + Sync + 'static) -> Primary {
        let (address, socket, listener) = sockets();
        listener.set_nonblocking(true).expect("non-blocking");
        let primary = Primary::at(address, socket, script);
        let stage = primary.stage.clone();
        thread::spawn(move || stage.accept(&listener));
        primary
    }

    /// A primary whose connections begin so.
    pub(crate) fn greeting(
        greeting: Greeting,
        script: impl Fn(&Query) -> Vec<Step> + Send + Sync + 'static,
    ) -> Primary {
        let primary = Primary::start(script);
        primary.greet(greeting);
        primary
    }

    /// Connections begin so from now on.
    pub(crate) fn greet(&self, greeting: Greeting) {
        *self.stage.greeting.lock().expect("not poisoned") = greeting;
    }

    /// A primary that answers over UDP only.
    pub(crate) fn without_tcp(script: impl Fn(&Query) -> Vec<Step> + Send + Sync + 'static) -> Primary {
        let (address, socket, _) = sockets();
        Primary::at(address, socket, script)
    }

    fn at(
        address: SocketAddr,
        socket: UdpSocket,
        script: impl Fn(&Query) -> Vec<Step> + Send + Sync + 'static,
    ) -> Primary {
        socket.set_read_timeout(Some(TICK)).expect("a timeout");
        let stage = Arc::new(Stage {
            script: Mutex::new(Arc::new(script)),
            greeting: Mutex::new(Greeting::Clear),
            seen: Mutex::default(),
            ended: AtomicBool::new(false),
            open: AtomicUsize::new(0),
            opened: AtomicUsize::new(0),
        });
        thread::spawn({
            let stage = stage.clone();
            move || stage.serve_udp(&socket)
        });
        Primary { address, stage }
    }

    /// Sends a NOTIFY from its own address.
    pub(crate) fn notify(&self, server: SocketAddr, zone: &str, serial: u32) {
        self.notify_signed(server, zone, serial, None);
    }

    /// The same, signed.
    pub(crate) fn notify_signed(&self, server: SocketAddr, zone: &str, serial: u32, key: Option<&tsig::Key>) {
        let soa = reply::soa(zone, serial);
        let mut message = message::notify(7, &zone.parse().expect("a zone"), Some(&soa), None);
        if let Some(key) = key {
            tsig::sign(&mut message, key, Timestamp::now(), None);
        }
        let socket = UdpSocket::bind((self.address.ip(), 0)).expect("a port");
        socket.send_to(&message, server).expect("loopback takes it");
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers as `script` says from now on, and forgets what it has seen.
    pub(crate) fn play(&self, script: impl Fn(&Query) -> Vec<Step> + Send + Sync + 'static) {
        *self.stage.script.lock().expect("not poisoned") = Arc::new(script);
        self.stage.seen.lock().expect("not poisoned").clear();
    }

    /// How many queries of this kind have come since the script was given.
    pub(crate) fn seen(&self, over: Over, qtype: RecordType) -> usize {
        self.stage.seen.lock().expect("not poisoned").iter().filter(|seen| **seen == (over, qtype)).count()
    }

    /// The types asked for over TCP or TLS since the script was given, in order.
    pub(crate) fn seen_over_tcp(&self) -> Vec<RecordType> {
        let seen = self.stage.seen.lock().expect("not poisoned");
        seen.iter().filter(|(over, _)| *over != Over::Udp).map(|(_, qtype)| *qtype).collect()
    }

    /// Connections that were ever opened.
    pub(crate) fn opened(&self) -> usize {
        self.stage.opened.load(Ordering::Relaxed)
    }

    /// Connections that are open now.
    pub(crate) fn connections(&self) -> usize {
        self.stage.open.load(Ordering::Relaxed)
    }
}

impl Drop for Primary {
    fn drop(&mut self) {
        self.stage.ended.store(true, Ordering::Relaxed);
    }
}

impl Stage {
    fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    fn answer(&self, over: Over, nth: usize, message: &[u8]) -> Vec<Step> {
        let Some(qtype) = reply::qtype(message) else { return Vec::new() };
        self.seen.lock().expect("not poisoned").push((over, qtype));
        let script = self.script.lock().expect("not poisoned").clone();
        script(&Query { over, qtype, message: message.to_vec(), nth })
    }

    fn serve_udp(&self, socket: &UdpSocket) {
        let mut buffer = [0; 4096];
        while !self.has_ended() {
            let Ok((length, peer)) = socket.recv_from(&mut buffer) else { continue };
            for step in self.answer(Over::Udp, 0, &buffer[..length]) {
                let _ = match step {
                    Step::Send(message) | Step::Raw(message) => socket.send_to(&message, peer),
                    Step::Elsewhere(message) => {
                        UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|other| other.send_to(&message, peer))
                    }
                    _ => Ok(0),
                };
            }
        }
    }

    fn accept(self: &Arc<Stage>, listener: &TcpListener) {
        while !self.has_ended() {
            match listener.accept() {
                Ok((stream, _)) => {
                    let stage = self.clone();
                    thread::spawn(move || {
                        stage.open.fetch_add(1, Ordering::Relaxed);
                        stage.opened.fetch_add(1, Ordering::Relaxed);
                        let _ = stage.serve(stream);
                        stage.open.fetch_sub(1, Ordering::Relaxed);
                    });
                }
                Err(_) => thread::sleep(TICK),
            }
        }
    }

    fn serve(&self, mut stream: TcpStream) -> Result<()> {
        stream.set_nonblocking(false)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TICK))?;
        stream.set_write_timeout(Some(Duration::from_secs(5)))?;
        let tcp = stream.try_clone()?;
        let greeting = self.greeting.lock().expect("not poisoned").clone();
        match greeting {
            Greeting::Clear => self.serve_stream(Over::Tcp, &mut stream, &tcp),
            Greeting::Tls(config) => {
                let session = ServerConnection::new(config).expect("a good configuration");
                self.serve_stream(Over::Tls, &mut StreamOwned::new(session, stream), &tcp)
            }
            Greeting::Silence => {
                let until = Instant::now() + SERVED_MAX;
                // The other side's first words, and then its end.
                while !self.has_ended() && Instant::now() < until {
                    match stream.read(&mut [0; 4096]) {
                        Ok(0) => break,
                        Err(error) if !is_timeout(&error) => break,
                        _ => {}
                    }
                }
                Ok(())
            }
        }
    }

    fn serve_stream(&self, over: Over, mut stream: &mut (impl Read + Write), tcp: &TcpStream) -> Result<()> {
        let until = Instant::now() + SERVED_MAX;
        let mut nth = 0;
        while let Some(message) = self.read_message(&mut stream, until)? {
            let steps = self.answer(over, nth, &message);
            nth += 1;
            for step in steps {
                match step {
                    Step::Send(message) => stream.write_all(&framed(&message))?,
                    Step::Raw(octets) => stream.write_all(&octets)?,
                    Step::Drip(octets, pause) => {
                        for octet in octets {
                            stream.write_all(&[octet])?;
                            self.pause(pause)?;
                        }
                    }
                    Step::Endless(message, pause) => {
                        let framed = framed(&message);
                        while Instant::now() < until {
                            stream.write_all(&framed)?;
                            self.pause(pause)?;
                        }
                    }
                    Step::Pause(pause) => self.pause(pause)?,
                    Step::Hold => while self.read_message(&mut stream, until)?.is_some() {},
                    Step::Close => return tcp.shutdown(Shutdown::Both),
                    Step::Elsewhere(_) => {}
                }
            }
        }
        Ok(())
    }

    fn pause(&self, pause: Duration) -> Result<()> {
        if self.has_ended() {
            return Err(std::io::ErrorKind::Interrupted.into());
        }
        if !pause.is_zero() {
            thread::sleep(pause);
        }
        Ok(())
    }

    /// The next message; `None` when the other side has closed.
    fn read_message(&self, stream: &mut impl Read, until: Instant) -> Result<Option<Vec<u8>>> {
        let mut octets = Vec::new();
        loop {
            let wanted = match octets[..] {
                [high, low, ..] => 2 + usize::from(u16::from_be_bytes([high, low])),
                _ => 2,
            };
            if octets.len() >= 2 && octets.len() == wanted {
                return Ok(Some(octets.split_off(2)));
            }
            let mut buffer = vec![0; wanted - octets.len()];
            match stream.read(&mut buffer) {
                Ok(0) => return Ok(None),
                Ok(length) => octets.extend_from_slice(&buffer[..length]),
                Err(error) if is_timeout(&error) => {
                    if self.has_ended() || Instant::now() > until {
                        return Ok(None);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }
}

fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
}

/// An address that is free for both; what was free a moment ago may be taken.
fn sockets() -> (SocketAddr, UdpSocket, TcpListener) {
    let bound = (0..100).find_map(|_| {
        let address = address::ipv4();
        Some((address, UdpSocket::bind(address).ok()?, TcpListener::bind(address).ok()?))
    });
    bound.expect("a port that is free for both")
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes()[..], message].concat()
}
