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
    /// Every check asks the store itself, so an end that has been applied holds strictly.
    pub(super) async fn ended(&self, act: Committed, strict: bool, fields: impl Serialize) -> Answer {
        let (status, propagated) = match self.accounts.propagate(act).await {
            Propagated::Yes => (StatusCode::OK, true),
            Propagated::Later => (StatusCode::ACCEPTED, false),
        };
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
