//! Half a login: somebody in a browser proved the first factor and is asked for the second.
//!
//! What was proved goes with the form, sealed and bound to the browser, and stands for five minutes. It is of no use without the
//! second factor's code, which is good once; the proof is checked again when the session opens.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::proof::{Proof, ProvedBy};
use super::{Accounts, Refusal};
use crate::clock::UnixMs;
use crate::database::NameKind;
use crate::id::Id;
use crate::token::seal::{self, SealUse};

/// How long it stands.
const GOOD_FOR: Duration = Duration::from_secs(5 * 60);

/// As it is sealed.
#[derive(Serialize, Deserialize)]
struct Half {
    uid: String,
    by: By,
    until: UnixMs,
}

#[derive(Serialize, Deserialize)]
enum By {
    Password(String),
    RefreshKey(String),
    Email(String),
    Phone(String),
    Identity(String, String),
}

impl Accounts {
    /// What the form for the second factor carries, in the browser with this cookie.
    ///
    /// # Errors
    /// Where there is no secret key.
    pub fn half_login(&self, browser: Id, proof: &Proof) -> Result<String, Refusal> {
        let by = match &proof.by {
            ProvedBy::Password(hash) => By::Password(hash.clone()),
            ProvedBy::RefreshKey(hash) => By::RefreshKey(hash.clone()),
            ProvedBy::Contact(NameKind::Phone, text) => By::Phone(text.clone()),
            ProvedBy::Contact(_, text) => By::Email(text.clone()),
            ProvedBy::Identity { issuer, subject } => By::Identity(issuer.clone(), subject.clone()),
        };
        let half = Half { uid: proof.uid.to_string(), by, until: self.database.clock().now().after(GOOD_FOR) };
        let plain = serde_json::to_vec(&half).unwrap_or_default();
        let sealed = seal::seal(&self.keyring.load(), SealUse::HalfLogin, browser.as_bytes(), &plain);
        let sealed = sealed.ok_or_else(|| Refusal::Unavailable("no secret key seals".to_owned()))?;
        Ok(URL_SAFE_NO_PAD.encode(sealed))
    }

    /// What was proved. `None` = not in this browser, or too long ago.
    pub fn read_half_login(&self, browser: Id, text: &str) -> Option<Proof> {
        let sealed = URL_SAFE_NO_PAD.decode(text).ok()?;
        let plain = seal::open(&self.keyring.load(), SealUse::HalfLogin, browser.as_bytes(), &sealed)?;
        let half: Half = serde_json::from_slice(&plain).ok()?;
        let by = match half.by {
            By::Password(hash) => ProvedBy::Password(hash),
            By::RefreshKey(hash) => ProvedBy::RefreshKey(hash),
            By::Email(text) => ProvedBy::Contact(NameKind::Email, text),
            By::Phone(text) => ProvedBy::Contact(NameKind::Phone, text),
            By::Identity(issuer, subject) => ProvedBy::Identity { issuer, subject },
        };
        let proof = Proof { uid: half.uid.parse().ok()?, by };
        (self.database.clock().now() < half.until).then_some(proof)
    }
}
