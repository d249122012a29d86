//! The operations of a document, each with where it is and what it demands.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::paths::{example, pattern, places, servers};
use super::security::{Demand, Schemes, demand};
use super::written::Written;
use super::{LeftOut, Notes, Undeclared};
use crate::config::foreign::{Foreign, pointer_to};
use crate::config::problem::Problem;
use crate::decision::rules::Method;

/// Fields of a path item that are operations (OpenAPI 3.2, §4.9). GET stands before HEAD, which follows it.
const METHODS: [&str; 9] = ["get", "head", "put", "post", "delete", "options", "patch", "trace", "query"];
/// Longest id of a rule, less room for what makes it unique.
const ID_BYTES: usize = 110;

/// What was read.
pub(super) struct Read {
    pub(super) rules: Vec<Written>,
    pub(super) left_out: Vec<LeftOut>,
    pub(super) operations: usize,
}

struct Walk<'d> {
    document: &'d Foreign,
    any_host: bool,
    undeclared: Undeclared,
    schemes: Schemes<'d>,
    read: Read,
    ids: HashSet<String>,
    /// What is demanded by now of a host, a path without its parameters' names, and a method.
    taken: HashMap<(String, String, String), Demand>,
}

/// Reads them all.
///
/// # Errors
/// Where this is no OpenAPI 3 document.
pub(super) fn read(document: &Foreign, any_host: bool, undeclared: Undeclared, notes: &mut Notes) -> Result<Read, Box<Problem>> {
    let wrong = |pointer: &str, what: &str, what_to_do: &str| Box::new(document.problem(pointer, what, what_to_do));
    let value = &document.value;
    match value.get("openapi").and_then(Value::as_str) {
        Some(version) if version.starts_with("3.") => {}
        Some(version) => {
            return Err(wrong(
                "/openapi",
                &format!("version `{version}` is not known here"),
                "write the document in OpenAPI 3.0, 3.1 or 3.2",
            ));
        }
        None if value.get("swagger").is_some() => {
            return Err(wrong("/swagger", "a Swagger 2 document", "convert it to OpenAPI 3 first (converter.swagger.io does)"));
        }
        None => return Err(wrong("", "no OpenAPI document: `openapi` is missing", "name the description of an API")),
    }
    let empty = Map::new();
    let paths = match value.get("paths") {
        None => &empty,
        Some(paths) => paths.as_object().ok_or_else(|| wrong("/paths", "`paths` is no object", "mend it"))?,
    };
    if let Some(webhooks) = value.get("webhooks").and_then(Value::as_object).filter(|webhooks| !webhooks.is_empty()) {
        notes.add("/webhooks", format!("{} webhooks: requests that the API sends", webhooks.len()), "no rule is made of them");
    }
    let schemes = Schemes::read(value, notes);
    let read = Read { rules: Vec::new(), left_out: Vec::new(), operations: 0 };
    let mut walk = Walk { document, any_host, undeclared, schemes, read, ids: HashSet::new(), taken: HashMap::new() };
    for (template, item) in paths {
        // extensions are no paths
        if !template.starts_with("x-") {
            walk.path(template, item, notes);
        }
    }
    Ok(walk.read)
}

