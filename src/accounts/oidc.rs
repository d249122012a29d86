//! Sign-in by an OpenID provider: who comes is known by issuer and subject, never by e-mail.
//!
//! A sign-in under way is bound to the browser that began it, and over at its first use.
//! INVARIANT: whoever has no account here becomes a principal only through [`Accounts::admit`]; an account that stands is
//! opened by a provider's word on an e-mail only where the configuration says so, or where nobody had proved that e-mail.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq;

use super::contacts::{self, Proved};
use super::names::Name;
use super::proof::{Proof, ProvedBy};
use super::sign_up::{Contact, NewIdentity, Newcomer, SignedUp};
use super::{Accounts, Origin, Refusal, standing};
use crate::audit::{Action, By};
use crate::database::{Act, NameKind, SignInRow};
use crate::id::{Id, hex, random_bytes};
use crate::oidc::{Person, Provider};
use crate::token::secret::{PlainSecret, sha256};

/// How long somebody may take at the provider.
pub const SIGN_IN_LASTS: Duration = Duration::from_secs(10 * 60);
/// Most sign-ins under way.
const MOST_UNDER_WAY: i64 = 50_000;

/// A sign-in that began.
pub struct Begun {
    /// Goes to the provider and comes back.
    pub state: String,
    /// Stands in the ID token.
    pub nonce: String,
    /// The PKCE verifier.
    pub verifier: String,
}

/// What a sign-in begins with.
#[derive(Debug, Clone, Copy)]
pub struct Beginning<'a> {
    /// The provider's name.
    pub provider: &'a str,
    /// The value of the browser's cookie.
    pub browser: &'a str,
    /// Where the browser goes afterwards; checked.
    pub return_to: &'a str,
    /// What the browser keeps for the sign-up, as it keeps it; empty without.
    pub papers: &'a str,
    /// Whether the provider must not ask the person anything.
    pub silent: bool,
}

/// What a newcomer may have to show.
#[derive(Debug, Clone, Default)]
pub struct Papers {
    /// Invitation code.
    pub invitation: Option<String>,
    /// Set-up code.
    pub setup_code: Option<String>,
}

/// Who signed in.
#[derive(Debug)]
pub struct SignedIn {
    /// Who it is.
    pub proof: Proof,
    /// How.
    pub how: How,
}

/// How somebody came to be signed in.
#[derive(Debug)]
pub enum How {
    /// Known here by this identity.
    Known,
    /// By the same e-mail address: from here on known by this identity.
    Linked,
    /// New, with the API key that is shown once.
    New(Option<PlainSecret>),
}

impl How {
    /// As in the metrics.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Known => "login",
            Self::Linked => "link",
            Self::New(_) => "sign_up",
        }
    }
}

impl Accounts {
    /// Begins a sign-in.
    ///
    /// # Errors
    /// The throttle's, [`Refusal::Busy`] where very many are under way, or unavailable.
    pub async fn begin_sign_in(&self, beginning: Beginning<'_>, origin: Origin) -> Result<Begun, Refusal> {
        self.throttle.ask_network(origin.network())?;
        self.throttle.begin(origin.network())?;
        let random = || random_bytes::<32>().map(|bytes| URL_SAFE_NO_PAD.encode(bytes));
        let begun = Begun { state: random()?, nonce: random()?, verifier: random()? };
        let now = self.database.clock().now();
        let row = SignInRow {
            browser: sha256(beginning.browser.as_bytes()),
            provider: beginning.provider.to_owned(),
            nonce: begun.nonce.clone(),
            verifier: begun.verifier.clone(),
            return_to: beginning.return_to.to_owned(),
            invitation: named(beginning.papers),
            silent: beginning.silent,
            created_at: now,
            expires_at: now.after(SIGN_IN_LASTS),
        };
        if self.database.begin_sign_in(sha256(begun.state.as_bytes()), &row, MOST_UNDER_WAY).await? {
            Ok(begun)
        } else {
            Err(Refusal::Busy)
        }
    }

    /// Takes a sign-in that comes back: it is over, whatever comes of it.
    ///
    /// # Errors
    /// [`Refusal::NoSignIn`] where there is none, or it began in another browser or at another provider; the throttle's, or unavailable.
    pub async fn take_sign_in(&self, provider: &str, state: &str, browser: Option<&str>, origin: Origin) -> Result<SignInRow, Refusal> {
        self.throttle.ask_network(origin.network())?;
        let row = self.database.take_sign_in(sha256(state.as_bytes())).await?;
        let is_its = |row: &SignInRow| {
            let same_browser = browser.is_some_and(|browser| bool::from(sha256(browser.as_bytes()).ct_eq(&row.browser)));
            same_browser && row.provider == provider
        };
        // not counted against the network: nobody guesses a state, and any page can send its visitors here with made-up ones
        row.filter(is_its).ok_or(Refusal::NoSignIn)
    }

