//! Where a tar stream is written to.

use std::{
    fs::File,
    io::{self, Read, Write},
};

/// Takes a tar stream. File data may go there by ways of its own.
pub(crate) trait Sink: Write {
    /// Passes on the next bytes of `file`, at most `len`; says how many there were. Fewer mean that the file ended.
    fn copy(&mut self, file: &File, len: u64) -> io::Result<u64>;

    /// Passes on zeros.
    fn zeros(&mut self, len: u64) -> io::Result<()> {
        const ZEROS: [u8; 4096] = [0; 4096];
        let mut left = len;
        while left > 0 {
            let now = left.min(ZEROS.len() as u64);
            self.write_all(&ZEROS[..now as usize])?;
            left -= now;
        }
        Ok(())
    }
}

impl Sink for Vec<u8> {
    fn copy(&mut self, file: &File, len: u64) -> io::Result<u64> {
        file.take(len).read_to_end(self).map(|len| len as u64)
    }
}
