//! Tokens: how secrets and access tokens are written, and the store that says which are live.

pub mod access;
mod base62;
pub mod cache;
pub mod cookie;
pub mod denials;
pub mod embedded;
pub mod fence;
pub mod fencelog;
pub mod holder;
pub(crate) mod imported;
pub mod jwt;
pub mod keep_alive;
pub mod keyring;
pub mod last_used;
mod minting;
pub mod recognise;
pub mod record;
pub mod redis;
pub mod seal;
pub mod secret;
mod sliding;
pub mod store;
pub mod terms;
pub mod ticket;