    /// Signs `person` in, whom `provider` has proved; makes a principal where there is none and one may be made.
    ///
    /// # Errors
    /// [`Refusal::DomainNotAllowed`], [`Refusal::NotLinked`], [`Refusal::Blocked`], whatever a sign-up is refused with, or unavailable.
    pub async fn sign_in(&self, provider: &Provider, person: &Person, papers: Papers, origin: Origin) -> Result<SignedIn, Refusal> {
        if !person.is_allowed(provider) {
            return Err(Refusal::DomainNotAllowed);
        }
        if let Some(signed_in) = self.sign_in_known(provider, person, origin).await? {
            return Ok(signed_in);
        }
        let newcomer = Newcomer {
            email: email(person).map(|email| Contact { text: email.text, verified: true }),
            identity: Some(NewIdentity { issuer: person.issuer.clone(), subject: person.subject.clone(), provider: provider.name.clone() }),
            invitation: papers.invitation,
            setup_code: papers.setup_code,
            ..Newcomer::default()
        };
        let SignedUp { uid, api_key, .. } = match self.admit(newcomer, origin).await {
            // the same person in another window was faster
            Err(Refusal::UserExists) => {
                return self.sign_in_known(provider, person, origin).await?.ok_or(Refusal::NotLinked);
            }
            admitted => admitted?,
        };
        let act = self.database.act().await?;
        self.grant(act, provider, person, uid, Action::OidcLogin, origin).await?;
        Ok(SignedIn { proof: proof(uid, person), how: How::New(api_key) })
    }

    /// Signs in whoever has an account here. `None` = nobody has.
    async fn sign_in_known(&self, provider: &Provider, person: &Person, origin: Origin) -> Result<Option<SignedIn>, Refusal> {
        let mut act = self.database.act().await?;
        let (uid, how) = match act.identified(&person.issuer, &person.subject).await? {
            Some(uid) => (uid, How::Known),
            None => match linked(&mut act, provider, person, origin).await? {
                Link::To(uid) => (uid, How::Linked),
                Link::ToNobody => return Ok(None),
                // an ended account's claim on the address goes before somebody new has it
                Link::Freed => {
                    let committed = act.commit(&By::system().did(Action::ContactVerify, "")).await?;
                    self.propagate(committed).await;
                    return Ok(None);
                }
            },
        };
        if standing::of_principal(&self.database, uid).await?.is_none() {
            return Err(Refusal::Blocked);
        }
        let action = match how {
            How::Linked => {
                act.insert_identity(&person.issuer, &person.subject, &provider.name, uid).await?;
                Action::OidcLink
            }
            _ => Action::OidcLogin,
        };
        self.grant(act, provider, person, uid, action, origin).await?;
        Ok(Some(SignedIn { proof: proof(uid, person), how }))
    }

    /// Replaces what this issuer's claims grant, and ends the act.
    async fn grant(
        &self,
        mut act: Act,
        provider: &Provider,
        person: &Person,
        uid: Id,
        action: Action,
        origin: Origin,
    ) -> Result<(), Refusal> {
        let called: Vec<&str> = person.granted(&provider.grants).collect();
        let policies = act.policies_called(uid, &called).await?;
        act.set_granted(uid, &person.issuer, &policies).await?;
        let committed = act.commit(&origin.by(uid).did(action, uid)).await?;
        self.propagate(committed).await;
        Ok(())
    }
}

/// To whom a verified e-mail leads.
enum Link {
    To(Id),
    ToNobody,
    /// To nobody, but the act changed something.
    Freed,
}

async fn linked(act: &mut Act, provider: &Provider, person: &Person, origin: Origin) -> Result<Link, Refusal> {
    let Some(email) = email(person) else { return Ok(Link::ToNobody) };
    let proved = contacts::prove(act, NameKind::Email, &email.text, None).await?;
    if let (Some(uid), Some(change)) = (proved.holder(), proved.change()) {
        act.note(origin.by(uid).did(change, uid));
    }
    match proved {
        Proved::Known(uid) if provider.link_verified_email => Ok(Link::To(uid)),
        Proved::Known(_) | Proved::Former => Err(Refusal::NotLinked),
        Proved::Verified(uid) | Proved::TookOver(uid) => Ok(Link::To(uid)),
        Proved::Freed => Ok(Link::Freed),
        Proved::Nobody => Ok(Link::ToNobody),
    }
}

fn proof(uid: Id, person: &Person) -> Proof {
    Proof { uid, by: ProvedBy::Identity { issuer: person.issuer.clone(), subject: person.subject.clone() } }
}

/// The person's verified e-mail, where it is one that anybody here could have.
fn email(person: &Person) -> Option<Name> {
    Name::given(NameKind::Email, person.email.as_deref()?).and_then(Name::checked).ok()
}

/// Names what the browser keeps without being it.
pub fn named(papers: &str) -> String {
    if papers.is_empty() { String::new() } else { hex(&sha256(papers.as_bytes())) }
}
