//! Rates of the link, and when they hold: `2MB`, `Mon-Fri 06:00-18:00 500kB`.

use std::fmt;
use std::num::NonZeroU64;

use super::reader::Problem;
use super::size;
use super::time_window::TimeWindow;

/// A time of the week at which the link may be used at another rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateWindow {
    /// When.
    pub time: TimeWindow,
    /// Bytes per second. None: no limit.
    pub rate: Option<NonZeroU64>,
}

/// Parses a rate: bytes per second with a unit, or `unlimited`.
pub(super) fn parse(text: &str) -> Result<Option<NonZeroU64>, Problem> {
    const ADVICE: &str = "write bytes per second with a unit, such as 2MB or 500KiB (a megabit is 125kB), or unlimited";
    let text = text.trim();
    if text.eq_ignore_ascii_case("unlimited") {
        return Ok(None);
    }
    let number = text.strip_suffix("/s").unwrap_or(text);
    let bytes =
        size::bytes(number).map_err(|_| Problem::new(format!("`{text}` is no rate"), ADVICE))?;
    match NonZeroU64::new(bytes) {
        Some(rate) => Ok(Some(rate)),
        None => Err(Problem::new(
            "at a rate of nothing nothing would ever arrive",
            ADVICE,
        )),
    }
}

/// Parses a window: `[DAYS] HH:MM-HH:MM RATE`.
pub(super) fn window(text: &str) -> Result<RateWindow, Problem> {
    let wrong = |what: &str| {
        Problem::new(
            format!("`{text}` is no window of time: {what}"),
            "write days, times and a rate, such as Mon-Fri 06:00-18:00 500kB or 22:00-05:00 unlimited",
        )
    };
    let words: Vec<&str> = text.split_whitespace().collect();
    let Some((rate, time)) = words.split_last().filter(|(_, time)| !time.is_empty()) else {
        return Err(wrong("it has two or three words"));
    };
    Ok(RateWindow {
        time: TimeWindow::read(time).map_err(wrong)?,
        rate: parse(rate)?,
    })
}

impl fmt::Display for RateWindow {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.time.fmt(out)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rates_are_read() {
        assert_eq!(parse("2MB").unwrap(), NonZeroU64::new(2_000_000));
        assert_eq!(parse("500KiB/s").unwrap(), NonZeroU64::new(512_000));
        assert_eq!(parse("unlimited").unwrap(), None);
        for text in ["", "0", "fast", "-1MB", "2"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn windows_are_read() {
        let read = window("Mon-Fri 06:00-18:00 500kB").unwrap();
        assert_eq!((read.time.from, read.time.to), (360, 1080));
        assert_eq!(read.time.days, [true, true, true, true, true, false, false]);
        assert_eq!(read.rate, NonZeroU64::new(500_000));
        let night = window("sat-mon+wed 22:00-05:30 unlimited").unwrap();
        let time = night.time;
        assert_eq!((time.from, time.to, night.rate), (1320, 330, None));
        assert_eq!(time.days, [true, false, true, false, false, true, true]);
        assert_eq!(window("00:00-24:00 1MB").unwrap().time.to, 1440);
    }

    #[test]
    fn what_is_no_window_is_refused() {
        for text in [
            "",
            "06:00-18:00",
            "Mo 06:00-18:00 1MB",
            "6:00-18:00 1MB",
            "06:00-25:00 1MB",
            "06:60-18:00 1MB",
            "06:00 1MB",
            "Mon 06:00-18:00 1MB x",
        ] {
            assert!(window(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC*") {
            let _ = (parse(&text), window(&text));
        }
    }
}
