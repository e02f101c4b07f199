//! What is left of a layer's tar stream when the data of its files is taken out: enough to write the very same stream
//! again from the unpacked files.
//!
//! An image's id and its layers' digests are made of the bytes of the archives it came in (headers, order, padding), which
//! no look at the unpacked files tells. So they are kept, compressed, beside the files:
//!
//! ```text
//!   8 bytes   length of the whole tar stream, little-endian
//!   zstd of   pieces, each a byte and what follows:
//!               0  length (4 bytes), so many bytes of the stream
//!               1  length (8 bytes), so many zeros
//!               2  length (8 bytes), length of a path (2 bytes), path: the data of that file
//! ```

use std::{
    fs::File,
    io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write},
};

const BYTES: u8 = 0;
const ZEROS: u8 = 1;
const DATA: u8 = 2;

/// Keeps a skeleton while its stream is unpacked.
pub(crate) struct Recorder {
    out: zstd::stream::write::Encoder<'static, BufWriter<File>>,
    len: u64,
}

/// Reads a skeleton.
pub(crate) struct Skeleton {
    pieces: BufReader<zstd::stream::read::Decoder<'static, BufReader<File>>>,
    len: u64,
}

/// A piece of the stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Bytes(Vec<u8>),
    Zeros(u64),
    /// All data of the file at this path below the layer's root, so many bytes.
    Data {
        path: Vec<u8>,
        len: u64,
    },
}

impl Recorder {
    /// Begins a skeleton in an empty file.
    pub(crate) fn new(mut file: File) -> io::Result<Self> {
        file.write_all(&[0; 8])?;
        let out = zstd::stream::write::Encoder::new(BufWriter::new(file), 1)?;
        Ok(Self { out, len: 0 })
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let len = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        self.len += u64::from(len);
        self.out.write_all(&[BYTES])?;
        self.out.write_all(&len.to_le_bytes())?;
        self.out.write_all(bytes)
    }

    pub(super) fn zeros(&mut self, len: u64) -> io::Result<()> {
        self.len += len;
        self.out.write_all(&[ZEROS])?;
        self.out.write_all(&len.to_le_bytes())
    }

    pub(super) fn data(&mut self, path: &[u8], len: u64) -> io::Result<()> {
        let path_len = u16::try_from(path.len()).map_err(io::Error::other)?;
        self.len += len;
        self.out.write_all(&[DATA])?;
        self.out.write_all(&len.to_le_bytes())?;
        self.out.write_all(&path_len.to_le_bytes())?;
        self.out.write_all(path)
    }

    /// Writes what is left. The file is not synced.
    pub(crate) fn finish(self) -> io::Result<()> {
        let mut file = self
            .out
            .finish()?
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&self.len.to_le_bytes())
    }
}

impl Skeleton {
    pub(crate) fn open(mut file: File) -> io::Result<Self> {
        let mut len = [0; 8];
        file.read_exact(&mut len)?;
        let pieces = zstd::stream::read::Decoder::new(file)?;
        Ok(Self {
            pieces: BufReader::new(pieces),
            len: u64::from_le_bytes(len),
        })
    }

    /// Length of the whole stream.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// The next piece; `None` at the end.
    pub(crate) fn piece(&mut self) -> io::Result<Option<Piece>> {
        let mut kind = [0];
        if self.pieces.read(&mut kind)? == 0 {
            return Ok(None);
        }
        Ok(Some(match kind {
            [BYTES] => Piece::Bytes({
                let len = u32::from_le_bytes(self.array()?);
                self.take(u64::from(len))?
            }),
            [ZEROS] => Piece::Zeros(u64::from_le_bytes(self.array()?)),
            [DATA] => {
                let len = u64::from_le_bytes(self.array()?);
                let path = u16::from_le_bytes(self.array()?);
                let path = self.take(u64::from(path))?;
                Piece::Data { path, len }
            }
            _ => return Err(io::ErrorKind::InvalidData.into()),
        }))
    }

    fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut array = [0; N];
        self.pieces.read_exact(&mut array)?;
        Ok(array)
    }

    fn take(&mut self, len: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let read = self.pieces.by_ref().take(len).read_to_end(&mut bytes)?;
        if read as u64 == len {
            Ok(bytes)
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }
}
