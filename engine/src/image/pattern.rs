//! Shell patterns as Docker's `reference` filter has them.
//!
//! Meaning: Go's `path.Match`: `*` and `?` never match `/`, `[a-z]` and `[^a-z]` are classes, `\` takes the next
//! character as it is, and the whole text must match.

/// The pattern is malformed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadPattern;

/// Whether all of `text` matches `pattern`. Takes time linear in both for patterns without `*`, and their product at most.
pub(crate) fn matches(pattern: &str, text: &str) -> Result<bool, BadPattern> {
    let pattern = compile(pattern)?;
    let text: Vec<char> = text.chars().collect();
    // The last `*` tried: where in the pattern it is, and how much of the text was left to it.
    let mut star: Option<(usize, usize)> = None;
    let (mut p, mut t) = (0, 0);
    while t < text.len() {
        match pattern.get(p) {
            Some(Piece::Star) => {
                star = Some((p, t));
                p += 1;
                continue;
            }
            Some(piece) if piece.takes(text[t]) => {
                p += 1;
                t += 1;
                continue;
            }
            _ => {}
        }
        match star {
            Some((at, from)) if text[from] != '/' => {
                star = Some((at, from + 1));
                p = at + 1;
                t = from + 1;
            }
            _ => return Ok(false),
        }
    }
    Ok(pattern[p..].iter().all(|piece| matches!(piece, Piece::Star)))
}

enum Piece {
    Any,
    Char(char),
    Class { negated: bool, ranges: Vec<(char, char)> },
    Star,
}

impl Piece {
    fn takes(&self, c: char) -> bool {
        match self {
            Self::Any => c != '/',
            Self::Char(own) => *own == c,
            Self::Class { negated, ranges } => *negated != ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)),
            Self::Star => false,
        }
    }
}

fn compile(pattern: &str) -> Result<Vec<Piece>, BadPattern> {
    let mut pieces = Vec::new();
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        pieces.push(match c {
            '*' => Piece::Star,
            '?' => Piece::Any,
            '\\' => Piece::Char(chars.next().ok_or(BadPattern)?),
            '[' => {
                let negated = chars.next_if_eq(&'^').is_some();
                let mut ranges = Vec::new();
                while ranges.is_empty() || chars.next_if_eq(&']').is_none() {
                    let mut bound = || match chars.next().ok_or(BadPattern)? {
                        '\\' => chars.next().ok_or(BadPattern),
                        '-' | ']' => Err(BadPattern),
                        c => Ok(c),
                    };
                    let low = bound()?;
                    let high = if chars.next_if_eq(&'-').is_some() {
                        match chars.next().ok_or(BadPattern)? {
                            '\\' => chars.next().ok_or(BadPattern)?,
                            '-' | ']' => return Err(BadPattern),
                            c => c,
                        }
                    } else {
                        low
                    };
                    ranges.push((low, high));
                }
                Piece::Class { negated, ranges }
            }
            c => Piece::Char(c),
        });
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table() {
        let rows = [
            ("abc", "abc", Ok(true)),
            ("abc", "abcd", Ok(false)),
            ("*", "abc", Ok(true)),
            ("*", "a/b", Ok(false)),
            ("*/*", "a/b", Ok(true)),
            ("*/*", "a/b/c", Ok(false)),
            ("a*", "a", Ok(true)),
            ("a*c", "abbbc", Ok(true)),
            ("a*b*c", "axxbyybzc", Ok(true)),
            ("a?c", "abc", Ok(true)),
            ("a?c", "a/c", Ok(false)),
            ("[a-c]x", "bx", Ok(true)),
            ("[^a-c]x", "bx", Ok(false)),
            ("[^a-c]x", "dx", Ok(true)),
            ("\\*", "*", Ok(true)),
            ("\\*", "x", Ok(false)),
            ("busybox:*", "busybox:latest", Ok(true)),
            ("", "", Ok(true)),
            ("", "x", Ok(false)),
            ("[", "x", Err(BadPattern)),
            ("[]", "x", Err(BadPattern)),
            ("[a", "x", Err(BadPattern)),
            ("[a-]", "x", Err(BadPattern)),
            ("a\\", "x", Err(BadPattern)),
        ];
        for (pattern, text, expected) in rows {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }
}
