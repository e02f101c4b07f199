//! Signal names and numbers as clients write them: `KILL`, `SIGKILL`, `sigkill`, `9`, `RTMIN+3`. signal(7), numbers of x86
//! and ARM.

/// The signal's number, 1 to 64. `None` for anything that Linux does not have.
pub fn parse(text: &str) -> Option<i32> {
    if text.bytes().all(|b| b.is_ascii_digit()) {
        let number: i32 = text.parse().ok()?;
        return (1..=LAST).contains(&number).then_some(number);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some((_, number)) = NAMES.iter().find(|(known, _)| *known == name) {
        return Some(*number);
    }
    let number = if let Some(offset) = name.strip_prefix("RTMIN+") {
        FIRST_REALTIME.checked_add(small(offset)?)?
    } else if let Some(offset) = name.strip_prefix("RTMAX-") {
        LAST.checked_sub(small(offset)?)?
    } else {
        return None;
    };
    (FIRST_REALTIME..=LAST).contains(&number).then_some(number)
}

/// Whether the text is a number, in range or not.
pub fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn small(digits: &str) -> Option<i32> {
    is_number(digits).then(|| digits.parse().ok()).flatten()
}

/// SIGTERM.
pub const TERM: i32 = 15;
/// SIGKILL.
pub const KILL: i32 = 9;
const FIRST_REALTIME: i32 = 34;
const LAST: i32 = 64;

const NAMES: &[(&str, i32)] = &[
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("IOT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", KILL),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", TERM),
    ("STKFLT", 16),
    ("CHLD", 17),
    ("CLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
    ("IO", 29),
    ("POLL", 29),
    ("PWR", 30),
    ("SYS", 31),
    ("UNUSED", 31),
    ("RTMIN", FIRST_REALTIME),
    ("RTMAX", LAST),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        let rows = [
            ("KILL", Some(9)),
            ("SIGKILL", Some(9)),
            ("sigterm", Some(15)),
            ("9", Some(9)),
            ("64", Some(64)),
            ("65", None),
            ("0", None),
            ("", None),
            ("-9", None),
            ("+9", None),
            ("SIG", None),
            ("BOGUS", None),
            ("RTMIN+3", Some(37)),
            ("SIGRTMAX-1", Some(63)),
            ("RTMIN+31", None),
            ("RTMAX-31", None),
            ("99999999999", None),
            ("RTMIN+", None),
        ];
        for (text, number) in rows {
            assert_eq!(parse(text), number, "{text:?}");
        }
    }
}
