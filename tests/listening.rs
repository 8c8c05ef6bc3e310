//! What `[dns]` says about listening, through the daemon: each setting works, and SIGHUP changes what it may change.

#[path = "harness/mod.rs"]
mod harness;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use secondaryd::dns::edns::Opt;
use secondaryd::dns::{RecordType, message};

use harness::address;
use harness::certificates::{self, Authority, VALID};
use harness::daemon::{Entry, Secondaryd};

/// Far longer than an answer takes.
const PATIENCE: Duration = Duration::from_secs(10);
const ZONE: &str = "listening.example";

/// A daemon with one zone, which is never loaded: SERVFAIL to everybody who may ask.
fn daemon(settings: &str) -> Secondaryd {
    let mut daemon = Secondaryd::reserve().with_zone(Entry::new(ZONE, &[address::ipv4()]));
    daemon.set_dns(settings);
    daemon
}

fn query(id: u16, opt: &Opt) -> Vec<u8> {
    message::query(id, &ZONE.parse().expect("a name"), RecordType::SOA, Some(opt))
}

/// The reply to `query`.
fn udp(server: SocketAddr, query: &[u8]) -> Vec<u8> {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    socket.set_read_timeout(Some(PATIENCE)).expect("timeout");
    socket.send_to(query, server).expect("sent");
    let mut reply = vec![0; 4096];
    let len = socket.recv(&mut reply).expect("a reply");
    reply.truncate(len);
    reply
}

fn opt(reply: &[u8]) -> Opt {
    Opt::find(reply).expect("sound").expect("EDNS")
}

/// The RCODE with the bits in OPT.
fn rcode(reply: &[u8]) -> u16 {
    u16::from(opt(reply).extended_rcode) << 4 | u16::from(reply[3] & 15)
}

/// NSID (RFC 5001) and cookies whose secrets roll over (RFC 7873 §5.5).
#[test]
fn nsid_and_cookie_secrets_change_with_a_reload() {
    let (old, new) = ("0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210");
    let mut daemon = daemon(&format!("nsid = \"one\"\ncookie-secrets = [\"{old}\"]\n")).started();
    let first = udp(daemon.address(), &query(1, &Opt::default().with_option(3, b"").with_option(10, b"8 octets")));
    assert_eq!(opt(&first).option(3), Some(&b"one"[..]));
    let cookie = opt(&first).option(10).expect("a cookie").to_vec();
    assert_eq!((rcode(&first), cookie.len()), (2, 24));

    let asking = query(2, &Opt::default().with_option(3, b"").with_option(10, &cookie));
    let stranger = query(3, &Opt::default().with_option(10, b"8 octets"));
    daemon.set_dns(&format!("nsid = \"two\"\ncookie-secrets = [\"{new}\", \"{old}\"]\nrequire-cookie = true\n"));
    daemon.reload_changed();
    let second = udp(daemon.address(), &asking);
    assert_eq!((rcode(&second), opt(&second).option(3)), (2, Some(&b"two"[..])), "the old secret is still good");
    assert_ne!(opt(&second).option(10), Some(&cookie[..]), "the new one makes cookies");
    assert_eq!(rcode(&udp(daemon.address(), &stranger)), 23);

    daemon.set_dns(&format!("cookie-secrets = [\"{new}\"]\nrequire-cookie = true\n"));
    daemon.reload_changed();
    let third = udp(daemon.address(), &asking);
    assert_eq!((rcode(&third), opt(&third).option(3)), (23, None));
}

#[test]
fn who_may_ask_changes_with_a_reload() {
    let mut daemon = daemon("");
    daemon.set_zone(0, "allow-query = [\"192.0.2.0/24\"]\n");
    daemon.start();
    let reply = udp(daemon.address(), &query(1, &Opt::default()));
    assert_eq!((rcode(&reply), opt(&reply).option(15)), (5, Some(&[0, 18][..])));
    daemon.set_zone(0, "allow-query = [\"192.0.2.0/24\", \"127.0.0.1\"]\n");
    daemon.reload_changed();
    assert_eq!(rcode(&udp(daemon.address(), &query(2, &Opt::default()))), 2);
    daemon.set_zone(0, "allow-query = [\"192.0.2.0/24\"]\n");
    daemon.reload_changed();
    assert_eq!(rcode(&udp(daemon.address(), &query(3, &Opt::default()))), 5);
}

