use super::*;
use crate::Algorithm;

#[test]
fn a_colon_tells_a_digest_from_a_tag() {
    let digest = Digest::of(Algorithm::Sha256, b"x");
    assert_eq!(digest.to_string().parse(), Ok(Reference::Digest(digest)));
    assert_eq!(
        "latest".parse(),
        Ok(Reference::Tag("latest".parse().unwrap()))
    );
    assert_eq!(
        "sha256-00.sig".parse(),
        Ok(Reference::Tag("sha256-00.sig".parse().unwrap()))
    );
    let hex = digest.hex();
    assert_eq!(hex.parse(), Ok(Reference::Tag(hex.parse().unwrap())));
}

#[test]
fn what_is_neither_a_tag_nor_a_digest_is_refused_as_the_one_it_was_meant_to_be() {
    let refused = |text: &str| text.parse::<Reference>().unwrap_err();
    assert_eq!(refused(""), ReferenceError::Tag(TagError::Empty));
    assert_eq!(refused(".."), ReferenceError::Tag(TagError::Character));
    assert!(matches!(
        refused("sha256:baddigeststring"),
        ReferenceError::Digest(DigestError::Length { .. })
    ));
    assert!(matches!(
        refused("latest:1"),
        ReferenceError::Digest(DigestError::UnknownAlgorithm(_))
    ));
}

#[test]
fn a_reference_is_printed_as_it_was_written() {
    let digest = Digest::of(Algorithm::Sha512, b"x").to_string();
    for text in ["latest", "1.5-linux_arm64", digest.as_str()] {
        assert_eq!(text.parse::<Reference>().unwrap().to_string(), text);
        let json = format!("{text:?}");
        assert_eq!(
            serde_json::to_string(&serde_json::from_str::<Reference>(&json).unwrap()).unwrap(),
            json
        );
    }
}
