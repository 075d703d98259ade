//! What every index has to do, run on each of them.

use std::time::{Duration, SystemTime};

use cistern_oci::{Digest, RepositoryName};

use super::{
    BlobRecord, Index, ManifestRecord, MemoryIndex, SledIndex, Stamp, StoredTag, records::NamedBlob,
};
use crate::testing::{name, sha256, tag};

fn blob(size: u64) -> BlobRecord {
    BlobRecord {
        size,
        stamp: Some(Stamp {
            size,
            modified: 7,
            inode: 9,
        }),
    }
}

fn manifest(blobs: &[(Digest, u64)], children: &[(Digest, u64)]) -> ManifestRecord {
    let named = |list: &[(Digest, u64)]| {
        list.iter()
            .map(|(digest, size)| NamedBlob {
                digest: *digest,
                size: *size,
            })
            .collect()
    };
    ManifestRecord {
        size: 3,
        blobs: named(blobs),
        children: named(children),
        subject: None,
    }
}

fn digests(count: u8) -> Vec<Digest> {
    let mut all: Vec<Digest> = (0..count).map(|number| sha256(&[number])).collect();
    all.sort();
    all
}

fn keeps_blobs_until_they_are_forgotten(index: &dyn Index) {
    let all = digests(7);
    for digest in &all {
        assert_eq!(index.blob(digest).unwrap(), None);
        index.set_blob(digest, &blob(1)).unwrap();
        index.set_blob(digest, &blob(2)).unwrap();
        assert_eq!(index.blob(digest).unwrap(), Some(blob(2)));
    }
    let mut paged = Vec::new();
    while let page = index.blobs(paged.last(), 3).unwrap()
        && !page.is_empty()
    {
        assert!(page.len() <= 3);
        paged.extend(page.into_iter().map(|(digest, _)| digest));
    }
    assert_eq!(paged, all, "pages go through all blobs in order");
    index
        .record_uses(&[(all[0], SystemTime::UNIX_EPOCH + Duration::from_nanos(5))])
        .unwrap();
    index.forget_blob(&all[0]).unwrap();
    assert_eq!(index.blob(&all[0]).unwrap(), None);
    assert_eq!(
        index.used(&all[0]).unwrap(),
        None,
        "with a blob goes when it was used"
    );
    assert_eq!(index.blobs(None, 100).unwrap().len(), 6);
}

fn keeps_the_last_use(index: &dyn Index) {
    let [one, two] = [sha256(b"use 1"), sha256(b"use 2")];
    let at =
        |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds) + Duration::from_nanos(3);
    index.record_uses(&[(one, at(5)), (two, at(6))]).unwrap();
    index.record_uses(&[(one, at(8))]).unwrap();
    assert_eq!(index.used(&one).unwrap(), Some(at(8)));
    assert_eq!(index.used(&two).unwrap(), Some(at(6)));
    assert_eq!(index.used(&sha256(b"use 3")).unwrap(), None);
}

fn keeps_tags_apart(index: &dyn Index) {
    let record = |seed: &[u8]| StoredTag {
        digest: sha256(seed),
        checked_at: 5,
        source: "up.example".to_owned(),
    };
    index
        .set_tag(&name("a"), &tag("latest"), &record(b"1"))
        .unwrap();
    index
        .set_tag(&name("a/b"), &tag("latest"), &record(b"2"))
        .unwrap();
    index
        .set_tag(&name("a"), &tag("latest2"), &record(b"3"))
        .unwrap();
    assert_eq!(
        index.tag(&name("a"), &tag("latest")).unwrap(),
        Some(record(b"1"))
    );
    assert_eq!(
        index.tag(&name("a/b"), &tag("latest")).unwrap(),
        Some(record(b"2"))
    );
    assert_eq!(index.tag(&name("b"), &tag("latest")).unwrap(), None);
    index.forget_tag(&name("a"), &tag("latest")).unwrap();
    assert_eq!(index.tag(&name("a"), &tag("latest")).unwrap(), None);
    assert_eq!(
        index.tag(&name("a"), &tag("latest2")).unwrap(),
        Some(record(b"3"))
    );
}

