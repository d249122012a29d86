//! E-mail addresses and phone numbers: on whom they stand, whether they are proved, and what ends when another proves them.
//!
//! INVARIANT: a proved contact that is replaced stays with whom it was proved for, and is never anyone else's.

use super::acts::{Act, spelled};
use super::{Database, DatabaseError, NameKind, PendingKind};
use crate::id::Id;
use crate::token::record::Role;

/// The principal on whose row a contact stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContactHolder {
    /// Who.
    pub uid: Id,
    /// Whether it is proved.
    pub verified: bool,
    /// Whether the principal has ended.
    pub ended: bool,
    /// Whether it is the super admin and has another name: a number mistyped when founding must not give the installation away.
    pub is_founder: bool,
}

/// What is recorded of how a person is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContactsRow {
    /// User name.
    pub user: Option<String>,
    /// E-mail address.
    pub email: Option<String>,
    /// Whether it is proved.
    pub email_verified: bool,
    /// Phone number.
    pub phone: Option<String>,
    /// Whether it is proved.
    pub phone_verified: bool,
    /// An e-mail address that the person says is theirs.
    pub pending_email: Option<String>,
    /// A phone number that the person says is theirs.
    pub pending_phone: Option<String>,
}

impl NameKind {
    /// As in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Email => "email",
            Self::Phone => "phone",
        }
    }

    /// What [`NameKind::as_str`] wrote of a contact.
    pub(super) fn of_contact(text: &str) -> Result<Self, DatabaseError> {
        match text {
            "email" => Ok(Self::Email),
            "phone" => Ok(Self::Phone),
            _ => Err(DatabaseError::Unavailable("a row of `challenges` is damaged".to_owned())),
        }
    }
}

impl Database {
    /// How a principal is reached.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn contacts_of(&self, uid: Id) -> Result<Option<ContactsRow>, DatabaseError> {
        type Columns = (Option<String>, Option<String>, i64, Option<String>, i64);
        let row: Option<Columns> =
            sqlx::query_as(self.sql("SELECT user_name, email, email_verified, phone, phone_verified FROM principals WHERE uid = ?"))
                .bind(uid.to_string())
                .fetch_optional(&self.pool)
                .await?;
        let Some((user, email, email_verified, phone, phone_verified)) = row else { return Ok(None) };
        let pending: Vec<(String, String)> = sqlx::query_as(self.sql("SELECT name_kind, name FROM pending_contacts WHERE principal = ?"))
            .bind(uid.to_string())
            .fetch_all(&self.pool)
            .await?;
        let of = |kind: NameKind| pending.iter().find(|(of, _)| of == kind.as_str()).map(|(_, name)| name.clone());
        Ok(Some(ContactsRow {
            user,
            email,
            email_verified: email_verified != 0,
            phone,
            phone_verified: phone_verified != 0,
            pending_email: of(NameKind::Email),
            pending_phone: of(NameKind::Phone),
        }))
    }

    /// Whether anyone says that this contact is theirs, proved or not.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn is_claimed(&self, kind: NameKind, name: &str) -> Result<bool, DatabaseError> {
        if self.login_row(kind, name).await?.is_some() {
            return Ok(true);
        }
        let row: Option<(i64,)> = sqlx::query_as(self.sql(
            "SELECT 1 FROM pending_contacts c JOIN principals p ON p.uid = c.principal
             WHERE c.name_kind = ? AND c.name = ? AND p.ended_at IS NULL LIMIT 1",
        ))
        .bind(kind.as_str())
        .bind(name)
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.is_some())
    }
}

