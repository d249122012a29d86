//! The caller's profile: `/v1/profile`, `/v1/profile/verify`.

use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Admin;
use super::answer::Answer;
use super::document::{self, Managed, Throttled};
use super::failure::Failure;
use super::request::Call;
use crate::accounts::codes::Given;
use crate::accounts::names::Name;
use crate::accounts::profile::Profile;
use crate::database::NameKind;
use crate::id::Id;

/// What the caller says is theirs; what is left out stays as it is.
#[derive(Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ChangeProfile {
    /// `+`, then 7 to 15 digits, country code first.
    #[schema(pattern = r"^\+[1-9][0-9]{6,14}$")]
    phone: Option<String>,
    /// An e-mail address.
    email: Option<String>,
}

/// A code and what it was sent with.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct VerifyProfile {
    /// As `/v1/otp/send` answered it.
    challenge: String,
    /// Six digits.
    code: String,
}

#[derive(Serialize, ToSchema)]
struct ProfileAnswer {
    profile: ShownProfile,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Profile)]
struct ShownProfile {
    uid: Id,
    /// As `X-Auth-User` shows it.
    name: String,
    user: Option<String>,
    email: Option<String>,
    email_verified: bool,
    phone: Option<String>,
    phone_verified: bool,
    /// What is to take the place of a proved `email` once it is proved.
    pending_email: Option<String>,
    /// What is to take the place of a proved `phone` once it is proved.
    pending_phone: Option<String>,
    /// Whether the person is asked for a phone number.
    phone_required: bool,
}

impl From<Profile> for ProfileAnswer {
    fn from(profile: Profile) -> Self {
        let Profile { uid, name, contacts, phone_required } = profile;
        // an unproved one gives way to what was said last; a proved one stays until that is proved
        let shown = |own: Option<String>, verified: bool, pending: Option<String>| match (verified, pending) {
            (true, pending) => (own, pending),
            (false, pending) => (pending.or(own), None),
        };
        let (email, pending_email) = shown(contacts.email, contacts.email_verified, contacts.pending_email);
        let (phone, pending_phone) = shown(contacts.phone, contacts.phone_verified, contacts.pending_phone);
        let (email_verified, phone_verified) = (contacts.email_verified, contacts.phone_verified);
        let user = contacts.user;
        let profile =
            ShownProfile { uid, name, user, email, email_verified, phone, phone_verified, pending_email, pending_phone, phone_required };
        Self { profile }
    }
}

/// Say which phone number and e-mail address are one's own.
///
/// They are unproved until a code from `/v1/otp/send` is given to `/v1/profile/verify`; a proved one stays until then. Without
/// fields, the profile as it is.
#[utoipa::path(post, path = "/v1/profile", tag = document::PEOPLE, security(("login" = [])), request_body = Option<ChangeProfile>,
    responses((status = 200, description = "The profile.", body = ProfileAnswer), Managed))]
pub(super) async fn change(State(admin): State<Arc<Admin>>, call: Call) -> Result<Answer, Failure> {
    let caller = call.caller(&admin).await?;
    let body: ChangeProfile = call.json_or_default()?;
    let mut contacts = Vec::new();
    for (kind, text) in [(NameKind::Phone, body.phone), (NameKind::Email, body.email)] {
        if let Some(text) = text {
            contacts.push(Name::given(kind, &text)?);
        }
    }
    let profile = admin.accounts.change_profile(&caller, contacts, call.origin).await?;
    Ok(Answer::ok(ProfileAnswer::from(profile)))
}

/// Prove a phone number or an e-mail address by the code that was sent there.
///
/// 401 `incorrect code`; 400 `user already exist` where it is proved to be someone else's.
#[utoipa::path(post, path = "/v1/profile/verify", tag = document::PEOPLE, security(("login" = [])), request_body = VerifyProfile,
    responses((status = 200, description = "The profile, with it proved.", body = ProfileAnswer), Managed, Throttled))]
pub(super) async fn verify(State(admin): State<Arc<Admin>>, call: Call) -> Result<Answer, Failure> {
    let caller = call.caller(&admin).await?;
    let body: VerifyProfile = call.json()?;
    let given = Given { challenge: body.challenge, code: body.code };
    let profile = admin.accounts.verify_profile(&caller, &given, call.origin).await?;
    Ok(Answer::ok(ProfileAnswer::from(profile)))
}
