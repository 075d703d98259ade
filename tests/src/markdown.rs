//! Tables for pages that people read as text too.

use std::fmt::Write as _;

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
