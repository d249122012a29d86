//! The OpenAPI document: what the annotations above the handlers say, and what holds for every route.
//!
//! An annotation names what is particular: the answer's own fields, the refusals by name. Written here, once: the
//! envelope, the bodies of failures, the headers, who may be asked for what. A route is registered by its
//! annotation, so none can be missing.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::request_body::RequestBody;
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::{AllOfBuilder, ObjectBuilder, SchemaType, Type};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{Components, Header, InfoBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, Required, Schema, Server};
use utoipa::{IntoParams, IntoResponses, PartialSchema, ToSchema};

use super::answer::Shape;
use super::browser::CONSOLE_COOKIE;
use crate::id::Id;

const HTML: &str = "text/html";

/// Tags, in the order of the document.
pub(super) const EXCHANGE: &str = "Keys to tokens";
pub(super) const PEOPLE: &str = "People";
pub(super) const KEYS: &str = "API keys";
pub(super) const TOKENS: &str = "Access tokens";
pub(super) const SESSIONS: &str = "Sessions";
pub(super) const MANAGEMENT: &str = "Management";
pub(super) const INSTALLATION: &str = "Installation";
pub(super) const PAGES: &str = "Pages";
pub(super) const DOCUMENTS: &str = "Documents";

const TAGS: [(&str, &str); 9] = [
    (EXCHANGE, "An API key is exchanged for the access token that a gate checks."),
    (PEOPLE, "Sign-up, login and what a person does about the own account."),
    (KEYS, "Long-lived secrets of a principal; every change reaches their live tokens."),
    (TOKENS, "Live access tokens."),
    (SESSIONS, "Logins that have not ended."),
    (MANAGEMENT, "Admins, clients and sub-clients, what they may do, and who is invited; by whoever stands above."),
    (INSTALLATION, "Tenants, the audit trail, rules and decisions."),
    (PAGES, "HTML for browsers: logging in and out, and the way to the hosts of applications."),
    (DOCUMENTS, "What anyone may read."),
];

/// Refusals by name: each stands for one status, its body and its headers.
macro_rules! refusals {
    ($($(#[$doc:meta])* $name:ident = $status:literal, $text:literal;)*) => {
        $(
            $(#[$doc])*
            pub(super) struct $name;

            impl IntoResponses for $name {
                fn responses() -> BTreeMap<String, RefOr<Response>> {
                    BTreeMap::from([($status.to_owned(), Ref::from_response_name(stringify!($name)).into())])
                }
            }
        )*

        /// Name, status and description of each.
        const REFUSALS: &[(&str, &str, &str)] = &[$((stringify!($name), $status, $text)),*];
    };
}

refusals! {
    /// 400
    Invalid = "400", "The request cannot be read, or a field of it is wrong; the message names the field.";
    /// 401
    Unauthorized = "401", "Credentials are missing, wrong or have ended.";
    /// 403
    Forbidden = "403", "Not the caller's to do; or `second_factor_setup_required`: a second factor must be set up before anything else.";
    /// 404
    NotFound = "404", "There is no such thing, or it is not the caller's to see.";
    /// 408
    TooSlow = "408", "The body took more than 10 seconds.";
    /// 413
    TooLarge = "413", "The body is longer than 64 KiB.";
    /// 415; documented by itself wherever a body is taken.
    WrongType = "415", "The body is not of a type that this route takes.";
    /// 429
    Throttled = "429", "Too many tries.";
    /// 503
    Unavailable = "503", "The database or the token store is away, or too much is waiting.";
}

/// What every route answers that reads a request: 400, 408, 413, 503.
pub(super) struct Read;

impl IntoResponses for Read {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        [Invalid::responses(), TooSlow::responses(), TooLarge::responses(), Unavailable::responses()].into_iter().flatten().collect()
    }
}

/// What every management route answers: [`Read`], 401 and 403.
pub(super) struct Managed;

impl IntoResponses for Managed {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        [Read::responses(), Unauthorized::responses(), Forbidden::responses()].into_iter().flatten().collect()
    }
}

/// An ending route: `propagated` beside the fields of its 200, and the same as 202; takes `?strict=true`.
pub(super) struct Ending;

impl IntoResponses for Ending {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let later = "It is in the database; the token store could not be reached, or failed over just now, and hears of it later.";
        BTreeMap::from([("202".to_owned(), ResponseBuilder::new().description(later).build().into())])
    }
}