fn knows_what_manifests_name(index: &dyn Index) {
    let (of, other) = (name("team/app"), name("team/app2"));
    let [one, two, layer, child] = [
        sha256(b"m1"),
        sha256(b"m2"),
        sha256(b"layer"),
        sha256(b"child"),
    ];
    index
        .set_manifest(&of, &one, &manifest(&[(layer, 10)], &[]))
        .unwrap();
    index
        .set_manifest(&of, &two, &manifest(&[(layer, 10)], &[(child, 20)]))
        .unwrap();
    assert_eq!(index.names(&of, &layer).unwrap(), Some(10));
    assert_eq!(index.names(&of, &child).unwrap(), Some(20));
    assert_eq!(
        index.names(&other, &layer).unwrap(),
        None,
        "names of one repository are not another's"
    );
    assert_eq!(index.names(&name("team"), &layer).unwrap(), None);
    index
        .set_manifest(&of, &two, &manifest(&[(layer, 10)], &[]))
        .unwrap();
    assert_eq!(
        index.names(&of, &child).unwrap(),
        None,
        "a record takes the place of the one before"
    );
    index.forget_manifest(&of, &one).unwrap();
    assert_eq!(
        index.names(&of, &layer).unwrap(),
        Some(10),
        "the other manifest still names it"
    );
    index.forget_manifest(&of, &two).unwrap();
    assert_eq!(index.names(&of, &layer).unwrap(), None);
    assert_eq!(index.manifest(&of, &two).unwrap(), None);
}

fn knows_what_manifests_name_that_name_very_much(index: &dyn Index) {
    let (of, other) = (name("large/app"), name("large/app2"));
    let short = |number: u64| sha256(&number.to_be_bytes());
    let long = |number: u64| Digest::of(cistern_oci::Algorithm::Sha512, &number.to_be_bytes());
    let children: Vec<_> = (0..3000).map(|number| (short(number), number)).collect();
    let blobs: Vec<_> = (0..700).map(|number| (long(number), number)).collect();
    let [one, two] = [sha256(b"large 1"), sha256(b"large 2")];
    index
        .set_manifest(&of, &one, &manifest(&blobs, &children))
        .unwrap();
    index
        .set_manifest(&of, &two, &manifest(&[], &children[..2000]))
        .unwrap();
    for (digest, size) in blobs.iter().chain(&children) {
        assert_eq!(index.names(&of, digest).unwrap(), Some(*size));
    }
    for stranger in (3000..3100).flat_map(|number| [short(number), long(number)]) {
        assert_eq!(index.names(&of, &stranger).unwrap(), None);
    }
    for elsewhere in [&other, &name("large"), &name("large/ap")] {
        assert_eq!(index.names(elsewhere, &short(5)).unwrap(), None);
    }
    index
        .set_manifest(&of, &one, &manifest(&blobs[..1], &[]))
        .unwrap();
    assert_eq!(index.names(&of, &long(0)).unwrap(), Some(0));
    assert_eq!(index.names(&of, &long(1)).unwrap(), None);
    assert_eq!(index.names(&of, &short(1999)).unwrap(), Some(1999));
    assert_eq!(index.names(&of, &short(2000)).unwrap(), None);
    index
        .set_manifest(&of, &one, &manifest(&blobs, &children))
        .unwrap();
    index.forget_manifest(&of, &two).unwrap();
    assert_eq!(index.names(&of, &short(1999)).unwrap(), Some(1999));
    index.forget_manifest(&of, &one).unwrap();
    for (digest, _) in blobs.iter().chain(&children) {
        assert_eq!(index.names(&of, digest).unwrap(), None);
    }
}

fn knows_which_manifests_say_something_about_another(index: &dyn Index) {
    let (of, other) = (name("team/app"), name("team/app2"));
    let mut about = [sha256(b"r1"), sha256(b"r2"), sha256(b"r3")];
    about.sort();
    let subject = sha256(b"subject");
    let with_subject = |subject| ManifestRecord {
        subject,
        ..manifest(&[], &[])
    };
    for digest in &about {
        index
            .set_manifest(&of, digest, &with_subject(Some(subject)))
            .unwrap();
    }
    let long = Digest::of(cistern_oci::Algorithm::Sha512, b"subject");
    index
        .set_manifest(&other, &about[0], &with_subject(Some(long)))
        .unwrap();
    assert_eq!(index.referrers(&of, &subject).unwrap(), about);
    assert_eq!(index.referrers(&of, &long).unwrap(), []);
    assert_eq!(index.referrers(&other, &subject).unwrap(), []);
    assert_eq!(index.referrers(&other, &long).unwrap(), [about[0]]);
    assert_eq!(index.referrers(&name("team"), &subject).unwrap(), []);
    index
        .set_manifest(&of, &about[1], &with_subject(None))
        .unwrap();
    index.forget_manifest(&of, &about[0]).unwrap();
    assert_eq!(index.referrers(&of, &subject).unwrap(), [about[2]]);
    index.forget_manifest(&of, &about[2]).unwrap();
    index.forget_manifest(&of, &about[1]).unwrap();
    index.forget_manifest(&other, &about[0]).unwrap();
    assert_eq!(index.referrers(&other, &long).unwrap(), []);
}

