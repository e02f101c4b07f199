//! What a run ends with: a table for each section, under a heading.

use std::fmt::Write as _;

use crate::bench::table::Table;

/// The sections of a run, in the order in which they were begun.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    names: Vec<String>,
    ratios: Vec<(usize, usize)>,
    sections: Vec<(&'static str, Table)>,
}

impl Report {
    /// Nothing yet. Every daemon but the first is held against the first one, and after those come the daemons in
    /// `ratios`, each against another.
    ///
    /// # Panics
    /// When a ratio is between others than `names`.
    pub fn new(names: Vec<String>, ratios: &[(String, String)]) -> Self {
        let column = |name: &String| names.iter().position(|it| it == name).expect("a daemon's name");
        let mut all: Vec<(usize, usize)> = (1..names.len()).map(|other| (other, 0)).collect();
        for (of, to) in ratios {
            let ratio = (column(of), column(to));
            if !all.contains(&ratio) {
                all.push(ratio);
            }
        }
        Self {
            names,
            ratios: all,
            sections: Vec::new(),
        }
    }

    /// The table of a section, empty at first.
    pub fn section(&mut self, title: &'static str) -> &mut Table {
        let at = self.sections.iter().position(|(it, _)| *it == title);
        let at = at.unwrap_or_else(|| {
            let table = Table::new(self.names.clone(), self.ratios.clone());
            self.sections.push((title, table));
            self.sections.len() - 1
        });
        &mut self.sections[at].1
    }

    /// Whether everything could be measured.
    pub fn is_complete(&self) -> bool {
        self.sections.iter().all(|(_, table)| table.failures().is_empty())
    }

    /// The tables in Markdown, each under its heading.
    pub fn markdown(&self) -> String {
        let mut out = String::new();
        for (title, table) in &self.sections {
            let _ = write!(out, "## {title}\n\n{}", table.markdown());
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::table::Unit;

    #[test]
    fn a_section_shows_its_daemons_and_every_ratio_once() {
        let names = ["a", "b", "bare"].map(str::to_owned).to_vec();
        let ratios = [("bare", "b"), ("b", "a"), ("a", "bare")].map(|(of, to)| (of.to_owned(), to.to_owned()));
        let mut report = Report::new(names, &ratios);
        for (column, value) in [(0, 8.0), (1, 4.0), (2, 1.0)] {
            report.section("Requests").put("ping", Unit::Micros, column, value);
        }
        for (column, value) in [(0, 2.0), (1, 3.0)] {
            report.section("Streams").put("attach", Unit::Micros, column, value);
        }
        let expected = "\
            ## Requests\n\n\
            | less is better: p50 / p90 / min | unit | rounds | a | b | bare | b : a | bare : a | bare : b | a : bare |\n\
            | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n\
            | ping | µs | 1 | 8.00 / 8.00 / 8.00 | 4.00 / 4.00 / 4.00 | 1.00 / 1.00 / 1.00 | 0.500× | 0.125× | 0.250× | 8.00× |\n\n\
            ## Streams\n\n\
            | less is better: p50 / p90 / min | unit | rounds | a | b | b : a |\n\
            | --- | --- | --- | --- | --- | --- |\n\
            | attach | µs | 1 | 2.00 / 2.00 / 2.00 | 3.00 / 3.00 / 3.00 | 1.50× |\n\n";
        assert_eq!(report.markdown(), expected);
        assert!(report.is_complete());
        report.section("Streams").fail("b: refused".to_owned());
        assert!(!report.is_complete());
    }
}
