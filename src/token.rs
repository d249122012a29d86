//! Tokens: how secrets and access tokens are written, and the store that says which are live.

pub mod access;
mod base62;
pub mod embedded;
pub mod holder;
pub mod jwt;
pub mod keyring;
pub mod recognise;
pub mod record;
pub mod redis;
pub mod secret;
pub mod store;
