//! Both ends in memory, with rustls as the client: handshakes that must fail, ends, cuts, and back-pressure.

use std::{
    fs,
    io::{Read, Write},
    path::PathBuf,
};

use proptest::prelude::*;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair, SanType,
    date_time_ymd,
};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore,
    crypto::ring,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName},
};

use super::*;

/// A protocol that takes what it gets and sends what it is given.
#[derive(Default)]
struct Relay {
    paused: bool,
    got: Vec<u8>,
    ended: bool,
    reset: bool,
    out: Vec<u8>,
    finish: bool,
    close: bool,
    said_reset: bool,
}

impl Protocol for Relay {
    type Event = &'static str;

    fn handle_input(&mut self, _: Instant, bytes: &[u8]) -> usize {
        assert!(!self.ended && !self.reset, "bytes after the end");
        if self.paused {
            return 0;
        }
        // An odd prefix, so that the rest has to be kept.
        let len = bytes.len().min(1000);
        self.got.extend_from_slice(&bytes[..len]);
        len
    }

    fn handle_eof(&mut self, _: Instant) {
        assert!(!self.ended, "told twice");
        self.ended = true;
    }

    fn handle_reset(&mut self, _: Instant) {
        self.reset = true;
        self.out.clear();
    }

    fn handle_timeout(&mut self, _: Instant) {}

    fn poll_output(&mut self, _: Instant, out: &mut [u8]) -> Output<&'static str> {
        if self.reset && !self.said_reset {
            self.said_reset = true;
            return Output::Event("reset");
        }
        let len = self.out.len().min(out.len());
        if len > 0 {
            out[..len].copy_from_slice(&self.out[..len]);
            self.out.drain(..len);
            return Output::Transmit(len);
        }
        match () {
            () if !self.out.is_empty() => Output::Wait(None),
            () if std::mem::take(&mut self.finish) => Output::Shutdown,
            () if self.close || self.reset => Output::Close,
            () => Output::Wait(None),
        }
    }

    fn output_queued(&self) -> usize {
        self.out.len()
    }

    fn wants_input(&self) -> bool {
        !self.paused && !self.ended && !self.reset
    }
}

/// A CA, and certificates of it.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a certificate"))
    }

    fn issue(&self, change: impl FnOnce(&mut CertificateParams)) -> (rcgen::Certificate, KeyPair) {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.subject_alt_names.push(SanType::IpAddress([127, 0, 0, 1].into()));
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        (params.signed_by(&key, &self.0).expect("a certificate"), key)
    }

    fn client(&self) -> (rcgen::Certificate, KeyPair) {
        self.issue(|params| params.insert_extended_key_usage(ExtendedKeyUsagePurpose::ClientAuth))
    }
}

/// A server's files on disk, gone when dropped.
struct Files {
    dir: PathBuf,
    files: TlsFiles,
}

impl Files {
    fn new(authority: &Authority, verify: bool) -> Self {
        static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("gantry-tls-{}-{number}", std::process::id()));
        fs::create_dir_all(&dir).expect("a directory");
        let (cert, key) = authority.issue(|params| {
            params.insert_extended_key_usage(ExtendedKeyUsagePurpose::ServerAuth);
        });
        let write = |name: &str, text: String| {
            let path = dir.join(name);
            fs::write(&path, text).expect("a file");
            path
        };
        let files = TlsFiles {
            cert: write("cert.pem", cert.pem()),
            key: write("key.pem", key.serialize_pem()),
            client_ca: verify.then(|| write("ca.pem", authority.0.pem())),
        };
        Self { dir, files }
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn client(authority: &Authority, identity: Option<(rcgen::Certificate, KeyPair)>) -> ClientConnection {
    let mut roots = RootCertStore::empty();
    roots.add(authority.0.der().clone()).expect("a CA");
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots);
    let config = match identity {
        None => config.with_no_client_auth(),
        Some((cert, key)) => {
            let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
            config
                .with_client_auth_cert(vec![cert.der().clone()], key)
                .expect("an identity")
        }
    };
    let name = ServerName::try_from("127.0.0.1").expect("a name");
    let mut client = ClientConnection::new(Arc::new(config), name).expect("a client");
    client.set_buffer_limit(None);
    client
}

