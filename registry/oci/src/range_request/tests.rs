use proptest::prelude::*;

use super::*;

fn from(first: u64) -> RangeRequest {
    RangeRequest::FromTo { first, last: None }
}

fn from_to(first: u64, last: u64) -> RangeRequest {
    RangeRequest::FromTo {
        first,
        last: Some(last),
    }
}

fn last(length: u64) -> RangeRequest {
    RangeRequest::Last { length }
}

#[test]
fn the_ranges_of_the_conformance_suite_are_answered_as_it_demands() {
    let given = |request: RangeRequest| request.within(2048).map(|range| (range.first, range.last));
    assert_eq!(given(from_to(500, 1499)), Ok((500, 1499)));
    assert_eq!(given(from(500)), Ok((500, 2047)));
    assert_eq!(given(last(500)), Ok((1548, 2047)));
    assert_eq!(given(from_to(2000, 5000)), Ok((2000, 2047)));
    assert_eq!(given(from_to(500, 0)), Err(NotSatisfiable { size: 2048 }));
    assert_eq!(
        given(from_to(5000, 10_000)),
        Err(NotSatisfiable { size: 2048 })
    );
}

#[test]
fn more_than_all_of_the_last_bytes_is_everything() {
    assert_eq!(
        Ok(last(11).within(10).unwrap()),
        ByteRange::whole(10).ok_or(())
    );
    assert_eq!(
        last(u64::MAX).within(10),
        Ok(ByteRange { first: 0, last: 9 })
    );
}

#[test]
fn the_last_zero_bytes_cannot_be_given() {
    assert_eq!(last(0).within(10), Err(NotSatisfiable { size: 10 }));
}

#[test]
fn a_range_that_begins_at_the_size_or_behind_it_cannot_be_given() {
    assert_eq!(from(9).within(10), Ok(ByteRange { first: 9, last: 9 }));
    for first in [10, 11, u64::MAX] {
        assert_eq!(from(first).within(10), Err(NotSatisfiable { size: 10 }));
    }
}

#[test]
fn nothing_can_be_given_of_empty_content() {
    for request in [from(0), from_to(0, 0), last(1), last(0)] {
        assert_eq!(request.within(0), Err(NotSatisfiable { size: 0 }));
    }
    assert_eq!(ByteRange::whole(0), None);
}

#[test]
fn a_byte_range_knows_its_length_and_prints_as_headers_write_it() {
    assert_eq!(ByteRange::whole(10).map(|range| range.length()), Some(10));
    assert_eq!(ByteRange { first: 7, last: 7 }.length(), 1);
    assert_eq!(
        ByteRange {
            first: 0,
            last: u64::MAX
        }
        .length(),
        u64::MAX
    );
    assert_eq!(
        ByteRange {
            first: 2000,
            last: 2047
        }
        .to_string(),
        "2000-2047"
    );
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![0..40u64, any::<u64>(), Just(u64::MAX)]
}

fn request() -> impl Strategy<Value = RangeRequest> {
    prop_oneof![
        (number(), prop::option::of(number()))
            .prop_map(|(first, last)| RangeRequest::FromTo { first, last }),
        number().prop_map(last),
    ]
}

proptest! {
    #[test]
    fn a_range_that_is_given_is_never_empty_and_never_outside(request in request(), size in number()) {
        if let Ok(range) = request.within(size) {
            prop_assert!(range.first <= range.last);
            prop_assert!(range.last < size);
            prop_assert!(range.length() >= 1 && range.length() <= size);
        }
    }

    #[test]
    fn exactly_the_bytes_that_were_asked_for_and_exist_are_given(request in request(), size in 0..30u64) {
        let wanted: Vec<u64> = (0..size).filter(|byte| match request {
            RangeRequest::FromTo { first, last } => *byte >= first && last.is_none_or(|last| *byte <= last),
            RangeRequest::Last { length } => size - *byte <= length,
        }).collect();
        let given: Vec<u64> = request.within(size).map(|range| (range.first..=range.last).collect()).unwrap_or_default();
        prop_assert_eq!(given, wanted);
    }
}
