//! Log lines on standard error: `level message`, with a time unless systemd adds one.

use std::io::Write;

use log::{LevelFilter, Log, Metadata, Record};

struct StderrLog {
    /// systemd's journal has times of its own.
    timestamps: bool,
}

/// Makes `log`'s macros write to standard error.
pub(crate) fn install(level: LevelFilter) {
    let timestamps = std::env::var_os("JOURNAL_STREAM").is_none();
    if log::set_boxed_logger(Box::new(StderrLog { timestamps })).is_ok() {
        log::set_max_level(level);
    }
}

impl Log for StderrLog {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let level = record.level().as_str().to_ascii_lowercase();
        let mut line = String::new();
        if self.timestamps {
            let now = gantry_engine::now();
            line = format!("{} ", now.fixed_width());
        }
        line += &format!("{level}: {}\n", record.args());
        // One write, so that lines of several threads do not mix. A closed standard error is no reason to end.
        let _ = std::io::stderr().write_all(line.as_bytes());
    }

    fn flush(&self) {}
}
