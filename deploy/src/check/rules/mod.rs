//! The table of rules: what is looked for, how much it weighs, and what would be seen on a device. Everything else here asks it.
//!
//! A finding may weigh less than its rule where what it rests on is only guessed, never more.

use crate::Severity;

/// One thing that is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its name, as findings carry it.
    pub id: &'static str,
    /// What it weighs at most.
    pub severity: Severity,
    /// What is found, in one line.
    pub meaning: &'static str,
    /// What would be seen on a device.
    pub why: &'static str,
}

/// Rules about one subject.
#[derive(Clone, Copy, Debug)]
pub struct Group {
    /// The subject.
    pub title: &'static str,
    /// Its rules.
    pub rules: &'static [Rule],
}

/// All rules, by subject.
pub fn groups() -> &'static [Group] {
    table::GROUPS
}

macro_rules! rules {
    ($($list:ident $title:literal { $($name:ident $id:literal $severity:ident $meaning:literal $why:literal)+ })+) => {
        $($(pub(in crate::check) const $name: &Rule = &Rule {
            id: $id,
            severity: Severity::$severity,
            meaning: $meaning,
            why: $why,
        };)+)+
        $(const $list: &[Rule] = &[$(*$name),+];)+
        pub(super) const GROUPS: &[Group] = &[$(Group { title: $title, rules: $list }),+];
    };
}

mod table;

pub(in crate::check) use table::*;
