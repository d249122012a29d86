//! Gatepost: the forward-auth server for API keys, scopes and instant revocation.

pub mod clock;
pub mod config;
pub mod database;
pub mod decision;
pub mod dialect;
pub mod gate;
pub mod id;
pub mod metrics;
pub mod server;
pub mod token;
