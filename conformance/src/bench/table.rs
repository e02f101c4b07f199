//! Figures of a run and their Markdown table: three numbers per daemon, and the ratios between daemons.

use std::fmt::Write as _;

/// What a figure counts, and so whether more is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Kibibytes of memory.
    Kibibytes,
    /// Microseconds per megabyte moved.
    MicrosPerMegabyte,
    /// Microseconds of CPU time per second.
    MicrosPerSecond,
    /// Mebibytes of memory.
    Mebibytes,
    /// Millions of bytes per second.
    MegabytesPerSecond,
    /// Microseconds.
    Micros,
    /// Milliseconds.
    Millis,
    /// So many per second.
    PerSecond,
}

impl Unit {
    fn more_is_better(self) -> bool {
        matches!(self, Self::MegabytesPerSecond | Self::PerSecond)
    }

    fn label(self) -> &'static str {
        match self {
            Self::Kibibytes => "KiB",
            Self::MicrosPerMegabyte => "µs/MB",
            Self::MicrosPerSecond => "µs/s",
            Self::Mebibytes => "MiB",
            Self::MegabytesPerSecond => "MB/s",
            Self::Micros => "µs",
            Self::Millis => "ms",
            Self::PerSecond => "1/s",
        }
    }
}

/// Figures that belong together.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    names: Vec<String>,
    /// Which daemon is held against which, by number.
    ratios: Vec<(usize, usize)>,
    rows: Vec<Row>,
    failures: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
struct Row {
    what: String,
    unit: Unit,
    /// One per daemon.
    cells: Vec<Cell>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Cell {
    samples: Vec<f64>,
    /// Rounds in which the load generator was the limit, `<= samples.len()`.
    saturated: usize,
    not_served: bool,
}

impl Table {
    /// An empty table for these daemons, of which each first one in `ratios` is held against the second one.
    pub fn new(names: Vec<String>, ratios: Vec<(usize, usize)>) -> Self {
        Self {
            names,
            ratios,
            rows: Vec::new(),
            failures: Vec::new(),
        }
    }

    /// The daemons, in order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Adds a figure for daemon number `contender`.
    pub fn put(&mut self, what: &str, unit: Unit, contender: usize, value: f64) {
        self.cell(what, unit, contender).samples.push(value);
    }

    /// Notes that the figure put last was limited by the load generator: the daemon may do more.
    pub fn mark_saturated(&mut self, what: &str, unit: Unit, contender: usize) {
        self.cell(what, unit, contender).saturated += 1;
    }

    /// Notes that daemon number `contender` has no such call.
    pub fn mark_not_served(&mut self, what: &str, unit: Unit, contender: usize) {
        self.cell(what, unit, contender).not_served = true;
    }

    fn cell(&mut self, what: &str, unit: Unit, contender: usize) -> &mut Cell {
        let at = self
            .rows
            .iter()
            .position(|row| row.what == what && row.unit == unit)
            .unwrap_or_else(|| {
                self.rows.push(Row {
                    what: what.to_owned(),
                    unit,
                    cells: vec![Cell::default(); self.names.len()],
                });
                self.rows.len() - 1
            });
        &mut self.rows[at].cells[contender]
    }

    /// Notes that something could not be measured.
    pub fn fail(&mut self, what: String) {
        self.failures.push(what);
    }

    /// What could not be measured.
    pub fn failures(&self) -> &[String] {
        &self.failures
    }

    /// The Markdown tables: one where less is better, one where more is better. A daemon about which there is nothing to
    /// say has no column.
    pub fn markdown(&self) -> String {
        let mut out = String::new();
        let shown = |column: &usize| self.rows.iter().any(|row| !row.cells[*column].is_empty());
        let columns: Vec<usize> = (0..self.names.len()).filter(shown).collect();
        let ratios: Vec<(usize, usize)> = self
            .ratios
            .iter()
            .copied()
            .filter(|(of, to)| columns.contains(of) && columns.contains(to))
            .collect();
        for (more, title) in [
            (false, "less is better: p50 / p90 / min"),
            (true, "more is better: p50 / p10 / max"),
        ] {
            let rows: Vec<&Row> = self
                .rows
                .iter()
                .filter(|row| row.unit.more_is_better() == more)
                .collect();
            if rows.is_empty() {
                continue;
            }
            let _ = write!(out, "| {title} | unit | rounds |");
            for column in &columns {
                let _ = write!(out, " {} |", self.names[*column]);
            }
            for (of, to) in &ratios {
                let _ = write!(out, " {} : {} |", self.names[*of], self.names[*to]);
            }
            let _ = writeln!(out, "\n|{}", " --- |".repeat(3 + columns.len() + ratios.len()));
            for row in rows {
                row.markdown(&columns, &ratios, &mut out);
            }
            out.push('\n');
        }
        if self.rows.iter().any(|row| row.cells.iter().any(Cell::is_saturated)) {
            let _ = writeln!(out, "{SATURATED_LEGEND}\n");
        }
        for failure in &self.failures {
            let _ = writeln!(out, "FAILED {failure}");
        }
        out
    }
}

impl Row {
    fn markdown(&self, columns: &[usize], ratios: &[(usize, usize)], out: &mut String) {
        let counts: Vec<String> = columns
            .iter()
            .map(|column| self.cells[*column].samples.len().to_string())
            .collect();
        let all_alike = counts.iter().all(|count| *count == counts[0]);
        let counts = if all_alike { counts[0].clone() } else { counts.join("/") };
        let _ = write!(out, "| {} | {} | {counts} |", self.what, self.unit.label());
        let summaries: Vec<Option<Summary>> = self
            .cells
            .iter()
            .map(|cell| Summary::of(&cell.samples, self.unit.more_is_better()))
            .collect();
        for column in columns {
            let (cell, summary) = (&self.cells[*column], &summaries[*column]);
            let bound = match (cell.is_saturated(), self.unit.more_is_better()) {
                (false, _) => "",
                (true, true) => "≥ ",
                (true, false) => "≤ ",
            };
            let _ = match summary {
                Some(s) => write!(
                    out,
                    " {bound}{} / {} / {} |",
                    short(s.middle),
                    short(s.bad),
                    short(s.best)
                ),
                None if cell.not_served => write!(out, " not served |"),
                None => write!(out, " - |"),
            };
        }
        for (of, to) in ratios {
            let _ = match (&summaries[*of], &summaries[*to]) {
                (Some(of), Some(to)) if to.middle > 0.0 => {
                    write!(out, " {}× |", short(of.middle / to.middle))
                }
                _ => write!(out, " - |"),
            };
        }
        out.push('\n');
    }
}

impl Cell {
    fn is_empty(&self) -> bool {
        self.samples.is_empty() && !self.not_served
    }

