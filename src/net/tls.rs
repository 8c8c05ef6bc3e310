//! TLS towards primaries (RFC 9103): what is demanded of a primary's certificate, and what its failure means.
//!
//! In: a [`TlsProfile`] of the configuration. Out: a [`Profile`] with which `upstream` shakes hands; then either a session
//! and what it is ([`TlsSession`]), or the reason code with what was expected and what the certificate has. TLS 1.3 only
//! (RFC 9103 §9.2: "TLS 1.3 [or later] MUST be used"), ALPN `dot` (§7.1), sessions resumed. Never falls back to clear
//! text: the opportunistic profile is a matter of `upstream`.
//!
//! RFC 7858 §4.2 (pins), RFC 8310 §5 (profiles), RFC 6125 (names).

use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, OtherError, PeerIncompatible,
    RootCertStore, SignatureScheme,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::config::{TlsAlpn, TlsLevel, TlsProfile, not_after};
use crate::reason::{Code, Reason};
use crate::time::Timestamp;

const POISONED: &str = "no holder of this lock can panic";

/// The protocol's name in ALPN (RFC 9103 §7.1).
const ALPN: &[u8] = b"dot";
/// Names of a certificate that are shown.
const NAMES_MAX: usize = 8;
/// Octets of one shown name.
const NAME_OCTETS_MAX: usize = 255;

/// How the certificate of a primary was judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verified {
    /// Not at all: the profile is opportunistic.
    Unverified,
    /// Signed by a trusted authority, and it has the expected name.
    Authority,
    /// Its public key is pinned.
    Pin,
    /// It was refused.
    Refused,
}

impl Verified {
    /// The word in the API and the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Verified::Unverified => "unverified",
            Verified::Authority => "authority",
            Verified::Pin => "pin",
            Verified::Refused => "refused",
        }
    }
}

/// A TLS session with a primary, or what was seen of its certificate before it was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSession {
    /// `TLSv1.3`.
    pub version: &'static str,
    /// Names in the primary's certificate, at most a handful.
    pub peer_names: Vec<String>,
    /// When the primary's certificate ends.
    pub peer_not_after: Option<Timestamp>,
    /// How the certificate was judged.
    pub verified: Verified,
    /// When our own certificate ends, if we have one for this primary (mutual TLS).
    pub own_not_after: Option<Timestamp>,
}

/// Why no session came about, and what was seen of the certificate.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// The code with what was expected and what is there.
    pub reason: Reason,
    /// What was seen of the certificate, if one came.
    pub session: Option<TlsSession>,
}

/// How a primary is spoken to over TLS, ready to shake hands.
pub struct Profile {
    /// Tells profiles apart, also those of one primary before and after a reload.
    id: u64,
    level: TlsLevel,
    name: ServerName<'static>,
    /// With the sessions that may be resumed, and when the first certificate among those ends: with a resumed session no
    /// certificate is looked at.
    config: Mutex<(Arc<ClientConfig>, Option<Timestamp>)>,
    verified: Verified,
    own_not_after: Option<Timestamp>,
    alpn: TlsAlpn,
}

impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Profile({}, {:?}, {:?})", self.id, self.level, self.name)
    }
}

