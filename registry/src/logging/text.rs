//! A line of the log for people: time, level, message, then `name=value`, with quotes only where a value has spaces.

use std::fmt::{self, Debug, Write};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::registry::LookupSpan;

use crate::http::ACCESS;

/// Formats events as lines of text.
pub(super) struct TextLines;

/// What an event says.
#[derive(Default)]
struct Said {
    message: String,
    fields: Vec<(&'static str, String)>,
}

// === impl TextLines ===

impl<S, N> FormatEvent<S, N> for TextLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut line: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut said = Said::default();
        event.record(&mut said);
        SystemTime.format_time(&mut line)?;
        write!(line, " {:>5} ", event.metadata().level())?;
        escape(&mut line, &said.message)?;
        let is_access = event.metadata().target() == ACCESS;
        for (name, value) in &said.fields {
            if is_access && said.says_already(name, value) {
                continue;
            }
            write!(line, " {name}=")?;
            quote(&mut line, value)?;
        }
        writeln!(line)
    }
}

// === impl Said ===

impl Said {
    /// The line of a request ends its message with the status, and what is asked for by digest names it twice.
    fn says_already(&self, name: &str, value: &str) -> bool {
        match name {
            "status" => true,
            "digest" => self
                .fields
                .iter()
                .any(|(name, reference)| *name == "reference" && reference == value),
            _ => false,
        }
    }
}

impl Visit for Said {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        } else {
            self.fields.push((field.name(), format!("{value:?}")));
        }
    }
}

/// A value as it is if that is one word, else between quotes.
fn quote(line: &mut impl Write, value: &str) -> fmt::Result {
    let is_word = !value.is_empty() && !value.contains([' ', '"', '=', '\\']);
    if is_word {
        return escape(line, value);
    }
    line.write_char('"')?;
    for character in value.chars() {
        if matches!(character, '"' | '\\') {
            line.write_char('\\')?;
        }
        write_plain(line, character)?;
    }
    line.write_char('"')
}

/// Text with everything that could end the line or move a terminal's cursor made visible.
fn escape(line: &mut impl Write, text: &str) -> fmt::Result {
    text.chars()
        .try_for_each(|character| write_plain(line, character))
}

fn write_plain(line: &mut impl Write, character: char) -> fmt::Result {
    if character.is_control() {
        write!(line, "{}", character.escape_default())
    } else {
        line.write_char(character)
    }
}

#[cfg(test)]
mod tests;
