//! One-time codes: sent to a phone or a mailbox, good once, for five minutes, for five tries, for the challenge they were sent with.
//!
//! INVARIANT: known and unknown people are answered alike: a challenge is made for both, and whether anything is sent is
//! seen from neither the answer nor the time it takes.
//! INVARIANT: a try is counted before it is compared and a code is used in one update, so that of what comes at one time
//! no more is let in than of what comes one by one, on however many replicas.

use std::time::Duration;

use subtle::ConstantTimeEq;

use super::contacts::{self, Proved};
use super::names::{self, Name};
use super::proof::{Proof, ProvedBy};
use super::sessions::LoggedIn;
use super::sign_up::{Contact, Newcomer, SignedUp};
use super::throttle::{TooMany, Tried};
use super::{Accounts, Origin, Refusal, SignUp};
use crate::audit::{Action, Actor, By};
use crate::clock::UnixMs;
use crate::database::{ChallengeRow, NameKind, NewChallenge, SentTo};
use crate::id::Id;
use crate::senders::{Channel, Code, Message};
use crate::token::secret::{PlainSecret, sha256};

/// How long a code is good.
const GOOD_FOR: Duration = Duration::from_secs(5 * 60);
/// Tries that a challenge takes, the right one among them.
const TRIES: u32 = 5;
/// Over how long codes are counted.
const WINDOW: Duration = Duration::from_secs(10 * 60);
/// Most codes to one phone or mailbox in that time.
const TO_ONE: u32 = 3;
/// Most codes that one client network asks for in that time: many people may share an address.
const FROM_ONE: u32 = 20;
/// Most codes by one channel in that time: what a flood from everywhere may cost.
const BY_ONE: u32 = 1000;

/// What is answered to whoever asks for a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Challenge {
    /// To be given back with the code.
    pub id: Id,
    /// How long the code is good.
    pub good_for: Duration,
}

/// A login by code.
#[derive(Debug)]
pub struct CodeLogin {
    /// The login.
    pub login: LoggedIn,
    /// The account, where it was made for it.
    pub created: Option<SignedUp>,
}

/// What someone gives who was sent a code.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// The challenge it was sent with.
    pub challenge: String,
    /// The code.
    pub code: String,
}

impl Accounts {
    /// Sends a code.
    ///
    /// # Errors
    /// [`Refusal::Field`] where no sender is configured, [`Refusal::TooManyTries`], or unavailable.
    pub async fn send_code(&self, name: &Name, origin: Origin) -> Result<Challenge, Refusal> {
        let (channel, sender) = match name.kind {
            NameKind::Phone => (Channel::Sms, "senders.sms"),
            NameKind::Email | NameKind::User => (Channel::Email, "senders.email"),
        };
        if !self.senders.sends(channel) {
            return Err(Refusal::field(names::field(name.kind), format!("no sender is configured for it (`{sender}`)")));
        }
        self.throttle.ask_network(origin.network())?;
        let (id, code) = (Id::random()?, Code::random()?);
        let mac = self.keyring.load().signing().map(|key| key.code_mac(id, code.reveal()));
        let mac = mac.ok_or_else(|| Refusal::Unavailable("no secret key signs".to_owned()))?;
        let network = origin.network().to_string();
        let limits =
            [(SentTo::Name(name.kind, &name.text), TO_ONE), (SentTo::Network(&network), FROM_ONE), (SentTo::Everyone(name.kind), BY_ONE)];
        // whoever floods this is refused without taking turns with those who act
        for (to, most) in limits {
            let now = self.database.clock().now();
            allowed(self.database.oldest_of_sent(to, now.before(WINDOW), most).await?, now)?;
        }
        let is_wanted = self.is_wanted(name).await?;
        let mut act = self.database.act().await?;
        for (to, most) in limits {
            let now = act.now();
            allowed(act.oldest_of_sent(to, now.before(WINDOW), most).await?, now)?;
        }
        let expires_at = act.now().after(GOOD_FOR);
        act.insert_challenge(&NewChallenge { id, kind: name.kind, name: &name.text, code: mac, network: &network, expires_at }).await?;
        // nobody is logged in who could have done it
        let by = By { actor: Actor::System, origin: origin.address.to_string() };
        let committed = act.commit(&by.did(Action::CodeSend, id)).await?;
        self.propagate(committed).await;
        if is_wanted {
            self.senders.send(channel, Message { to: name.text.clone(), code, good_for: GOOD_FOR });
        }
        Ok(Challenge { id, good_for: GOOD_FOR })
    }

    /// Whether a code could lead anywhere: somebody says that the name is theirs, or an account could be made for it.
    async fn is_wanted(&self, name: &Name) -> Result<bool, Refusal> {
        // every question is asked, whatever the one before said: the time tells nothing
        let is_claimed = self.database.is_claimed(name.kind, &name.text).await?;
        let is_invited = self.database.has_open_invitation().await?;
        let is_founded = self.database.is_founded().await?;
        let is_open = match self.rules.sign_up {
            SignUp::Open => true,
            SignUp::First => !is_founded,
            SignUp::Invitation => false,
        };
        Ok(is_claimed || is_invited || is_open || (is_founded && self.rules.end_users.is_some()))
    }

