//! Wall-clock time and random bits: the two things the engine takes from outside besides the kernel's objects.

use std::{
    fs::File,
    io::{self, Read},
    time::{SystemTime, UNIX_EPOCH},
};

use gantry_core::model::Timestamp;

/// The wall-clock time.
pub fn now() -> Timestamp {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => Timestamp {
            secs: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
            nanos: since.subsec_nanos(),
        },
        Err(before) => Timestamp::from_nanos(-i128::try_from(before.duration().as_nanos()).unwrap_or(0)),
    }
}

/// 256 random bits as 64 hexadecimal digits: an object's id. Never all digits in the first twelve, because a short id
/// of digits alone is taken for a number by some clients.
pub(crate) fn random_id() -> io::Result<String> {
    loop {
        let mut bytes = [0; 32];
        fill_random(&mut bytes)?;
        let id: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        if !id.bytes().take(12).all(|digit| digit.is_ascii_digit()) {
            return Ok(id);
        }
    }
}

/// 64 random bits.
pub(crate) fn random_bits() -> io::Result<u64> {
    let mut bytes = [0; 8];
    fill_random(&mut bytes)?;
    Ok(u64::from_ne_bytes(bytes))
}

fn fill_random(bytes: &mut [u8]) -> io::Result<()> {
    File::open("/dev/urandom")?.read_exact(bytes)
}
