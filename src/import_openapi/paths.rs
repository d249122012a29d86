//! Servers and path templates of a document: where the rules hold.

use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::Notes;
use crate::config::foreign::pointer_to;
use crate::decision::rules::{HostPattern, PathPattern};

/// Where a server is: its host, where it says one, and what its paths begin with; without a slash at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) host: Option<String>,
    pub(super) base: String,
}

/// Where servers are that share a base path. No host = any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) hosts: Vec<String>,
    pub(super) base: String,
}

/// The servers of a list; without one there is `/`. Those that cannot be understood are told and left out.
pub(super) fn servers(list: Option<&Value>, pointer: &str, notes: &mut Notes) -> Vec<Server> {
    let list = match list.and_then(Value::as_array) {
        Some(list) if !list.is_empty() => list,
        _ => return vec![Server { host: None, base: String::new() }],
    };
    let mut servers = Vec::new();
    for (n, server) in list.iter().enumerate() {
        match self::server(server) {
            Ok(server) if servers.contains(&server) => {}
            Ok(server) => servers.push(server),
            Err(what) => notes.add(&pointer_to(pointer, &n.to_string()), what, "write rules for it by hand"),
        }
    }
    servers
}

/// One place for each base path.
pub(super) fn places(servers: &[Server], any_host: bool) -> Vec<Place> {
    let mut places: Vec<(String, Vec<Option<String>>)> = Vec::new();
    for Server { host, base } in servers {
        match places.iter_mut().find(|(known, _)| known == base) {
            Some((_, hosts)) => hosts.push(host.clone()),
            None => places.push((base.clone(), vec![host.clone()])),
        }
    }
    let place = |(base, hosts): (String, Vec<Option<String>>)| {
        let mut hosts: Vec<String> = if any_host { Vec::new() } else { hosts.into_iter().collect::<Option<_>>().unwrap_or_default() };
        hosts.sort();
        hosts.dedup();
        Place { hosts, base }
    };
    places.into_iter().map(place).collect()
}

fn server(server: &Value) -> Result<Server, String> {
    let url = server.get("url").and_then(Value::as_str).ok_or("a server without a url")?;
    let url = with_defaults(url, server.get("variables"))?;
    let (host, path) = match url.split_once("://") {
        Some(("http" | "https", rest)) => {
            let (authority, path) = rest.find('/').and_then(|at| rest.split_at_checked(at)).unwrap_or((rest, ""));
            let name =
                authority.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit())).map_or(authority, |(name, _)| name);
            match HostPattern::parse(name) {
                Ok(HostPattern::Exact(host)) => (Some(host), path),
                _ => return Err(format!("the server `{url}` has no host that a rule could name")),
            }
        }
        None if url.starts_with('/') => (None, url.as_str()),
        _ => return Err(format!("the server `{url}` is neither an http address nor a path that begins with `/`")),
    };
    let base = path.trim_end_matches('/').to_owned();
    if base.contains(['?', '#']) {
        return Err(format!("the server `{url}` has more than a path"));
    }
    Ok(Server { host, base })
}

/// `{name}` replaced by the variable's default.
fn with_defaults(url: &str, variables: Option<&Value>) -> Result<String, String> {
    let mut filled = String::new();
    let mut rest = url;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').ok_or_else(|| format!("the server `{url}` has a `{{` without `}}`"))?;
        let default = variables.and_then(|variables| variables.get(name)?.get("default")?.as_str());
        filled.push_str(before);
        filled.push_str(default.ok_or_else(|| format!("the server `{url}` has a variable `{name}` without a default"))?);
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

/// The path of a rule for this template, or what is wrong with it.
pub(super) fn pattern(base: &str, template: &str) -> Result<String, String> {
    let whole = if template == "/" && !base.is_empty() { format!("{base}/") } else { format!("{base}{template}") };
    let mut names: Vec<String> = Vec::new();
    let mut segments = Vec::new();
    for segment in whole.split('/').skip(1) {
        match segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            Some(name) if !name.contains(['{', '}', '*', ':', '+', '?']) => {
                let plain: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
                let mut unique = plain.clone();
                for n in 2.. {
                    if !names.contains(&unique) {
                        break;
                    }
                    unique = format!("{plain}_{n}");
                }
                segments.push(format!("{{{unique}}}"));
                names.push(unique);
            }
            Some(name) if !name.contains(['{', '}']) => return Err(format!("`{segment}` is no plain parameter")),
            _ if segment.contains(['{', '}']) => return Err(format!("`{segment}` is a parameter that does not take a whole segment")),
            _ if segment.contains('*') => return Err(format!("`{segment}` holds a `*`, which means something else in rules")),
            _ => match percent_decode_str(segment).decode_utf8() {
                // what was escaped is meant as it is: a decoded `/`, `{x}` or `**` would be another pattern
                Ok(text) if !text.contains(['/', '{', '}', '*']) => segments.push(text.into_owned()),
                _ => return Err(format!("`{segment}` cannot be decoded")),
            },
        }
    }
    let pattern = format!("/{}", segments.join("/"));
    match PathPattern::parse(&pattern) {
        _ if !whole.starts_with('/') => Err(format!("`{whole}` does not begin with `/`")),
        Ok(_) => Ok(pattern),
        Err(error) => Err(error.to_string()),
    }
}

