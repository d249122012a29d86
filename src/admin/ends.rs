//! The answer of an ending route.

use axum::http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};

use super::Admin;
use super::answer::Answer;
use crate::database::Committed;
use crate::token::store::Propagated;

impl Admin {
    /// 200 once the token store has heard of `act`, 202 where it will when it returns.
    ///
    /// Strict: once no check that begins later is allowed by what has ended.
    pub(super) async fn ended(&self, act: Committed, strict: bool, fields: impl Serialize) -> Answer {
        let mut propagated = self.accounts.propagate(act).await == Propagated::Yes;
        if strict && propagated {
            propagated = self.accounts.seen_everywhere().await.is_ok();
        }
        let status = if propagated { StatusCode::OK } else { StatusCode::ACCEPTED };
        let mut fields = serde_json::to_value(fields).unwrap_or_default();
        if let Value::Object(fields) = &mut fields {
            fields.insert("propagated".to_owned(), json!(propagated));
            if strict && propagated {
                fields.insert("strict".to_owned(), json!(true));
            }
        }
        Answer::with(status, fields)
    }
}
