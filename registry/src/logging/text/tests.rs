use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use super::TextLines;
use crate::http::ACCESS;

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is written for the events of `say`, without the time.
fn written(say: impl FnOnce()) -> String {
    // Whether anybody listens is remembered for all threads; without this, a test that does not may decide it for one that does.
    let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry());
    let written = Written::default();
    let writer = written.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .event_format(TextLines)
        .finish();
    tracing::subscriber::with_default(subscriber, say);
    let text = String::from_utf8(written.0.lock().clone()).unwrap();
    let (time, rest) = text.split_once(' ').unwrap();
    assert!(time.ends_with('Z') && time.contains('T'), "{time}");
    rest.to_owned()
}

#[test]
fn the_line_of_a_request_says_everything_once() {
    let line = written(|| {
        tracing::info!(
            target: ACCESS,
            action = "blob_get",
            reference = %"sha256:ab",
            digest = %"sha256:ab",
            status = 200_u16,
            duration_ms = 0.25,
            user_agent = %"docker/29 (linux)",
            user = None::<&str>,
            "GET /v2/a/blobs/sha256:ab 200"
        );
    });
    assert_eq!(
        line,
        " INFO GET /v2/a/blobs/sha256:ab 200 action=blob_get reference=sha256:ab duration_ms=0.25 user_agent=\"docker/29 (linux)\"\n"
    );
    let by_tag = written(|| {
        tracing::info!(target: ACCESS, reference = %"v1", digest = %"sha256:ab", "GET 200");
    });
    assert!(by_tag.contains("reference=v1 digest=sha256:ab"), "{by_tag}");
}

#[test]
fn lines_of_other_kinds_keep_all_their_fields() {
    let line =
        written(|| tracing::warn!(status = 501, error = %"it is \"late\"", empty = "", "no"));
    assert_eq!(
        line,
        " WARN no status=501 error=\"it is \\\"late\\\"\" empty=\"\"\n"
    );
}

#[test]
fn no_text_makes_two_lines_of_one() {
    let line = written(|| tracing::warn!(error = %"a\nb\x1b[31m", word = %"a\nb", "c\nd"));
    assert_eq!(line.matches('\n').count(), 1, "{line}");
    assert!(!line.contains('\x1b'));
}
