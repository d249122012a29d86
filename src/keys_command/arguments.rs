//! What can be typed after `gatepost keys`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use crate::decision::network::Network;
use crate::decision::scopes::ScopeSet;
use crate::id::Id;

/// Make, list, rotate and revoke API keys.
#[derive(Debug, Args)]
pub struct KeysCommand {
    #[command(subcommand)]
    pub(super) act: KeysAct,
}

#[derive(Debug, Subcommand)]
pub(super) enum KeysAct {
    /// Make a key; its text is shown once.
    Create(Create),
    /// Make a key without keeping it, and print the entry for the files of `gatepost apply`.
    Declare(Declare),
    /// Import keys that were made elsewhere, one JSON object a line.
    Import(Import),
    /// List live keys, oldest first.
    List(List),
    /// Give a key a new secret; its tokens go on.
    Rotate(Rotate),
    /// End a key and every token minted from it.
    Revoke(Revoke),
}

#[derive(Debug, Args)]
pub(super) struct Create {
    /// Whose: user name, e-mail address, phone number or uid.
    #[arg(long, value_name = "NAME|UID")]
    pub(super) principal: String,
    /// What the key is called.
    #[arg(long)]
    pub(super) name: Option<String>,
    /// What it may do at most. Default: all its owner holds.
    #[arg(long, value_name = "A,B", value_parser = scopes)]
    pub(super) scopes: Option<ScopeSet>,
    /// The networks it may be used from, as 10.0.0.0/8. Default: any.
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub(super) networks: Vec<Network>,
    /// What another system calls it.
    #[arg(long, value_name = "ID")]
    pub(super) external_id: Option<String>,
    /// What else is to be known of it; may be given more than once.
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    pub(super) meta: Vec<(String, String)>,
    /// How long it lives, as 30d or 12h. Default: until it is revoked.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub(super) expires_in: Option<Duration>,
    /// As JSON.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Declare {
    /// The user name of its owner, who may not be there yet.
    #[arg(long, value_name = "NAME")]
    pub(super) principal: String,
    /// What the key is called.
    #[arg(long)]
    pub(super) name: String,
    /// What it may do at most.
    #[arg(long, value_name = "A,B", value_parser = scopes)]
    pub(super) scopes: ScopeSet,
}

#[derive(Debug, Args)]
pub(super) struct List {
    /// Only those of this principal.
    #[arg(long, value_name = "NAME|UID")]
    pub(super) principal: Option<String>,
    /// Only those that were made elsewhere.
    #[arg(long)]
    pub(super) imported: bool,
    /// Only those that were never used.
    #[arg(long)]
    pub(super) unused: bool,
    /// As JSON.
    #[arg(long)]
    pub(super) json: bool,
}

/// Import keys that were made elsewhere, one JSON object a line.
///
/// {"sha256": "9f86…", "owner": "shop", "scopes": ["orders:read"], "expires_at": "2027-12-31T00:00:00Z", "name": "till 7",
/// "external_id": "cus_1", "metadata": {"plan": "gold"}, "limit": {"rate": "100/s"}, "networks": ["10.0.0.0/8"]}
///
/// `key` with the text may stand in place of `sha256`; `owner` is a user name, e-mail address, phone number or uid; `expires_at` may be Unix
/// seconds. What is not written is nothing; `owner` and `scopes` must be. Every line is checked before any is written, a key that is there is
/// left alone, so the same file may be imported again.
#[derive(Debug, Args)]
pub(super) struct Import {
    /// The file.
    pub(super) file: PathBuf,
    /// Checks the file and writes nothing.
    #[arg(long)]
    pub(super) check: bool,
}

#[derive(Debug, Args)]
pub(super) struct Rotate {
    /// The key's id.
    pub(super) id: Id,
    /// How long the old secret stays valid, at most 7d.
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = humantime::parse_duration)]
    pub(super) grace: Duration,
    /// As JSON.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Revoke {
    /// The key's id.
    pub(super) id: Id,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn scopes(text: &str) -> Result<ScopeSet, String> {
    ScopeSet::parse(text.split(',').map(str::trim)).map_err(|e| e.to_string())
}
