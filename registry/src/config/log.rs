//! `log`: how much is said, and in which form.

use super::nearest::nearest;
use super::reader::{Problem, Reader, flag};

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

pub(super) fn read(reader: &mut Reader<'_>) -> Option<Log> {
    let old_name = if reader.set("log.level").is_none() {
        reader.value("loglevel", level)
    } else {
        None
    };
    let level = old_name.or_else(|| reader.value("log.level", level));
    let format = format(reader);
    let disabled = reader.value("log.accesslog.disabled", flag);
    Some(Log {
        level: level?,
        format: format?,
        access_log: !disabled?,
    })
}

fn level(text: &str) -> Result<LogLevel, Problem> {
    match text.to_lowercase().as_str() {
        "error" => Ok(LogLevel::Error),
        "warn" => Ok(LogLevel::Warn),
        "info" => Ok(LogLevel::Info),
        "debug" => Ok(LogLevel::Debug),
        _ => Err(Problem::new(
            format!("there is no level `{text}`"),
            "write error, warn, info or debug",
        )),
    }
}

/// Distribution's third format, for Logstash, is JSON with other field names.
fn format(reader: &mut Reader<'_>) -> Option<LogFormat> {
    let written = reader.written("log.formatter")?;
    match written.text.as_str() {
        "text" => Some(LogFormat::Text),
        "json" => Some(LogFormat::Json),
        "logstash" => {
            reader.warn(
                written.place,
                "log.formatter",
                "logstash is written as json",
                "write json",
            );
            Some(LogFormat::Json)
        }
        other => {
            let advice = match nearest(other, ["text", "json"]) {
                Some(near) => format!("did you mean {near}?"),
                None => "write text or json".to_owned(),
            };
            reader.fail(
                written.place,
                "log.formatter",
                format!("there is no format `{other}`"),
                advice,
            );
            None
        }
    }
}
