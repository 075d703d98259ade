//! Lengths of time and of bytes, for people.

use std::time::Duration;

/// A length of time in the largest unit of which it has at least two: `45 s`, `12 min`, `30 h`, `3 days`.
pub fn lasting(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// A number of bytes with three digits: `812 B`, `4.25 kB`, `41.2 MB`.
pub fn bytes(count: u64) -> String {
    const UNITS: [(u64, &str); 4] = [
        (1_000_000_000_000, "TB"),
        (1_000_000_000, "GB"),
        (1_000_000, "MB"),
        (1_000, "kB"),
    ];
    let Some((unit, name)) = UNITS.iter().find(|(unit, _)| count >= *unit) else {
        return format!("{count} B");
    };
    let (whole, hundredths) = (count / unit, count % unit * 100 / unit);
    match whole {
        0..10 => format!("{whole}.{hundredths:02} {name}"),
        10..100 => format!("{whole}.{} {name}", hundredths / 10),
        _ => format!("{whole} {name}"),
    }
}

/// `1 blob`, `2 blobs`.
pub fn counted(count: usize, one: &str) -> String {
    if count == 1 {
        format!("1 {one}")
    } else {
        format!("{count} {one}s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_are_written_for_people() {
        let times = [0, 119, 120, 7_199, 7_200, 172_799, 172_800];
        let told = times.map(|seconds| lasting(Duration::from_secs(seconds)));
        assert_eq!(
            told,
            ["0 s", "119 s", "2 min", "119 min", "2 h", "47 h", "2 days"]
        );
        let sizes = [999, 4_256, 41_290_000, 999_999_999, 2_000_000_000];
        assert_eq!(
            sizes.map(bytes),
            ["999 B", "4.25 kB", "41.2 MB", "999 MB", "2.00 GB"]
        );
    }
}
