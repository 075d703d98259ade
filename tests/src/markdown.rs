//! Tables for pages that people read as text too.

use std::fmt::Write as _;
use std::path::Path;

/// A markdown table whose columns are as wide as their widest cell. The first row is the head.
pub fn table<const COLUMNS: usize>(rows: &[[String; COLUMNS]]) -> String {
    let width = |column: usize| {
        let cell = |row: &[String; COLUMNS]| row[column].chars().count();
        rows.iter().map(cell).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..COLUMNS).map(width).collect();
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        for (cell, width) in row.iter().zip(&widths) {
            write!(text, "| {cell:<width$} ").unwrap();
        }
        text.push_str("|\n");
        if number == 0 {
            for width in &widths {
                write!(text, "|{}", "-".repeat(width + 2)).unwrap();
            }
            text.push_str("|\n");
        }
    }
    text
}

/// Puts `text` into the page, in place of what stands between `<!-- name: begin -->` and `<!-- name: end -->`; what else is in it stays.
///
/// # Panics
/// When the page cannot be read or written, or has no such place.
pub fn put_into_file(page: &Path, name: &str, text: &str) {
    let old = std::fs::read_to_string(page).unwrap();
    let (begin, end) = marks(name);
    let place = old.split_once(&begin).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(&end)?;
        Some((before, after))
    });
    let (before, after) = place.unwrap_or_else(|| panic!("{} has no {begin}", page.display()));
    std::fs::write(page, format!("{before}{begin}{text}{end}{after}")).unwrap();
}

/// `text` between the marks by which [`put_into_file`] finds it again.
pub fn marked(name: &str, text: &str) -> String {
    let (begin, end) = marks(name);
    format!("{begin}{text}{end}\n")
}

fn marks(name: &str) -> (String, String) {
    (
        format!("<!-- {name}: begin -->\n"),
        format!("<!-- {name}: end -->"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_put_between_its_marks_and_found_there_again() {
        let page = tempfile::NamedTempFile::new().unwrap();
        let text = format!("before\n{}after\n", marked("x", "old\n"));
        std::fs::write(page.path(), &text).unwrap();
        put_into_file(page.path(), "x", "new\n");
        let new = std::fs::read_to_string(page.path()).unwrap();
        assert_eq!(new, text.replace("old", "new"));
    }
}
