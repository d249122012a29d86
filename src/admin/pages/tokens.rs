//! `/console/tokens`: live access tokens of one's own keys, or of someone below (`?principal=`).

use std::sync::Arc;

use axum::extract::{Path, State};
use maud::html;

use super::super::Admin;
use super::super::answer::Answer;
use super::super::failure::Failure;
use super::super::form::Form;
use super::super::lists::{Asked, id};
use super::super::request::Call;
use super::names::Names;
use super::visit::{Trouble, Visit, acted, shown};
use super::{Page, parts};
use crate::accounts::tokens::LiveToken;

const PATH: &str = "/console/tokens";

pub(super) async fn show(State(admin): State<Arc<Admin>>, call: Call) -> Answer {
    shown!(admin, call, list())
}

pub(super) async fn end(State(admin): State<Arc<Admin>>, Path(token): Path<String>, call: Call) -> Answer {
    acted!(admin, call, &token, try_end(&token), list())
}

async fn try_end(visit: &Visit<'_>, _: &Form, token: &str) -> Result<Answer, Failure> {
    let act = visit.admin.accounts.end_token(&visit.caller, id(token)?, visit.call.origin).await?;
    Ok(visit.done(act, &visit.with_whose(PATH)?, "token-ended").await)
}

async fn list(visit: &Visit<'_>, trouble: Option<&Trouble<'_>>) -> Result<Page, Failure> {
    let asked = Asked::read(visit.call)?;
    let live = visit.admin.accounts.tokens(&visit.caller, asked.of, asked.page).await?;
    let (tokens, cursor) = asked.page_of(&live, |token| (token.row.issued_at, token.row.id), LiveToken::clone);
    let now = visit.now();
    let mut rows = Vec::with_capacity(tokens.len());
    for LiveToken { row, ends } in &tokens {
        let action = visit.with_whose(&format!("{PATH}/{}/end", row.id))?;
        rows.push(vec![
            html! { code { (row.id) } },
            html! { code { (row.key) } },
            parts::scopes(&row.scopes, "none"),
            parts::time(now, row.issued_at),
            parts::time(now, *ends),
            visit.form(&action, &row.id.to_string(), trouble, html! { button.second aria-label={ "End token " (row.id) } { "End" } }),
        ]);
    }
    let whose = Names::whose(visit, asked.of).await?;
    let body = html! {
        (whose)
        p.quiet { "Access tokens are minted from an API key and end when they are not used. Ending one takes effect at once." }
        @if rows.is_empty() {
            (parts::empty("No token is live."))
        } @else {
            div.card { (parts::table("Live tokens", &["Token", "Key", "Scopes", "Minted", "Ends if unused", ""], &rows)) }
        }
        (parts::more(&visit.path(&visit.with_whose(PATH)?), cursor.as_deref()))
    };
    Ok(visit.page(PATH, "Live tokens", body))
}
