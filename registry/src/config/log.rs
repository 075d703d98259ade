//! `log`: how much is said, and in which form.

/// The section `log`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// `log.level`.
    pub level: LogLevel,
    /// `log.formatter`.
    pub format: LogFormat,
    /// One line per request; `log.accesslog.disabled` turns it off.
    pub access_log: bool,
}

/// The least important thing that is still said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// Only what went wrong.
    Error,
    /// And what may go wrong.
    Warn,
    /// And what happens.
    Info,
    /// And why.
    Debug,
}

/// The form of a line of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}
