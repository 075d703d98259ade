//! Durations as Go writes them, which is how Distribution's configuration has them: `168h`, `1m30s`, `1.5h`, `100ms`, `0`.

use std::fmt::Write as _;
use std::time::Duration;

use super::reader::Problem;

/// Go keeps a duration as a signed 64-bit number of nanoseconds; what does not fit is refused there, so it is here.
const LONGEST: u128 = i64::MAX as u128;

const ADVICE: &str = "write a number with a unit, such as 30s, 5m, 1m30s or 168h";

/// Parses one duration.
///
/// A bare number is nanoseconds, as in Distribution; since nobody means that by `30`, only a second and more is taken so.
pub(super) fn parse(text: &str) -> Result<Duration, Problem> {
    let text = text.trim();
    if text.starts_with('-') {
        return Err(Problem::new(format!("`{text}` is negative"), ADVICE));
    }
    let digits = text.strip_prefix('+').unwrap_or(text);
    if digits == "0" {
        return Ok(Duration::ZERO);
    }
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return bare_number(digits);
    }
    let mut total: u128 = 0;
    let mut rest = digits;
    loop {
        let (part, after) = one_part(rest)
            .ok_or_else(|| Problem::new(format!("`{text}` is no duration"), ADVICE))?;
        total = total.saturating_add(part);
        if total > LONGEST {
            return Err(Problem::new(
                format!("`{text}` is longer than 292 years"),
                ADVICE,
            ));
        }
        if after.is_empty() {
            break;
        }
        rest = after;
    }
    Ok(from_nanoseconds(total))
}

fn bare_number(digits: &str) -> Result<Duration, Problem> {
    match digits.parse::<u128>() {
        Ok(nanoseconds) if (1_000_000_000..=LONGEST).contains(&nanoseconds) => {
            Ok(from_nanoseconds(nanoseconds))
        }
        Ok(0) => Ok(Duration::ZERO),
        Ok(_) | Err(_) => Err(Problem::new(format!("`{digits}` has no unit"), ADVICE)),
    }
}

/// The nanoseconds of the first number and unit, and what follows.
fn one_part(text: &str) -> Option<(u128, &str)> {
    let (whole, rest) = split_digits(text);
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) => split_digits(rest),
        None => ("", rest),
    };
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let unit_length = rest
        .find(|c: char| c == '.' || c.is_ascii_digit())
        .unwrap_or(rest.len());
    let (unit, after) = rest.split_at(unit_length);
    let scale = unit_of(unit)?;
    let whole: u128 = if whole.is_empty() {
        0
    } else {
        whole.parse().unwrap_or(LONGEST + 1)
    };
    Some((
        whole
            .saturating_mul(scale)
            .saturating_add(part_of(fraction, scale)),
        after,
    ))
}

fn split_digits(text: &str) -> (&str, &str) {
    text.split_at(
        text.find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len()),
    )
}

fn unit_of(unit: &str) -> Option<u128> {
    Some(match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

/// `0.fraction × scale`, rounded down; digits past the nineteenth are less than a nanosecond whatever the unit.
fn part_of(fraction: &str, scale: u128) -> u128 {
    let (mut value, mut divisor) = (0_u128, 1_u128);
    for digit in fraction.bytes().take(19) {
        value = value * 10 + u128::from(digit - b'0');
        divisor *= 10;
    }
    value * scale / divisor
}

fn from_nanoseconds(nanoseconds: u128) -> Duration {
    let nanoseconds = u64::try_from(nanoseconds).unwrap_or(u64::MAX);
    Duration::from_nanos(nanoseconds)
}

/// Writes a duration the way it would be written in a configuration: `168h`, `1m30s`, `100ms`.
pub fn written(duration: Duration) -> String {
    if duration.is_zero() {
        return "0".to_owned();
    }
    let seconds = duration.as_secs();
    let mut text = String::new();
    for (amount, unit) in [
        (seconds / 3600, "h"),
        (seconds / 60 % 60, "m"),
        (seconds % 60, "s"),
    ] {
        if amount > 0 {
            let _ = write!(text, "{amount}{unit}");
        }
    }
    let nanoseconds = duration.subsec_nanos();
    for (amount, unit) in [
        (nanoseconds / 1_000_000, "ms"),
        (nanoseconds / 1_000 % 1_000, "us"),
        (nanoseconds % 1_000, "ns"),
    ] {
        if amount > 0 {
            let _ = write!(text, "{amount}{unit}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_forms_go_accepts_are_accepted() {
        for (text, milliseconds) in [
            ("0", 0),
            ("+5s", 5_000),
            ("168h", 604_800_000),
            ("1m30s", 90_000),
            ("1.5h", 5_400_000),
            (".5s", 500),
            ("1.s", 1_000),
            ("100ms", 100),
            ("1h0m0s", 3_600_000),
            ("2000us", 2),
            ("2000µs", 2),
            ("3000000ns", 3),
            ("604800000000000", 604_800_000),
        ] {
            assert_eq!(
                parse(text).unwrap(),
                Duration::from_millis(milliseconds),
                "{text}"
            );
        }
    }

    #[test]
    fn what_go_refuses_or_nobody_means_is_refused() {
        for text in [
            "",
            "-1",
            "-1s",
            "s",
            ".s",
            "1",
            "60",
            "1 m",
            "1d",
            "1x",
            "1.2.3s",
            "9999999999999h",
            "three seconds",
            "1s-2s",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_written_duration_is_read_back(nanoseconds in 0..i64::MAX as u64) {
            let duration = Duration::from_nanos(nanoseconds);
            let text = written(duration);
            prop_assert_eq!(parse(&text).unwrap(), duration, "{}", text);
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC*") {
            let _ = parse(&text);
        }

        #[test]
        fn parts_add_up(hours in 0_u64..1000, minutes in 0_u64..1000, seconds in 0_u64..1000) {
            let text = format!("{hours}h{minutes}m{seconds}s");
            prop_assert_eq!(parse(&text).unwrap(), Duration::from_secs(hours * 3600 + minutes * 60 + seconds));
        }
    }
}
