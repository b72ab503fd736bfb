//! Messages on stderr (or in a file), one line each; nothing fancy.

use std::io::Write;
use std::sync::Mutex;

use clap::ValueEnum;
use log::{LevelFilter, Log, Metadata, Record};

use crate::settings::LogLevel;

/// How much is said; the words are those of the site settings, in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Level {
    Debug,
    Info,
    Warning,
    Error,
    Critical,
}

impl Level {
    fn filter(self) -> LevelFilter {
        match self {
            Self::Debug => LevelFilter::Debug,
            Self::Info => LevelFilter::Info,
            Self::Warning => LevelFilter::Warn,
            Self::Error | Self::Critical => LevelFilter::Error,
        }
    }
}

impl From<LogLevel> for Level {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Debug => Self::Debug,
            LogLevel::Info => Self::Info,
            LogLevel::Warning => Self::Warning,
            LogLevel::Error => Self::Error,
            LogLevel::Critical => Self::Critical,
        }
    }
}

struct Logger {
    file: Option<Mutex<Box<dyn Write + Send>>>,
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata) -> bool {
        metadata.target().starts_with("pgsocle")
    }

    fn log(&self, record: &Record) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let level = record.level().to_string().to_lowercase();
        let Some(file) = &self.file else {
            let line = format!("{level}: {}\n", record.args());
            let _ = std::io::stderr().write_all(line.as_bytes());
            return;
        };
        let time = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ");
        if let Ok(mut file) = file.lock() {
            let _ = writeln!(file, "{time} {level:<5} {}", record.args());
        }
    }

    fn flush(&self) {}
}

/// Sets the log up; a second call changes nothing.
pub fn start(file: Option<Box<dyn Write + Send>>) {
    let logger = Logger {
        file: file.map(Mutex::new),
    };
    if log::set_boxed_logger(Box::new(logger)).is_ok() {
        level(None);
    }
}

/// What is done is told on stdout in any case, hence no more than warnings unless somebody asks.
pub fn level(level: Option<Level>) {
    log::set_max_level(level.map_or(LevelFilter::Warn, Level::filter));
}
