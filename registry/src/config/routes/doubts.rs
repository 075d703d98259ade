//! What is valid in the routes and still likely not meant, seen together with each other and with what lives here.

use super::{ROUTES, Route};
use crate::config::reader::Reader;
use crate::config::{Hosted, Proxy};
use crate::repositories::{NamePattern, RouteMatch, component};

/// All of it. The routes are told by their places in the configuration, so nothing is said while one of them is wrong.
pub(in crate::config) fn doubts(reader: &mut Reader<'_>, proxy: &Proxy, hosted: &Hosted) {
    if proxy.routes.len() != reader.elements(ROUTES) {
        return;
    }
    let hosts: Vec<String> = proxy
        .remotes()
        .map(|remote| component(remote.authority()))
        .collect();
    for (number, route) in proxy.routes.iter().enumerate() {
        let before = proxy.routes.get(..number).unwrap_or_default();
        for (key, what, advice) in of_one(route, before, hosted, &hosts) {
            say(reader, &format!("{ROUTES}.{number}"), key, what, advice);
        }
        for alias in &route.aliases {
            let mut others = proxy.remotes();
            let other = others
                .find(|other| **other != route.upstream.remote && other.names.contains(alias));
            if let Some(other) = other {
                let what = format!("{alias} is a name of {} already", other.authority());
                let advice = "remove it: clients that send it as ns would not know which is meant";
                say(
                    reader,
                    &format!("{ROUTES}.{number}"),
                    "aliases",
                    what,
                    advice.to_owned(),
                );
            }
        }
    }
    if proxy.remote.is_some()
        && proxy
            .routes
            .iter()
            .any(|route| covers(&route.matching, "*"))
        && let Some(place) = reader.place_of("proxy.remoteurl")
    {
        let what = "it is asked for nothing: a route takes every name";
        reader.warn(place, "proxy.remoteurl", what, "remove it, or the route");
    }
    for pattern in &hosted.repositories {
        let text = pattern.to_string();
        let host = hosts
            .iter()
            .find(|host| text.starts_with(&format!("{host}/")));
        if let (false, Some(host), Some(place)) = (
            proxy.routes.is_empty(),
            host,
            reader.place_of("hosted.repositories"),
        ) {
            let what = format!("`{text}` is never hosted: names below {host}/ mean that registry");
            reader.warn(place, "hosted.repositories", what, "choose another name");
        }
    }
}

type Doubt = (&'static str, String, String);

fn of_one(route: &Route, before: &[Route], hosted: &Hosted, hosts: &[String]) -> Vec<Doubt> {
    let mut doubts = Vec::new();
    let taken = route.matching.to_string();
    let key = match &route.matching {
        RouteMatch::Prefix(_) => "prefix",
        RouteMatch::Pattern(_) => "pattern",
    };
    if let Some(pattern) = hosted
        .repositories
        .iter()
        .find(|pattern| pattern.covers(&taken))
    {
        let what = format!("it is never taken: `{pattern}` of hosted.repositories lives here");
        let advice = "remove one of the two".to_owned();
        doubts.push((key, what, advice));
    }
    let weight = |route: &Route| route.matching.weight();
    let hides = |other: &&Route| weight(other) >= weight(route) && covers(&other.matching, &taken);
    if let Some(other) = before.iter().find(hides) {
        let what = format!(
            "it is never taken: `{}` of another route takes all of these names",
            other.matching
        );
        doubts.push((key, what, "remove one of the two".to_owned()));
    }
    let is_below = |host: &&String| taken.starts_with(&format!("{host}/"));
    if let Some(host) = hosts.iter().find(is_below) {
        let what = format!("names below {host}/ mean that registry without a route");
        doubts.push((key, what, "remove the route".to_owned()));
    }
    if let Some(rewrite) = &route.rewrite {
        let start = route.matching.start();
        let needs_slash = start.is_empty() || start.ends_with('/');
        if needs_slash && !rewrite.is_empty() && !rewrite.ends_with(['/', '-', '.', '_']) {
            let what = format!("{start}app becomes {rewrite}app");
            let advice = format!("write {rewrite}/ if {rewrite}/app is meant");
            doubts.push(("rewrite", what, advice));
        }
    }
    doubts
}

fn covers(matching: &RouteMatch, taken: &str) -> bool {
    let pattern: Result<NamePattern, _> = matching.to_string().parse();
    pattern.is_ok_and(|pattern| pattern.covers(taken))
}

fn say(reader: &mut Reader<'_>, section: &str, key: &str, what: String, advice: String) {
    let path = format!("{section}.{key}");
    if let Some(place) = reader.place_of(&path) {
        reader.warn(place, &path, what, advice);
    }
}
