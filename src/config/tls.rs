//! `tls: { cert: …, key: … }`: the files that a listener serves TLS from, and what they hold.
//!
//! Paths are relative to the configuration file, as the rules' is. What the files hold is read here, so that
//! `check-config` tells what is wrong with them, and nothing starts without a pair that fits.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::problem::Complaint;
use super::reader::{Field, Shape};
use super::{TlsConfig, TlsFiles, values};
use crate::server::{Pair, PairError};
use crate::token::secret::sha256;

/// Largest file of either kind.
pub(super) const BYTES: u64 = 1 << 20;

impl TlsFiles {
    /// Whether everybody on this machine may read the key.
    pub fn is_key_open(&self) -> bool {
        std::fs::metadata(&self.key).is_ok_and(|found| found.permissions().mode() & 0o004 != 0)
    }
}

/// Reads a listener's `tls`; `Some(None)` where there is none, `None` after a problem. `beside` = the directory that paths
/// are relative to.
pub(super) fn tls(field: &Field<'_>, beside: &Path) -> Option<Option<TlsConfig>> {
    if field.shape() == Shape::Absent {
        return Some(None);
    }
    field.mapping(&["cert", "key"]);
    let (cert_at, key_at) = (field.key("cert"), field.key("key"));
    let (cert, key) = (text(&cert_at, beside), text(&key_at, beside));
    let ((cert, certificates), (key, secret)) = (cert?, key?);
    let files = TlsFiles { cert, key };
    let (cert_name, key_name) = (files.cert.display(), files.key.display());
    let complain = |at: &Field<'_>, what, what_to_do: &str| {
        at.problem(Complaint::new(what, what_to_do));
        None
    };
    let pair = match Pair::read(&certificates, &secret) {
        Ok(pair) => pair,
        Err(PairError::Certificate(what)) => {
            return complain(
                &cert_at,
                format!("`{cert_name}`: {what}"),
                "name a PEM file: the server's own certificate first, then its chain",
            );
        }
        Err(PairError::Key(what)) => {
            return complain(&key_at, format!("`{key_name}`: {what}"), "name a PEM file with a private key, not encrypted");
        }
        Err(PairError::Mismatch) => {
            let what = format!("the key in `{key_name}` does not belong to the first certificate in `{cert_name}`");
            return complain(&key_at, what, "name the key that the certificate was made for; the server's own certificate comes first");
        }
    };
    if files.is_key_open() {
        key_at.warning(Complaint::new(format!("everybody on this machine may read `{key_name}`"), "chmod 640 it, or 600"));
    }
    Some(Some(TlsConfig { files, hash: hash(&certificates, &secret), pair }))
}

/// What the pair in force was read from: two readings with the same one are the same.
pub(super) fn hash(certificates: &str, key: &str) -> [u8; 32] {
    let halves = [sha256(certificates.as_bytes()), sha256(key.as_bytes())];
    sha256(halves.as_flattened())
}

fn text(field: &Field<'_>, beside: &Path) -> Option<(PathBuf, String)> {
    let path = beside.join(field.need(values::path)?);
    match super::file::read_text(&path, BYTES) {
        Ok(text) => Some((path, text)),
        Err(what) => {
            field.problem(Complaint::new(format!("`{}` {what}", path.display()), "name a PEM file that this program may read"));
            None
        }
    }
}
