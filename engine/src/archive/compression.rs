//! Compressions around a tar stream, told apart by their first bytes.
//!
//! gzip (RFC 1952), zstd (RFC 8878), bzip2 and xz (the .xz file format 1.2). Concatenated members or frames are all
//! read; anything else behind the end is an error, never skipped in silence. Windows of zstd and xz are capped at
//! 128 MiB, so memory is bounded whatever a header claims.

use std::io::{self, BufReader, Chain, Cursor, Read};

use bzip2::bufread::MultiBzDecoder;
use flate2::bufread::MultiGzDecoder;
use lzma_rust2::XzReader;

/// How a stream is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// bzip2.
    Bzip2,
    /// gzip.
    Gzip,
    /// Not at all.
    None,
    /// xz.
    Xz,
    /// zstd.
    Zstd,
}

impl Compression {
    /// By the first bytes, of which six are enough.
    pub fn detect(start: &[u8]) -> Self {
        match start {
            [0x1f, 0x8b, 8, ..] => Self::Gzip,
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => Self::Bzip2,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            // A frame, or a skippable frame before it.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            _ => Self::None,
        }
    }
}

/// Bytes that tell a compression.
const MAGIC_LEN: usize = 6;
/// Bytes of compressed data read at once.
const INPUT: usize = 64 * 1024;
/// Largest window of zstd: 2^27 bytes.
const WINDOW_LOG_MAX: u32 = 27;
/// The same for xz in KiB, and something for the decoder's own state.
const XZ_KIB_MAX: u32 = 129 * 1024;

type Input<R> = BufReader<Chain<Cursor<Vec<u8>>, R>>;

/// Decompresses a stream whose compression it finds out by itself.
pub struct Decoder<R: Read>(Codec<R>);

enum Codec<R: Read> {
    Bzip2(Box<MultiBzDecoder<Input<R>>>),
    Gzip(Box<MultiGzDecoder<Input<R>>>),
    None(Chain<Cursor<Vec<u8>>, R>),
    Xz(Box<XzReader<Input<R>>>),
    Zstd(Box<zstd::stream::read::Decoder<'static, Input<R>>>),
}

impl<R: Read> Decoder<R> {
    /// Reads the first bytes of `source` and decides.
    ///
    /// # Errors
    /// Those of `source`; out of memory in zstd.
    pub fn new(mut source: R) -> io::Result<Self> {
        let mut start = Vec::with_capacity(MAGIC_LEN);
        source.by_ref().take(MAGIC_LEN as u64).read_to_end(&mut start)?;
        let compression = Compression::detect(&start);
        let stream = Cursor::new(start).chain(source);
        let buffered = |stream| BufReader::with_capacity(INPUT, stream);
        Ok(Self(match compression {
            Compression::Bzip2 => Codec::Bzip2(Box::new(MultiBzDecoder::new(buffered(stream)))),
            Compression::Gzip => Codec::Gzip(Box::new(MultiGzDecoder::new(buffered(stream)))),
            Compression::None => Codec::None(stream),
            Compression::Xz => Codec::Xz(Box::new(XzReader::new_mem_limit(buffered(stream), true, XZ_KIB_MAX))),
            Compression::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(buffered(stream))?;
                decoder.window_log_max(WINDOW_LOG_MAX)?;
                Codec::Zstd(Box::new(decoder))
            }
        }))
    }

    /// What was found.
    pub fn compression(&self) -> Compression {
        match self.0 {
            Codec::Bzip2(_) => Compression::Bzip2,
            Codec::Gzip(_) => Compression::Gzip,
            Codec::None(_) => Compression::None,
            Codec::Xz(_) => Compression::Xz,
            Codec::Zstd(_) => Compression::Zstd,
        }
    }
}

impl<R: Read> Read for Decoder<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match &mut self.0 {
            Codec::Bzip2(decoder) => decoder.read(buf),
            Codec::Gzip(decoder) => decoder.read(buf),
            Codec::None(stream) => stream.read(buf),
            Codec::Xz(decoder) => decoder.read(buf),
            Codec::Zstd(decoder) => decoder.read(buf),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(data).expect("memory");
        encoder.finish().expect("memory")
    }

    fn bzip2(data: &[u8]) -> Vec<u8> {
        let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        encoder.write_all(data).expect("memory");
        encoder.finish().expect("memory")
    }

    fn xz(data: &[u8]) -> Vec<u8> {
        let options = lzma_rust2::XzOptions::with_preset(1);
        let mut encoder = lzma_rust2::XzWriter::new(Vec::new(), options).expect("options");
        encoder.write_all(data).expect("memory");
        encoder.finish().expect("memory")
    }

    fn zstd(data: &[u8]) -> Vec<u8> {
        zstd::stream::encode_all(data, 1).expect("memory")
    }

    fn plain(data: &[u8]) -> Vec<u8> {
        data.to_vec()
    }

    fn decode(data: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        Decoder::new(data)?.read_to_end(&mut out)?;
        Ok(out)
    }

    type Encode = fn(&[u8]) -> Vec<u8>;
    const CODECS: [(&str, Compression, Encode); 5] = [
        ("bzip2", Compression::Bzip2, bzip2),
        ("gzip", Compression::Gzip, gzip),
        ("none", Compression::None, plain),
        ("xz", Compression::Xz, xz),
        ("zstd", Compression::Zstd, zstd),
    ];

    fn sample() -> Vec<u8> {
        (0..300_000_u32).flat_map(|n| (n / 7).to_le_bytes()).collect()
    }

    #[test]
    fn round_trip_and_concatenation() {
        let data = sample();
        for (name, compression, encode) in CODECS {
            let encoded = encode(&data);
            assert_eq!(
                Decoder::new(&encoded[..]).expect(name).compression(),
                compression,
                "{name}"
            );
            assert!(decode(&encoded).expect(name) == data, "{name}");
            let twice = [encoded.clone(), encode(b"more")].concat();
            assert!(
                decode(&twice).expect(name) == [&data[..], b"more"].concat(),
                "{name} twice"
            );
            assert_eq!(decode(&encode(b"")).expect(name), b"", "{name} empty");
        }
        assert_eq!(decode(b"").expect("nothing"), b"");
    }

    #[test]
    fn cut_or_lengthened_streams_are_refused() {
        let data = sample();
        for (name, compression, encode) in CODECS {
            if compression == Compression::None {
                continue;
            }
            let encoded = encode(&data);
            for cut in [encoded.len() - 1, encoded.len() - 5, encoded.len() / 2, 12] {
                assert!(decode(&encoded[..cut]).is_err(), "{name} cut to {cut}");
            }
            for tail in [&b"garbage behind"[..], b"g", b"\x1f\x8b"] {
                let longer = [&encoded[..], tail].concat();
                assert!(decode(&longer).is_err(), "{name} with {tail:?}");
            }
            let mut flipped = encoded.clone();
            let middle = flipped.len() / 2;
            flipped[middle] ^= 0x10;
            assert!(decode(&flipped).map_or(true, |out| out != data), "{name} flipped");
        }
    }

    #[test]
    fn huge_windows_are_refused() {
        // A frame header asking for a window of 2^31 bytes (RFC 8878, 3.1.1.1.2).
        let zstd = [&[0x28, 0xb5, 0x2f, 0xfd, 0x00, 21 << 3][..], &[1, 0, 0]].concat();
        assert!(decode(&zstd).is_err());
    }
}
