//! Takes a multiplexed stream from one socket and passes standard output and standard error on to two others.
//!
//! `framing` is all it needs of the core, so it builds with no dependency at all:
//!
//!   cargo run -p gantry-core --no-default-features --example demultiplex
//!
//! Without arguments it plays both ends itself. With the path of a daemon's socket and a container it prints what that
//! container has written, each stream to its own descriptor:
//!
//!   cargo run -p gantry-core --example demultiplex -- /run/gantry.sock web 2>errors.txt
//!
//! Nothing is copied but by the kernel: a payload goes from the buffer it was read into to the socket it is for, in as many
//! pieces as reads, and what the reader remembers between them is the rest of one header.
#![allow(clippy::indexing_slicing, reason = "arrays of known lengths")]

use std::{
    env,
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    thread,
};

use gantry_core::framing::{FrameHeader, Splitter, StreamKind};

/// Longer frames than any daemon sends are taken for a stream that is none.
const PAYLOAD_BYTES_MAX: u32 = 16 << 20;

/// Passes a multiplexed stream on until it ends.
fn demultiplex(mut from: impl Read, mut stdout: impl Write, mut stderr: impl Write) -> io::Result<()> {
    let mut splitter = Splitter::new(PAYLOAD_BYTES_MAX);
    let mut buffer = vec![0; 64 << 10];
    loop {
        let len = match from.read(&mut buffer) {
            Ok(0) if splitter.is_between_frames() => return Ok(()),
            Ok(0) => {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "the stream ended inside a frame",
                ));
            }
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let mut input = buffer.get(..len).unwrap_or_default();
        while let Some(piece) = splitter.next_piece(&mut input).map_err(io::Error::other)? {
            match piece.header.stream {
                StreamKind::Stderr => stderr.write_all(piece.payload)?,
                StreamKind::Stdin | StreamKind::Stdout => stdout.write_all(piece.payload)?,
            }
        }
    }
}

/// Asks a daemon for the logs of a container, and reads up to the stream. An HTTP/1.0 request keeps chunks out of it.
fn logs(socket: &str, container: &str) -> io::Result<UnixStream> {
    let mut daemon = UnixStream::connect(socket)?;
    let path = format!("/containers/{container}/logs?stdout=1&stderr=1");
    write!(daemon, "GET {path} HTTP/1.0\r\nHost: docker\r\n\r\n")?;
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        daemon.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    if head.starts_with(b"HTTP/1.1 200") || head.starts_with(b"HTTP/1.0 200") {
        return Ok(daemon);
    }
    let mut body = String::new();
    daemon.read_to_string(&mut body)?;
    Err(io::Error::other(format!("{}{body}", String::from_utf8_lossy(&head))))
}

/// Both ends in one process: a daemon that writes frames, and two readers of what comes out.
fn play() -> io::Result<()> {
    let (mut daemon, stream) = UnixStream::pair()?;
    let (stdout, mut out) = UnixStream::pair()?;
    let (stderr, mut err) = UnixStream::pair()?;
    let container = thread::spawn(move || -> io::Result<()> {
        for (stream, text) in [
            (StreamKind::Stdout, "hello\n"),
            (StreamKind::Stderr, "oh!\n"),
            (StreamKind::Stdout, "bye\n"),
        ] {
            let header = FrameHeader {
                stream,
                payload_len: u32::try_from(text.len()).map_err(io::Error::other)?,
            };
            daemon.write_all(&header.encode())?;
            daemon.write_all(text.as_bytes())?;
        }
        Ok(())
    });
    demultiplex(stream, stdout, stderr)?;
    container.join().expect("the container does not panic")?;
    let mut texts = [String::new(), String::new()];
    out.read_to_string(&mut texts[0])?;
    err.read_to_string(&mut texts[1])?;
    assert_eq!(texts, ["hello\nbye\n", "oh!\n"]);
    let [out, err] = texts.map(|text| text.trim_end().replace('\n', ", "));
    println!("standard output: {out}; standard error: {err}");
    Ok(())
}

fn main() -> io::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match &arguments[..] {
        [] => play(),
        [socket, container] => demultiplex(logs(socket, container)?, io::stdout(), io::stderr()),
        _ => Err(io::Error::other("usage: demultiplex [SOCKET CONTAINER]")),
    }
}
