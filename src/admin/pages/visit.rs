//! A visit to a page of the console: who comes, what a form brought, and how it is answered.
//!
//! INVARIANT: a form does something only where [`Visit::sent`] let it in: an own page sent it, with the token of the live session
//! whose person then acts. What that person may do is decided where the JSON routes have it decided, in `accounts`.

use std::borrow::Cow;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use maud::{Markup, html};

use super::super::answer::Answer;
use super::super::failure::Failure;
use super::super::form::Form;
use super::super::lists::Asked;
use super::super::request::{Call, scope_list};
use super::super::{Admin, browser};
use super::frame::Frame;
use super::{Page, failed, second_factor, words};
use crate::accounts::Refusal;
use crate::accounts::sessions::Caller;
use crate::audit::By;
use crate::clock::UnixMs;
use crate::database::Committed;
use crate::decision::network::{Network, NetworkError};
use crate::decision::scopes::ScopeSet;
use crate::id::Id;
use crate::token::store::Propagated;

/// One visit.
pub(super) struct Visit<'a> {
    pub(super) admin: &'a Admin,
    pub(super) call: &'a Call,
    pub(super) caller: Caller,
    /// What the session's forms carry.
    token: String,
}

/// What was wrong with a form that is shown again.
pub(super) struct Trouble<'a> {
    /// Which form of the page.
    pub(super) form: &'a str,
    pub(super) failure: &'a Failure,
    pub(super) fields: &'a Form,
}

impl<'a> Visit<'a> {
    /// Somebody looks.
    ///
    /// # Errors
    /// Where nobody is logged in, or a second factor must be set up first.
    pub(super) async fn begin(admin: &'a Admin, call: &'a Call) -> Result<Self, Failure> {
        let session = browser::needed_session(admin, call).await?;
        let token = admin.accounts.csrf_token(session.session)?;
        let caller = admin.accounts.caller_of(session);
        if !second_factor::is_set_up_by(call) {
            admin.accounts.hold_up(&caller).await?;
        }
        Ok(Self { admin, call, caller, token })
    }

    /// Somebody sends a form.
    ///
    /// # Errors
    /// Where nobody is logged in, or another site's page may have sent it.
    pub(super) async fn sent(admin: &'a Admin, call: &'a Call) -> Result<(Self, Form), Failure> {
        let fields = call.form()?;
        let visit = Self::begin(admin, call).await?;
        if !browser::is_meant(admin, call, visit.caller.claims.sid, fields.get("token").unwrap_or_default()) {
            return Err(Failure::forbidden("this form is too old, or another site sent it: please load the page again"));
        }
        Ok((visit, fields))
    }

    /// Now.
    pub(super) fn now(&self) -> UnixMs {
        self.admin.accounts.database().clock().now()
    }

    /// Who acts, from where.
    pub(super) fn by(&self) -> By {
        self.call.origin.by(self.caller.uid())
    }

    /// The session that acts.
    pub(super) fn sid(&self) -> Id {
        self.caller.claims.sid
    }

    /// The path of a list, or of what is done from it, for whoever the list is of (`?principal=`).
    ///
    /// # Errors
    /// Where the query is not as it has to be.
    pub(super) fn with_whose(&self, path: &str) -> Result<String, Failure> {
        Ok(Asked::read(self.call)?.of.map_or_else(|| path.to_owned(), |uid| format!("{path}?principal={uid}")))
    }

    /// The address of an own page.
    pub(super) fn path(&self, path: &str) -> String {
        format!("{}{path}", browser::base(self.admin))
    }

    /// A page of the console.
    pub(super) fn page(&self, path: &'static str, title: impl Into<Cow<'static, str>>, body: Markup) -> Page {
        let frame = Frame {
            base: browser::base(self.admin).to_owned(),
            path,
            who: self.caller.standing.clone(),
            token: self.token.clone(),
            done: self.call.parameter("done").ok().flatten(),
        };
        Page::new(title, body).framed(frame)
    }

    /// A form of this page that posts to `action`; what was wrong with it stands in front.
    pub(super) fn form(&self, action: &str, name: &str, trouble: Option<&Trouble<'_>>, inside: Markup) -> Markup {
        let trouble = trouble.filter(|trouble| trouble.form == name);
        html! {
            // where it is shown again the browser goes to what was wrong with it
            form id=[trouble.map(|_| name)] method="post" action={ (self.path(action)) "#" (name) } {
                input type="hidden" name="token" value=(self.token);
                @if let Some(trouble) = trouble.filter(|trouble| trouble.on_top()) { (super::alert(&words::plain(trouble.failure))) }
                (inside)
            }
        }
    }

    /// The same behind a line that opens it: what takes something away is done in two steps.
    pub(super) fn folded(&self, line: &str, action: &str, name: &str, trouble: Option<&Trouble<'_>>, inside: Markup) -> Markup {
        let open = trouble.is_some_and(|trouble| trouble.form == name);
        html! { details.act open[open] { summary { (line) } (self.form(action, name, trouble, inside)) } }
    }

    /// What came of a form, told on the page it leads to; once the token store has heard of `act`.
    pub(super) async fn done(&self, act: Committed, path: &str, code: &str) -> Answer {
        let code = if self.admin.accounts.propagate(act).await == Propagated::Yes { code } else { words::LATER };
        self.leave(path, code)
    }

    /// The same, where the token store has nothing to hear.
    pub(super) fn leave(&self, path: &str, code: &str) -> Answer {
        let join = if path.contains('?') { '&' } else { '?' };
        browser::redirect(&format!("{}{join}done={code}#main", self.path(path)), None)
    }
}

