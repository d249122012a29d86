//! Secrets that are shown this once.

use maud::{Markup, html};

use super::super::answer::Answer;
use super::Page;
use crate::token::secret::PlainSecret;

/// A secret, to be copied.
pub(super) fn shown(id: &str, secret: &str) -> Markup {
    html! { code.secret id=(id) data-copy { (secret) } }
}

/// The page that shows a new account's API key; it leads on to where the browser was going.
pub(in crate::admin) fn welcome(next: &str, api_key: &PlainSecret) -> Answer {
    let body = html! {
        p { "This is your API key. It is shown this once: copy it to a safe place." }
        div.row { (shown("api-key", api_key.reveal())) }
        p { a.button href=(next) { "Go on" } }
    };
    Page::new("Your account", body).with_script().answer()
}
