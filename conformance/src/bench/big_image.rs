//! An image that is one big file: a tar of any size, sent as it is made.

use crate::client::{ClientError, Connection, Request};
use crate::rootfs;
use crate::subject::{Subject, SubjectError};

/// Bytes of the file are whole blocks of this size, and so need no padding (tar(5): 512).
const BLOCK_BYTES: usize = 64 * 1024;

/// Two blocks of zeros end a tar.
const END: [u8; 1024] = [0; 1024];

/// The tar.
pub(super) struct BigImage {
    head: Vec<u8>,
    block: Vec<u8>,
    blocks: usize,
}

impl BigImage {
    /// One of about so many millions of bytes.
    pub(super) fn of(megabytes: usize) -> Self {
        let blocks = (megabytes * 1_000_000).div_ceil(BLOCK_BYTES);
        Self {
            head: rootfs::file_header("big", (blocks * BLOCK_BYTES) as u64),
            block: noise(),
            blocks,
        }
    }

    /// Bytes of the whole tar.
    pub(super) fn bytes(&self) -> u64 {
        (self.head.len() + self.blocks * BLOCK_BYTES + END.len()) as u64
    }

    /// Bytes of the file in it.
    pub(super) fn file_bytes(&self) -> u64 {
        (self.blocks * BLOCK_BYTES) as u64
    }

    /// `POST /images/create?fromSrc=-` as `repository:latest`, up to the whole answer.
    ///
    /// # Errors
    /// When the daemon does not take it.
    pub(super) fn import(&self, subject: &Subject, repository: &str) -> Result<(), SubjectError> {
        let target = subject.target(&format!("/images/create?fromSrc=-&repo={repository}&tag=latest"));
        let request = Request::new("POST", target).announced_body("application/x-tar", self.bytes());
        subject.note_image(&format!("{repository}:latest"));
        let mut connection = subject.connect()?;
        let answer = self
            .send(&mut connection, &request)
            .and_then(|()| connection.read_response(request.method()))
            .map_err(|error| SubjectError::Client(request.line(), error))?;
        let said = String::from_utf8_lossy(&answer.body);
        if answer.head.status != 200 || said.contains("\"error\"") {
            return Err(SubjectError::Status {
                call: request.line(),
                wanted: 200,
                got: answer.head.status,
                body: answer.excerpt(),
            });
        }
        Ok(())
    }

    fn send(&self, connection: &mut Connection, request: &Request) -> Result<(), ClientError> {
        connection.send(&request.encode())?;
        connection.send(&self.head)?;
        for _ in 0..self.blocks {
            connection.send(&self.block)?;
        }
        connection.send(&END)
    }
}

/// A block that no compression makes small (xorshift64).
fn noise() -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut block = Vec::with_capacity(BLOCK_BYTES);
    while block.len() < BLOCK_BYTES {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        block.extend_from_slice(&state.to_le_bytes());
    }
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tar_is_as_long_as_it_says_and_holds_one_file() {
        let image = BigImage::of(1);
        let mut tar = image.head.clone();
        (0..image.blocks).for_each(|_| tar.extend_from_slice(&image.block));
        tar.extend_from_slice(&END);
        assert_eq!(tar.len() as u64, image.bytes());
        let mut archive = tar::Archive::new(tar.as_slice());
        let sizes: Vec<u64> = archive
            .entries()
            .expect("a tar")
            .map(|entry| entry.expect("an entry").size())
            .collect();
        assert_eq!(sizes, [image.file_bytes()]);
    }
}
