use super::*;
use proptest::prelude::*;

fn read(body: &str) -> Result<TokenAnswer, TokenAnswerError> {
    TokenAnswer::read(body.as_bytes(), None, Instant::now())
}

fn life(body: &str) -> u64 {
    read(body).unwrap().life().as_secs()
}

fn jwt(claims: &str) -> String {
    let text = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(claims);
    format!("e30.{text}.c2ln")
}

#[test]
fn either_name_of_the_token_is_taken() {
    assert_eq!(read(r#"{"token":"a"}"#).unwrap().secret.expose(), "a");
    assert_eq!(
        read(r#"{"access_token":"b"}"#).unwrap().secret.expose(),
        "b"
    );
    assert_eq!(
        read(r#"{"token":"","access_token":"b"}"#)
            .unwrap()
            .secret
            .expose(),
        "b"
    );
    assert_eq!(
        read(r#"{"token":null,"access_token":"b"}"#)
            .unwrap()
            .secret
            .expose(),
        "b"
    );
}

#[test]
fn an_answer_without_a_usable_token_is_an_error() {
    assert_eq!(read("<html>").unwrap_err(), TokenAnswerError::NotJson);
    assert_eq!(read("{}").unwrap_err(), TokenAnswerError::NoToken);
    assert_eq!(
        read("{\"token\":\"a\\nb\"}").unwrap_err(),
        TokenAnswerError::NoToken
    );
}

#[test]
fn the_stated_life_counts_and_odd_ones_do_not() {
    assert_eq!(life(r#"{"token":"a","expires_in":300}"#), 300);
    assert_eq!(life(r#"{"token":"a","expires_in":"300"}"#), 300);
    assert_eq!(life(r#"{"token":"a","expires_in":300.5}"#), 300);
    assert_eq!(life(r#"{"token":"a"}"#), 60);
    assert_eq!(life(r#"{"token":"a","expires_in":null}"#), 60);
    assert_eq!(life(r#"{"token":"a","expires_in":0}"#), 60);
    assert_eq!(life(r#"{"token":"a","expires_in":-5}"#), 60);
    assert_eq!(life(r#"{"token":"a","expires_in":"soon"}"#), 60);
    assert_eq!(life(r#"{"token":"a","expires_in":1}"#), 10);
    assert_eq!(life(r#"{"token":"a","expires_in":1e300}"#), 86_400);
}

#[test]
fn a_jwt_tells_its_own_life() {
    let acr = format!(
        r#"{{"access_token":"{}"}}"#,
        jwt(r#"{"iat":1000,"exp":5500}"#)
    );
    assert_eq!(life(&acr), 4500);
    let by_date = format!(r#"{{"token":"{}"}}"#, jwt(r#"{"exp":5500}"#));
    let date = Some(UNIX_EPOCH + Duration::from_secs(5000));
    let answer = TokenAnswer::read(by_date.as_bytes(), date, Instant::now()).unwrap();
    assert_eq!(answer.life().as_secs(), 500);
    assert_eq!(
        life(&by_date),
        60,
        "without any clock the protocol's default counts"
    );
    let older = TokenAnswer::read(acr.as_bytes(), date, Instant::now()).unwrap();
    assert_eq!(
        older.life().as_secs(),
        500,
        "a token handed out late in its life"
    );
    let expired = format!(r#"{{"token":"{}"}}"#, jwt(r#"{"iat":9,"exp":3}"#));
    assert_eq!(life(&expired), 60);
}

#[test]
fn a_token_wants_replacing_before_it_ends() {
    let received = Instant::now();
    let answer = TokenAnswer::read(br#"{"token":"a","expires_in":100}"#, None, received).unwrap();
    let token = Token::of(answer);
    let after = |seconds| received + Duration::from_secs(seconds);
    assert!(!token.wants_refresh(after(79)) && token.is_valid(after(79)));
    assert!(token.wants_refresh(after(80)) && token.is_valid(after(99)));
    assert!(!token.is_valid(after(100)));
}

#[test]
fn a_request_keeps_the_realms_own_query() {
    let upstream = Url::parse("https://registry.example").unwrap();
    let field =
        r#"Bearer realm="https://u:p@auth.example/t?tenant=a b",service="x y",scope="s:1 s:2""#;
    let challenge = Challenge::parse_all(field).remove(0);
    let request =
        TokenRequest::of_challenge(&challenge, &upstream, &Scope::parse_all("other")[0]).unwrap();
    assert_eq!(
        request.url(Some("rain")).as_str(),
        "https://auth.example/t?tenant=a%20b&account=rain&service=x+y&scope=s%3A1&scope=s%3A2"
    );
}

#[test]
fn a_challenge_without_scope_asks_for_the_given_one() {
    let upstream = Url::parse("https://registry.example/prefix/").unwrap();
    let challenge = Challenge::parse_all(r#"Bearer realm="/token""#).remove(0);
    let request =
        TokenRequest::of_challenge(&challenge, &upstream, &Scope::parse_all("other")[0]).unwrap();
    assert_eq!(
        request.url(None).as_str(),
        "https://registry.example/token?scope=other"
    );
    let none = Challenge::parse_all(r#"Bearer service="x""#).remove(0);
    assert_eq!(
        TokenRequest::of_challenge(&none, &upstream, &Scope::parse_all("other")[0]),
        None
    );
}

proptest! {
    #[test]
    fn no_body_makes_the_reader_fail(body in "\\PC{0,100}", claims in "\\PC{0,100}") {
        let _ = read(&body);
        let _ = life_of_jwt(&jwt(&claims), Some(UNIX_EPOCH));
    }

    #[test]
    fn every_life_stays_within_bounds(number in any::<f64>()) {
        let life = life(&serde_json::json!({"token": "a", "expires_in": number}).to_string());
        prop_assert!((10..=86_400).contains(&life));
    }
}

#[test]
fn a_refresh_token_goes_into_a_form_with_all_scopes_in_one_field() {
    let request = TokenRequest {
        realm: Url::parse("https://acr.example/oauth2/token").unwrap(),
        service: Some("acr.example".into()),
        scopes: Scope::parse_all("repository:a/b:pull repository:c:metadata_read"),
    };
    let form = request.refresh_form(&Secret::new("a&b=c"));
    assert_eq!(
        form.expose(),
        "grant_type=refresh_token&client_id=cistern&service=acr.example&scope=repository%3Aa%2Fb%3Apull+repository%3Ac%3Ametadata_read&refresh_token=a%26b%3Dc"
    );
    assert_eq!(format!("{form:?}"), "[hidden]");
}