/// How many of so many equal questions are answered, whole and short.
fn flood(server: SocketAddr, count: u16) -> (usize, usize) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    socket.set_read_timeout(Some(Duration::from_secs(1))).expect("timeout");
    (0..count).for_each(|id| _ = socket.send_to(&query(id, &Opt::default()), server).expect("sent"));
    let (mut whole, mut short, mut reply) = (0, 0, [0; 4096]);
    while socket.recv(&mut reply).is_ok() {
        *(if reply[2] & 2 == 0 { &mut whole } else { &mut short }) += 1;
    }
    (whole, short)
}

/// The rate is one of the keys that a reload leaves alone; it must not get lost by one.
#[test]
fn equal_replies_are_limited_before_and_behind_a_reload() {
    let mut daemon = daemon("rate-limit = 2\nrate-limit-slip = 2\n").started();
    let (whole, short) = flood(daemon.address(), 100);
    assert!((1..50).contains(&whole) && (10..=50).contains(&short), "{whole} whole, {short} short");
    daemon.set_dns("rate-limit = 2\nrate-limit-slip = 2\nnsid = \"still\"\n");
    daemon.reload_changed();
    let (whole, short) = flood(daemon.address(), 100);
    assert!(whole < 50 && (10..=50).contains(&short), "{whole} whole, {short} short");
}

/// The reply over TLS, if the server's certificate is one of `authority`.
fn tls(server: SocketAddr, authority: &Authority, query: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.certificate.as_bytes()).expect("PEM")).expect("a root");
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("ns.example").expect("a name");
    let session = ClientConnection::new(Arc::new(config), name).expect("a session");
    let stream = TcpStream::connect(server)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut stream = StreamOwned::new(session, stream);
    stream.write_all(&[&(query.len() as u16).to_be_bytes(), query].concat())?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut reply = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut reply)?;
    Ok(reply)
}

/// Certificates run out: a reload reads the files again, and connections to come see the new ones.
#[test]
fn the_certificate_of_listen_tls_changes_with_a_reload() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let files = tempfile::tempdir().expect("a directory");
    let write_pair = |authority: &Authority| {
        let pair = authority.signs(&["ns.example"], VALID);
        let certificate = certificates::write(files.path(), "server.pem", &pair.certificate);
        (certificate, certificates::write(files.path(), "server.key", &pair.key))
    };
    let (certificate, key) = write_pair(&old);
    let listen = address::ipv4();
    let daemon =
        daemon(&format!("listen-tls = [\"{listen}\"]\ntls-cert = {certificate:?}\ntls-key = {key:?}\n")).started();
    let query = query(1, &Opt::default());
    assert_eq!(rcode(&tls(listen, &old, &query).expect("a reply")), 2);
    assert!(tls(listen, &new, &query).is_err());
    write_pair(&new);
    daemon.reload();
    assert_eq!(rcode(&tls(listen, &new, &query).expect("a reply")), 2);
    assert!(tls(listen, &old, &query).is_err());
}

/// A key that does not belong to the certificate is a mistake of the configuration like any other.
#[test]
fn a_reload_with_a_broken_pair_keeps_the_old_configuration_as_a_whole() {
    // given
    let authority = Authority::new("authority");
    let files = tempfile::tempdir().expect("a directory");
    let pair = authority.signs(&["ns.example"], VALID);
    let certificate = certificates::write(files.path(), "server.pem", &pair.certificate);
    let key = certificates::write(files.path(), "server.key", &pair.key);
    let listen = address::ipv4();
    let settings = format!("listen-tls = [\"{listen}\"]\ntls-cert = {certificate:?}\ntls-key = {key:?}\n");
    let mut daemon = daemon(&format!("nsid = \"old\"\n{settings}")).started();

    // when
    certificates::write(files.path(), "server.key", &authority.signs(&["ns.example"], VALID).key);
    daemon.set_dns(&format!("nsid = \"new\"\n{settings}"));
    daemon.reload_refused();

    // then
    assert!(daemon.log().contains("does not belong to the certificate"), "{}", daemon.log());
    let query = query(1, &Opt::default().with_option(3, b""));
    assert_eq!(opt(&tls(listen, &authority, &query).expect("a reply")).option(3), Some(&b"old"[..]));
}
