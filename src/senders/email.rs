//! E-mail by SMTP. Off this machine nothing goes without TLS.

use lettre::message::Mailbox as Address;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use secrecy::{ExposeSecret, SecretString};

use super::{Message, PATIENCE, Unsent};
use crate::id::Id;

/// The port of mail that is handed in (RFC 6409).
const SUBMISSION: u16 = 587;
/// The same, with TLS from the first byte (RFC 8314).
const SUBMISSIONS: u16 = 465;
/// The port of a mail server on this machine.
const LOCAL: u16 = 25;

/// A mail server, as it is written.
#[derive(Debug, Clone)]
pub struct Email {
    /// Where it is.
    pub smtp: Smtp,
    /// The user's password.
    pub password: Option<SecretString>,
    /// The sender's address.
    pub from: Mailbox,
}

/// An address that mail comes from: `ann@example.com` or `Ann <ann@example.com>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailbox(Address);

impl std::str::FromStr for Mailbox {
    type Err = lettre::address::AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// How the connection is secured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// TLS from the first byte.
    Tls,
    /// STARTTLS, or nothing is sent.
    StartTls,
    /// On this machine: STARTTLS where the server offers it, with whatever certificate it has.
    Loopback,
}

/// The address of a mail server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Smtp {
    /// How the connection is secured.
    pub security: Security,
    /// Where.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Who we are there.
    pub user: Option<String>,
}

impl Smtp {
    /// Reads `smtp://user@host:587` or `smtps://user@host`. `None` = it is no such address.
    pub fn read(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (user, authority) = rest.rsplit_once('@').map_or((None, rest), |(user, authority)| (Some(user), authority));
        let authority: http::uri::Authority = authority.parse().ok()?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let is_loopback = host.eq_ignore_ascii_case("localhost")
            || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback());
        let (security, usual) = match scheme {
            "smtps" => (Security::Tls, SUBMISSIONS),
            "smtp" if is_loopback => (Security::Loopback, LOCAL),
            "smtp" => (Security::StartTls, SUBMISSION),
            _ => return None,
        };
        let port = match authority.port() {
            Some(port) => port.as_u16(),
            None if authority.as_str().len() > authority.host().len() => return None,
            None => usual,
        };
        let user = match user {
            None => None,
            Some(user) => {
                let user = percent_encoding::percent_decode_str(user).decode_utf8().ok()?.into_owned();
                Some(user).filter(|user| !user.is_empty() && !user.contains(':') && !user.chars().any(char::is_control)).map(Some)?
            }
        };
        (!host.is_empty()).then_some(Self { security, host, port, user })
    }
}

/// A mail to one person.
#[derive(Clone)]
pub struct Letter {
    /// The address.
    pub to: String,
    /// One line.
    pub subject: String,
    /// Plain text, its lines ended by CRLF.
    pub text: String,
    /// Names it: what is sent again has the same.
    pub id: Id,
}

impl std::fmt::Debug for Letter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Letter")
    }
}

/// A mail server, ready.
pub(super) struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Address,
}

impl Mailer {
    /// Makes it ready.
    ///
    /// # Errors
    /// Where the system's certificates cannot be read.
    pub(super) fn new(email: Email) -> Result<Self, String> {
        let Email { smtp, password, from } = email;
        let parameters = TlsParameters::builder(smtp.host.clone());
        let tls = match smtp.security {
            Security::Tls => parameters.build().map(Tls::Wrapper),
            Security::StartTls => parameters.build().map(Tls::Required),
            // whoever could stand between could read this process as well
            Security::Loopback => parameters.dangerous_accept_invalid_certs(true).build().map(Tls::Opportunistic),
        };
        let tls = tls.map_err(|error| error.to_string())?;
        let mut builder =
            AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(smtp.host).port(smtp.port).tls(tls).timeout(Some(PATIENCE));
        if let Some(user) = smtp.user {
            let password = password.map(|password| password.expose_secret().to_owned()).unwrap_or_default();
            builder = builder.credentials(Credentials::new(user, password));
        }
        Ok(Self { transport: builder.build(), from: from.0 })
    }

