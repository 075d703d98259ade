//! Where the log goes and what it looks like: standard error, as text for people or one JSON object per line.

mod text;

use std::io;

use tracing::Level;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use self::text::TextLines;
use crate::config::{Log, LogFormat, LogLevel};

/// Begins to log as configured. A second call in one process changes nothing.
///
/// Other people's crates are heard from their warnings on: what they say of their inner life helps nobody at a gateway.
pub fn start(log: &Log) {
    let level = match log.level {
        LogLevel::Error => Level::ERROR,
        LogLevel::Warn => Level::WARN,
        LogLevel::Info => Level::INFO,
        LogLevel::Debug => Level::DEBUG,
    };
    let others = LevelFilter::from_level(level.min(Level::WARN));
    let targets = Targets::new()
        .with_default(others)
        .with_target("cistern", level)
        .with_target("cistern_storage", level)
        .with_target("cistern_auth", level);
    let registry = tracing_subscriber::registry().with(targets);
    let written = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    let started = match log.format {
        LogFormat::Text => registry
            .with(written.with_ansi(false).event_format(TextLines))
            .try_init(),
        LogFormat::Json => registry.with(written.json().flatten_event(true)).try_init(),
    };
    if let Err(error) = started {
        tracing::debug!(%error, "the log was started before");
    }
}