/// Fields that have beside them what is wrong with them, as refusals call them.
const TOLD_AT_THE_FIELD: [&str; 3] = ["networks", "jti", "sub"];

impl Trouble<'_> {
    /// The field that the refusal names.
    pub(super) fn field(&self) -> Option<&str> {
        self.failure.message().strip_prefix('`')?.split_once('`').map(|(field, _)| field)
    }

    /// What is wrong with the form as a whole, or with a field that does not say it itself.
    fn on_top(&self) -> bool {
        !self.field().is_some_and(|field| TOLD_AT_THE_FIELD.contains(&field))
    }

    /// What was filled into a field of `form`.
    pub(super) fn was<'a>(trouble: Option<&'a Trouble<'_>>, form: &str, field: &str) -> &'a str {
        trouble.filter(|trouble| trouble.form == form).and_then(|trouble| trouble.fields.get(field)).unwrap_or_default()
    }

    /// The same where `form` is shown again, emptied or not; else what `stands` there.
    pub(super) fn was_or(trouble: Option<&Trouble<'_>>, form: &str, field: &str, stands: impl Into<String>) -> String {
        match trouble.filter(|trouble| trouble.form == form) {
            Some(trouble) => trouble.fields.get(field).unwrap_or_default().to_owned(),
            None => stands.into(),
        }
    }

    /// Whether a box was ticked where `form` is shown again; else whether it `stands` so.
    pub(super) fn ticked_or(trouble: Option<&Trouble<'_>>, form: &str, field: &str, stands: bool) -> bool {
        trouble.filter(|trouble| trouble.form == form).map_or(stands, |trouble| trouble.fields.get(field).is_some())
    }
}

/// A page as the answer to a form that was refused.
pub(super) fn refused(page: Page, failure: &Failure) -> Answer {
    super::with_headers(page.with_status(failure.status()).answer(), failure.headers())
}

/// The answer; who is not logged in goes to the login page and comes back, who lacks a second factor goes where it is set up.
pub(super) fn told(admin: &Admin, call: &Call, result: Result<Answer, Failure>) -> Answer {
    let base = browser::base(admin);
    result.unwrap_or_else(|failure| {
        if failure.status() == StatusCode::UNAUTHORIZED {
            // a form cannot be sent again by itself
            let rd = match call.target() {
                target if call.method == Method::GET && target != "/" => format!("?rd={}", browser::encoded(&format!("{base}{target}"))),
                _ => String::new(),
            };
            return browser::redirect(&format!("{base}/login{rd}"), None);
        }
        if failure.code() == Failure::SET_UP_SECOND_FACTOR {
            return second_factor::to_set_up(admin);
        }
        failed(&failure, html! { p { a.button.second href={ (base) "/" } { "To the overview" } } })
    })
}

/// A page that somebody looks at: `shown!(admin, call, page(more, arguments))`.
macro_rules! shown {
    ($admin:ident, $call:ident, $page:ident($($more:expr),*)) => {{
        let shown = async {
            let visit = $crate::admin::pages::visit::Visit::begin(&$admin, &$call).await?;
            Ok($page(&visit, None $(, $more)*).await?.answer())
        };
        $crate::admin::pages::visit::told(&$admin, &$call, shown.await)
    }};
}

/// A form that somebody sends: `act` does what it asks for; where that is refused, `page` shows it again with the reason.
macro_rules! acted {
    ($admin:ident, $call:ident, $form:expr, $act:ident($($given:expr),*), $page:ident($($more:expr),*)) => {{
        let acted = async {
            let (visit, fields) = $crate::admin::pages::visit::Visit::sent(&$admin, &$call).await?;
            match $act(&visit, &fields $(, $given)*).await {
                Ok(answer) => Ok(answer),
                // the session ended meanwhile
                Err(failure) if failure.code() == "invalid_token" => Err(failure),
                Err(failure) => {
                    let trouble = $crate::admin::pages::visit::Trouble { form: $form, failure: &failure, fields: &fields };
                    let page = $page(&visit, Some(&trouble) $(, $more)*).await?;
                    Ok($crate::admin::pages::visit::refused(page, &failure))
                }
            }
        };
        $crate::admin::pages::visit::told(&$admin, &$call, acted.await)
    }};
}

pub(super) use {acted, shown};

/// The scopes of a field, with spaces or commas between. `None` = it is empty.
pub(super) fn scopes_of(fields: &Form, name: &'static str) -> Result<Option<ScopeSet>, Failure> {
    let Some(text) = fields.get(name) else { return Ok(None) };
    let list: Vec<String> = text.split([' ', ',', '\n', '\r', '\t']).filter(|scope| !scope.is_empty()).map(str::to_owned).collect();
    if list.is_empty() { Ok(None) } else { scope_list(name, &list).map(Some) }
}

/// The networks of a field, with spaces, commas or lines between.
pub(super) fn networks_of(fields: &Form) -> Result<Vec<Network>, Failure> {
    let texts = fields.get("networks").unwrap_or_default().split([' ', ',', '\n', '\r', '\t']).filter(|text| !text.is_empty());
    let read = |text: &str| text.parse().map_err(|error: NetworkError| Refusal::field("networks", error.to_string()).into());
    texts.map(read).collect()
}

/// Whole seconds in a field. `None` = it is empty.
pub(super) fn seconds_of(fields: &Form, name: &'static str) -> Result<Option<Duration>, Failure> {
    let number = fields.get(name).map(|text| text.trim().parse::<u64>());
    let number = number.transpose().map_err(|_| Failure::invalid(format!("`{name}`: not a number of seconds")))?;
    Ok(number.map(Duration::from_secs))
}