impl Profile {
    /// From the configuration, which has checked names, certificates and keys. Reads the system's authorities if they are
    /// needed.
    pub fn new(profile: &TlsProfile) -> Profile {
        static IDS: AtomicU64 = AtomicU64::new(0);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let name = ServerName::try_from(profile.name.clone()).expect("the configuration takes names of hosts only");
        let strict = profile.level == TlsLevel::Strict;
        let verifier = Arc::new(Verifier {
            provider: provider.clone(),
            pins: profile.pins.clone(),
            name: (strict && profile.checks_name).then(|| name.clone()),
            authorities: (strict && profile.checks_authority).then(|| Authorities::of(profile)),
        });
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("ring speaks TLS 1.3")
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let identity = profile.identity.as_ref();
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let chain = identity.chain.iter().map(|der| CertificateDer::from(der.clone())).collect();
                let key = PrivateKeyDer::from_pem_slice(identity.key.expose()).expect("the configuration has read it");
                builder.with_client_auth_cert(chain, key).expect("the configuration has matched key and certificate")
            }
        };
        config.alpn_protocols = vec![ALPN.to_vec()];
        let verified = match () {
            _ if !strict => Verified::Unverified,
            _ if profile.checks_authority => Verified::Authority,
            _ => Verified::Pin,
        };
        Profile {
            id: IDS.fetch_add(1, Ordering::Relaxed),
            level: profile.level,
            name,
            config: Mutex::new((Arc::new(config), None)),
            verified,
            alpn: profile.alpn,
            own_not_after: identity.and_then(|identity| identity.chain.first()).and_then(|der| not_after(der)),
        }
    }

    /// Tells profiles apart.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Whether clear text is better than nothing.
    pub fn is_opportunistic(&self) -> bool {
        self.level == TlsLevel::Opportunistic
    }

    /// Shakes hands over a connection that stands.
    pub async fn shake_hands<S>(&self, stream: S) -> Result<(TlsStream<S>, TlsSession), Refusal>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let connector = TlsConnector::from(self.config_at(Timestamp::now()));
        let stream = match connector.connect(self.name.clone(), stream).await {
            Ok(stream) => stream,
            Err(error) => return Err(self.refusal(&error)),
        };
        let (_, connection) = stream.get_ref();
        let certificate = connection.peer_certificates().and_then(|chain| chain.first());
        let session = self.session(certificate.map(|certificate| certificate.as_ref()), self.verified);
        // rustls takes no protocol that was not offered, so this is the one or none.
        if connection.alpn_protocol().is_none() && self.alpn == TlsAlpn::Required {
            let detail = "expected ALPN \"dot\" (RFC 9103), the primary chose none (tls-alpn)";
            return Err(Refusal { reason: Reason::new(Code::TlsVersion, detail), session: Some(session) });
        }
        if let Some(end) = session.peer_not_after {
            let (_, first_end) = &mut *self.config.lock().expect(POISONED);
            *first_end = Some(first_end.map_or(end, |first| first.min(end)));
        }
        Ok((stream, session))
    }

    /// Without sessions to resume if a certificate among theirs has ended: it is to be shown, and judged, again.
    fn config_at(&self, now: Timestamp) -> Arc<ClientConfig> {
        let (config, first_end) = &mut *self.config.lock().expect(POISONED);
        if first_end.take_if(|end| *end <= now).is_some() {
            let mut fresh = ClientConfig::clone(config);
            fresh.resumption = Resumption::default();
            *config = Arc::new(fresh);
        }
        config.clone()
    }

    fn session(&self, certificate: Option<&[u8]>, verified: Verified) -> TlsSession {
        let seen = certificate.map(Certificate::read).unwrap_or_default();
        TlsSession {
            version: "TLSv1.3",
            peer_names: seen.names,
            peer_not_after: seen.not_after,
            verified,
            own_not_after: self.own_not_after,
        }
    }

    fn refusal(&self, error: &std::io::Error) -> Refusal {
        let refused = certificate_refused(error);
        let session = refused.map(|refused| self.session(Some(&refused.certificate), Verified::Refused));
        let reason = refused.map(|refused| refused.reason.clone());
        Refusal { reason: reason.or_else(|| failure(error)).unwrap_or_else(|| broken_off(error)), session }
    }
}

/// That the primary does not take our certificate, or wants one: with TLS 1.3 it says so only after the handshake, in the place
/// of whatever is read next. `None` if something else has failed.
pub fn unwelcome(error: &std::io::Error) -> Option<Reason> {
    let rustls::Error::AlertReceived(alert) = error.get_ref()?.downcast_ref()? else { return None };
    let detail = match alert {
        AlertDescription::CertificateRequired => {
            "the primary demands a certificate of ours (tls-cert, tls-key)".to_owned()
        }
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnknownCA
        | AlertDescription::AccessDenied => format!("the primary refuses our certificate (tls-cert): {alert:?}"),
        _ => return None,
    };
    Some(Reason::new(Code::TlsUntrusted, detail))
}

