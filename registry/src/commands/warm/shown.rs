//! How far images are, as an operator sees it: a bar for each on a terminal, lines where there is none. It knows nothing of why.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::super::Console;
use super::super::admin_socket::plain;
use crate::http::admin::ImageLine;
use crate::http::admin::words::bytes;

/// Without a terminal an image that is on its way is told of again after so long.
const QUIET: Duration = Duration::from_secs(10);

/// What is shown.
pub(super) struct Shown {
    how: How,
    images: HashMap<String, Told>,
}

enum How {
    Bars(MultiProgress),
    Lines,
    Nothing,
}

/// What was last shown of an image.
struct Told {
    bar: Option<ProgressBar>,
    state: String,
    at: Instant,
}

impl Shown {
    /// For whoever watches standard error; nothing, if a program reads the documents.
    pub(super) fn new(is_for_programs: bool) -> Self {
        let how = if is_for_programs {
            How::Nothing
        } else if std::io::stderr().is_terminal() {
            How::Bars(MultiProgress::new())
        } else {
            How::Lines
        };
        Self {
            how,
            images: HashMap::new(),
        }
    }

    /// It is on its way.
    pub(super) fn going(
        &mut self,
        image: &str,
        line: Option<&ImageLine>,
        console: &mut Console<'_>,
    ) {
        let Some(line) = line else { return };
        let bars = match &self.how {
            How::Nothing => return,
            How::Bars(bars) => Some(bars),
            How::Lines => None,
        };
        let is_new = !self.images.contains_key(image);
        let told = self.images.entry(image.to_owned()).or_insert_with(|| Told {
            bar: bars.map(|bars| bars.add(bar(image))),
            state: line.state.clone(),
            at: Instant::now(),
        });
        if let Some(bar) = &told.bar {
            let (here, of) = amounts(line);
            bar.set_length(of.unwrap_or(0));
            bar.set_position(here);
            bar.set_message(plain(line.trouble.as_deref().unwrap_or(&line.state)));
            return;
        }
        if is_new || told.state != line.state || told.at.elapsed() >= QUIET {
            console.say(plain(&words(image, line)));
            (told.state, told.at) = (line.state.clone(), Instant::now());
        }
    }

    /// It is all here.
    pub(super) fn ready(
        &mut self,
        image: &str,
        line: Option<&ImageLine>,
        console: &mut Console<'_>,
    ) {
        let size = line.and_then(|line| line.total_bytes);
        let size = size.map(|size| format!(" ({})", bytes(size)));
        self.ended(
            image,
            &format!("{image} is here{}", size.unwrap_or_default()),
            console,
        );
    }

    /// It could not be fetched.
    pub(super) fn failed(&mut self, image: &str, why: &str, console: &mut Console<'_>) {
        if let Some(bar) = self.images.remove(image).and_then(|told| told.bar) {
            bar.finish_and_clear();
        }
        let line = plain(&format!("error: {image}: {why}"));
        self.aside(|| console.complain(line));
    }

    /// Takes the bars away.
    pub(super) fn clear(&self) {
        if let How::Bars(bars) = &self.how {
            let _ = bars.clear();
        }
    }

    fn ended(&mut self, image: &str, line: &str, console: &mut Console<'_>) {
        if let Some(bar) = self.images.remove(image).and_then(|told| told.bar) {
            bar.finish_and_clear();
        }
        if !matches!(self.how, How::Nothing) {
            let line = plain(line);
            self.aside(|| console.say(line));
        }
    }

    /// Writes beside the bars.
    fn aside(&self, write: impl FnOnce()) {
        match &self.how {
            How::Bars(bars) => bars.suspend(write),
            How::Lines | How::Nothing => write(),
        }
    }
}

fn bar(image: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix} {bytes}/{total_bytes} {bar:20} {wide_msg}");
    let bar = ProgressBar::new(0).with_prefix(plain(image));
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// Bytes that are here, and bytes of all of it where that is known.
fn amounts(line: &ImageLine) -> (u64, Option<u64>) {
    match (line.missing_bytes, line.total_bytes) {
        (Some(missing), Some(total)) => (total.saturating_sub(missing), Some(total)),
        _ => (0, None),
    }
}

fn words(image: &str, line: &ImageLine) -> String {
    let amount = match amounts(line) {
        (here, Some(of)) => format!(", {} of {}", bytes(here), bytes(of)),
        (_, None) => String::new(),
    };
    let trouble = line.trouble.as_ref().map(|trouble| format!(": {trouble}"));
    format!(
        "{image} is {}{amount}{}",
        line.state,
        trouble.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fetching(missing: u64) -> ImageLine {
        ImageLine {
            state: "fetching".to_owned(),
            missing_bytes: Some(missing),
            total_bytes: Some(10_000_000),
            ..ImageLine::default()
        }
    }

    #[test]
    fn where_there_is_no_terminal_an_image_is_told_of_when_something_changes() {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut console = Console {
            out: &mut out,
            err: &mut err,
        };
        let mut shown = Shown {
            how: How::Lines,
            images: HashMap::new(),
        };
        let waiting = ImageLine {
            state: "waiting".to_owned(),
            ..ImageLine::default()
        };
        for line in [
            &waiting,
            &waiting,
            &fetching(6_000_000),
            &fetching(5_000_000),
        ] {
            shown.going("app:v1", Some(line), &mut console);
        }
        shown.ready("app:v1", Some(&fetching(0)), &mut console);
        shown.failed("b:\u{1b}v2", "no answer", &mut console);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "app:v1 is waiting\napp:v1 is fetching, 4.00 MB of 10.0 MB\napp:v1 is here (10.0 MB)\n"
        );
        assert_eq!(
            String::from_utf8(err).unwrap(),
            "error: b:\\u{1b}v2: no answer\n"
        );
    }
}
