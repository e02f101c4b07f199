//! The API through TLS, on a socket that the daemon inherits: hijacked streams whose directions end by themselves, clients
//! without a certificate, and the docker command line.

use std::{
    fs,
    io::{self, ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    os::fd::AsFd,
    path::Path,
    process::Command,
    sync::Arc,
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair, SanType};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use serde_json::json;

use crate::harness::{Daemon, PATIENCE, is_root, skip};

/// A daemon that serves TLS on a loopback port, and the files of its clients.
struct Secured {
    daemon: Daemon,
    address: SocketAddr,
    files: Scratch,
}

/// Certificates and keys, gone when dropped.
struct Scratch(std::path::PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Secured {
    fn start(name: &str) -> Self {
        let files = Scratch(std::env::temp_dir().join(format!("gantry-certificates-{name}-{}", std::process::id())));
        make_certificates(&files.0);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let mut arguments: Vec<String> = ["--tlsverify", "--host", "fd://"].map(str::to_owned).to_vec();
        for (option, file) in [
            ("tlscacert", "ca"),
            ("tlscert", "server-cert"),
            ("tlskey", "server-key"),
        ] {
            arguments.push(format!("--{option}={}/{file}.pem", files.0.display()));
        }
        Self {
            daemon: Daemon::start_with(arguments, Some(listener.into())),
            address,
            files,
        }
    }

    fn connect(&self, with_certificate: bool) -> Client {
        let file = |name: &str| self.files.0.join(name);
        let mut roots = RootCertStore::empty();
        let ca = CertificateDer::from_pem_file(file("ca.pem")).expect("a certificate");
        roots.add(ca).expect("a CA");
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots);
        let config = if with_certificate {
            let cert = CertificateDer::from_pem_file(file("cert.pem")).expect("a certificate");
            let key = PrivateKeyDer::from_pem_file(file("key.pem")).expect("a key");
            config.with_client_auth_cert(vec![cert], key).expect("an identity")
        } else {
            config.with_no_client_auth()
        };
        let name = ServerName::from(self.address.ip());
        let socket = TcpStream::connect(self.address).expect("a connection");
        socket.set_nonblocking(true).expect("non-blocking");
        Client {
            socket,
            session: ClientConnection::new(Arc::new(config), name).expect("a client"),
        }
    }
}

/// What the documentation of Docker tells people to make with openssl.
fn make_certificates(directory: &Path) {
    fs::create_dir_all(directory).expect("a directory");
    let write = |name: &str, text: String| fs::write(directory.join(name), text).expect("a file");
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let authority = CertifiedIssuer::self_signed(params, key).expect("a certificate");
    write("ca.pem", authority.pem());
    for (prefix, usage) in [
        ("server-", ExtendedKeyUsagePurpose::ServerAuth),
        ("", ExtendedKeyUsagePurpose::ClientAuth),
    ] {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.subject_alt_names.push(SanType::IpAddress([127, 0, 0, 1].into()));
        params.insert_extended_key_usage(usage);
        let key = KeyPair::generate().expect("a key");
        write(
            &format!("{prefix}cert.pem"),
            params.signed_by(&key, &authority).expect("a certificate").pem(),
        );
        write(&format!("{prefix}key.pem"), key.serialize_pem());
    }
}

struct Client {
    socket: TcpStream,
    session: ClientConnection,
}

/// How a client ends its direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    CloseNotify,
    /// The end of the TCP stream, and nothing of TLS before it.
    Bare,
    /// Not before the daemon.
    Never,
}

