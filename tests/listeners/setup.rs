//! Running listeners with zones on them, and blocking clients.

use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};
use secondaryd::access::{Kind, PrimaryAccess, ZoneAccess};
use secondaryd::dns::tsig::{Algorithm, Key, Keyring};
use secondaryd::dns::{Name, Record, RecordType, message, zonefile};
use secondaryd::net::{Listeners, Options, OutboundData, Policy, Running, Services, Spoken, TlsIdentity};
use secondaryd::served::{InboxReader, Publisher, Slot, State, ViewHandle, ZoneId, inbox};
use secondaryd::zone::{Builder, Diff, HashKey, Limits, Snapshot};

pub(crate) const KEY: HashKey = HashKey::from_bytes([3; 16]);

/// Far longer than anything takes; only a hanging test meets it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Server {
    pub(crate) publisher: Publisher,
    pub(crate) slots: Vec<Arc<Slot>>,
    pub(crate) policy: Arc<Policy>,
    pub(crate) notices: InboxReader,
    pub(crate) running: Option<Running>,
    pub(crate) certificate: Certificate,
    runtime: tokio::runtime::Runtime,
}

pub(crate) fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

pub(crate) fn records(text: &str, apex: &Name) -> Vec<Record> {
    zonefile::parse(text, apex).expect("a zone file")
}

pub(crate) fn snapshot(apex: &Name, text: &str) -> Snapshot {
    let mut builder = Builder::new(apex.clone(), KEY, Limits::default());
    records(text, apex).iter().for_each(|record| builder.add(record.borrow()).expect("a record"));
    builder.finish(None).expect("a zone").0
}

/// The zone `example` in two versions: 1 and, with one more record, 2.
pub(crate) fn version(serial: u32) -> String {
    let mut text = format!("$TTL 60\n@ SOA ns host {serial} 2 3 4 5\n@ NS ns\nns A 192.0.2.1\nwww A 192.0.2.2\n");
    (0..400).for_each(|i| text.push_str(&format!("host-{i} TXT \"{}\"\n", "x".repeat(100))));
    if serial > 1 {
        text.push_str("new A 192.0.2.3\n");
    }
    text
}

pub(crate) fn key(text: &str) -> Key {
    Key::new(name(text), Algorithm::HmacSha256, b"a secret of some octets, not very secret")
}

impl Server {
    pub(crate) fn start() -> Server {
        Server::with(&["127.0.0.1:0"], Options { workers: 2, pin: false, ..Options::default() })
    }

    /// Serves `example` (serial 2, with the difference from 1), `expired.example` and `local.example`.
    pub(crate) fn with(addresses: &[&str], mut options: Options) -> Server {
        let certificate = Certificate::new();
        options.tls_addresses = vec![SocketAddr::from(([127, 0, 0, 1], 0))];
        options.tls = Some(Arc::clone(&certificate.identity));
        let (mut publisher, view): (Publisher, Arc<ViewHandle>) = Publisher::new(KEY);
        let zones = ["example", "expired.example", "local.example"].map(name);
        let slots = publisher.add_zones(zones.iter().cloned().enumerate().map(|(i, zone)| (ZoneId(i as u32), zone)));
        let (old, new) = (snapshot(&zones[0], &version(1)), Arc::new(snapshot(&zones[0], &version(2))));
        let diff = secondaryd::zone::between(&old, &new);
        publisher.publish(&slots[0], Arc::clone(&new));
        publisher.set_state(&slots[1], State::Expired);
        publisher.publish(&slots[2], Arc::new(snapshot(&zones[2], "@ 60 SOA ns host 1 2 3 4 5\n@ 60 NS ns\n")));

        let policy = Arc::new(Policy::default());
        policy.keys.store(Arc::new(Keyring::from_iter([Arc::new(key("known.")), Arc::new(key("other."))])));
        let (sender, notices) = inbox::inbox(100, Box::new(|| {}));
        let services = Services {
            view,
            policy: Arc::clone(&policy),
            inbox: sender,
            outbound: Arc::new(move |slot, theirs| {
                let diffs: Option<Vec<Diff>> = (theirs == Some(diff.from_serial())).then(|| vec![diff.clone()]);
                Box::pin(async move { slot.snapshot().map(|snapshot| OutboundData { snapshot, diffs }) })
            }),
        };
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("runtime");
        let addresses: Vec<SocketAddr> = addresses.iter().map(|text| text.parse().expect("an address")).collect();
        let listeners = Listeners::bind(&addresses, options).expect("bound");
        let running = Some(listeners.start(services, runtime.handle()).expect("started"));
        let server = Server { publisher, slots, policy, notices, running, certificate, runtime };
        server.allow(0, "127.0.0.1", None);
        server.policy.set_zone(ZoneId(2), Arc::new(ZoneAccess { kind: Kind::Local, ..ZoneAccess::default() }));
        server
    }

