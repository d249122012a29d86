//! Who somebody is, where a record has an id alone.
//!
//! A name is shown to whoever stands above, as on the page of people; everybody else sees the id. People choose their names: what is
//! no person is said in words that nobody can be called, so that nobody passes for the command line.

use std::collections::HashMap;

use maud::{Markup, html};

use super::super::failure::Failure;
use super::visit::Visit;
use crate::accounts::Refusal;
use crate::id::Id;

/// The names of some people.
pub(super) struct Names {
    visitor: Id,
    known: HashMap<Id, String>,
}

impl Names {
    /// Those of these people whom the visitor stands above.
    pub(super) async fn of(visit: &Visit<'_>, uids: impl Iterator<Item = Id>) -> Result<Self, Failure> {
        let visitor = visit.caller.uid();
        let mut uids: Vec<Id> = uids.filter(|uid| *uid != visitor).collect();
        uids.sort_unstable();
        uids.dedup();
        let below = (!visit.caller.standing.is_super_admin()).then_some(visitor);
        let known = visit.admin.accounts.database().shown_names(&uids, below).await.map_err(Refusal::from)?;
        Ok(Self { visitor, known })
    }

    /// A line that tells whose list a page is; nothing on one's own.
    pub(super) async fn whose(visit: &Visit<'_>, of: Option<Id>) -> Result<Markup, Failure> {
        let names = Self::of(visit, of.into_iter()).await?;
        Ok(html! { @if let Some(uid) = of.filter(|uid| *uid != names.visitor) { p.quiet { "Of " (names.shown(uid)) "." } } })
    }

    /// A person.
    pub(super) fn shown(&self, uid: Id) -> Markup {
        let id = uid.to_string();
        match self.known.get(&uid) {
            _ if uid == self.visitor => html! { span.chip.good { "you" } },
            Some(name) if *name != id => html! { span title=(id) { (name) } },
            _ => html! { code { (id) } },
        }
    }

    /// Who acted, as the audit trail spells it.
    pub(super) fn actor(&self, text: &str) -> Markup {
        let none = |text: &str| html! { span.quiet { (text) } };
        match text {
            "cli" => none("the command line"),
            "system" => none("the program itself"),
            "unknown" => none("nobody known"),
            text => self.target(text),
        }
    }

    /// What was acted on: a person, or the id of something else.
    pub(super) fn target(&self, text: &str) -> Markup {
        text.parse().map_or_else(|_| html! { span.quiet { (text) } }, |id| self.shown(id))
    }
}
