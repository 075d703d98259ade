//! What docker is told beside the image: a JSON text inside of a JSON text, in pieces where it is long.

use super::Network;
use super::ordered::{Json, object, text};

/// The longest piece that edgeAgent writes itself; az admits no longer ones.
pub(super) const LONGEST_PIECE: usize = 512;
/// Docker counts in nanoseconds.
const SECOND: u64 = 1_000_000_000;

/// The members of a module's `settings`: the image and what docker is told.
pub(super) fn settings(image: &str, options: &Json) -> Json {
    let mut members = vec![("image".to_owned(), text(image))];
    for (number, piece) in pieces(&options.compact()).into_iter().enumerate() {
        let name = match number {
            0 => "createOptions".to_owned(),
            _ => format!("createOptions{number:02}"),
        };
        members.push((name, Json::Text(piece)));
    }
    Json::Object(members)
}

/// At least one piece, none longer than edgeAgent writes; together they are the text.
fn pieces(options: &str) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let mut length = 0;
    for letter in options.chars() {
        // .NET counts in units of UTF-16.
        if length + letter.len_utf16() > LONGEST_PIECE {
            pieces.push(String::new());
            length = 0;
        }
        if let Some(piece) = pieces.last_mut() {
            piece.push(letter);
        }
        length += letter.len_utf16();
    }
    pieces
}

/// `{"443/tcp":[{"HostPort":"443"}]}`.
fn ports(ports: &[u16]) -> Json {
    let binding = |port: &u16| {
        let host = object([("HostPort", text(port.to_string()))]);
        (format!("{port}/tcp"), Json::List(vec![host]))
    };
    Json::Object(ports.iter().map(binding).collect())
}

/// A module that only has ports.
pub(super) fn with_ports(numbers: &[u16]) -> Json {
    object([("HostConfig", object([("PortBindings", ports(numbers))]))])
}

/// A module that keeps something.
pub(super) fn with_volume(bind: &str, port: u16) -> Json {
    let host = object([
        ("Binds", Json::List(vec![text(bind)])),
        ("PortBindings", ports(&[port])),
    ]);
    object([("HostConfig", host)])
}

/// Cistern: its volume, its port, its health, and its address if it has one of its own.
pub(super) fn of_cistern(volume: &str, network: Option<(&str, &Network)>) -> Json {
    let mut options = with_volume(&format!("{volume}:/var/lib/registry"), 5000);
    let Json::Object(members) = &mut options else {
        return options;
    };
    let command = ["CMD", "/cistern", "healthcheck"].map(text).to_vec();
    let health = object([
        ("Test", Json::List(command)),
        ("Interval", Json::Number(30 * SECOND)),
        ("Timeout", Json::Number(5 * SECOND)),
        ("Retries", Json::Number(3)),
    ]);
    members.push(("Healthcheck".to_owned(), health));
    if let Some((name, network)) = network {
        // edgeAgent joins a module to the network itself, but not one that says something about networks.
        let address = object([(network.address_key(), text(network.registry().to_string()))]);
        let endpoint = object([("IPAMConfig", address)]);
        let endpoints = object([(name, endpoint)]);
        let networking = object([("EndpointsConfig", endpoints)]);
        members.push(("NetworkingConfig".to_owned(), networking));
    }
    options
}
