//! Rates of the link, and when they hold: `2MB`, `Mon-Fri 06:00-18:00 500kB`.

use std::fmt;
use std::num::NonZeroU64;

use super::reader::Problem;
use super::size;

/// A time of the week at which the link may be used at another rate. Times are those of `proxy.timezone`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateWindow {
    /// The days on which it begins, Monday first.
    pub days: [bool; 7],
    /// Minutes after midnight at which it begins.
    pub from: u16,
    /// Minutes after midnight at which it ends; before or at `from`: on the next day.
    pub to: u16,
    /// Bytes per second. None: no limit.
    pub rate: Option<NonZeroU64>,
}

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

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
    let (days, times, rate) = match *words.as_slice() {
        [times, rate] => ([true; 7], times, rate),
        [days, times, rate] => {
            let days = days_of(days).ok_or_else(|| wrong("days are Mon to Sun"))?;
            (days, times, rate)
        }
        _ => return Err(wrong("it has two or three words")),
    };
    let span = times
        .split_once('-')
        .and_then(|(from, to)| Some((minutes(from)?, minutes(to)?)));
    let (from, to) = span.ok_or_else(|| wrong("times are written 06:00-18:00"))?;
    Ok(RateWindow {
        days,
        from: from % (24 * 60),
        to,
        rate: parse(rate)?,
    })
}

/// `Mon`, `Mon-Fri`, `Sat+Sun`; a span may go round the end of the week.
fn days_of(text: &str) -> Option<[bool; 7]> {
    let mut days = [false; 7];
    for part in text.split('+') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (mut day, last) = (day_of(first)?, day_of(last)?);
        loop {
            *days.get_mut(day)? = true;
            if day == last {
                break;
            }
            day = (day + 1) % 7;
        }
    }
    Some(days)
}

fn day_of(text: &str) -> Option<usize> {
    DAYS.iter().position(|day| day.eq_ignore_ascii_case(text))
}

/// Minutes after midnight; 24:00 is the end of the day.
fn minutes(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let is_number = |text: &str| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(hours) || !is_number(minutes) {
        return None;
    }
    let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
    (minutes < 60 && (hours < 24 || (hours == 24 && minutes == 0))).then_some(hours * 60 + minutes)
}

impl fmt::Display for RateWindow {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days: Vec<&str> = DAYS
            .iter()
            .zip(self.days)
            .filter_map(|(day, is_meant)| is_meant.then_some(*day))
            .collect();
        let clock = |minutes: u16| format!("{:02}:{:02}", minutes / 60, minutes % 60);
        write!(
            out,
            "{} {}-{}",
            days.join("+"),
            clock(self.from),
            clock(self.to)
        )
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
        assert_eq!((read.from, read.to), (360, 1080));
        assert_eq!(read.days, [true, true, true, true, true, false, false]);
        assert_eq!(read.rate, NonZeroU64::new(500_000));
        let night = window("sat-mon+wed 22:00-05:30 unlimited").unwrap();
        assert_eq!((night.from, night.to, night.rate), (1320, 330, None));
        assert_eq!(night.days, [true, false, true, false, false, true, true]);
        assert_eq!(window("00:00-24:00 1MB").unwrap().to, 1440);
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
