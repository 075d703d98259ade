//! The `Range` header of a request. Must not know the content it is about.

use crate::RangeRequest;

#[cfg(test)]
mod tests;

/// What a `Range` header asks for (RFC 9110 §14.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeHeader {
    /// Everything: there is no header, or one in another unit than bytes, or one that is not
    /// well-formed. RFC 9110 has all of these ignored.
    Whole,
    /// One part. A range that ends before it begins stays one, so that it is refused and not
    /// answered with everything.
    One(RangeRequest),
    /// This many parts, two or more.
    Several(usize),
}

impl RangeHeader {
    /// Reads the header's value; None when the request has none. Numbers beyond 64 bits count as
    /// the greatest there is.
    pub fn parse(value: Option<&str>) -> Self {
        value.and_then(parse).unwrap_or(Self::Whole)
    }
}

fn parse(value: &str) -> Option<RangeHeader> {
    let (unit, set) = value.split_once('=')?;
    if !trim(unit).eq_ignore_ascii_case("bytes") {
        return None;
    }
    let mut only = None;
    let mut count = 0;
    // Empty elements of a list are to be passed over (RFC 9110 §5.6.1).
    for element in set
        .split(',')
        .map(trim)
        .filter(|element| !element.is_empty())
    {
        only = Some(range(element)?);
        count += 1;
    }
    match count {
        1 => only.map(RangeHeader::One),
        0 => None,
        several => Some(RangeHeader::Several(several)),
    }
}

fn range(element: &str) -> Option<RangeRequest> {
    let (first, last) = element.split_once('-')?;
    match (first, last) {
        ("", length) => Some(RangeRequest::Last {
            length: number(length)?,
        }),
        (first, "") => Some(RangeRequest::FromTo {
            first: number(first)?,
            last: None,
        }),
        (first, last) => Some(RangeRequest::FromTo {
            first: number(first)?,
            last: Some(number(last)?),
        }),
    }
}

fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|character| character.is_ascii_digit());
    // Digits fail to parse only when they are too many.
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

fn trim(element: &str) -> &str {
    element.trim_matches([' ', '\t'])
}
