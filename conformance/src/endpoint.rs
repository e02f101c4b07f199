//! Where a daemon listens, and a stream of bytes to it: a unix socket, TCP, or TLS on TCP.
//!
//! No HTTP here. Connecting waits; what comes of it can be told not to.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// What carries the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Transport {
    /// A unix socket.
    Unix,
    /// TCP in the clear.
    Tcp,
    /// TLS on TCP.
    Tls,
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unix => "unix",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
        })
    }
}

/// One place where a daemon listens.
#[derive(Clone, Debug)]
pub enum Endpoint {
    /// The path of a unix socket.
    Unix(PathBuf),
    /// `HOST:PORT`.
    Tcp(String),
    /// `HOST:PORT`, and whom to trust there; HOST has to be in the daemon's certificate.
    Tls(String, Tls),
}

impl From<&Path> for Endpoint {
    fn from(socket: &Path) -> Self {
        Self::Unix(socket.to_owned())
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "{}", path.display()),
            Self::Tcp(address) => write!(f, "tcp://{address}"),
            Self::Tls(address, _) => write!(f, "tls://{address}"),
        }
    }
}

impl Endpoint {
    /// What carries the bytes.
    pub fn transport(&self) -> Transport {
        match self {
            Self::Unix(_) => Transport::Unix,
            Self::Tcp(_) => Transport::Tcp,
            Self::Tls(..) => Transport::Tls,
        }
    }

    /// The addresses that `HOST:PORT` stands for; none for a unix socket.
    ///
    /// # Errors
    /// When the name is unknown or the port is missing.
    pub fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        match self {
            Self::Unix(_) => Ok(Vec::new()),
            Self::Tcp(address) | Self::Tls(address, _) => Ok(address.to_socket_addrs()?.collect()),
        }
    }

    /// Connects; with TLS, up to the end of the handshake. The stream waits where nothing else is said.
    ///
    /// # Errors
    /// When nobody listens, or the handshake fails or takes longer than `patience`.
    pub fn connect(&self, patience: Duration) -> io::Result<Stream> {
        match self {
            Self::Unix(path) => UnixStream::connect(path).map(Stream::Unix),
            Self::Tcp(address) => tcp(address, patience).map(Stream::Tcp),
            Self::Tls(address, tls) => {
                let host = address.rsplit_once(':').map_or(address.as_str(), |(host, _)| host);
                let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned()).map_err(io::Error::other)?;
                let session = ClientConnection::new(Arc::clone(&tls.0), name).map_err(io::Error::other)?;
                let mut stream = StreamOwned::new(session, tcp(address, patience)?);
                while stream.conn.is_handshaking() {
                    stream.conn.complete_io(&mut stream.sock)?;
                }
                Ok(Stream::Tls(Box::new(stream)))
            }
        }
    }
}

fn tcp(address: &str, patience: Duration) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    Ok(stream)
}

/// Whom to trust, and who we are: the client's side of TLS.
#[derive(Clone, Debug)]
pub struct Tls(Arc<ClientConfig>);

/// Why TLS cannot be spoken.
#[derive(Debug)]
pub enum TlsError {
    /// A PEM file that cannot be read, or holds nothing of what it should.
    File(PathBuf, pem::Error),
    /// The certificates or the key are of no use.
    Refused(rustls::Error),
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Refused(error) => write!(f, "TLS: {error}"),
        }
    }
}

impl std::error::Error for TlsError {}

impl From<rustls::Error> for TlsError {
    fn from(error: rustls::Error) -> Self {
        Self::Refused(error)
    }
}

impl Tls {
    /// Trusts the certificates in `ca`, and shows the certificate and key of `own` to a daemon that asks (all PEM).
    ///
    /// # Errors
    /// When a file is not of use.
    pub fn load(ca: &Path, own: Option<(&Path, &Path)>) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(ca)? {
            roots.add(certificate)?;
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots);
        let config = match own {
            None => config.with_no_client_auth(),
            Some((certificate, key_file)) => {
                let key = PrivateKeyDer::from_pem_file(key_file)
                    .map_err(|error| TlsError::File(key_file.to_owned(), error))?;
                config.with_client_auth_cert(certificates(certificate)?, key)?
            }
        };
        Ok(Self(Arc::new(config)))
    }
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |error| TlsError::File(file.to_owned(), error);
    let found = CertificateDer::pem_file_iter(file)
        .map_err(failed)?
        .collect::<Result<Vec<_>, _>>()
        .map_err(failed)?;
    if found.is_empty() {
        return Err(failed(pem::Error::NoItemsFound));
    }
    Ok(found)
}

