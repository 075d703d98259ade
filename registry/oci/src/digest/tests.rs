use proptest::prelude::*;

use super::*;

const EMPTY_256: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const ABC_256: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
const ABC_512: &str = "sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
     2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";

#[test]
fn the_digest_of_bytes_is_the_one_the_standard_publishes() {
    assert_eq!(Digest::of(Algorithm::Sha256, b"").to_string(), EMPTY_256);
    assert_eq!(Digest::of(Algorithm::Sha256, b"abc").to_string(), ABC_256);
    assert_eq!(Digest::of(Algorithm::Sha512, b"abc").to_string(), ABC_512);
}

#[test]
fn a_digest_knows_its_algorithm_and_its_hexadecimal_part() {
    for (text, algorithm) in [(ABC_256, Algorithm::Sha256), (ABC_512, Algorithm::Sha512)] {
        let digest: Digest = text.parse().unwrap();
        assert_eq!(digest.algorithm(), algorithm);
        assert_eq!(digest.hex().len(), algorithm.hex_length());
        assert_eq!(format!("{}:{}", algorithm, digest.hex()), text);
        assert_eq!(format!("{digest:?}"), text);
    }
}

#[test]
fn what_is_not_a_digest_is_refused_and_told_why() {
    let length = |algorithm, found| DigestError::Length { algorithm, found };
    let refusals = [
        ("", DigestError::NoAlgorithm),
        ("latest", DigestError::NoAlgorithm),
        (":", DigestError::UnknownAlgorithm(String::new())),
        (
            "md5:d41d8cd98f00b204e9800998ecf8427e",
            DigestError::UnknownAlgorithm("md5".into()),
        ),
        ("SHA256:00", DigestError::UnknownAlgorithm("SHA256".into())),
        ("sha256:", length(Algorithm::Sha256, 0)),
        ("sha256:baddigeststring", length(Algorithm::Sha256, 15)),
        ("sha512:00", length(Algorithm::Sha512, 2)),
    ];
    for (text, why) in refusals {
        assert_eq!(text.parse::<Digest>(), Err(why), "{text:?}");
    }
    let of_length = |count: usize| format!("sha256:{}", "a".repeat(count)).parse::<Digest>();
    assert_eq!(of_length(63), Err(length(Algorithm::Sha256, 63)));
    assert_eq!(of_length(65), Err(length(Algorithm::Sha256, 65)));
    assert_eq!(of_length(128), Err(length(Algorithm::Sha256, 128)));
}

#[test]
fn an_overlong_algorithm_does_not_make_an_overlong_message() {
    let why = format!("{}:00", "x".repeat(10_000))
        .parse::<Digest>()
        .unwrap_err();
    assert!(why.to_string().len() < 200);
}

#[test]
fn a_digest_is_written_to_json_as_its_text_and_read_back() {
    let digest: Digest = ABC_256.parse().unwrap();
    let json = serde_json::to_string(&digest).unwrap();
    assert_eq!(json, format!("{ABC_256:?}"));
    assert_eq!(serde_json::from_str::<Digest>(&json).unwrap(), digest);
    assert!(serde_json::from_str::<Digest>(r#""sha256:00""#).is_err());
}

fn any_digest() -> impl Strategy<Value = Digest> {
    prop_oneof![
        any::<[u8; 32]>().prop_map(Digest::Sha256),
        any::<[u8; 64]>().prop_map(Digest::Sha512)
    ]
}

proptest! {
    #[test]
    fn every_digest_survives_being_printed_and_parsed(digest in any_digest()) {
        prop_assert_eq!(digest.to_string().parse::<Digest>(), Ok(digest));
    }

    #[test]
    fn a_digest_has_exactly_one_spelling(digest in any_digest(), place in any::<prop::sample::Index>(), other: char) {
        let text = digest.to_string();
        let changed: String = {
            let place = place.index(text.len());
            text.chars().enumerate().map(|(at, old)| if at == place { other } else { old }).collect()
        };
        prop_assume!(changed != text);
        prop_assert_ne!(changed.parse::<Digest>(), Ok(digest));
        let upper = format!("{}:{}", digest.algorithm(), digest.hex().to_uppercase());
        prop_assert!(upper == text || upper.parse::<Digest>() == Err(DigestError::NotHexadecimal));
    }

    #[test]
    fn whatever_parses_as_a_digest_prints_as_it_was(text in "(sha256|sha512):([0-9a-fA-F]{64}|[0-9a-f]{128}|.{0,70})") {
        if let Ok(digest) = text.parse::<Digest>() {
            prop_assert_eq!(digest.to_string(), text);
        }
    }
}