impl Client {
    /// Sends everything, ends our direction, and reads until the daemon ends its own, all at the same time.
    ///
    /// An error is what the daemon's TLS refuses; an end without close_notify counts as one.
    fn exchange(&mut self, mut bytes: &[u8], end: End) -> io::Result<Vec<u8>> {
        let mut got = Vec::new();
        let mut ended = false;
        loop {
            let given = self.session.writer().write(bytes)?;
            bytes = &bytes[given..];
            if bytes.is_empty() && !ended && !self.session.is_handshaking() && !self.session.wants_write() {
                ended = true;
                match end {
                    End::CloseNotify => self.session.send_close_notify(),
                    End::Bare => self.socket.shutdown(Shutdown::Write)?,
                    End::Never => {}
                }
            }
            let mut moved = given > 0;
            while self.session.wants_write() {
                match self.session.write_tls(&mut self.socket) {
                    Ok(_) => moved = true,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error),
                }
            }
            match self.session.read_tls(&mut self.socket) {
                Ok(_) => {
                    moved = true;
                    self.session.process_new_packets().map_err(io::Error::other)?;
                    match self.session.reader().read_to_end(&mut got) {
                        Ok(_) => return Ok(got),
                        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                        Err(error) => return Err(error),
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            if !moved {
                self.wait();
            }
        }
    }

    fn wait(&self) {
        let mut events = PollFlags::POLLIN;
        events.set(PollFlags::POLLOUT, self.session.wants_write());
        let patience = PollTimeout::try_from(PATIENCE).expect("fits");
        let ready = poll(&mut [PollFd::new(self.socket.as_fd(), events)], patience).expect("poll");
        assert_ne!(ready, 0, "nothing came for {} s", PATIENCE.as_secs());
    }
}

#[test]
fn hijacked_streams_end_one_direction_at_a_time() {
    if !is_root() {
        return;
    }
    let secured = Secured::start("hijack");
    let daemon = &secured.daemon;
    let pattern = |len: u32| -> Vec<u8> { (0..len).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect() };
    for (end, megabytes) in [(End::CloseNotify, 100), (End::Bare, 10)] {
        let input = pattern(megabytes * 1_000_000);
        let id = daemon.create(&["cat"], json!({"OpenStdin": true, "StdinOnce": true, "Tty": false}));
        daemon.start_container(&id);
        let mut bytes = format!(
            "POST /v1.24/containers/{id}/attach?stream=1&stdin=1&stdout=1 HTTP/1.1\r\nHost: d\r\n\
             Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
        )
        .into_bytes();
        bytes.extend_from_slice(&input);
        let got = secured.connect(true).exchange(&bytes, end).expect("a clean end");
        let head_len = got.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
        assert!(
            got.starts_with(b"HTTP/1.1 101 "),
            "{}",
            String::from_utf8_lossy(&got[..head_len])
        );
        let (mut echoed, mut rest) = (Vec::with_capacity(input.len()), &got[head_len..]);
        while let Some((&[1, 0, 0, 0, l0, l1, l2, l3], after)) = rest.split_first_chunk::<8>() {
            let (piece, after) = after.split_at(u32::from_be_bytes([l0, l1, l2, l3]) as usize);
            echoed.extend_from_slice(piece);
            rest = after;
        }
        assert!(
            rest.is_empty() && echoed == input,
            "{end:?}: what came back is not what was sent"
        );
        assert_eq!(daemon.wait(&id), 0, "{end:?}");
    }
}

/// What cannot be spliced is copied.
#[test]
fn a_tar_comes_through_whole() {
    if !is_root() {
        return;
    }
    let secured = Secured::start("tar");
    let (head, archive) = (
        "GET /v1.24/images/probe/get HTTP/1.0\r\nHost: d\r\n\r\n",
        "/v1.24/images/probe/get",
    );
    let plain = secured.daemon.get(archive).body;
    assert!(plain.len() > 100_000, "more than a few records");
    for _ in 0..3 {
        let got = secured
            .connect(true)
            .exchange(head.as_bytes(), End::Never)
            .expect("a clean end");
        assert!(
            got.starts_with(b"HTTP/1.0 200 "),
            "{}",
            String::from_utf8_lossy(&got[..got.len().min(200)])
        );
        assert!(
            got.ends_with(&plain) && got.len() < plain.len() + 500,
            "{} of {}",
            got.len(),
            plain.len()
        );
    }
}

#[test]
fn who_has_no_certificate_gets_nowhere() {
    if !is_root() {
        return;
    }
    let secured = Secured::start("refused");
    let create = b"POST /v1.24/containers/create?name=uninvited HTTP/1.1\r\nHost: d\r\nContent-Length: 17\r\n\
                   Content-Type: application/json\r\n\r\n{\"Image\":\"probe\"}";
    let refused = secured.connect(false).exchange(create, End::CloseNotify);
    let error = refused.expect_err("no certificate").to_string();
    assert!(error.contains("CertificateRequired"), "{error}");
    let mut plain = TcpStream::connect(secured.address).expect("a connection");
    plain.write_all(create).expect("the request");
    let answer = io::read_to_string(&mut plain).expect("an answer");
    assert_eq!(
        answer,
        "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"
    );
    let listed = secured.daemon.get("/v1.24/containers/json?all=1");
    assert_eq!(crate::harness::json_of(&listed), json!([]));
}

#[test]
fn docker_runs_a_container_through_tls() {
    if !is_root() {
        return;
    }
    if Command::new("docker").arg("--version").output().is_err() {
        return skip("docker is not installed");
    }
    let secured = Secured::start("docker");
    let docker = |words: &[&str]| {
        let mut command = Command::new("docker");
        command
            .args(words)
            .env("DOCKER_HOST", format!("tcp://{}", secured.address))
            .env("DOCKER_TLS_VERIFY", "1")
            .env("DOCKER_CERT_PATH", &secured.files.0);
        let output = command.output().expect("docker runs");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    // Without `--rm`: below v1.25 the client removes by itself and, if it hears of that on another connection before the
    // answer, says so as an error. With several loops that can be.
    let run = [
        "run",
        "--name",
        "box",
        "--network",
        "none",
        "probe",
        "/probe",
        "both",
        "out",
        "err",
    ];
    assert_eq!(docker(&run), (Some(0), "out\n".into(), "err\n".into()));
    assert_eq!(docker(&["rm", "box"]), (Some(0), "box\n".into(), String::new()));
}