impl Act {
    /// On whom this contact stands, if on anyone.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn contact_holder(&mut self, kind: NameKind, name: &str) -> Result<Option<ContactHolder>, DatabaseError> {
        let statement = match kind {
            NameKind::User => return Ok(None),
            NameKind::Email => "SELECT uid, email_verified, ended_at, role, user_name, phone_verified FROM principals WHERE email = ?",
            NameKind::Phone => "SELECT uid, phone_verified, ended_at, role, user_name, email_verified FROM principals WHERE phone = ?",
        };
        type Columns = (String, i64, Option<i64>, String, Option<String>, i64);
        let row: Option<Columns> = sqlx::query_as(self.sql(statement)).bind(name).fetch_optional(self.connection()).await?;
        row.map(|(uid, verified, ended, role, user, other_verified)| {
            Ok(ContactHolder {
                uid: spelled("principals", &uid)?,
                verified: verified != 0,
                ended: ended.is_some(),
                is_founder: role == Role::SuperAdmin.as_str() && (user.is_some() || other_verified != 0),
            })
        })
        .transpose()
    }

    /// Who once proved this contact and has another one since.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn former_holder(&mut self, kind: NameKind, name: &str) -> Result<Option<Id>, DatabaseError> {
        let row: Option<(String,)> = sqlx::query_as(self.sql("SELECT principal FROM former_contacts WHERE name_kind = ? AND name = ?"))
            .bind(kind.as_str())
            .bind(name)
            .fetch_optional(self.connection())
            .await?;
        row.map(|(uid,)| spelled("former_contacts", &uid)).transpose()
    }

    /// The e-mail address on the row of `uid`, and whether it is proved.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn email_of(&mut self, uid: Id) -> Result<Option<(String, bool)>, DatabaseError> {
        let row: Option<(Option<String>, i64)> = sqlx::query_as(self.sql("SELECT email, email_verified FROM principals WHERE uid = ?"))
            .bind(uid.to_string())
            .fetch_optional(self.connection())
            .await?;
        Ok(row.and_then(|(email, verified)| email.map(|email| (email, verified != 0))))
    }

    /// Gives `uid` this e-mail address, unproved. A proved one stays.
    ///
    /// # Errors
    /// [`DatabaseError::Taken`] where it stands on someone else.
    pub async fn set_unproved_email(&mut self, uid: Id, email: &str) -> Result<(), DatabaseError> {
        let update = "UPDATE principals SET email = ?, version = version + 1, changed_at = ? WHERE uid = ? AND email_verified = 0";
        self.rewrite(update, Some(email.to_owned()), PendingKind::Subject, uid).await
    }

    /// Gives `uid` this contact, proved. A proved one that it replaces is kept from everyone else.
    ///
    /// # Errors
    /// [`DatabaseError::Taken`] where it stands on someone else.
    pub async fn set_contact(&mut self, uid: Id, kind: NameKind, name: &str) -> Result<(), DatabaseError> {
        let now = self.now_column();
        let (keep, set) = match kind {
            NameKind::User => return Ok(()),
            NameKind::Email => (
                "INSERT INTO former_contacts (name_kind, name, principal, at)
                 SELECT 'email', email, uid, ? FROM principals WHERE uid = ? AND email_verified <> 0 AND email <> ?",
                "UPDATE principals SET email = ?, email_verified = 1, version = version + 1, changed_at = ? WHERE uid = ?",
            ),
            NameKind::Phone => (
                "INSERT INTO former_contacts (name_kind, name, principal, at)
                 SELECT 'phone', phone, uid, ? FROM principals WHERE uid = ? AND phone_verified <> 0 AND phone <> ?",
                "UPDATE principals SET phone = ?, phone_verified = 1, version = version + 1, changed_at = ? WHERE uid = ?",
            ),
        };
        sqlx::query(self.sql(keep)).bind(now).bind(uid.to_string()).bind(name).execute(self.connection()).await?;
        sqlx::query(self.sql("DELETE FROM former_contacts WHERE name_kind = ? AND name = ? AND principal = ?"))
            .bind(kind.as_str())
            .bind(name)
            .bind(uid.to_string())
            .execute(self.connection())
            .await?;
        sqlx::query(self.sql(set)).bind(name).bind(now).bind(uid.to_string()).execute(self.connection()).await?;
        self.forget_pending_contact(uid, kind).await?;
        self.tell(PendingKind::Subject, uid).await
    }

    /// Takes an unproved contact from `uid`.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub async fn clear_contact(&mut self, uid: Id, kind: NameKind) -> Result<(), DatabaseError> {
        let now = self.now_column();
        let statement = match kind {
            NameKind::User => return Ok(()),
            NameKind::Email => {
                "UPDATE principals SET email = NULL, version = version + 1, changed_at = ? WHERE uid = ? AND email_verified = 0"
            }
            NameKind::Phone => {
                "UPDATE principals SET phone = NULL, version = version + 1, changed_at = ? WHERE uid = ? AND phone_verified = 0"
            }
        };
        sqlx::query(self.sql(statement)).bind(now).bind(uid.to_string()).execute(self.connection()).await?;
        self.tell(PendingKind::Subject, uid).await
    }

    /// Remembers the contact that `uid` says is theirs, in place of an earlier one of its kind.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub async fn set_pending_contact(&mut self, uid: Id, kind: NameKind, name: &str) -> Result<(), DatabaseError> {
        self.forget_pending_contact(uid, kind).await?;
        let now = self.now_column();
        sqlx::query(self.sql("INSERT INTO pending_contacts (principal, name_kind, name, at) VALUES (?, ?, ?, ?)"))
            .bind(uid.to_string())
            .bind(kind.as_str())
            .bind(name)
            .bind(now)
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// Forgets the contact of this kind that `uid` said is theirs.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub async fn forget_pending_contact(&mut self, uid: Id, kind: NameKind) -> Result<(), DatabaseError> {
        sqlx::query(self.sql("DELETE FROM pending_contacts WHERE principal = ? AND name_kind = ?"))
            .bind(uid.to_string())
            .bind(kind.as_str())
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// Whether `uid` says that this contact is theirs.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn is_pending_contact(&mut self, uid: Id, kind: NameKind, name: &str) -> Result<bool, DatabaseError> {
        let row: Option<(i64,)> =
            sqlx::query_as(self.sql("SELECT 1 FROM pending_contacts WHERE principal = ? AND name_kind = ? AND name = ?"))
                .bind(uid.to_string())
                .bind(kind.as_str())
                .bind(name)
                .fetch_optional(self.connection())
                .await?;
        Ok(row.is_some())
    }

    /// Ends every way in that `uid` has: password, refresh key, second factor, identities with what their claims grant, keys,
    /// sessions, and the invitations that could bring whoever made them back.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub async fn end_ways_in(&mut self, uid: Id) -> Result<(), DatabaseError> {
        let now = self.now_column();
        for statement in [
            "UPDATE principals SET password = NULL, refresh_key = NULL, version = version + 1, changed_at = ? WHERE uid = ?",
            "UPDATE invitations SET ended_at = ? WHERE inviter = ? AND ended_at IS NULL AND used_at IS NULL",
        ] {
            sqlx::query(self.sql(statement)).bind(now).bind(uid.to_string()).execute(self.connection()).await?;
        }
        for statement in [
            "DELETE FROM identities WHERE principal = ?",
            "DELETE FROM principal_policies WHERE principal = ? AND source <> ''",
            "DELETE FROM pending_contacts WHERE principal = ?",
            "DELETE FROM recovery_codes WHERE principal = ?",
            "DELETE FROM second_factors WHERE principal = ?",
        ] {
            sqlx::query(self.sql(statement)).bind(uid.to_string()).execute(self.connection()).await?;
        }
        let keys: Vec<(String,)> = sqlx::query_as(self.sql("SELECT id FROM api_keys WHERE principal = ? AND ended_at IS NULL"))
            .bind(uid.to_string())
            .fetch_all(self.connection())
            .await?;
        for (key,) in keys {
            self.end_key(spelled("keys", &key)?).await?;
        }
        self.end_sessions_of(uid).await?;
        self.tell(PendingKind::Subject, uid).await
    }

    /// Leaves `uid` no contact but the one of this kind, and blocks whom it made below itself: for an account that changes hands.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub async fn hand_over(&mut self, uid: Id, kind: NameKind) -> Result<(), DatabaseError> {
        let statement = match kind {
            NameKind::User => return Ok(()),
            NameKind::Email => "UPDATE principals SET phone = NULL, phone_verified = 0 WHERE uid = ?",
            NameKind::Phone => "UPDATE principals SET email = NULL, email_verified = 0 WHERE uid = ?",
        };
        sqlx::query(self.sql(statement)).bind(uid.to_string()).execute(self.connection()).await?;
        let below: Vec<(String,)> =
            sqlx::query_as(self.sql("SELECT uid FROM principals WHERE parent = ? AND blocked = 0 AND ended_at IS NULL"))
                .bind(uid.to_string())
                .fetch_all(self.connection())
                .await?;
        let now = self.now_column();
        for (child,) in below {
            sqlx::query(self.sql("UPDATE principals SET blocked = 1, version = version + 1, changed_at = ? WHERE uid = ?"))
                .bind(now)
                .bind(&child)
                .execute(self.connection())
                .await?;
            self.tell(PendingKind::Subject, spelled("principals", &child)?).await?;
        }
        Ok(())
    }
}