/// Both ends and what has happened between them.
struct Pair {
    server: Tls<Relay>,
    client: ClientConnection,
    /// What the client has decrypted.
    got: Vec<u8>,
    /// What came to the client that is no TLS.
    raw: Vec<u8>,
    client_failed: bool,
    shutdown: bool,
    closed: bool,
    /// Sizes of the pieces that travel, over and over.
    cuts: Vec<usize>,
    turn: usize,
}

const NOW: Instant = Instant(Duration::ZERO);

impl Pair {
    fn new(files: &Files, client: ClientConnection) -> Self {
        let config = server_config(&files.files).expect("good files");
        Self {
            server: Tls::new(config, Relay::default(), NOW),
            client,
            got: Vec::new(),
            raw: Vec::new(),
            client_failed: false,
            shutdown: false,
            closed: false,
            cuts: vec![65536],
            turn: 0,
        }
    }

    fn plain() -> Self {
        let authority = Authority::new();
        Self::new(&Files::new(&authority, false), client(&authority, None))
    }

    fn cut(&mut self) -> usize {
        self.turn += 1;
        self.cuts[self.turn % self.cuts.len()]
    }

    /// Carries bytes both ways until nothing moves.
    fn settle(&mut self) {
        let mut to_server = Vec::new();
        loop {
            let mut moved = self.poll();
            while self.client.wants_write() {
                self.client.write_tls(&mut to_server).expect("memory");
            }
            while !to_server.is_empty() && self.server.wants_input() && !self.closed {
                let len = self.cut().min(to_server.len());
                let taken = self.server.handle_input(NOW, &to_server[..len]);
                to_server.drain(..taken);
                moved |= taken > 0;
                moved |= self.poll();
                if taken == 0 {
                    break;
                }
            }
            if !moved {
                return;
            }
        }
    }

    /// Drains the server into the client.
    fn poll(&mut self) -> bool {
        let mut moved = false;
        while !self.closed {
            let mut out = vec![0; self.cut()];
            match self.server.poll_output(NOW, &mut out) {
                Output::Event(_) => {}
                Output::Splice { .. } => panic!("nothing is spliced through TLS"),
                Output::Transmit(len) => self.client_reads(&out[..len]),
                Output::Wait(_) => break,
                Output::Shutdown => self.shutdown = true,
                Output::Close => self.closed = true,
            }
            moved = true;
        }
        moved
    }

    fn client_reads(&mut self, mut bytes: &[u8]) {
        self.raw.extend_from_slice(bytes);
        while !bytes.is_empty() && !self.client_failed {
            self.client_failed |= self.client.read_tls(&mut bytes).is_err();
            self.client_failed |= self.client.process_new_packets().is_err();
            let _ = self.client.reader().read_to_end(&mut self.got);
        }
    }

    fn client_sends(&mut self, bytes: &[u8]) {
        self.client.writer().write_all(bytes).expect("no limit");
        self.settle();
    }
}