fn lists_manifests_in_pages(index: &dyn Index) {
    let mut all: Vec<(RepositoryName, Digest)> = Vec::new();
    for of in ["p", "p-q", "p/q", "pq"] {
        for digest in digests(3) {
            index
                .set_manifest(&name(of), &digest, &manifest(&[], &[]))
                .unwrap();
            all.push((name(of), digest));
        }
    }
    let mut paged: Vec<(RepositoryName, Digest)> = Vec::new();
    while let page = index
        .manifests(paged.last().map(|(of, digest)| (of, digest)), 5)
        .unwrap()
        && !page.is_empty()
    {
        paged.extend(page.into_iter().map(|(of, digest, _)| (of, digest)));
    }
    paged.sort();
    all.sort();
    assert_eq!(paged, all);
}

fn knows_whether_it_is_complete(index: &dyn Index) {
    assert!(!index.is_complete().unwrap());
    index.set_complete(true).unwrap();
    assert!(index.is_complete().unwrap());
    index.set_complete(false).unwrap();
    assert!(!index.is_complete().unwrap());
    index.flush().unwrap();
}

fn all_promises(index: &dyn Index) {
    keeps_blobs_until_they_are_forgotten(index);
    keeps_the_last_use(index);
    keeps_tags_apart(index);
    knows_what_manifests_name(index);
    knows_what_manifests_name_that_name_very_much(index);
    knows_which_manifests_say_something_about_another(index);
    lists_manifests_in_pages(index);
    knows_whether_it_is_complete(index);
}

#[test]
fn the_memory_index_keeps_all_promises() {
    all_promises(&MemoryIndex::default());
}

#[test]
fn the_sled_index_keeps_all_promises() {
    let directory = tempfile::tempdir().unwrap();
    all_promises(&SledIndex::open(directory.path(), 1 << 20).unwrap());
}

#[test]
fn the_sled_index_is_the_same_after_it_was_opened_again() {
    let directory = tempfile::tempdir().unwrap();
    let (of, digest) = (name("a/b"), sha256(b"x"));
    {
        let index = SledIndex::open(directory.path(), 1 << 20).unwrap();
        index.set_blob(&digest, &blob(5)).unwrap();
        index
            .set_manifest(&of, &digest, &manifest(&[(digest, 5)], &[]))
            .unwrap();
        index.set_complete(true).unwrap();
        index.flush().unwrap();
    }
    let index = SledIndex::open(directory.path(), 1 << 20).unwrap();
    assert_eq!(index.blob(&digest).unwrap(), Some(blob(5)));
    assert_eq!(index.names(&of, &digest).unwrap(), Some(5));
    assert!(index.is_complete().unwrap());
}

#[test]
fn a_very_large_manifest_has_few_keys_in_the_sled_index() {
    let directory = tempfile::tempdir().unwrap();
    let (of, digest) = (name("a/b"), sha256(b"x"));
    let children: Vec<_> = (0_u64..44_000)
        .map(|number| (sha256(&number.to_be_bytes()), number))
        .collect();
    let index = SledIndex::open(directory.path(), 1 << 20).unwrap();
    index
        .set_manifest(&of, &digest, &manifest(&[], &children))
        .unwrap();
    index.flush().unwrap();
    let (last, size) = children[43_999];
    assert_eq!(index.names(&of, &last).unwrap(), Some(size));
    let on_disk = bytes_below(directory.path());
    assert!(on_disk < 64 * 1024 * 1024, "{on_disk} bytes");
}

fn bytes_below(path: &std::path::Path) -> u64 {
    let entries = std::fs::read_dir(path).unwrap().map(Result::unwrap);
    entries
        .map(|entry| match entry.metadata().unwrap() {
            facts if facts.is_dir() => bytes_below(&entry.path()),
            facts => facts.len(),
        })
        .sum()
}
