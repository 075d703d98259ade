use super::*;

#[test]
fn a_module_id_is_a_segment_of_a_path_whatever_is_in_it() {
    assert_eq!(encoded("registry"), "registry");
    assert_eq!(encoded("$edgeHub"), "%24edgeHub");
    assert_eq!(encoded("a b/c?d#e%f"), "a%20b%2Fc%3Fd%23e%25f");
    assert_eq!(encoded("größe"), "gr%C3%B6%C3%9Fe");
    assert_eq!(encoded("a-b._~9"), "a-b._~9");
}

#[test]
fn a_refusal_is_told_in_the_apis_own_words_on_one_line() {
    assert_eq!(
        words(br#"{"message":"Module\nnot found"}"#),
        ": Module not found"
    );
    assert_eq!(words(b"<html>"), "");
    let long = serde_json::json!({ "message": "x".repeat(10_000) }).to_string();
    assert_eq!(words(long.as_bytes()).len(), LONGEST_MESSAGE + 2);
}

#[test]
fn an_answer_that_cannot_be_read_is_never_repeated() {
    let secret = br#"{"privateKey":{"type":"key","bytes":"SECRET"},"certificate":7}"#;
    let Err(error) = read::<CertificateAnswer>(secret) else {
        panic!("a number is no certificate");
    };
    assert!(!error.to_string().contains("SECRET"), "{error}");
    let Err(error) = read::<BundleAnswer>(b"<html>SECRET") else {
        panic!("this is no JSON");
    };
    assert!(error.to_string().contains("no JSON"), "{error}");
}