/// A path that a template takes, for one that no pattern can say.
pub(super) fn example(base: &str, template: &str) -> String {
    let mut path = base.to_owned();
    let mut rest = template.split(['?', '#']).next().unwrap_or_default();
    while let Some((before, after)) = rest.split_once('{') {
        path.push_str(before);
        path.push('x');
        rest = after.split_once('}').map_or("", |(_, after)| after);
    }
    path + rest
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_of_templates() {
        for (base, template, expected) in [
            ("", "/", Ok("/")),
            ("/v1", "/", Ok("/v1/")),
            ("/v1", "/orders/{order-id}", Ok("/v1/orders/{order_id}")),
            ("", "/a/{x}/b/{x}", Ok("/a/{x}/b/{x_2}")),
            ("", "/caf%C3%A9/", Ok("/café/")),
            ("", "/files/{name}.{ext}", Err("does not take a whole segment")),
            ("", "/report({id})", Err("does not take a whole segment")),
            ("", "/a/{path*}", Err("no plain parameter")),
            ("", "/a/{id:[0-9]+}", Err("no plain parameter")),
            ("", "/a/**", Err("`*`")),
            ("", "/a%2Fb", Err("cannot be decoded")),
            ("", "/a/%7Bb%7D", Err("cannot be decoded")),
            ("", "/a/%2A%2A", Err("cannot be decoded")),
            ("", "/a//b", Err("empty segment")),
            ("", "/a?action=b", Err("cannot be matched")),
            ("", "orders", Err("does not begin with")),
        ] {
            match (pattern(base, template), expected) {
                (Ok(is), Ok(expected)) => assert_eq!(is, expected),
                (Err(is), Err(expected)) => assert!(is.contains(expected), "{template}: {is}"),
                (is, _) => panic!("{template}: {is:?}"),
            }
        }
        assert_eq!(example("/v1", "/files/{name}.{ext}"), "/v1/files/x.x");
        assert_eq!(example("", "/a/{b"), "/a/x");
    }

    #[test]
    fn places_of_servers() {
        let mut notes = Notes::default();
        let list = json!([
            { "url": "https://API.example.com:8443/v1/" },
            { "url": "https://eu.example.com/v1" },
            { "url": "https://{region}.example.com/{version}", "variables": { "region": { "default": "us" }, "version": { "default": "v2" } } },
            { "url": "/v3" },
            { "url": "https://{unknown}.example.com" },
            { "url": "ftp://example.com" },
        ]);
        let read = servers(Some(&list), "/servers", &mut notes);
        let place =
            |hosts: &[&str], base: &str| Place { hosts: hosts.iter().map(|host| (*host).to_owned()).collect(), base: base.to_owned() };
        let expected = [place(&["api.example.com", "eu.example.com"], "/v1"), place(&["us.example.com"], "/v2"), place(&[], "/v3")];
        assert_eq!(places(&read, false), expected);
        assert_eq!(places(&read, true), [place(&[], "/v1"), place(&[], "/v2"), place(&[], "/v3")]);
        assert_eq!(notes.0.len(), 2);
        assert_eq!(places(&servers(None, "", &mut notes), false), [place(&[], "")]);
        // a server anywhere beside one somewhere is anywhere
        let both = json!([{ "url": "/" }, { "url": "https://a.example" }]);
        assert_eq!(places(&servers(Some(&both), "", &mut notes), false), [place(&[], "")]);
    }
}
