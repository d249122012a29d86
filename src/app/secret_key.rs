//! The secret keys on disk: read at start, made once where nobody else shares them.

use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use secrecy::ExposeSecret;

use super::StartError;
use crate::config::{Config, DatabaseConfig, SecretSource, StoreConfig};
use crate::token::keyring::Keyring;

/// Reads the keys that `config` names. Makes nothing.
///
/// # Errors
/// Where the file cannot be read, or holds no keys.
pub fn read(config: &Config) -> Result<Keyring, StartError> {
    match &config.secret_key {
        SecretSource::Text(text) => parse(text.expose_secret(), "GATEPOST_SECRET_KEY"),
        SecretSource::File(path) => {
            let path = config.data.join(path);
            let text = std::fs::read_to_string(&path).map_err(|error| StartError::secret_key(format!("{}: {error}", path.display())))?;
            warn_where_others_may_read(&path);
            parse(&text, &path.display().to_string())
        }
    }
}

/// Reads the keys. Where everything is embedded and the file is not there, one is made, mode 0600: nobody else can need to know it.
///
/// # Errors
/// As [`read`], and where the file cannot be made.
pub(super) fn read_or_make(config: &Config) -> Result<Keyring, StartError> {
    match file(config) {
        Some(path) if is_all_embedded(config) && !path.exists() => make(&path),
        _ => read(config),
    }
}

/// The file that holds the keys, where a file does.
pub(super) fn file(config: &Config) -> Option<PathBuf> {
    match &config.secret_key {
        SecretSource::File(path) => Some(config.data.join(path)),
        SecretSource::Text(_) => None,
    }
}

fn is_all_embedded(config: &Config) -> bool {
    matches!((&config.tokens.store, &config.database), (StoreConfig::Embedded, DatabaseConfig::Sqlite(_)))
}

fn parse(text: &str, place: &str) -> Result<Keyring, StartError> {
    Keyring::parse(text).map_err(|error| StartError::secret_key(format!("{place}: {error}")))
}

fn make(path: &Path) -> Result<Keyring, StartError> {
    let wrong = |error: std::io::Error| StartError::secret_key(format!("{}: {error}", path.display()));
    let text = Keyring::generate().map_err(|_| StartError::secret_key("the system gave no randomness"))?;
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(wrong)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(wrong)?;
    parse(&text, &path.display().to_string())
}

fn warn_where_others_may_read(path: &Path) {
    let mode = std::fs::metadata(path).map(|found| found.permissions().mode()).unwrap_or(0);
    if mode & 0o077 != 0 {
        tracing::warn!(file = %path.display(), "the secret key file can be read by others: chmod 600 it");
    }
}