    /// Whether the load generator was the limit in half of the rounds or more.
    fn is_saturated(&self) -> bool {
        self.saturated > 0 && self.saturated * 2 >= self.samples.len()
    }
}

/// Stands below the tables where a figure is marked so.
const SATURATED_LEGEND: &str = "≥, ≤: the load generator itself was saturated, at 95 % of a core or more, in half of the rounds or more; the \
    daemon may do better.";

/// Middle, nearly worst and best of some figures.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Summary {
    middle: f64,
    bad: f64,
    best: f64,
}

impl Summary {
    fn of(samples: &[f64], more_is_better: bool) -> Option<Self> {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        if more_is_better {
            sorted.reverse();
        }
        Some(Self {
            middle: rank(&sorted, 0.5)?,
            bad: rank(&sorted, 0.9)?,
            best: *sorted.first()?,
        })
    }
}

/// Nearest-rank percentile: the smallest figure that at least this share of all does not exceed.
pub(super) fn rank<T: Copy>(sorted: &[T], share: f64) -> Option<T> {
    let place = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(place.max(1) - 1).copied()
}

/// Three significant digits, thousands whole.
fn short(value: f64) -> String {
    let places = match value.abs() {
        v if v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        v if v >= 1.0 => 2,
        _ => 3,
    };
    format!("{value:.places$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let ten: Vec<f64> = (1..=10).map(f64::from).collect();
        type Case<'a> = (&'a str, &'a [f64], bool, Option<(f64, f64, f64)>);
        let table: &[Case<'_>] = &[
            ("ten times", &ten, false, Some((5.0, 9.0, 1.0))),
            ("ten rates", &ten, true, Some((6.0, 2.0, 10.0))),
            ("one", &[3.0], false, Some((3.0, 3.0, 3.0))),
            ("two", &[4.0, 3.0], false, Some((3.0, 4.0, 3.0))),
            ("none", &[], false, None),
        ];
        for (name, samples, more, expected) in table {
            let expected = expected.map(|(middle, bad, best)| Summary { middle, bad, best });
            assert_eq!(Summary::of(samples, *more), expected, "{name}");
        }
    }

    #[test]
    fn the_table_shows_ratios_and_gaps() {
        let mut table = Table::new(vec!["a".to_owned(), "b".to_owned()], vec![(1, 0)]);
        table.put("cycle", Unit::Millis, 0, 200.0);
        table.put("cycle", Unit::Millis, 1, 5.0);
        table.put("only a", Unit::PerSecond, 0, 7.25);
        table.fail("b: only a: refused".to_owned());
        let expected = "\
            | less is better: p50 / p90 / min | unit | rounds | a | b | b : a |\n\
            | --- | --- | --- | --- | --- | --- |\n\
            | cycle | ms | 1 | 200 / 200 / 200 | 5.00 / 5.00 / 5.00 | 0.025× |\n\n\
            | more is better: p50 / p10 / max | unit | rounds | a | b | b : a |\n\
            | --- | --- | --- | --- | --- | --- |\n\
            | only a | 1/s | 1/0 | 7.25 / 7.25 / 7.25 | - | - |\n\n\
            FAILED b: only a: refused\n";
        assert_eq!(table.markdown(), expected);
    }

    #[test]
    fn any_number_of_daemons_stands_side_by_side() {
        let mut table = Table::new(["a", "b", "c"].map(str::to_owned).to_vec(), vec![(1, 0), (2, 0)]);
        for (contender, value) in [(0, 10.0), (2, 25.0), (2, 30.0)] {
            table.put("pings", Unit::PerSecond, contender, value);
        }
        table.mark_saturated("pings", Unit::PerSecond, 2);
        table.mark_not_served("pings", Unit::PerSecond, 1);
        table.put("wait", Unit::Micros, 1, 7.0);
        table.mark_saturated("wait", Unit::Micros, 1);
        let expected = format!(
            "\
            | less is better: p50 / p90 / min | unit | rounds | a | b | c | b : a | c : a |\n\
            | --- | --- | --- | --- | --- | --- | --- | --- |\n\
            | wait | µs | 0/1/0 | - | ≤ 7.00 / 7.00 / 7.00 | - | - | - |\n\n\
            | more is better: p50 / p10 / max | unit | rounds | a | b | c | b : a | c : a |\n\
            | --- | --- | --- | --- | --- | --- | --- | --- |\n\
            | pings | 1/s | 1/0/2 | 10.0 / 10.0 / 10.0 | not served | ≥ 30.0 / 25.0 / 30.0 | - | 3.00× |\n\n\
            {SATURATED_LEGEND}\n\n"
        );
        assert_eq!(table.markdown(), expected);
    }
}
