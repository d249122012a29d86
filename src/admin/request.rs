//! Requests: what a handler needs of one, read once and bounded.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequest, Query, Request};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, HOST};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use super::failure::Failure;
use super::form::Form;
use super::origin::origin;
use super::{Admin, Peer};
use crate::accounts::sessions::Caller;
use crate::accounts::{Origin, Refusal};
use crate::decision::cookies;
use crate::decision::credential::Carrier;
use crate::decision::scopes::ScopeSet;

/// Longest body.
const BODY_BYTES: usize = 64 * 1024;

/// How long a body may take.
const BODY_TIME: Duration = Duration::from_secs(10);

/// One request.
pub(super) struct Call {
    /// Where it comes from.
    pub(super) origin: Origin,
    pub(super) method: Method,
    headers: HeaderMap,
    uri: Uri,
    body: Vec<u8>,
}

/// What stands in `Authorization`.
pub(super) enum Authorization<'a> {
    /// Name and password.
    Basic(String, String),
    /// A token; not empty.
    Bearer(&'a str),
}

impl FromRequest<Arc<Admin>> for Call {
    type Rejection = Failure;

    async fn from_request(request: Request, admin: &Arc<Admin>) -> Result<Self, Failure> {
        let (head, body) = request.into_parts();
        let peer = head.extensions.get::<Peer>().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |Peer(address)| *address);
        let collected = tokio::time::timeout(BODY_TIME, Limited::new(body, BODY_BYTES).collect()).await;
        let Ok(collected) = collected else { return Err(Failure::new(StatusCode::REQUEST_TIMEOUT, "body too slow")) };
        let body = match collected {
            Ok(body) => body.to_bytes().to_vec(),
            Err(e) if e.is::<LengthLimitError>() => return Err(Failure::new(StatusCode::PAYLOAD_TOO_LARGE, "body too large")),
            Err(_) => return Err(Failure::invalid("the body ended early")),
        };
        let origin = origin(peer, &head.headers, &head.uri, &admin.trusted_proxies);
        Ok(Self { origin, method: head.method, headers: head.headers, uri: head.uri, body })
    }
}

