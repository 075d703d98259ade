//! Pieces that go from their file to a socket.

use std::{io::Read, os::unix::net::UnixStream, sync::Arc, task::Poll};

use super::*;
use crate::{
    RealDisk, Storage,
    testing::{Place, read, some_bytes, start, store},
};

const MIB: usize = 1024 * 1024;

/// A store on the real disk: the faulty one sends nothing from files.
async fn open(place: &Place) -> Storage {
    let mut options = place.options();
    options.disk = Arc::new(RealDisk);
    Storage::open(options).await.unwrap()
}

/// Everything a body gives to who can send from files, and how many pieces of files were among it.
async fn send_all(mut body: crate::BlobBytes) -> (Vec<u8>, usize) {
    let (here, mut there) = UnixStream::pair().unwrap();
    let reader = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        there.read_to_end(&mut bytes).unwrap();
        bytes
    });
    let mut from_files = 0;
    while let Some(piece) = std::future::poll_fn(|context| body.poll_piece(context)).await {
        match piece.unwrap() {
            Piece::Read(bytes) => std::io::Write::write_all(&mut &here, &bytes).unwrap(),
            Piece::InFile(mut piece) => {
                assert!(piece.length() <= FilePiece::LONGEST);
                from_files += 1;
                while piece.length() > 0 {
                    piece.send(&here).unwrap();
                }
            }
        }
    }
    drop(here);
    (reader.join().unwrap(), from_files)
}

#[tokio::test]
async fn a_blob_sent_from_its_file_is_the_same_to_the_byte() {
    let place = Place::new();
    let storage = open(&place).await;
    let bytes = some_bytes(3 * MIB + 70_001, 1);
    let digest = store(&storage, &bytes).await;
    let blob = storage.blobs().open(&digest).await.unwrap().unwrap();
    let (whole, _) = send_all(blob.read_all()).await;
    assert!(whole == bytes);
    let part = cistern_oci::ByteRange {
        first: 12_345,
        last: 2_000_000,
    };
    let (part, _) = send_all(blob.read(part)).await;
    assert!(part == bytes[12_345..=2_000_000]);
    assert!(read(blob.read_all()).await == bytes, "and as bytes");
}

#[tokio::test]
async fn a_blob_sent_while_it_grows_is_the_same_to_the_byte() {
    let place = Place::new();
    let storage = open(&place).await;
    let bytes = some_bytes(2 * MIB + 17, 2);
    let digest = crate::testing::sha256(&bytes);
    let (mut writer, blob) = start(&storage, digest, Some(bytes.len() as u64)).await;
    let whole = cistern_oci::ByteRange::whole(bytes.len() as u64).unwrap();
    let reading = crate::testing::spawn(send_all(blob.read(whole)));
    for part in bytes.chunks(300_000) {
        writer.append(bytes.slice_ref(part)).await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    writer.commit().await.unwrap();
    let (sent, _) = reading.await.unwrap();
    assert!(sent == bytes);
}

#[tokio::test]
async fn a_file_that_became_shorter_is_an_error_and_no_neat_end() {
    let place = Place::new();
    let storage = open(&place).await;
    let bytes = some_bytes(MIB, 3);
    let digest = store(&storage, &bytes).await;
    let blob = storage.blobs().open(&digest).await.unwrap().unwrap();
    let mut body = blob.read_all();
    let piece = std::future::poll_fn(|context| match body.poll_piece(context) {
        Poll::Ready(piece) => Poll::Ready(piece.unwrap().unwrap()),
        Poll::Pending => Poll::Pending,
    })
    .await;
    // Where the system cannot tell what is in memory, bytes come as before.
    let Piece::InFile(mut piece) = piece else {
        return;
    };
    std::fs::OpenOptions::new()
        .write(true)
        .open(piece.file.path())
        .unwrap()
        .set_len(0)
        .unwrap();
    let (here, _there) = UnixStream::pair().unwrap();
    let error = piece.send(&here).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
}

#[tokio::test]
async fn a_piece_whose_file_has_become_shorter_is_an_error_and_not_fewer_bytes() {
    let place = Place::new();
    let core = Arc::new(crate::open::open(place.options()).unwrap());
    let path = place.root().join("file");
    let file = Arc::new(core.disk.create_new(&path).unwrap());
    core.disk.write_at(&file, b"0123456789", 0).unwrap();
    let piece = |length| FilePiece {
        core: Arc::clone(&core),
        file: Arc::clone(&file),
        offset: 4,
        length,
    };
    assert_eq!(piece(6).read().unwrap(), Bytes::from_static(b"456789"));
    core.disk.set_length(&file, 8).unwrap();
    assert!(piece(6).read().is_err());
}
