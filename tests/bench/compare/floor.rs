//! What no server here can beat where queries are measured: datagrams are sent back without a look at them. What an echo's
//! slowest datagrams take while a client reads transfers and keeps nothing of them is what the machine takes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use secondaryd::dns::{RecordType, message};
use tempfile::TempDir;

use crate::address;
use crate::primary::{Primary, Version};
use crate::process::Process;

/// Nothing that is read here takes so long.
const LONG: Duration = Duration::from_secs(60);

/// The echo at work; ends when dropped.
pub(crate) struct Echo {
    pub(crate) address: SocketAddr,
    pub(crate) process: Process,
    _log: TempDir,
}

impl Echo {
    /// Starts it, as a process of its own.
    pub(crate) fn start() -> Echo {
        let address = address::ipv4();
        let program = std::env::current_exe().expect("this program");
        let log = tempfile::tempdir().expect("temporary directory");
        let mut command = Command::new(program);
        let process = Process::start("echo", command.args(["--echo", &address.to_string()]), &log.path().join("log"));
        Echo { address, process, _log: log }
    }
}

/// A client of the primary that asks for transfers over one connection and keeps nothing.
pub(crate) struct Reader {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Reader {
    /// Connects.
    pub(crate) fn new(primary: &Primary) -> Reader {
        let stream = TcpStream::connect(primary.address).expect("the primary listens");
        stream.set_nodelay(true).expect("an option");
        stream.set_read_timeout(Some(LONG)).expect("a time limit");
        Reader { stream, buffer: vec![0; 256 << 10] }
    }

    fn ask(&mut self, query: &[u8]) {
        let message = [&(query.len() as u16).to_be_bytes(), query].concat();
        self.stream.write_all(&message).expect("the primary reads");
    }

    fn skip(&mut self, mut octets: usize) {
        while octets > 0 {
            let some = octets.min(self.buffer.len());
            let read = self.stream.read(&mut self.buffer[..some]).expect("the primary sends");
            assert!(read > 0, "the primary has closed the connection");
            octets -= read;
        }
    }

    /// Reads the whole zone.
    pub(crate) fn axfr(&mut self, version: &Version) {
        self.ask(&message::query(0, version.snapshot.apex(), RecordType::AXFR, None));
        self.skip(version.record().len());
    }

    /// Reads what leads from the version `old` to the newest, so many octets.
    pub(crate) fn ixfr(&mut self, old: &Version, octets: usize) {
        self.ask(&message::ixfr_query(0, old.snapshot.apex(), &old.snapshot.soa_record(), None));
        self.skip(octets);
    }
}
