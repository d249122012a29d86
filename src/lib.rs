//! Gatepost: the forward-auth server for API keys, scopes and instant revocation.

pub mod args;
pub mod clock;
pub mod config;
pub mod database;
pub mod decision;
pub mod dialect;
pub mod explain;
pub mod gate;
pub mod id;
pub mod metrics;
pub mod probes;
pub mod server;
pub mod token;
