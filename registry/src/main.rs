//! The `cistern` program.

fn main() {}
