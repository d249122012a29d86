//! What stands around every page of the console: where one can go, and who is logged in.

use maud::{Markup, html};

use super::words;
use crate::accounts::standing::Standing;
use crate::token::record::Role;

/// Who finds a page of use; whether they may do what it offers is decided where it is done.
#[derive(Clone, Copy, PartialEq, Eq)]
enum For {
    Everyone,
    /// Whoever can invite somebody.
    Inviters,
    /// Whoever can make somebody.
    Managers,
    Admins,
    SuperAdmins,
}

/// A page: its path, its label and whom it is for.
type Place = (&'static str, &'static str, For);

/// Where one can go, below headings.
const PLACES: [(&str, &[Place]); 3] = [
    (
        "You",
        &[
            ("/", "Overview", For::Everyone),
            ("/console/keys", "API keys", For::Everyone),
            ("/console/tokens", "Live tokens", For::Everyone),
            ("/console/logins", "Logins", For::Everyone),
            ("/console/account", "Account", For::Everyone),
        ],
    ),
    (
        "People",
        &[
            ("/console/people", "People", For::Managers),
            ("/console/policies", "Policies", For::Managers),
            ("/console/invitations", "Invitations", For::Inviters),
            ("/console/audit", "Audit trail", For::Admins),
        ],
    ),
    (
        "Gates",
        &[
            ("/console/rules", "Rules", For::SuperAdmins),
            ("/console/try", "Try a request", For::SuperAdmins),
            ("/console/refusals", "Refusals", For::SuperAdmins),
            ("/console/issuers", "Issuers", For::SuperAdmins),
            ("/console/tenants", "Tenants", For::SuperAdmins),
        ],
    ),
];

impl For {
    fn is(self, standing: &Standing) -> bool {
        match self {
            Self::Everyone => true,
            Self::Inviters => standing.outranks(Role::EndUser),
            Self::Managers => standing.outranks(Role::SubClient),
            Self::Admins => standing.is_admin(),
            Self::SuperAdmins => standing.is_super_admin(),
        }
    }
}

/// The frame of one page.
pub(super) struct Frame {
    /// Before the path of every own page.
    pub(super) base: String,
    /// Which page it is.
    pub(super) path: &'static str,
    pub(super) who: Standing,
    /// The session's form token.
    pub(super) token: String,
    /// What was done before this page.
    pub(super) done: Option<String>,
}

impl Frame {
    /// The whole `<body>`.
    pub(super) fn around(&self, title: &str, body: &Markup) -> Markup {
        html! {
            body.console {
                a.skip href="#main" { "Skip to the page" }
                header {
                    a.brand href={ (self.base) "/" } { (brand()) }
                    details.menu { summary { "Menu" } nav aria-label="Pages" { (self.places()) } }
                }
                nav aria-label="Pages" { (self.places()) }
                main #main {
                    h1 { (title) }
                    @if let Some(text) = self.done.as_deref().and_then(words::done) {
                        p.notice.warn[self.done.as_deref() == Some(words::LATER)] role="status" { (text) }
                    }
                    (body)
                }
                footer {
                    p {
                        strong { (self.who.subject.name) }
                        br;
                        span.quiet { (role(self.who.subject.role)) }
                    }
                    form method="post" action={ (self.base) "/logout" } {
                        input type="hidden" name="token" value=(self.token);
                        button.second { "Log out" }
                    }
                }
            }
        }
    }

    fn places(&self) -> Markup {
        html! {
            @for (heading, places) in PLACES {
                @let open: Vec<_> = places.iter().filter(|(_, _, whom)| whom.is(&self.who)).collect();
                @if !open.is_empty() {
                    h2 { (heading) }
                    ul {
                        @for (path, label, _) in open {
                            li { a href={ (self.base) (path) } aria-current=[(*path == self.path).then_some("page")] { (label) } }
                        }
                    }
                }
            }
        }
    }
}

/// The name of the program with its sign.
pub(super) fn brand() -> Markup {
    html! {
        svg viewBox="0 0 28 28" aria-hidden="true" {
            path fill="currentColor" d="M4 6h3v18H4zM21 6h3v18h-3zM7 10h14v3H7zM7 17h14v3H7zM3 3h5v2H3zM20 3h5v2h-5z" {}
        }
        "Gatepost"
    }
}

/// A role in words.
pub(super) fn role(role: Role) -> String {
    role.as_str().replace('_', " ")
}