/// What TLS has to say about a handshake that failed; `None` if it was not TLS that failed.
fn failure(error: &std::io::Error) -> Option<Reason> {
    if let Some(reason) = unwelcome(error) {
        return Some(reason);
    }
    let error = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    let (code, detail) = match error {
        rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol)
        | rustls::Error::NoApplicationProtocol => {
            (Code::TlsVersion, "expected ALPN \"dot\" (RFC 9103), the primary does not speak it".to_owned())
        }
        rustls::Error::AlertReceived(AlertDescription::ProtocolVersion)
        | rustls::Error::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13 | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
        ) => (Code::TlsVersion, "expected TLS 1.3 (RFC 9103), the primary speaks an older version only".to_owned()),
        rustls::Error::InvalidMessage(_) => {
            (Code::TlsVersion, "the primary does not speak TLS at this port".to_owned())
        }
        rustls::Error::AlertReceived(alert) => (Code::TlsHandshake, format!("the primary says {alert:?}")),
        other => (Code::TlsHandshake, other.to_string()),
    };
    Some(Reason::new(code, detail))
}

fn broken_off(error: &std::io::Error) -> Reason {
    let detail = match error.kind() {
        std::io::ErrorKind::UnexpectedEof => "the primary closed the connection during the handshake".to_owned(),
        _ => error.to_string().split(" (os error ").next().unwrap_or_default().to_lowercase(),
    };
    Reason::new(Code::TlsHandshake, detail)
}

/// Our own words about a certificate, on their way through rustls.
#[derive(Debug)]
struct Refused {
    reason: Reason,
    certificate: Vec<u8>,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)
    }
}

impl std::error::Error for Refused {}

fn certificate_refused(error: &std::io::Error) -> Option<&Refused> {
    match error.get_ref()?.downcast_ref::<rustls::Error>()? {
        rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(ours))) => ours.downcast_ref(),
        _ => None,
    }
}

/// Who may have signed.
#[derive(Debug)]
struct Authorities {
    roots: Arc<RootCertStore>,
    /// The certificates themselves: a self-signed one is trusted as it is.
    given: Vec<Vec<u8>>,
    words: &'static str,
}

impl Authorities {
    fn of(profile: &TlsProfile) -> Authorities {
        match &profile.authorities {
            Some(given) => {
                let mut roots = RootCertStore::empty();
                roots.add_parsable_certificates(given.iter().map(|der| CertificateDer::from(der.as_slice())));
                Authorities { roots: Arc::new(roots), given: given.clone(), words: "an authority of tls-ca" }
            }
            None => Authorities { roots: system_roots(), given: Vec::new(), words: "an authority of this system" },
        }
    }
}

/// The system's authorities, read once: they change with updates of the system, after which a restart is due anyway.
fn system_roots() -> Arc<RootCertStore> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    let read = || {
        let found = rustls_native_certs::load_native_certs();
        if found.certs.is_empty() {
            tracing::warn!(errors = ?found.errors, "no certificate authorities of the system were found");
        }
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(found.certs);
        Arc::new(roots)
    };
    ROOTS.get_or_init(read).clone()
}

/// Judges a primary's certificate.
#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    /// Keys of which the certificate must have one; empty: any.
    pins: Vec<[u8; 32]>,
    /// The name it must have.
    name: Option<ServerName<'static>>,
    /// Who must have signed it; then it must also be valid now.
    authorities: Option<Authorities>,
}

