//! The sockets of the API: addresses in clear text, addresses with TLS, UNIX sockets.
//!
//! In: `[api] listen`, `listen-tls`, `socket-mode`. Out: a [`Listener`] each, for [`serve`](super::serve::serve), which
//! gives streams and where they come from. A UNIX socket appears with its permissions set and goes with its listener.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::serve::Ends;
use crate::net::TlsIdentity;

/// Time for a TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// A bound socket.
pub enum Listener {
    /// HTTP in clear text.
    Tcp(TcpListener),
    /// HTTPS.
    Tls(TcpListener, Arc<TlsIdentity>),
    /// HTTP between processes of this host.
    Unix(UnixSocket),
}

/// A listening UNIX socket; its file goes when this is dropped.
pub struct UnixSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        // It may have been taken over by the next daemon, or removed by hand: nothing is lost.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Binds a UNIX socket with these permissions. A socket that a daemon has left behind is replaced, one that answers is not.
pub fn bind_unix(path: &Path, mode: u32) -> io::Result<UnixSocket> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is a file that is no socket"));
        }
        Ok(_) if std::os::unix::net::UnixStream::connect(path).is_ok() => {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, "another process listens there"));
        }
        Ok(_) | Err(_) => {}
    }
    // Under another name first: nobody connects before the permissions are set.
    let mut draft = path.as_os_str().to_owned();
    draft.push(".new");
    let draft = PathBuf::from(draft);
    match std::fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&draft)?;
    let shown = std::fs::set_permissions(&draft, std::fs::Permissions::from_mode(mode))
        .and_then(|()| std::fs::rename(&draft, path));
    if let Err(error) = shown {
        let _ = std::fs::remove_file(&draft);
        return Err(error);
    }
    Ok(UnixSocket { listener, path: path.to_owned() })
}

/// A connection before its first octet.
pub(super) struct Accepted {
    stream: Raw,
    /// Whose it is.
    pub(super) ends: Ends,
}

enum Raw {
    Tcp(TcpStream),
    Tls(TcpStream, Arc<TlsIdentity>),
    Unix(UnixStream),
}

/// A stream of any of the kinds.
pub(super) trait Octets: AsyncRead + AsyncWrite + Send {}
impl<T: AsyncRead + AsyncWrite + Send> Octets for T {}

impl Listener {
    /// The next connection.
    pub(super) async fn accept(&self) -> io::Result<Accepted> {
        let of = |local: io::Result<SocketAddr>, peer, is_tls| Ends { peer: Some(peer), local: local.ok(), is_tls };
        match self {
            Listener::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                let ends = of(stream.local_addr(), peer, false);
                Ok(Accepted { stream: Raw::Tcp(stream), ends })
            }
            Listener::Tls(listener, identity) => {
                let (stream, peer) = listener.accept().await?;
                let ends = of(stream.local_addr(), peer, true);
                Ok(Accepted { stream: Raw::Tls(stream, identity.clone()), ends })
            }
            Listener::Unix(socket) => {
                let (stream, _) = socket.listener.accept().await?;
                Ok(Accepted { stream: Raw::Unix(stream), ends: Ends { peer: None, local: None, is_tls: false } })
            }
        }
    }
}

impl std::fmt::Display for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Listener::Tcp(listener) | Listener::Tls(listener, _) => match listener.local_addr() {
                Ok(address) => address.fmt(f),
                Err(_) => f.write_str("unknown"),
            },
            Listener::Unix(socket) => write!(f, "unix:{}", socket.path.display()),
        }
    }
}

impl Accepted {
    /// The stream, where nothing has to be agreed on before.
    pub(super) fn in_clear_text(self) -> Option<Pin<Box<dyn Octets>>> {
        match self.stream {
            Raw::Unix(stream) => Some(Box::pin(stream)),
            Raw::Tcp(stream) => Some(Box::pin(stream)),
            Raw::Tls(..) => None,
        }
    }

    /// The stream HTTP goes over, after the handshake where there is one.
    pub(super) async fn open(self) -> io::Result<Pin<Box<dyn Octets>>> {
        match self.stream {
            Raw::Unix(stream) => Ok(Box::pin(stream)),
            Raw::Tcp(stream) => {
                let _ = stream.set_nodelay(true);
                Ok(Box::pin(stream))
            }
            Raw::Tls(stream, identity) => {
                let _ = stream.set_nodelay(true);
                let handshake = TlsAcceptor::from(identity.current()).accept(stream);
                Ok(Box::pin(timeout(HANDSHAKE_TIMEOUT, handshake).await??))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_left_behind_is_replaced_and_one_in_use_is_not() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("api.sock");
        let first = bind_unix(&path, 0o600).expect("bound");
        let mode = std::fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(bind_unix(&path, 0o600).err().map(|e| e.kind()), Some(io::ErrorKind::AddrInUse));
        drop(first);
        assert!(!path.exists());
        drop(std::os::unix::net::UnixListener::bind(&path).expect("bound"));
        assert!(path.exists(), "as after a kill");
        drop(bind_unix(&path, 0o660).expect("bound again"));
        std::fs::write(&path, "a file").expect("written");
        assert_eq!(bind_unix(&path, 0o660).err().map(|e| e.kind()), Some(io::ErrorKind::AlreadyExists));
        assert_eq!(std::fs::read(&path).expect("still there"), b"a file");
    }
}
