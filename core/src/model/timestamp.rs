//! Wall-clock times as the API writes them.

use alloc::string::{String, ToString};
use core::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A wall-clock time: seconds since 1970-01-01T00:00:00Z (negative before) and nanoseconds within the second.
///
/// On the wire RFC 3339 with as many fractional digits as needed (`2014-05-13T16:53:20.5Z`), as Go's RFC3339Nano.
/// [`Timestamp::ZERO`], the year 1, stands for "never", as Go's zero time does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    /// Seconds since 1970.
    pub secs: i64,
    /// 0 … 999,999,999.
    pub nanos: u32,
}

impl Timestamp {
    /// `0001-01-01T00:00:00Z`: never.
    pub const ZERO: Self = Self {
        secs: -62_135_596_800,
        nanos: 0,
    };

    /// A time from nanoseconds since 1970.
    pub fn from_nanos(nanos: i128) -> Self {
        let secs = nanos.div_euclid(1_000_000_000);
        let sub = nanos.rem_euclid(1_000_000_000);
        Self {
            secs: i64::try_from(secs).unwrap_or(i64::MAX),
            nanos: u32::try_from(sub).unwrap_or(0),
        }
    }

    /// Nanoseconds since 1970.
    pub fn as_nanos(self) -> i128 {
        i128::from(self.secs) * 1_000_000_000 + i128::from(self.nanos)
    }

    /// With all nine fractional digits, as the `timestamps` of a log (`2014-05-13T16:53:20.500000000Z`).
    pub fn fixed_width(self) -> impl fmt::Display {
        Rfc3339 {
            time: self,
            fixed: true,
        }
    }
}

impl Default for Timestamp {
    fn default() -> Self {
        Self::ZERO
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Rfc3339 {
            time: *self,
            fixed: false,
        }
        .fmt(f)
    }
}

struct Rfc3339 {
    time: Timestamp,
    fixed: bool,
}

impl fmt::Display for Rfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = self.time.secs.div_euclid(86_400);
        let second = self.time.secs.rem_euclid(86_400);
        let (year, month, day) = civil_from_days(days);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
        if self.fixed {
            write!(f, ".{:09}", self.time.nanos)?;
        } else if self.time.nanos != 0 {
            let digits = alloc::format!("{:09}", self.time.nanos);
            write!(f, ".{}", digits.trim_end_matches('0'))?;
        }
        f.write_str("Z")
    }
}

/// Why a text is no time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimestampError;

impl fmt::Display for TimestampError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an RFC 3339 time")
    }
}

impl core::error::Error for TimestampError {}

impl FromStr for Timestamp {
    type Err = TimestampError;

    /// Reads RFC 3339 (`2014-05-13T16:53:20.5+02:00`). Seconds since 1970 are a matter of the query parameter that
    /// allows them, not of this type.
    fn from_str(text: &str) -> Result<Self, TimestampError> {
        parse(text.as_bytes()).ok_or(TimestampError)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        // So daemons of the first years said "never".
        if text.is_empty() {
            return Ok(Self::ZERO);
        }
        text.parse()
            .map_err(|e: TimestampError| de::Error::custom(e.to_string()))
    }
}

fn parse(text: &[u8]) -> Option<Timestamp> {
    let (date, rest) = text.split_at_checked(10)?;
    let &[y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1] = date else {
        return None;
    };
    let (clock, rest) = rest.split_at_checked(9)?;
    let &[b'T' | b't', h0, h1, b':', n0, n1, b':', s0, s1] = clock else {
        return None;
    };
    let (year, month, day) = (digits(&[y0, y1, y2, y3])?, digits(&[m0, m1])?, digits(&[d0, d1])?);
    let (hour, minute, second) = (digits(&[h0, h1])?, digits(&[n0, n1])?, digits(&[s0, s1])?);
    let valid = (1..=12).contains(&month)
        && (1..=days_in_month(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 61;
    if !valid {
        return None;
    }
    let (nanos, zone) = match rest.split_first() {
        Some((b'.', fraction)) => {
            let len = fraction.iter().take_while(|b| b.is_ascii_digit()).count();
            let (number, zone) = fraction.split_at_checked(len)?;
            if number.is_empty() || number.len() > 9 {
                return None;
            }
            let scale = 10_i64.pow(u32::try_from(9 - number.len()).ok()?);
            (u32::try_from(digits(number)? * scale).ok()?, zone)
        }
        _ => (0, rest),
    };
    let offset = match zone {
        b"Z" | b"z" => 0,
        &[sign @ (b'+' | b'-'), h0, h1, b':', m0, m1] => {
            let (hours, minutes) = (digits(&[h0, h1])?, digits(&[m0, m1])?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let span = hours * 3600 + minutes * 60;
            if sign == b'+' { span } else { -span }
        }
        _ => return None,
    };
    let secs = days_from_civil(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset;
    Some(Timestamp { secs, nanos })
}

fn digits(text: &[u8]) -> Option<i64> {
    text.iter()
        .try_fold(0_i64, |n, b| b.is_ascii_digit().then(|| n * 10 + i64::from(b - b'0')))
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days since 1970-01-01 of a date in the proleptic Gregorian calendar, by counting from March of year 0, so that the
/// leap day is the last of the year.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The inverse of [`days_from_civil`].
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn reads_and_writes() {
        let rows = [
            ("epoch", "1970-01-01T00:00:00Z", 0, 0, "1970-01-01T00:00:00Z"),
            (
                "never",
                "0001-01-01T00:00:00Z",
                Timestamp::ZERO.secs,
                0,
                "0001-01-01T00:00:00Z",
            ),
            (
                "leap day",
                "2016-02-29T12:30:45.25Z",
                1_456_749_045,
                250_000_000,
                "2016-02-29T12:30:45.25Z",
            ),
            (
                "offset",
                "2013-05-03T02:00:00+02:00",
                1_367_539_200,
                0,
                "2013-05-03T00:00:00Z",
            ),
            (
                "nanos",
                "2026-11-21T23:59:59.000000001Z",
                1_795_305_599,
                1,
                "2026-11-21T23:59:59.000000001Z",
            ),
            (
                "before 1970",
                "1969-12-31T23:59:59.5Z",
                -1,
                500_000_000,
                "1969-12-31T23:59:59.5Z",
            ),
        ];
        for (name, text, secs, nanos, back) in rows {
            let time: Timestamp = text.parse().expect(name);
            assert_eq!(time, Timestamp { secs, nanos }, "{name}");
            assert_eq!(time.to_string(), back, "{name}");
            assert_eq!(Timestamp::from_nanos(time.as_nanos()), time, "{name}");
        }
    }

    #[test]
    fn refuses() {
        let rows = [
            "",
            "2013",
            "2013-13-01T00:00:00Z",
            "2013-02-29T00:00:00Z",
            "2013-01-01T24:00:00Z",
            "2013-01-01 00:00:00Z",
            "2013-01-01T00:00:00",
            "2013-01-01T00:00:00.Z",
            "2013-01-01T00:00:00+2:00",
            "2013-01-01T00:00:00.0000000001Z",
            "+013-01-01T00:00:00Z",
            "2013-01-01T00:00:00Zz",
        ];
        for text in rows {
            assert_eq!(text.parse::<Timestamp>(), Err(TimestampError), "{text}");
        }
    }

    #[test]
    fn every_day_of_four_centuries_survives() {
        for days in -200_000..200_000 {
            let (year, month, day) = civil_from_days(days);
            assert_eq!(days_from_civil(year, month, day), days);
        }
    }
}