/// What stands in the path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "read off by the document alone")]
pub(super) struct ById {
    /// Its id.
    #[param(value_type = Id)]
    id: Id,
}

/// Which page of a list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read off by the document alone")]
pub(super) struct Paging {
    /// Rows a page.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    #[param(pattern = "^[0-9]+-[0-9a-f]{32}$")]
    cursor: Option<String>,
    /// Someone below the caller, whose list it then is.
    #[param(value_type = Option<Id>)]
    principal: Option<Id>,
}

/// Which page of a list that is the caller's alone.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read off by the document alone")]
pub(super) struct Rows {
    /// Rows a page.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    #[param(pattern = "^[0-9]+-[0-9a-f]{32}$")]
    cursor: Option<String>,
}

/// Which page of a list, newest first.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read off by the document alone")]
pub(super) struct Backwards {
    /// Rows a page.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    #[param(pattern = "^[1-9][0-9]{0,17}$")]
    cursor: Option<String>,
}

/// Another tenant than one's own.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read off by the document alone")]
pub(super) struct InTenant {
    /// For super admins: which tenant.
    #[param(value_type = Option<Id>)]
    tenant: Option<Id>,
}

/// Answered by a deletion.
#[derive(Serialize, ToSchema)]
pub(super) struct Deleted {
    /// True.
    deleted: bool,
}

impl Deleted {
    /// It is.
    pub(super) const YES: Self = Self { deleted: true };
}

/// What stands around every answer of `/v1`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "read off by the document alone")]
struct Envelope {
    /// True.
    ok: bool,
    /// Unix seconds with fraction.
    timestamp: f64,
}

/// What an ending route adds.
#[derive(ToSchema)]
#[expect(dead_code, reason = "read off by the document alone")]
struct Propagation {
    /// Whether the token store has heard of it.
    propagated: bool,
    /// Where it was asked for: no check that begins from now on is allowed by what has ended.
    #[schema(nullable = false)]
    strict: Option<bool>,
}

/// A refusal.
#[derive(ToSchema)]
#[expect(dead_code, reason = "read off by the document alone")]
struct Failed {
    /// False.
    ok: bool,
    /// Stable.
    #[schema(example = "invalid_request")]
    error: String,
    /// For people.
    #[schema(example = "`limit`: 1 to 1000")]
    message: String,
    /// Unix seconds with fraction.
    timestamp: f64,
}

/// A refusal of `/get-token`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "read off by the document alone")]
struct GetTokenFailed {
    /// Empty.
    #[schema(value_type = Object)]
    data: (),
    /// `failed`
    #[schema(example = "failed")]
    status: String,
    /// 411, whatever the status.
    #[schema(example = 411)]
    code: u16,
    /// The reason.
    message: String,
}

/// A refusal as RFC 6749 §5.2 writes it.
#[derive(ToSchema)]
#[expect(dead_code, reason = "read off by the document alone")]
struct OAuthFailed {
    /// Stable.
    #[schema(example = "invalid_client")]
    error: String,
    /// For people.
    error_description: String,
}

impl PartialSchema for Id {
    fn schema() -> RefOr<Schema> {
        let id = ObjectBuilder::new().schema_type(SchemaType::new(Type::String)).pattern(Some("^[0-9a-f]{32}$"));
        id.description(Some("32 lower-case hex digits.")).into()
    }
}

impl ToSchema for Id {
    fn name() -> std::borrow::Cow<'static, str> {
        "Id".into()
    }
}

/// What stands in the document before any route is registered.
pub(super) fn begun() -> OpenApi {
    let info = InfoBuilder::new()
        .title("Gatepost")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(env!("CARGO_PKG_DESCRIPTION")))
        .license(Some(utoipa::openapi::License::new(env!("CARGO_PKG_LICENSE"))));
    let tags = TAGS.map(|(name, text)| TagBuilder::new().name(name).description(Some(text)).build());
    OpenApiBuilder::new().info(info.build()).servers(Some([Server::new("/")])).tags(Some(tags)).components(Some(components())).build()
}