/// An open connection, as bytes. A read that returns less than it could has emptied it, TLS included.
#[derive(Debug)]
pub enum Stream {
    /// On a unix socket.
    Unix(UnixStream),
    /// On TCP.
    Tcp(TcpStream),
    /// On TLS over TCP.
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Stream {
    /// Longest wait of one read and of one write.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn set_timeouts(&self, read: Duration, write: Duration) -> io::Result<()> {
        match self {
            Self::Unix(stream) => {
                stream.set_read_timeout(Some(read))?;
                stream.set_write_timeout(Some(write))
            }
            Self::Tcp(stream) => {
                stream.set_read_timeout(Some(read))?;
                stream.set_write_timeout(Some(write))
            }
            Self::Tls(stream) => {
                stream.sock.set_read_timeout(Some(read))?;
                stream.sock.set_write_timeout(Some(write))
            }
        }
    }

    /// From here on, nothing waits: it fails with `WouldBlock`.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn set_nonblocking(&self) -> io::Result<()> {
        match self {
            Self::Unix(stream) => stream.set_nonblocking(true),
            Self::Tcp(stream) => stream.set_nonblocking(true),
            Self::Tls(stream) => stream.sock.set_nonblocking(true),
        }
    }

    /// Ends our side only.
    ///
    /// # Errors
    /// When the connection is gone already.
    pub fn half_close(&mut self) -> io::Result<()> {
        match self {
            Self::Unix(stream) => stream.shutdown(Shutdown::Write),
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Self::Tls(stream) => {
                stream.conn.send_close_notify();
                stream.flush()?;
                stream.sock.shutdown(Shutdown::Write)
            }
        }
    }

    /// A second handle on the same connection.
    ///
    /// # Errors
    /// Out of descriptors; with TLS always, for the state of the session exists once.
    pub fn try_clone(&self) -> io::Result<Self> {
        match self {
            Self::Unix(stream) => stream.try_clone().map(Self::Unix),
            Self::Tcp(stream) => stream.try_clone().map(Self::Tcp),
            Self::Tls(_) => Err(io::Error::from(io::ErrorKind::Unsupported)),
        }
    }

    /// Process at the other end of a unix socket, as the kernel knows it: the one that called `listen`.
    pub fn peer_pid(&self) -> Option<i32> {
        use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
        let Self::Unix(stream) = self else {
            return None;
        };
        getsockopt(stream, PeerCredentials)
            .ok()
            .map(|credentials| credentials.pid())
            .filter(|pid| *pid > 0)
    }
}

impl Read for Stream {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.read(out),
            Self::Tcp(stream) => stream.read(out),
            Self::Tls(stream) => stream.read(out),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.write(bytes),
            Self::Tcp(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Unix(stream) => stream.flush(),
            Self::Tcp(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Unix(stream) => stream.as_fd(),
            Self::Tcp(stream) => stream.as_fd(),
            Self::Tls(stream) => stream.sock.as_fd(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::{ServerConfig, ServerConnection};

    /// A file with this PEM text, for as long as `test` runs.
    fn with_file(pem: &str, test: impl FnOnce(&Path)) {
        let path = std::env::temp_dir().join(format!("conformance-endpoint-{}.pem", std::process::id()));
        std::fs::write(&path, pem).expect("write");
        test(&path);
        std::fs::remove_file(&path).expect("unlink");
    }

    #[test]
    fn tls_carries_bytes_both_ways_to_whom_it_trusts_alone() {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
        let key = PrivateKeyDer::from_pem_slice(made.signing_key.serialize_pem().as_bytes()).expect("a key");
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|config| {
                config
                    .with_no_client_auth()
                    .with_single_cert(vec![made.cert.der().clone()], key)
            })
            .expect("a configuration");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
        let address = listener.local_addr().expect("address").to_string();
        let patience = Duration::from_secs(10);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let config = Arc::new(config);
                for _ in 0..2 {
                    let (socket, _) = listener.accept().expect("accept");
                    let session = ServerConnection::new(Arc::clone(&config)).expect("a session");
                    let mut stream = StreamOwned::new(session, socket);
                    let mut said = Vec::new();
                    if stream.read_to_end(&mut said).is_ok() {
                        stream.write_all(&said).expect("send");
                        stream.conn.send_close_notify();
                        stream.flush().expect("flush");
                    }
                }
            });
            with_file(&made.cert.pem(), |ca| {
                let tls = Tls::load(ca, None).expect("trust");
                let mut stream = Endpoint::Tls(address.clone(), tls).connect(patience).expect("connect");
                stream
                    .write_all(b"hello")
                    .and_then(|()| stream.half_close())
                    .expect("send");
                let mut said = Vec::new();
                stream.read_to_end(&mut said).expect("receive");
                assert_eq!(said, b"hello");
            });
            let other = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
            with_file(&other.cert.pem(), |ca| {
                let tls = Tls::load(ca, None).expect("trust");
                let refused = Endpoint::Tls(address.clone(), tls).connect(patience);
                assert!(refused.is_err(), "a stranger is trusted");
            });
        });
    }

    #[test]
    fn a_file_without_a_certificate_is_refused() {
        let refused = Tls::load(Path::new("/dev/null"), None);
        assert!(matches!(refused, Err(TlsError::File(..))), "{refused:?}");
    }
}
