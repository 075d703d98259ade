//! Which rate the link may be used at, at a moment of the week. Pure: the time is given.

use std::num::NonZeroU64;
use std::time::{Duration, SystemTime};

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use crate::config::{RateWindow, TimeWindow};

/// The rates of the link over the week: `proxy.rate`, `proxy.ratewindows` and `proxy.timezone`.
#[derive(Clone, Debug)]
pub struct Rates {
    /// Bytes per second outside of every window. None: no limit.
    pub rate: Option<NonZeroU64>,
    /// Times with another rate; the first that matches counts.
    pub windows: Vec<RateWindow>,
    /// The time zone of the windows.
    pub time_zone: TimeZone,
}

/// The rate at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateNow {
    /// Bytes per second. None: no limit.
    pub rate: Option<NonZeroU64>,
    /// The window it comes from; None where it is the rate outside of all of them.
    pub window: Option<RateWindow>,
    /// How long it holds for certain: to the end of the minute, since windows begin and end with minutes, and so do the changes of
    /// a time zone. Judging again that often also sees a clock that was set.
    pub holds_for: Duration,
}

const MINUTE: Duration = Duration::from_mins(1);

// === impl Rates ===

impl Rates {
    /// No limit at any time.
    pub fn unlimited() -> Self {
        Self {
            rate: None,
            windows: Vec::new(),
            time_zone: TimeZone::UTC,
        }
    }

    /// Whether there is no limit at any time.
    pub fn are_unlimited(&self) -> bool {
        self.rate.is_none() && self.windows.iter().all(|window| window.rate.is_none())
    }

    /// The rate at `now`. Of a clock beyond all calendars, the rate outside of the windows.
    pub fn at(&self, now: SystemTime) -> RateNow {
        let outside = RateNow {
            rate: self.rate,
            window: None,
            holds_for: MINUTE,
        };
        let Ok(now) = Timestamp::try_from(now) else {
            return outside;
        };
        let local = now.to_zoned(self.time_zone.clone());
        let (day, minute) = day_and_minute(&local);
        let seconds = u64::try_from(local.second()).unwrap_or_default();
        let nanoseconds = u64::try_from(local.subsec_nanosecond()).unwrap_or_default();
        let gone = Duration::from_secs(seconds) + Duration::from_nanos(nanoseconds);
        let holds_for = MINUTE.saturating_sub(gone).max(Duration::from_millis(1));
        let window = self
            .windows
            .iter()
            .find(|window| window.time.is_open(day, minute));
        match window {
            Some(window) => RateNow {
                rate: window.rate,
                window: Some(*window),
                holds_for,
            },
            None => RateNow {
                holds_for,
                ..outside
            },
        }
    }
}

/// The day, counted from Monday, and the minute of it.
fn day_and_minute(local: &Zoned) -> (usize, u16) {
    let day = usize::try_from(local.weekday().to_monday_zero_offset()).unwrap_or_default();
    let minute = u16::try_from(i32::from(local.hour()) * 60 + i32::from(local.minute()));
    (day, minute.unwrap_or_default())
}

/// Whether one of these windows is open at `now`, by the clocks of this time zone. Beyond all calendars none is.
pub fn is_any_open(windows: &[TimeWindow], time_zone: &TimeZone, now: SystemTime) -> bool {
    let Ok(now) = Timestamp::try_from(now) else {
        return false;
    };
    let (day, minute) = day_and_minute(&now.to_zoned(time_zone.clone()));
    windows.iter().any(|window| window.is_open(day, minute))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(days: [bool; 7], from: u16, to: u16, rate: u64) -> RateWindow {
        let time = TimeWindow { days, from, to };
        RateWindow {
            time,
            rate: NonZeroU64::new(rate),
        }
    }

    const WORKDAYS: [bool; 7] = [true, true, true, true, true, false, false];

    fn at(rates: &Rates, local: &str) -> RateNow {
        let moment: jiff::civil::DateTime = local.parse().unwrap();
        let moment = moment.to_zoned(rates.time_zone.clone()).unwrap();
        rates.at(moment.timestamp().into())
    }

    fn plant() -> Rates {
        Rates {
            rate: NonZeroU64::new(9),
            windows: vec![
                window(WORKDAYS, 6 * 60, 18 * 60, 1),
                window([true; 7], 22 * 60, 5 * 60, 0),
            ],
            time_zone: TimeZone::get("Europe/Berlin").unwrap(),
        }
    }

    #[test]
    fn the_first_window_that_matches_counts_else_the_rate_outside() {
        let rates = plant();
        let rate = |local: &str| at(&rates, local).rate.map_or(0, NonZeroU64::get);
        // 2024-07-05 was a Friday.
        assert_eq!(rate("2024-07-05T05:59:59"), 9);
        assert_eq!(rate("2024-07-05T06:00:00"), 1);
        assert_eq!(rate("2024-07-05T17:59:59"), 1);
        assert_eq!(rate("2024-07-05T18:00:00"), 9);
        assert_eq!(rate("2024-07-06T12:00:00"), 9);
        assert_eq!(rate("2024-07-05T22:00:00"), 0);
        assert_eq!(rate("2024-07-06T04:59:59"), 0);
        assert_eq!(rate("2024-07-06T05:00:00"), 9);
    }

    #[test]
    fn a_night_belongs_to_the_day_on_which_it_began() {
        let sunday = [false, false, false, false, false, false, true];
        let rates = Rates {
            windows: vec![window(sunday, 22 * 60, 5 * 60, 1)],
            ..plant()
        };
        let in_window = |local: &str| at(&rates, local).window.is_some();
        assert!(in_window("2024-07-07T23:00:00"));
        assert!(in_window("2024-07-08T04:00:00"));
        assert!(!in_window("2024-07-07T04:00:00"));
        assert!(!in_window("2024-07-08T23:00:00"));
    }

    #[test]
    fn a_window_follows_the_clock_on_the_wall_when_summer_begins() {
        let rates = plant();
        // 2024-03-31, 02:00 becomes 03:00: 04:59 is one hour after 02:59 would have been, and still night.
        assert_eq!(at(&rates, "2024-03-31T04:59:00").rate, None);
        assert_eq!(at(&rates, "2024-03-31T05:00:00").rate, NonZeroU64::new(9));
        let winter = at(&rates, "2024-01-05T06:00:00");
        assert_eq!(winter.rate, NonZeroU64::new(1));
    }

    #[test]
    fn a_rate_holds_to_the_end_of_the_minute() {
        let held = at(&plant(), "2024-07-05T17:59:59.25").holds_for;
        assert_eq!(held, Duration::from_millis(750));
    }

    #[test]
    fn a_window_that_ends_when_it_begins_lasts_a_day() {
        let rates = Rates {
            windows: vec![window(WORKDAYS, 360, 360, 1)],
            ..plant()
        };
        assert!(at(&rates, "2024-07-05T06:00:00").window.is_some());
        assert!(at(&rates, "2024-07-06T05:59:00").window.is_some());
        assert!(at(&rates, "2024-07-06T06:00:00").window.is_none());
    }

    #[test]
    fn only_what_never_limits_is_unlimited() {
        assert!(Rates::unlimited().are_unlimited());
        assert!(!plant().are_unlimited());
        let free_nights = Rates {
            windows: vec![window(WORKDAYS, 0, 60, 0)],
            ..Rates::unlimited()
        };
        assert!(free_nights.are_unlimited());
    }
}