impl Call {
    /// The one value of a header. `None` = absent.
    pub(super) fn header(&self, name: &str) -> Result<Option<&str>, Failure> {
        let mut values = self.headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some(value), None) => value.to_str().map(Some).map_err(|_| Failure::invalid(format!("`{name}`: not readable"))),
            (Some(_), Some(_)) => Err(Failure::invalid(format!("`{name}`: more than one"))),
        }
    }

    /// The cookie of this name.
    pub(super) fn cookie(&self, name: &str) -> Carrier<'_> {
        cookies::find(self.headers.get_all(COOKIE).iter().map(|line| line.as_bytes()), name)
    }

    /// The host that the browser asked for, in lower case, without port. `None` where it is not told once and plainly.
    pub(super) fn host(&self) -> Option<String> {
        let name = self.header(HOST.as_str()).ok()??;
        let host = crate::decision::request::Host::read(name.as_bytes())?;
        String::from_utf8(host.as_bytes().to_vec()).ok()
    }

    /// Path and query, as they were asked for.
    pub(super) fn target(&self) -> &str {
        self.uri.path_and_query().map_or("/", |target| target.as_str())
    }

    /// Scheme and credentials in `Authorization`. `None` = no such header.
    fn scheme(&self) -> Result<Option<(&str, &str)>, Failure> {
        let value = self.header(AUTHORIZATION.as_str())?.map(str::trim);
        Ok(value.map(|value| value.split_once(' ').map_or((value, ""), |(scheme, rest)| (scheme, rest.trim()))))
    }

    /// What stands in `Authorization`. `None` = no such header.
    pub(super) fn authorization(&self) -> Result<Option<Authorization<'_>>, Failure> {
        let Some((scheme, credentials)) = self.scheme()? else { return Ok(None) };
        if scheme.eq_ignore_ascii_case("bearer") {
            return match credentials {
                "" => Err(Failure::new(StatusCode::BAD_REQUEST, "invalid authorization token")),
                token => Ok(Some(Authorization::Bearer(token))),
            };
        }
        if !scheme.eq_ignore_ascii_case("basic") {
            return Err(Failure::invalid_method());
        }
        let decoded = STANDARD.decode(credentials).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        match decoded.as_deref().and_then(|text| text.split_once(':')) {
            Some((name, password)) => Ok(Some(Authorization::Basic(name.to_owned(), password.to_owned()))),
            None => Err(Failure::invalid("`authorization`: not the base64 of a name, `:` and a password")),
        }
    }

    /// The Bearer token that a route of People must have.
    pub(super) fn bearer(&self) -> Result<&str, Failure> {
        match self.scheme()? {
            None => Err(Refusal::MissingCredentials.into()),
            // another scheme is not this route's, readable or not
            Some((scheme, _)) if !scheme.eq_ignore_ascii_case("bearer") => Err(Failure::invalid_method()),
            Some((_, "")) => Err(Failure::new(StatusCode::BAD_REQUEST, "invalid authorization token")),
            Some((_, token)) => Ok(token),
        }
    }

    /// Who calls a management route, and has the second factor that may be required.
    pub(super) async fn caller(&self, admin: &Admin) -> Result<Caller, Failure> {
        let caller = self.caller_setting_up(admin).await?;
        admin.accounts.hold_up(&caller).await?;
        Ok(caller)
    }

    /// The same, where it is the second factor that is being set up. Whoever says nothing readable of himself is asked to
    /// (RFC 9110 §15.5.2).
    pub(super) async fn caller_setting_up(&self, admin: &Admin) -> Result<Caller, Failure> {
        match self.authorization() {
            Ok(Some(Authorization::Bearer(token))) => Ok(admin.accounts.caller(token).await?),
            Ok(None) => super::browser::caller(admin, self).await,
            Ok(Some(Authorization::Basic(..))) => Err(Failure::new(StatusCode::UNAUTHORIZED, "invalid authorization method")),
            Err(failure) => Err(failure.unauthorized()),
        }
    }

    /// The body, where one must be.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        if !self.is_of_type("application/json")? {
            return Err(Failure::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported media type"));
        }
        // serde would read a list as a struct whose fields come in order: a secret without a name
        if self.body.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
            return Err(Failure::invalid("body: not a JSON object"));
        }
        let mut json = serde_json::Deserializer::from_slice(&self.body);
        let value = serde_path_to_error::deserialize(&mut json).map_err(|e| match e.path().to_string().as_str() {
            "." => Failure::invalid(format!("body: {}", e.inner())),
            path => Failure::invalid(format!("`{path}`: {}", e.inner())),
        })?;
        json.end().map_err(|e| Failure::invalid(format!("body: {e}")))?;
        Ok(value)
    }

    /// The body, where one may be.
    pub(super) fn json_or_default<T: DeserializeOwned + Default>(&self) -> Result<T, Failure> {
        if self.body.is_empty() { Ok(T::default()) } else { self.json() }
    }

    /// The fields of a form (RFC 6749 §3.2): none twice, and one without a value as if it were not there.
    pub(super) fn form(&self) -> Result<Form, Failure> {
        if !self.is_of_type(Form::TYPE)? {
            return Err(Failure::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported media type"));
        }
        Form::read(&self.body)
    }

    fn is_of_type(&self, wanted: &str) -> Result<bool, Failure> {
        let kind = self.header(CONTENT_TYPE.as_str())?.and_then(|value| value.split(';').next()).map(str::trim);
        Ok(kind.is_some_and(|kind| kind.eq_ignore_ascii_case(wanted)))
    }

    /// The value of a query parameter. `None` = absent.
    pub(super) fn parameter(&self, name: &str) -> Result<Option<String>, Failure> {
        let Query(pairs) =
            Query::<Vec<(String, String)>>::try_from_uri(&self.uri).map_err(|_| Failure::invalid("the query cannot be read"))?;
        let mut values = pairs.into_iter().filter_map(|(key, value)| (key == name).then_some(value));
        match (values.next(), values.next()) {
            (value, None) => Ok(value),
            _ => Err(Failure::invalid(format!("`{name}`: more than one"))),
        }
    }

    /// `?strict=true`: the answer comes once the end holds strictly.
    pub(super) fn strict(&self) -> Result<bool, Failure> {
        self.flag("strict")
    }

    /// Whether `?name=true`.
    pub(super) fn flag(&self, name: &str) -> Result<bool, Failure> {
        match self.parameter(name)?.as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(Failure::invalid(format!("`{name}`: true or false"))),
        }
    }
}

/// Scopes as answers list them.
pub(super) fn scope_names(scopes: &ScopeSet) -> Vec<String> {
    scopes.iter().map(|scope| scope.as_str().to_owned()).collect()
}

/// The scopes of a body's list.
pub(super) fn scopes(list: &[String]) -> Result<ScopeSet, Failure> {
    scope_list("scopes", list)
}

/// The scopes of a body's list of this name.
pub(super) fn scope_list(name: &'static str, list: &[String]) -> Result<ScopeSet, Failure> {
    ScopeSet::parse(list.iter().map(String::as_str)).map_err(|e| Refusal::field(name, e.to_string()).into())
}
