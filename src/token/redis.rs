//! The Redis token store. SIGNATURES FIXED, bodies to be written.
use super::record::{Fill, TokenRecord};
use super::store::{Ask, MintOrder, MintRefusal, Minted, Propagated, Unavailable};
use crate::clock::UnixMs;
use crate::id::Id;

/// In Redis.
pub struct Redis {}

#[expect(unused_variables, missing_docs, clippy::todo, clippy::unused_async, reason = "bodies to be written")]
impl Redis {
    pub async fn look_up(&self, ask: Ask) -> Result<Option<Fill>, Unavailable> {
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
    pub async fn idle_ends(&self, tokens: &[Id]) -> Result<Vec<Option<UnixMs>>, Unavailable> {
        todo!()
    }
    pub fn is_ready(&self) -> bool {
        todo!()
    }
    pub async fn flush(&self) {
        todo!()
    }
}