impl Verifier {
    fn judge(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Reason> {
        let unreadable = |_| Reason::new(Code::TlsUntrusted, "the certificate cannot be read");
        let parsed = ParsedCertificate::try_from(certificate).map_err(unreadable)?;
        let seen = Certificate::read(certificate);
        let pinned = ring::digest::digest(&ring::digest::SHA256, parsed.subject_public_key_info().as_ref());
        if !self.pins.is_empty() && !self.pins.iter().any(|pin| pin == pinned.as_ref()) {
            let detail = format!("expected a key of tls-pin, certificate has {}", in_base64(pinned.as_ref()));
            return Err(Reason::new(Code::TlsUntrusted, detail));
        }
        if let Some(authorities) = &self.authorities {
            self.judge_authority(authorities, certificate, &parsed, intermediates, &seen, now)?;
        }
        match &self.name {
            Some(name) if verify_server_name(&parsed, name).is_err() => {
                let detail = format!("expected {}, certificate has {}", name.to_str(), seen.names_in_words());
                Err(Reason::new(Code::TlsName, detail))
            }
            _ => Ok(()),
        }
    }

    fn judge_authority(
        &self,
        authorities: &Authorities,
        certificate: &CertificateDer<'_>,
        parsed: &ParsedCertificate<'_>,
        intermediates: &[CertificateDer<'_>],
        seen: &Certificate,
        now: UnixTime,
    ) -> Result<(), Reason> {
        // A self-signed certificate given as it is: openssl makes them as authorities, which may not be servers.
        let signed = if authorities.given.iter().any(|given| given[..] == certificate[..]) {
            seen.valid_at(now)
        } else {
            let algorithms = self.provider.signature_verification_algorithms.all;
            verify_server_cert_signed_by_trust_anchor(parsed, &authorities.roots, intermediates, now, algorithms)
        };
        let Err(error) = signed else { return Ok(()) };
        let rustls::Error::InvalidCertificate(error) = error else {
            return Err(Reason::new(Code::TlsUntrusted, error.to_string()));
        };
        let (code, detail) = match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                let now = moment(now);
                let what = match seen.not_after {
                    Some(end) if end < now => format!("certificate has ended at {end}"),
                    _ => "one between it and its authority has ended".to_owned(),
                };
                (Code::TlsExpired, format!("expected a certificate valid at {now}, {what}"))
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                let now = moment(now);
                let what = match seen.not_before {
                    Some(begin) if begin > now => format!("certificate begins at {begin}"),
                    _ => "one between it and its authority begins later".to_owned(),
                };
                (Code::TlsExpired, format!("expected a certificate valid at {now}, {what}"))
            }
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
                (Code::TlsUntrusted, "expected a certificate for servers, it is for other purposes only".to_owned())
            }
            CertificateError::BadSignature => {
                (Code::TlsUntrusted, format!("expected {}, certificate has a wrong signature", authorities.words))
            }
            CertificateError::UnknownIssuer if !seen.self_signed => {
                let issuer = &seen.issuer;
                (Code::TlsUntrusted, format!("expected {}, certificate has the issuer {issuer}", authorities.words))
            }
            _ if seen.self_signed => {
                let issuer = "the issuer itself (self-signed)";
                (Code::TlsUntrusted, format!("expected {}, certificate has {issuer}", authorities.words))
            }
            other => (Code::TlsUntrusted, format!("expected {}, certificate has {other:?}", authorities.words)),
        };
        Err(Reason::new(code, detail))
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self.judge(certificate, intermediates, now) {
            Ok(()) => Ok(ServerCertVerified::assertion()),
            Err(reason) => {
                let refused = Refused { reason, certificate: certificate.to_vec() };
                Err(CertificateError::Other(OtherError(Arc::new(refused))).into())
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

fn moment(time: UnixTime) -> Timestamp {
    Timestamp::from_millis(time.as_secs().saturating_mul(1000))
}

/// What people want to know of a certificate.
#[derive(Debug, Default)]
struct Certificate {
    names: Vec<String>,
    /// The names are those of the subject, which do not count (RFC 6125 §6.4.4): it has no others.
    are_common: bool,
    issuer: String,
    self_signed: bool,
    not_before: Option<Timestamp>,
    not_after: Option<Timestamp>,
}

impl Certificate {
    /// Nothing is known of one that cannot be read.
    fn read(der: &[u8]) -> Certificate {
        let Ok((_, certificate)) = X509Certificate::from_der(der) else { return Certificate::default() };
        let moment = |time: i64| u64::try_from(time).ok().map(|secs| Timestamp::from_millis(secs.saturating_mul(1000)));
        let alternatives = certificate.subject_alternative_name().ok().flatten();
        let names = alternatives.iter().flat_map(|names| &names.value.general_names).filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            GeneralName::IPAddress(octets) => address(octets),
            _ => None,
        });
        let mut names: Vec<String> = names.take(NAMES_MAX).map(|name| shown(&name)).collect();
        let are_common = names.is_empty();
        if are_common {
            names = certificate.subject().iter_common_name().filter_map(|name| name.as_str().ok()).map(shown).collect();
            names.truncate(NAMES_MAX);
        }
        Certificate {
            are_common: are_common && !names.is_empty(),
            names,
            issuer: shown(&certificate.issuer().to_string()),
            self_signed: certificate.issuer() == certificate.subject(),
            not_before: moment(certificate.validity().not_before.timestamp()),
            not_after: moment(certificate.validity().not_after.timestamp()),
        }
    }

    fn names_in_words(&self) -> String {
        match self.names.join(", ") {
            _ if self.names.is_empty() => "no name".to_owned(),
            names if self.are_common => format!("no subjectAltName, and the common name {names} does not count"),
            names => names,
        }
    }

    fn valid_at(&self, now: UnixTime) -> Result<(), rustls::Error> {
        let now = moment(now);
        match (self.not_before, self.not_after) {
            (Some(begin), _) if now < begin => Err(CertificateError::NotValidYet.into()),
            (_, Some(end)) if now > end => Err(CertificateError::Expired.into()),
            (Some(_), Some(_)) => Ok(()),
            _ => Err(CertificateError::BadEncoding.into()),
        }
    }
}

fn address(octets: &[u8]) -> Option<String> {
    let v4 = <[u8; 4]>::try_from(octets).map(IpAddr::from);
    let v6 = <[u8; 16]>::try_from(octets).map(IpAddr::from);
    v4.or(v6).ok().map(|address| address.to_string())
}

/// Text of the primary as it may stand in logs and answers: bounded, without control characters.
fn shown(text: &str) -> String {
    let plain = text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c });
    let mut octets = 0;
    plain
        .take_while(|c| {
            octets += c.len_utf8();
            octets <= NAME_OCTETS_MAX
        })
        .collect()
}

fn in_base64(octets: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(octets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::time::Duration;

    /// With a resumed session no certificate is shown, so none is judged.
    #[test]
    fn sessions_are_not_resumed_beyond_the_end_of_a_certificate() {
        let profile = Profile::new(&TlsProfile::of_address([192, 0, 2, 1].into()));
        let end = Timestamp::from_secs(1000);
        profile.config.lock().expect(POISONED).1 = Some(end);
        let [early, late, later] =
            [1, 1000, 1001].map(|secs| profile.config_at(Timestamp::default() + Duration::from_secs(secs)));
        assert!(!Arc::ptr_eq(&early, &late) && Arc::ptr_eq(&late, &later));
    }

    #[test]
    fn what_fails_behind_a_handshake_is_one_of_the_certificate_only_if_the_primary_says_so() {
        let code = |error: rustls::Error| unwelcome(&io::Error::other(error)).map(|reason| reason.code);
        let alert = rustls::Error::AlertReceived(AlertDescription::CertificateRequired);
        assert_eq!(code(alert), Some(Code::TlsUntrusted));
        assert_eq!(code(rustls::Error::DecryptError), None);
    }
}