    /// Makes `primary` the one primary of a zone, and everyone allowed to transfer it.
    pub(crate) fn allow(&self, zone: u32, primary: &str, key: Option<&str>) {
        let address: IpAddr = primary.parse().expect("an address");
        let access = ZoneAccess {
            kind: Kind::Secondary,
            primaries: [PrimaryAccess { address, key: key.map(name) }].into(),
            allow_notify: Arc::new([]),
            allow_transfer: ["127.0.0.0/8", "::1"].map(|rule| rule.parse().expect("a rule")).into(),
            allow_query: None,
        };
        self.policy.set_zone(ZoneId(zone), Arc::new(access));
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.running.as_ref().expect("running").addresses()[0]
    }

    pub(crate) fn shutdown(&mut self) {
        let running = self.running.take().expect("running");
        self.runtime.block_on(running.shutdown());
    }

    pub(crate) fn udp(&self, query: &[u8]) -> Vec<u8> {
        let client = UdpSocket::bind("127.0.0.1:0").expect("a port");
        client.set_read_timeout(Some(PATIENCE)).expect("timeout");
        client.send_to(query, self.address()).expect("sent");
        receive(&client)
    }

    pub(crate) fn tls_address(&self) -> SocketAddr {
        self.running.as_ref().expect("running").tls_addresses()[0]
    }

    pub(crate) fn tls(&self) -> StreamOwned<ClientConnection, TcpStream> {
        self.certificate.connect(self.tls_address(), &[&rustls::version::TLS13], b"dot").expect("a session")
    }

    pub(crate) fn tcp(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address()).expect("connected");
        stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
        stream
    }
}

pub(crate) fn receive(client: &UdpSocket) -> Vec<u8> {
    let mut reply = vec![0; 65_535];
    let len = client.recv(&mut reply).expect("a reply");
    reply.truncate(len);
    reply
}

pub(crate) fn framed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes(), message].concat()
}

/// The next message of a stream; `None` at its end.
pub(crate) fn read_framed(stream: &mut impl Read) -> Option<Vec<u8>> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).ok()?;
    let mut message = vec![0; u16::from_be_bytes(length) as usize];
    stream.read_exact(&mut message).ok()?;
    Some(message)
}

pub(crate) fn exchange(stream: &mut (impl Read + Write), message: &[u8]) -> Option<Vec<u8>> {
    stream.write_all(&framed(message)).expect("written");
    read_framed(stream)
}

pub(crate) fn query(id: u16, qname: &str, qtype: RecordType) -> Vec<u8> {
    message::query(id, &name(qname), qtype, None)
}

pub(crate) fn rcode(reply: &[u8]) -> u8 {
    reply[3] & 0x0f
}

/// A certificate of the server's, in files, and what a client needs to believe it.
pub(crate) struct Certificate {
    pub(crate) identity: Arc<TlsIdentity>,
    pub(crate) files: (PathBuf, PathBuf),
    directory: tempfile::TempDir,
}

impl Certificate {
    fn new() -> Certificate {
        let directory = tempfile::tempdir().expect("a directory");
        let files = (directory.path().join("cert.pem"), directory.path().join("key.pem"));
        write_certificate(&files);
        let identity = Arc::new(TlsIdentity::load(&files.0, &files.1, Spoken::Dns).expect("an identity"));
        Certificate { identity, files, directory }
    }

    /// Puts another certificate into the files.
    pub(crate) fn renew(&self) {
        assert!(self.directory.path().exists());
        write_certificate(&self.files);
    }

    /// A session with the server, which must have the certificate that is in the files now.
    pub(crate) fn connect(
        &self,
        server: SocketAddr,
        versions: &[&'static SupportedProtocolVersion],
        alpn: &[u8],
    ) -> Result<StreamOwned<ClientConnection, TcpStream>, std::io::Error> {
        let stream = TcpStream::connect(server).expect("connected");
        stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
        self.secure(stream, versions, alpn)
    }

    /// A session over a stream on which something may have been said already.
    pub(crate) fn secure(
        &self,
        mut stream: TcpStream,
        versions: &[&'static SupportedProtocolVersion],
        alpn: &[u8],
    ) -> Result<StreamOwned<ClientConnection, TcpStream>, std::io::Error> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&self.files.0).expect("a certificate")).expect("a root");
        let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(versions)
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = if alpn.is_empty() { Vec::new() } else { vec![alpn.to_vec()] };
        let name = ServerName::try_from("ns.example").expect("a name");
        let mut session = ClientConnection::new(Arc::new(config), name).expect("a client");
        while session.is_handshaking() {
            session.complete_io(&mut stream)?;
        }
        Ok(StreamOwned::new(session, stream))
    }
}

fn write_certificate(files: &(PathBuf, PathBuf)) {
    let made = rcgen::generate_simple_self_signed(["ns.example".to_owned()]).expect("a certificate");
    fs::write(&files.0, made.cert.pem()).expect("written");
    fs::write(&files.1, made.signing_key.serialize_pem()).expect("written");
}