fn components() -> Components {
    let mut components = Components::new();
    let mut schemas = vec![(Id::name().into_owned(), Id::schema())];
    fn add<T: ToSchema>(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((T::name().into_owned(), T::schema()));
        T::schemas(schemas);
    }
    add::<Envelope>(&mut schemas);
    add::<Propagation>(&mut schemas);
    add::<Failed>(&mut schemas);
    add::<GetTokenFailed>(&mut schemas);
    add::<OAuthFailed>(&mut schemas);
    components.schemas.extend(schemas);
    for shape in Shape::ALL {
        for (name, status, text) in REFUSALS {
            let mut response = Response::new(*text);
            complete(&mut response, status, shape);
            components.responses.insert(response_name(name, shape), response.into());
        }
    }
    let schemes = [
        ("login", HttpAuthScheme::Bearer, "`jwt.token` of a login."),
        ("token", HttpAuthScheme::Bearer, "An access token."),
        ("refresh_token", HttpAuthScheme::Bearer, "A login's refresh token."),
        ("basic", HttpAuthScheme::Basic, "Name (user, e-mail or phone) and password of a person."),
        ("client", HttpAuthScheme::Basic, "Id and secret of an API key, both form-urlencoded (RFC 6749 §2.3.1)."),
    ];
    for (name, scheme, text) in schemes {
        let http = HttpBuilder::new().scheme(scheme).description(Some(text)).build();
        components.security_schemes.insert(name.to_owned(), SecurityScheme::Http(http).into());
    }
    let console = ApiKeyValue::with_description(CONSOLE_COOKIE, "The console's cookie; what changes something needs `X-CSRF-Token`, too.");
    components.security_schemes.insert("console".to_owned(), SecurityScheme::ApiKey(ApiKey::Cookie(console)).into());
    let key = ApiKeyValue::with_description("X-Api-Key", "An API key.");
    components.security_schemes.insert("key".to_owned(), SecurityScheme::ApiKey(ApiKey::Header(key)).into());
    components
}