#[test]
fn only_clients_of_the_ca_are_let_in() {
    let (authority, other) = (Authority::new(), Authority::new());
    let files = Files::new(&authority, true);
    let server_only = authority.issue(|params| params.insert_extended_key_usage(ExtendedKeyUsagePurpose::ServerAuth));
    let expired = authority.issue(|params| {
        params.insert_extended_key_usage(ExtendedKeyUsagePurpose::ClientAuth);
        params.not_before = date_time_ymd(2013, 1, 1);
        params.not_after = date_time_ymd(2014, 1, 1);
    });
    let self_signed = {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(Vec::new()).expect("no names");
        (params.self_signed(&key).expect("a certificate"), key)
    };
    let cases = [
        ("of the CA", Some(authority.client()), true),
        ("none", None, false),
        ("of another CA", Some(other.client()), false),
        ("for servers only", Some(server_only), false),
        ("expired", Some(expired), false),
        ("self-signed", Some(self_signed), false),
    ];
    for (name, identity, let_in) in cases {
        let mut pair = Pair::new(&files, client(&authority, identity));
        pair.client.writer().write_all(b"hello").expect("no limit");
        pair.settle();
        assert_eq!(pair.server.inner().got == b"hello", let_in, "{name}");
        assert_eq!(pair.server.inner().got.is_empty(), !let_in, "{name}");
        assert_eq!((pair.closed, pair.client_failed), (!let_in, !let_in), "{name}");
        assert_eq!(pair.server.inner().said_reset, !let_in, "{name}");
        // Nobody comes back by a ticket, past the certificate.
        assert_eq!(pair.client.tls13_tickets_received(), 0, "{name}");
    }
}

#[test]
fn what_is_no_tls_is_turned_away() {
    let cases: [(&str, &[u8], &[u8]); 4] = [
        ("plain HTTP", b"GET /v1.24/_ping HTTP/1.1\r\nHost: d\r\n\r\n", NOT_TLS),
        ("a plain POST", b"POST /containers/create HTTP/1.1\r\n\r\n", NOT_TLS),
        // A fatal alert: protocol_version or decode_error, depending on what the bytes look like.
        ("garbage", b"\x99\x99\x99\x99\x99\x99\x99\x99\x99\x99", &[0x15, 3]),
        ("SSH", b"SSH-2.0-OpenSSH_9.2\r\n", &[0x15, 3]),
    ];
    for (name, bytes, answer) in cases {
        let mut pair = Pair::plain();
        assert_eq!(pair.server.handle_input(NOW, bytes), bytes.len(), "{name}");
        pair.poll();
        assert!(
            pair.raw.starts_with(answer),
            "{name}: {:?}",
            String::from_utf8_lossy(&pair.raw)
        );
        assert!(pair.closed && pair.server.inner().said_reset, "{name}");
        assert!(pair.server.inner().got.is_empty(), "{name}: nothing gets in");
    }
}

#[test]
fn a_handshake_has_to_be_over_in_time() {
    let mut pair = Pair::plain();
    let wait = pair.server.poll_output(NOW, &mut [0; 100]);
    assert_eq!(wait, Output::Wait(Some(NOW + HANDSHAKE_TIMEOUT)));
    pair.server.handle_timeout(NOW + HANDSHAKE_TIMEOUT);
    pair.poll();
    assert!(pair.closed);

    let mut pair = Pair::plain();
    pair.settle();
    assert_eq!(pair.server.poll_output(NOW, &mut [0; 100]), Output::Wait(None));
    pair.server.handle_timeout(NOW + HANDSHAKE_TIMEOUT);
    pair.poll();
    assert!(!pair.closed, "it was in time");
}

#[test]
fn each_direction_ends_by_itself() {
    // The client first, by close_notify or by a bare end of the stream.
    for bare in [false, true] {
        let mut pair = Pair::plain();
        pair.client_sends(b"the end of stdin");
        if bare {
            pair.server.handle_eof(NOW);
        } else {
            pair.client.send_close_notify();
        }
        pair.settle();
        assert_eq!(pair.server.inner().got, b"the end of stdin", "bare: {bare}");
        assert!(pair.server.inner().ended, "bare: {bare}");
        pair.server.inner().out = b"and still an answer".to_vec();
        pair.server.inner().close = true;
        pair.settle();
        assert_eq!(pair.got, b"and still an answer", "bare: {bare}");
        assert!(pair.closed && pair.client.process_new_packets().unwrap().peer_has_closed());
    }
    // Ours first.
    let mut pair = Pair::plain();
    pair.settle();
    pair.server.inner().out = b"the end of stdout".to_vec();
    pair.server.inner().finish = true;
    pair.settle();
    assert_eq!(pair.got, b"the end of stdout");
    assert!(pair.shutdown && !pair.closed && pair.client.process_new_packets().unwrap().peer_has_closed());
    pair.client_sends(b"and still a request");
    assert_eq!(pair.server.inner().got, b"and still a request");
}

