//! Sizes as people write them: `256MiB`, `200GiB`, `10GB`, and shares of a disk: `5%`.

use super::reader::Problem;
use super::storage::Reserve;

const ADVICE: &str =
    "write a size with a unit, such as 500MiB or 20GiB, or a share of the disk, such as 5%";

/// Parses `storage.cache.reserve`.
pub(super) fn reserve(text: &str) -> Result<Reserve, Problem> {
    let text = text.trim();
    if let Some(number) = text.strip_suffix('%') {
        return match number.trim_end().parse::<u8>() {
            Ok(percent) if percent < 100 => Ok(Reserve::Percent(percent)),
            Ok(_) => Err(Problem::new(
                format!("`{text}` would leave no room for the cache"),
                "write less than 100%",
            )),
            Err(_) => Err(Problem::new(
                format!("`{text}` is no whole percentage"),
                ADVICE,
            )),
        };
    }
    bytes(text).map(Reserve::Bytes)
}

/// Parses a number of bytes. `KiB`, `MiB`, … and the short `K`, `M`, … count in 1024, `kB`, `MB`, … in 1000.
pub(super) fn bytes(text: &str) -> Result<u64, Problem> {
    let wrong = || Problem::new(format!("`{text}` is no size"), ADVICE);
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let scale = unit_of(unit.trim()).ok_or_else(wrong)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || fraction.contains('.') || (number.contains('.') && fraction.is_empty()) {
        return Err(wrong());
    }
    let whole: u128 = whole.parse().map_err(|_| wrong())?;
    let total = whole
        .saturating_mul(scale)
        .saturating_add(part_of(fraction, scale));
    if unit.trim().is_empty() && total > 0 && total < 1024 * 1024 {
        return Err(Problem::new(format!("`{text}` has no unit"), ADVICE));
    }
    u64::try_from(total)
        .map_err(|_| Problem::new(format!("`{text}` is larger than any disk"), ADVICE))
}

fn part_of(fraction: &str, scale: u128) -> u128 {
    let (mut value, mut divisor) = (0_u128, 1_u128);
    for digit in fraction.bytes().take(15) {
        value = value * 10 + u128::from(digit.saturating_sub(b'0'));
        divisor *= 10;
    }
    value * scale / divisor
}

fn unit_of(unit: &str) -> Option<u128> {
    const KIBI: u128 = 1024;
    const KILO: u128 = 1000;
    Some(match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "ki" | "kib" => KIBI,
        "m" | "mi" | "mib" => KIBI.pow(2),
        "g" | "gi" | "gib" => KIBI.pow(3),
        "t" | "ti" | "tib" => KIBI.pow(4),
        "kb" => KILO,
        "mb" => KILO.pow(2),
        "gb" => KILO.pow(3),
        "tb" => KILO.pow(4),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_and_shares_are_read() {
        for (text, expected) in [
            ("5%", Reserve::Percent(5)),
            ("0%", Reserve::Percent(0)),
            ("200GiB", Reserve::Bytes(200 << 30)),
            ("200 GiB", Reserve::Bytes(200 << 30)),
            ("10GB", Reserve::Bytes(10_000_000_000)),
            ("1.5MiB", Reserve::Bytes(3 << 19)),
            ("512M", Reserve::Bytes(512 << 20)),
            ("0", Reserve::Bytes(0)),
            ("1000b", Reserve::Bytes(1000)),
            ("268435456", Reserve::Bytes(256 << 20)),
        ] {
            assert_eq!(reserve(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_could_be_meant_in_two_ways_is_refused() {
        for text in [
            "",
            "5",
            "5000",
            "-5%",
            "2.5%",
            "100%",
            "300%",
            "GiB",
            "1..5GiB",
            ".5GiB",
            "5.GiB",
            "5 apples",
            "99999999999TiB",
        ] {
            assert!(reserve(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC*") {
            let _ = reserve(&text);
        }

        #[test]
        fn whole_mebibytes_are_exact(count in 0_u64..1 << 40) {
            prop_assert_eq!(reserve(&format!("{count}MiB")).unwrap(), Reserve::Bytes(count << 20));
        }
    }
}