/// The document once every route is registered.
pub(super) fn finished(mut document: OpenApi) -> OpenApi {
    // a rest of a path is the router's to know: OpenAPI has no word for it
    let paths = std::mem::take(&mut document.paths.paths);
    document.paths.paths = paths.into_iter().map(|(path, item)| (path.replace("{*", "{"), item)).collect();
    for (path, item) in &mut document.paths.paths {
        let shape = Shape::of(path);
        if let Some(get) = &mut item.get {
            // what a GET takes stands in its headers and its query
            get.request_body = None;
        }
        for (method, operation) in operations(item) {
            // unique, and never to be thought of
            let words = path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
            operation.operation_id = Some(std::iter::once(method).chain(words).collect::<Vec<_>>().join("_"));
            finish_operation(operation, path, shape);
        }
    }
    document
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (&'static str, &mut Operation)> {
    let all = [
        ("get", &mut item.get),
        ("put", &mut item.put),
        ("post", &mut item.post),
        ("patch", &mut item.patch),
        ("delete", &mut item.delete),
    ];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

fn finish_operation(operation: &mut Operation, path: &str, shape: Shape) {
    // what is said of a path's parameter comes before what was guessed from the handler's arguments
    let mut named = Vec::new();
    operation.parameters.get_or_insert_default().retain(|parameter| match parameter {
        RefOr::T(parameter) if named.contains(&parameter.name) => false,
        RefOr::T(parameter) => {
            named.push(parameter.name.clone());
            true
        }
        RefOr::Ref(_) => true,
    });
    if operation.request_body.is_some() {
        let wrong_type = WrongType::responses().into_iter().next();
        if let Some((status, response)) = wrong_type {
            operation.responses.responses.entry(status).or_insert(response);
        }
    }
    if let Some(RefOr::T(body)) = &mut operation.request_body {
        never_null(body);
    }
    let responses = &mut operation.responses.responses;
    if path.starts_with("/v1/") && shape == Shape::Envelope {
        let later = matches!(responses.get("202"), Some(RefOr::T(response)) if response.content.is_empty());
        if later && let (Some(RefOr::T(now)), Some(RefOr::T(_))) = (responses.get("200"), responses.get("202")) {
            let content = now.content.clone();
            if let Some(RefOr::T(response)) = responses.get_mut("202") {
                response.content = content;
            }
            let strict = utoipa::openapi::path::ParameterBuilder::new()
                .name("strict")
                .parameter_in(utoipa::openapi::path::ParameterIn::Query)
                .required(Required::False)
                .description(Some("The answer comes once the end holds strictly."))
                .schema(Some(ObjectBuilder::new().schema_type(SchemaType::new(Type::Boolean))));
            operation.parameters.get_or_insert_default().push(strict.build().into());
        }
        let around: &[&str] = if later { &["Envelope", "Propagation"] } else { &["Envelope"] };
        for response in responses.iter_mut().filter(|(status, _)| status.starts_with('2')).map(|(_, response)| response) {
            if let RefOr::T(response) = response {
                envelop(response, around);
            }
        }
    }
    let by_login = SecurityRequirement::new::<_, [&str; 0], &str>("login", []);
    if let Some(security) = &mut operation.security
        && *security == [by_login]
        && path != "/v1/verify"
    {
        security.push(SecurityRequirement::new::<_, [&str; 0], &str>("console", []));
    }
    if responses
        .values()
        .any(|response| matches!(response, RefOr::T(response) if response.content.keys().any(|kind| kind.starts_with(HTML))))
    {
        responses.iter_mut().filter(|(status, _)| is_failure(status)).for_each(|(status, response)| also_as_page(status, response));
    }
    for (status, response) in responses.iter_mut() {
        match response {
            RefOr::T(response) => complete(response, status, shape),
            RefOr::Ref(reference) => {
                if let Some(name) = reference.ref_location.strip_prefix("#/components/responses/") {
                    *reference = Ref::from_response_name(response_name(name, shape));
                }
            }
        }
    }
}

/// What fails in a page's route fails as a page; what fails before it comes there, as everywhere.
fn also_as_page(status: &str, response: &mut RefOr<Response>) {
    if let RefOr::Ref(_) = response {
        let text = REFUSALS.iter().find(|(_, of, _)| *of == status).map_or("", |(_, _, text)| text);
        *response = Response::new(text).into();
    }
    let RefOr::T(response) = response else { return };
    response.content.clear();
    for (kind, schema) in [(HTML, String::schema()), ("application/json", Ref::from_schema_name("Failed").into())] {
        response.content.insert(kind.to_owned(), ContentBuilder::new().schema(Some(schema)).build().into());
    }
}

fn is_failure(status: &str) -> bool {
    status.starts_with('4') || status.starts_with('5')
}

/// A body may be absent, where it may; it is never `null`.
fn never_null(body: &mut RequestBody) {
    for content in body.content.values_mut() {
        let RefOr::T(content) = content else { continue };
        if let Some(RefOr::T(Schema::OneOf(either))) = &content.schema
            && let Some(other) = either.items.iter().find(|item| matches!(item, RefOr::Ref(_)))
        {
            content.schema = Some(other.clone());
        }
    }
}

/// Puts the schemas of this name around the answer's own, where it is JSON.
fn envelop(response: &mut Response, around: &[&str]) {
    for (_, content) in response.content.iter_mut().filter(|(kind, _)| *kind == "application/json") {
        let RefOr::T(content) = content else { continue };
        if let Some(own) = content.schema.take() {
            let own = AllOfBuilder::new().item(own);
            let all = around.iter().fold(own, |all, name| all.item(Ref::from_schema_name(*name)));
            content.schema = Some(Schema::AllOf(all.build()).into());
        }
    }
}

/// Adds what the status alone tells: the body of a failure, and headers.
fn complete(response: &mut Response, status: &str, shape: Shape) {
    let failed = match shape {
        Shape::Envelope => "Failed",
        Shape::GetToken => "GetTokenFailed",
        Shape::OAuth => "OAuthFailed",
    };
    if response.content.is_empty() && is_failure(status) {
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(failed)));
        response.content.insert("application/json".to_owned(), content.build().into());
    }
    let mut header = |name: &str, kind, text: &str| {
        response.headers.entry(name.to_owned()).or_insert_with(|| described(kind, text).into());
    };
    header("X-Request-Id", Type::String, "The request's own where it is `[A-Za-z0-9._-]{1,128}`, otherwise a new one.");
    header("Cache-Control", Type::String, "`no-store`");
    match status {
        "401" => header("WWW-Authenticate", Type::String, "How to say who calls."),
        "429" | "503" => header("Retry-After", Type::Integer, "Seconds."),
        _ => {}
    }
}

fn described(kind: Type, text: &str) -> Header {
    HeaderBuilder::new().schema(Some(ObjectBuilder::new().schema_type(SchemaType::new(kind)))).description(Some(text)).build()
}

fn response_name(name: &str, shape: Shape) -> String {
    match shape {
        Shape::Envelope => name.to_owned(),
        Shape::GetToken => format!("GetToken{name}"),
        Shape::OAuth => format!("OAuth{name}"),
    }
}
