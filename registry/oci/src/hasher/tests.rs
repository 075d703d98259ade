use proptest::prelude::*;

use super::*;

#[test]
fn a_hasher_that_saw_nothing_gives_the_digest_of_nothing() {
    for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
        assert_eq!(Hasher::new(algorithm).finish(), Digest::of(algorithm, b""));
    }
}

#[test]
fn a_clone_of_a_hasher_is_a_checkpoint() {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    hasher.update(b"ab");
    let checkpoint = hasher.clone();
    hasher.update(b"c");
    assert_eq!(checkpoint.finish(), Digest::of(Algorithm::Sha256, b"ab"));
    assert_eq!(hasher.finish(), Digest::of(Algorithm::Sha256, b"abc"));
}

proptest! {
    #[test]
    fn the_digest_does_not_depend_on_how_the_bytes_were_cut(
        bytes in prop::collection::vec(any::<u8>(), 0..5000),
        pieces in prop::collection::vec(prop_oneof![0..3usize, 60..70usize, 120..140usize, 0..1500usize], 0..60),
    ) {
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let mut hasher = Hasher::new(algorithm);
            let mut rest = &bytes[..];
            for length in &pieces {
                let (piece, behind) = rest.split_at((*length).min(rest.len()));
                hasher.update(piece);
                rest = behind;
            }
            hasher.update(rest);
            prop_assert_eq!(hasher.finish(), Digest::of(algorithm, &bytes));
        }
    }
}
