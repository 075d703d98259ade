//! Times of the week: `Mon-Fri 06:00-18:00`, `22:00-05:00`. Knows no clock and no time zone.

use std::fmt;

use super::reader::Problem;

/// A time of the week that comes again every week. Its times are those of `proxy.timezone`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeWindow {
    /// The days on which it begins, Monday first.
    pub days: [bool; 7],
    /// Minutes after midnight at which it begins.
    pub from: u16,
    /// Minutes after midnight at which it ends; before or at `from`: on the next day.
    pub to: u16,
}

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

impl TimeWindow {
    /// Whether it is this window's time: one that goes over midnight belongs to the day on which it began.
    ///
    /// `day` counts from Monday, 0; `minute` from midnight.
    pub fn is_open(&self, day: usize, minute: u16) -> bool {
        let begins = |day: usize| self.days.get(day).copied().unwrap_or_default();
        if self.from < self.to {
            return begins(day) && (self.from..self.to).contains(&minute);
        }
        (begins(day) && minute >= self.from) || (begins((day + 6) % 7) && minute < self.to)
    }

    /// Reads `[DAYS] HH:MM-HH:MM`; else what is wrong with it.
    pub(super) fn read(words: &[&str]) -> Result<Self, &'static str> {
        let (days, times) = match *words {
            [times] => ([true; 7], times),
            [days, times] => (days_of(days).ok_or("days are Mon to Sun")?, times),
            _ => return Err("there are too many words"),
        };
        let span = times
            .split_once('-')
            .and_then(|(from, to)| Some((minutes(from)?, minutes(to)?)));
        let (from, to) = span.ok_or("times are written 06:00-18:00")?;
        Ok(Self {
            days,
            from: from % (24 * 60),
            to,
        })
    }
}

/// Parses a window without a rate.
pub(super) fn parse(text: &str) -> Result<TimeWindow, Problem> {
    let words: Vec<&str> = text.split_whitespace().collect();
    TimeWindow::read(&words).map_err(|what| {
        Problem::new(
            format!("`{text}` is no window of time: {what}"),
            "write days and times, such as Mon-Fri 18:00-06:00 or 22:00-05:00",
        )
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

impl fmt::Display for TimeWindow {
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
    use super::*;

    #[test]
    fn windows_without_a_rate_are_read() {
        let read = parse("Mon-Fri 18:00-06:00").unwrap();
        assert_eq!((read.from, read.to), (1080, 360));
        assert!(read.is_open(0, 1080) && read.is_open(1, 359) && !read.is_open(0, 359));
        assert!(read.is_open(5, 0) && !read.is_open(5, 1080));
        assert_eq!(parse("22:00-05:00").unwrap().days, [true; 7]);
        for text in ["", "night", "Mon-Fri 18:00-06:00 1MB", "6:00-7:00"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