    /// Sends one code.
    pub(super) async fn carry(&self, message: &Message) -> Result<(), Unsent> {
        let id = Id::random().map_err(|_| Unsent::Failed("the system gave no randomness".to_owned()))?;
        self.send(&Letter { to: message.to.clone(), subject: "Your code".to_owned(), text: text(message), id }).await
    }

    /// Sends one mail.
    pub(super) async fn send(&self, letter: &Letter) -> Result<(), Unsent> {
        let to = letter.to.parse().map_err(|_| Unsent::Refused("not an address that mail can be sent to".to_owned()))?;
        let id = letter.id;
        let mail = lettre::Message::builder()
            .message_id(Some(format!("<{id}@{}>", self.from.email.domain())))
            .from(self.from.clone())
            .to(Address::new(None, to))
            .subject(letter.subject.as_str())
            .header(lettre::message::header::ContentType::TEXT_PLAIN)
            .body(letter.text.clone())
            .map_err(|error| Unsent::Refused(error.to_string()))?;
        match self.transport.send(mail).await {
            Ok(_) => Ok(()),
            // the server's words may repeat the address: its status says enough
            Err(error) if error.is_permanent() => Err(Unsent::Refused(format!("the mail server said {}", status(&error)))),
            Err(error) if error.is_transient() => Err(Unsent::Failed(format!("the mail server said {}", status(&error)))),
            Err(error) if error.is_tls() => Err(Unsent::Failed("no TLS that can be trusted".to_owned())),
            Err(error) if error.is_timeout() => Err(Unsent::Failed("no answer in time".to_owned())),
            Err(error) if error.is_client() => Err(Unsent::Refused(error.to_string())),
            Err(error) => Err(Unsent::Failed(error.to_string())),
        }
    }
}

fn status(error: &lettre::transport::smtp::Error) -> String {
    error.status().map_or_else(|| "no".to_owned(), |code| code.to_string())
}

fn text(message: &Message) -> String {
    let minutes = message.good_for.as_secs() / 60;
    format!(
        "Your code is {}\r\n\r\nIt is good once, for {minutes} minutes. Give it to nobody.\r\nIf you did not ask for it, there is nothing to do: without it nobody gets in.\r\n",
        message.code.reveal()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<(Security, String, u16, Option<String>)> {
        Smtp::read(text).map(|smtp| (smtp.security, smtp.host, smtp.port, smtp.user))
    }

    #[test]
    fn addresses() {
        let ann = Some("ann".to_owned());
        assert_eq!(read("smtp://ann@mail.example.com:2525"), Some((Security::StartTls, "mail.example.com".into(), 2525, ann.clone())));
        assert_eq!(read("smtp://ann@mail.example.com"), Some((Security::StartTls, "mail.example.com".into(), 587, ann.clone())));
        assert_eq!(read("smtps://ann@mail.example.com"), Some((Security::Tls, "mail.example.com".into(), 465, ann)));
        let mailbox = Some("ann@example.com".to_owned());
        assert_eq!(read("smtps://ann@example.com@mail.example.com").map(|read| read.3), Some(mailbox.clone()));
        assert_eq!(read("smtps://ann%40example.com@mail.example.com").map(|read| read.3), Some(mailbox));
        for local in ["smtp://localhost", "smtp://127.0.0.1", "smtp://[::1]", "smtp://127.9.9.9"] {
            assert_eq!(
                read(local).map(|(security, _, port, user)| (security, port, user)),
                Some((Security::Loopback, 25, None)),
                "{local}"
            );
        }
        for bad in [
            "",
            "smtp://",
            "http://mail.example.com",
            "mail.example.com",
            "smtp://a:b@mail.example.com",
            "smtp://@mail.example.com",
            "smtp://mail:",
            "smtp://mail:x",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
