use proptest::prelude::*;

use super::*;

fn one(value: &str) -> Option<RangeRequest> {
    match RangeHeader::parse(Some(value)) {
        RangeHeader::One(request) => Some(request),
        RangeHeader::Whole | RangeHeader::Several(_) => None,
    }
}

fn from_to(first: u64, last: u64) -> RangeRequest {
    RangeRequest::FromTo {
        first,
        last: Some(last),
    }
}

#[test]
fn the_three_forms_of_a_range_are_read() {
    assert_eq!(one("bytes=500-1499"), Some(from_to(500, 1499)));
    assert_eq!(
        one("bytes=500-"),
        Some(RangeRequest::FromTo {
            first: 500,
            last: None
        })
    );
    assert_eq!(one("bytes=-500"), Some(RangeRequest::Last { length: 500 }));
}

#[test]
fn the_unit_is_read_in_any_case_and_spaces_around_elements_are_passed_over() {
    for value in [
        "BYTES=0-1",
        "Bytes=0-1",
        " bytes=0-1",
        "bytes= 0-1 ",
        "bytes=,\t0-1 ,,",
    ] {
        assert_eq!(one(value), Some(from_to(0, 1)), "{value:?}");
    }
}

#[test]
fn a_header_that_is_absent_malformed_or_in_another_unit_asks_for_everything() {
    assert_eq!(RangeHeader::parse(None), RangeHeader::Whole);
    for value in [
        "",
        "bytes",
        "bytes=",
        "bytes=,",
        "bytes=-",
        "bytes=a-b",
        "bytes=1",
        "bytes=1-2-3",
        "bytes=--1",
        "bytes=0x1-2",
        "bytes=+1-2",
        "bytes=1-+2",
        "bytes=-+2",
        "bytes=1 - 2",
        "bytes 0-1",
        "bytes:0-1",
        "items=0-1",
        "=0-1",
        "bytes=0-1;2-3",
        "bytes=0-1,x",
        "bytes=x,0-1",
        "bytes=1.5-2",
        "bytes=٣-٤",
    ] {
        assert_eq!(
            RangeHeader::parse(Some(value)),
            RangeHeader::Whole,
            "{value:?}"
        );
    }
}

#[test]
fn a_range_that_ends_before_it_begins_is_refused_and_not_answered_with_everything() {
    assert_eq!(one("bytes=500-0"), Some(from_to(500, 0)));
    assert!(one("bytes=500-0").unwrap().within(2048).is_err());
}

#[test]
fn several_ranges_are_counted() {
    assert_eq!(
        RangeHeader::parse(Some("bytes=0-1,3-4")),
        RangeHeader::Several(2)
    );
    assert_eq!(
        RangeHeader::parse(Some("bytes=0-1, -5,7-,")),
        RangeHeader::Several(3)
    );
    let many = vec!["0-0"; 1024].join(",");
    assert_eq!(
        RangeHeader::parse(Some(&format!("bytes={many}"))),
        RangeHeader::Several(1024)
    );
}

#[test]
fn numbers_beyond_64_bits_count_as_the_greatest_there_is() {
    let overlong = "9".repeat(400);
    assert_eq!(
        one(&format!("bytes=0-{overlong}")),
        Some(from_to(0, u64::MAX))
    );
    assert_eq!(
        one(&format!("bytes={overlong}-")),
        Some(RangeRequest::FromTo {
            first: u64::MAX,
            last: None
        })
    );
    assert_eq!(
        one("bytes=-18446744073709551616"),
        Some(RangeRequest::Last { length: u64::MAX })
    );
    assert_eq!(
        one("bytes=0-18446744073709551615"),
        Some(from_to(0, u64::MAX))
    );
    assert_eq!(
        one("bytes=0-000000000000000000000000000007"),
        Some(from_to(0, 7))
    );
}

proptest! {
    #[test]
    fn every_range_that_is_written_is_read_as_meant(first: u64, last in prop::option::of(any::<u64>()), length: u64) {
        let end = last.map(|last| last.to_string()).unwrap_or_default();
        prop_assert_eq!(one(&format!("bytes={first}-{end}")), Some(RangeRequest::FromTo { first, last }));
        prop_assert_eq!(one(&format!("bytes=-{length}")), Some(RangeRequest::Last { length }));
    }

    #[test]
    fn no_header_can_lead_outside_the_content(value in r"(bytes=)?[0-9, -]{0,50}|\PC{0,30}", size in 0..100u64) {
        if let RangeHeader::One(request) = RangeHeader::parse(Some(&value)) && let Ok(range) = request.within(size) {
            prop_assert!(range.first <= range.last && range.last < size);
        }
    }
}