    /// Logs in whoever was sent this code, and makes an account where there is none and one may be made. Where it may not,
    /// the code stays good: it can be given again with an invitation.
    ///
    /// # Errors
    /// [`Refusal::IncorrectCode`], what [`Accounts::admit`] refuses, the second factor's, the throttle's, or unavailable.
    pub async fn log_in_by_code(
        &self,
        given: &Given,
        invitation: Option<String>,
        setup_code: Option<String>,
        totp: Option<&str>,
        origin: Origin,
    ) -> Result<CodeLogin, Refusal> {
        let newcomer = Newcomer { invitation, setup_code, ..Newcomer::default() };
        let (id, proof, created) = self.sent_to(given, newcomer, origin).await?;
        match self.open_session(&proof, totp, origin).await {
            Ok(login) => Ok(CodeLogin { login, created }),
            Err(refusal) => {
                self.database.reopen_challenge(id).await?;
                Err(refusal)
            }
        }
    }

    /// Who was sent this code, for a login in a browser; an account is made where there is none and one may be made, with the
    /// API key to show.
    ///
    /// # Errors
    /// As [`Accounts::log_in_by_code`].
    pub async fn prove_code(&self, given: &Given, origin: Origin) -> Result<(Proof, Option<PlainSecret>), Refusal> {
        let (_, proof, created) = self.sent_to(given, Newcomer::default(), origin).await?;
        Ok((proof, created.and_then(|made| made.api_key)))
    }

    /// By which channels codes are sent: e-mail, phone.
    pub fn sends_codes(&self) -> (bool, bool) {
        (self.senders.sends(Channel::Email), self.senders.sends(Channel::Sms))
    }

    /// The challenge, the proof, and the account where it was made for them.
    async fn sent_to(&self, given: &Given, newcomer: Newcomer, origin: Origin) -> Result<(Id, Proof, Option<SignedUp>), Refusal> {
        let (id, row) = self.spend(given, origin).await?;
        let by = ProvedBy::Contact(row.kind, row.name.clone());
        match self.holder_of(row, newcomer, origin).await {
            Ok((uid, created)) => Ok((id, Proof { uid, by }, created)),
            Err(Refusal::IncorrectCode) => Err(Refusal::IncorrectCode),
            Err(refusal) => {
                self.database.reopen_challenge(id).await?;
                Err(refusal)
            }
        }
    }

    async fn holder_of(&self, row: ChallengeRow, newcomer: Newcomer, origin: Origin) -> Result<(Id, Option<SignedUp>), Refusal> {
        let (uid, created) = match self.prove_contact(row.kind, &row.name, None, origin).await? {
            Proved::Former => return Err(Refusal::IncorrectCode),
            proved => match proved.holder() {
                Some(uid) => (uid, None),
                None => {
                    let contact = Some(Contact { text: row.name, verified: true });
                    let newcomer = match row.kind {
                        NameKind::Phone => Newcomer { phone: contact, ..newcomer },
                        NameKind::Email | NameKind::User => Newcomer { email: contact, ..newcomer },
                    };
                    let made = self.admit(newcomer, origin).await?;
                    (made.uid, Some(made))
                }
            },
        };
        // blocked and ended people are told what everybody is told
        if created.is_none() && super::standing::of_principal(&self.database, uid).await?.is_none() {
            return Err(Refusal::IncorrectCode);
        }
        Ok((uid, created))
    }

    /// Somebody has proved this contact: in an act of its own. `by` is who is logged in.
    pub(super) async fn prove_contact(&self, kind: NameKind, text: &str, by: Option<Id>, origin: Origin) -> Result<Proved, Refusal> {
        let mut act = self.database.act().await?;
        let proved = contacts::prove(&mut act, kind, text, by).await?;
        let Some(change) = proved.change() else { return Ok(proved) };
        let who = proved.holder().or(by).map_or_else(By::system, |uid| origin.by(uid));
        let target = proved.holder().map(|uid| uid.to_string()).unwrap_or_default();
        let committed = act.commit(&who.did(change, target)).await?;
        self.propagate(committed).await;
        Ok(proved)
    }

    /// Uses a code up: whose it is.
    pub(super) async fn spend(&self, given: &Given, origin: Origin) -> Result<(Id, ChallengeRow), Refusal> {
        let network = origin.network();
        self.throttle.ask_network(network)?;
        let found = self.spend_if_right(given, origin).await?;
        if found.is_none() {
            self.throttle.network_failed(network);
        }
        found.ok_or(Refusal::IncorrectCode)
    }

    async fn spend_if_right(&self, given: &Given, origin: Origin) -> Result<Option<(Id, ChallengeRow)>, Refusal> {
        let (Ok(id), Some(code)) = (given.challenge.parse::<Id>(), Code::read(&given.code)) else { return Ok(None) };
        let Some(row) = self.database.open_challenge(id, TRIES).await? else { return Ok(None) };
        let tried = Tried::Code(sha256(format!("{}\0{}", row.kind.as_str(), row.name).as_bytes()));
        self.throttle.ask(tried, origin.network())?;
        if !self.database.try_challenge(id, TRIES).await? {
            return Ok(None);
        }
        // the code may have been sent under a key that no longer signs
        let is_right = self.keyring.load().iter().any(|key| key.code_mac(id, code.reveal()).ct_eq(&row.code).into());
        if !is_right {
            self.throttle.name_failed(tried);
            return Ok(None);
        }
        if !self.database.use_challenge(id).await? {
            return Ok(None);
        }
        self.throttle.succeeded(tried);
        Ok(Some((id, row)))
    }
}

/// Whether one more code may be sent after these, of which `oldest` is the first.
fn allowed(oldest: Option<UnixMs>, now: UnixMs) -> Result<(), TooMany> {
    oldest.map_or(Ok(()), |oldest| Err(TooMany(oldest.after(WINDOW).since(now))))
}