impl Walk<'_> {
    fn path(&mut self, template: &str, item: &Value, notes: &mut Notes) {
        let root = &self.document.value;
        let pointer = pointer_to("/paths", template);
        let item = match item.get("$ref").and_then(Value::as_str) {
            None => item,
            Some(to) => match to.strip_prefix('#').and_then(|to| root.pointer(to)) {
                Some(item) => item,
                None => return notes.add(&pointer, format!("`{to}` is not in this document"), "put everything into one document first"),
            },
        };
        let Some(fields) = item.as_object() else { return notes.add(&pointer, "a path that is no object", "mend it") };
        let more = fields.get("additionalOperations").and_then(Value::as_object).into_iter().flatten();
        let more = more.map(|(method, operation)| (method.clone(), format!("additionalOperations/{method}"), operation));
        let usual = METHODS.iter().filter_map(|method| Some((method.to_ascii_uppercase(), (*method).to_owned(), fields.get(*method)?)));
        for (method, field, operation) in usual.chain(more).collect::<Vec<_>>() {
            self.read.operations += 1;
            if Method::parse(&method).is_none() || method.bytes().any(|b| b.is_ascii_lowercase()) {
                notes.add(&format!("{pointer}/{field}"), format!("`{method}` is no method in capitals"), "write a rule for it by hand");
                continue;
            }
            self.operation(template, item, &method, &format!("{pointer}/{field}"), operation, notes);
        }
    }

    fn operation(&mut self, template: &str, item: &Value, method: &str, pointer: &str, operation: &Value, notes: &mut Notes) {
        let root = &self.document.value;
        let own =
            [(operation.get("servers"), format!("{pointer}/servers")), (item.get("servers"), pointer_to("/paths", template) + "/servers")];
        let (list, at) = own.into_iter().find(|(list, _)| list.is_some()).unwrap_or_else(|| (root.get("servers"), "/servers".to_owned()));
        let servers = servers(list, &at, notes);
        let demanded = match operation.get("security").map(|list| (list, format!("{pointer}/security"))) {
            Some((list, at)) => demand(list, &at, &self.schemes, notes),
            None => match root.get("security") {
                Some(list) => demand(list, "/security", &self.schemes, notes),
                None => self.undeclared(pointer, notes),
            },
        };
        if operation.get("callbacks").is_some() {
            notes.add(pointer, "callbacks: requests that the API sends", "no rule is made of them");
        }
        let name = operation.get("operationId").and_then(Value::as_str).unwrap_or_default();
        let summary = operation.get("summary").and_then(Value::as_str).unwrap_or_default();
        for place in places(&servers, self.any_host) {
            let path = match pattern(&place.base, template) {
                Ok(path) => path,
                Err(what) => {
                    notes.add(pointer, what, "requests there are refused, unless another rule takes them; write a broader path by hand");
                    let host = place.hosts.first().cloned().unwrap_or_else(|| "localhost".to_owned());
                    let example = example(&place.base, template);
                    self.read.left_out.push(LeftOut { pointer: pointer.to_owned(), method: method.to_owned(), host, example });
                    continue;
                }
            };
            if self.is_taken(&place.hosts, &path, method, &demanded) {
                notes.add(pointer, format!("another operation takes {method} {path}, too"), "this one is left out: let them differ");
                continue;
            }
            let id = self.id(name, method, &path);
            let summary = summary.to_owned();
            self.read.rules.push(Written { id, hosts: place.hosts, method: method.to_owned(), path, demand: demanded.clone(), summary });
        }
    }

    fn undeclared(&self, pointer: &str, notes: &mut Notes) -> Demand {
        match self.undeclared {
            Undeclared::Anonymous => Demand::Anonymous,
            Undeclared::Token => {
                notes.add(pointer, "says nothing of security", "any live token is asked for; --undeclared anonymous lets everybody pass");
                Demand::Credential([crate::decision::credential::CredentialKind::Token].into(), super::security::Scopes::None)
            }
        }
    }

    /// Whether an earlier operation takes the same requests; two that demand the same do no harm, but one is enough.
    fn is_taken(&mut self, hosts: &[String], path: &str, method: &str, demanded: &Demand) -> bool {
        let shape: Vec<&str> = path.split('/').map(|segment| if segment.starts_with('{') { "{}" } else { segment }).collect();
        let shape = shape.join("/");
        let hosts: Vec<String> = if hosts.is_empty() { vec![String::new()] } else { hosts.to_vec() };
        let key = |host: &str, method: &str| (host.to_owned(), shape.clone(), method.to_owned());
        let clashes = |host: &String| {
            let same = self.taken.contains_key(&key(host, method));
            // HEAD follows GET
            let follows = match method {
                "HEAD" => self.taken.get(&key(host, "GET")),
                "GET" => self.taken.get(&key(host, "HEAD")),
                _ => None,
            };
            same || follows.is_some_and(|other| other != demanded)
        };
        if hosts.iter().any(clashes) {
            return true;
        }
        let keys: Vec<_> = hosts.iter().map(|host| key(host, method)).collect();
        self.taken.extend(keys.into_iter().map(|key| (key, demanded.clone())));
        false
    }

    /// An id of its own: the operation's, or its method and path.
    fn id(&mut self, name: &str, method: &str, path: &str) -> String {
        let name = if name.is_empty() { format!("{}{path}", method.to_ascii_lowercase()) } else { name.to_owned() };
        let plain = |c: char| if c.is_ascii_alphanumeric() || "._".contains(c) { c } else { '-' };
        let mut id = String::new();
        for c in name.chars().map(plain).take(ID_BYTES) {
            if c != '-' || !id.ends_with('-') {
                id.push(c);
            }
        }
        let id = match id.trim_matches('-') {
            "" => "operation".to_owned(),
            id => id.to_owned(),
        };
        let mut unique = id.clone();
        for n in 2.. {
            if self.ids.insert(unique.clone()) {
                break;
            }
            unique = format!("{id}-{n}");
        }
        unique
    }
}
