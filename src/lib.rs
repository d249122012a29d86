//! Gatepost: the forward-auth server for API keys, scopes and instant revocation.

pub mod accounts;
pub mod admin;
pub mod app;
pub mod args;
pub mod audit;
pub mod clock;
pub mod commands;
pub mod config;
pub mod create_admin_command;
pub mod database;
pub mod decision;
pub mod decisions;
pub mod dialect;
pub mod explain;
pub mod gate;
pub mod healthcheck;
pub mod id;
pub mod import_openapi;
pub mod keys_command;
pub mod metrics;
pub mod oidc;
pub mod print_config;
pub mod probes;
pub mod senders;
pub mod server;
pub mod token;
