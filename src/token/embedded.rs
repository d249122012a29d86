//! The embedded token store. SIGNATURES FIXED, bodies to be written.
use super::record::{Fill, TokenRecord};
use super::store::{Ask, MintOrder, MintRefusal, Minted, Propagated};
use crate::clock::UnixMs;
use crate::id::Id;

/// In process.
pub struct Embedded {}

#[expect(unused_variables, missing_docs, clippy::todo, clippy::unused_async, reason = "bodies to be written")]
impl Embedded {
    pub fn look_up(&self, ask: Ask) -> Option<Fill> {
        todo!()
    }
    pub fn slide(&self, token: &TokenRecord, idle_end: UnixMs) {
        todo!()
    }
    pub async fn mint(&self, order: MintOrder) -> Result<Minted, MintRefusal> {
        todo!()
    }
    pub async fn apply(&self, until: i64) -> Propagated {
        todo!()
    }
    pub fn idle_ends(&self, tokens: &[Id]) -> Vec<Option<UnixMs>> {
        todo!()
    }
    pub async fn flush(&self) {
        todo!()
    }
}