#[test]
fn a_protocol_that_takes_nothing_holds_the_peer_up() {
    let mut pair = Pair::plain();
    pair.settle();
    pair.server.inner().paused = true;
    pair.client.writer().write_all(&[7; 300_000]).expect("no limit");
    let mut sent = Vec::new();
    while pair.client.wants_write() {
        pair.client.write_tls(&mut sent).expect("memory");
    }
    let taken = pair.server.handle_input(NOW, &sent);
    // One record is decrypted, and what was read with it.
    assert!(taken < 40_000, "{taken} bytes are taken for a protocol that takes none");
    assert_eq!(pair.server.handle_input(NOW, &sent[taken..]), 0);
    assert!(!pair.server.wants_input());
    pair.server.inner().paused = false;
    pair.poll();
    let more = pair.server.handle_input(NOW, &sent[taken..]);
    assert_eq!(taken + more, sent.len());
    assert_eq!(pair.server.inner().got, vec![7; 300_000]);
}

#[test]
fn a_reset_lets_events_through_and_closes() {
    let mut pair = Pair::plain();
    pair.settle();
    pair.server.inner().out = vec![1; 1000];
    pair.server.handle_reset(NOW);
    assert_eq!(pair.server.poll_output(NOW, &mut []), Output::Event("reset"));
    assert_eq!(pair.server.poll_output(NOW, &mut []), Output::Close);
}

#[test]
fn bad_files_are_named() {
    let authority = Authority::new();
    let files = Files::new(&authority, true);
    let good = &files.files;
    let nowhere = files.dir.join("nowhere.pem");
    let empty = files.dir.join("empty.pem");
    fs::write(&empty, "nothing\n").expect("a file");
    let cases = [
        (
            TlsFiles {
                cert: nowhere.clone(),
                ..good.clone()
            },
            "nowhere.pem",
        ),
        (
            TlsFiles {
                key: nowhere.clone(),
                ..good.clone()
            },
            "nowhere.pem",
        ),
        (
            TlsFiles {
                client_ca: Some(nowhere),
                ..good.clone()
            },
            "nowhere.pem",
        ),
        (
            TlsFiles {
                cert: empty.clone(),
                ..good.clone()
            },
            "empty.pem: no certificate in it",
        ),
        (
            TlsFiles {
                key: empty.clone(),
                ..good.clone()
            },
            "empty.pem",
        ),
        (
            TlsFiles {
                client_ca: Some(empty),
                ..good.clone()
            },
            "empty.pem: no certificate in it",
        ),
        (
            TlsFiles {
                cert: good.client_ca.clone().expect("there"),
                ..good.clone()
            },
            "ca.pem and ",
        ),
    ];
    for (files, wanted) in cases {
        let error = server_config(&files).expect_err(wanted);
        assert!(error.contains(wanted), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// However the bytes are cut and however little room there is, both ends get what was sent.
    #[test]
    fn any_cut_carries_the_same_bytes(
        to_server in prop::collection::vec(any::<u8>(), 0..60_000),
        to_client in prop::collection::vec(any::<u8>(), 0..60_000),
        cuts in prop::collection::vec(1usize..9_000, 1..20),
    ) {
        let mut pair = Pair::plain();
        pair.cuts = cuts;
        pair.server.inner().out.clone_from(&to_client);
        pair.client_sends(&to_server);
        prop_assert!(pair.server.inner().got == to_server);
        prop_assert!(pair.got == to_client);
    }
}
