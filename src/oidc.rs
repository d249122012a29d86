//! OpenID Connect: what we ask of providers, and what of their answers is believed.
//!
//! Code flow with PKCE (S256), always. This room speaks with providers and proves what they say of a
//! person ([`Person`]); what that person may do here, [`crate::accounts`] decides.
//!
//! INVARIANT: a provider is asked at its first use, never at the start: one that is down keeps nobody from
//! anything but itself. What was learnt of it is kept until something better was learnt.

mod discovery;
mod id_token;
mod person;
mod web;

use std::collections::BTreeMap;
use std::sync::Arc;

use openidconnect::core::{CoreAuthPrompt, CoreAuthenticationFlow, CoreClient};
use openidconnect::{
    AuthType, AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, IssuerUrl, JsonWebKeySet, Nonce, PkceCodeChallenge,
    PkceCodeVerifier, RedirectUrl, RequestTokenError, Scope, TokenUrl,
};
use secrecy::{ExposeSecret, SecretString};

use crate::clock::{Clock, UnixMs};
pub(crate) use discovery::jwks_address;
use discovery::{Discovery, Known};
use id_token::{Expected, NotProved};
pub use person::Person;
pub(crate) use person::claim;
pub(crate) use web::Web;
use web::WebFault;

/// Which rules of its own a provider has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProviderKind {
    /// Google: `hd` names the organisation.
    Google,
    /// Microsoft: an e-mail counts only with `xms_edov`, and one address serves many tenants.
    Microsoft,
    /// As the standard says.
    Other,
}

/// A provider that people may come from.
#[derive(Clone, Debug)]
pub struct Provider {
    /// As in its routes: `/v1/oidc/{name}/login`.
    pub name: String,
    /// As people know it, on the login page.
    pub label: String,
    /// Its rules.
    pub kind: ProviderKind,
    /// Its address, without a slash at the end.
    pub issuer: String,
    /// Who we are there.
    pub client_id: String,
    /// How we show it.
    pub client_secret: SecretString,
    /// Asked for besides `openid`.
    pub scopes: Vec<String>,
    /// Domains of verified e-mail addresses that may come in; empty = whoever the provider knows.
    pub allowed_domains: Vec<String>,
    /// Whether a verified e-mail address opens the account that has verified the same one.
    pub link_verified_email: bool,
    /// What claims give.
    pub grants: Vec<ClaimGrant>,
}

/// Who has this value in this claim has this policy, from one login to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimGrant {
    /// The claim; dots lead into objects.
    pub claim: String,
    /// The value, or one of the values.
    pub value: String,
    /// Name or id of a policy of the person's tenant.
    pub policy: String,
}

/// Why a provider's answer led nowhere.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It cannot be reached, or does not answer as a provider does.
    #[error("the provider is unavailable: {0}")]
    Unavailable(String),
    /// What it sent is not believed.
    #[error("the provider's answer is refused: {0}")]
    Refused(String),
}

impl From<WebFault> for Fault {
    fn from(fault: WebFault) -> Self {
        Self::Unavailable(fault.to_string())
    }
}

/// What the browser takes to the provider.
#[derive(Clone, Copy, Debug)]
pub struct Asking<'a> {
    /// Where the browser comes back to.
    pub redirect_uri: &'a str,
    /// Finds the sign-in again.
    pub state: &'a str,
    /// Binds the ID token to the sign-in.
    pub nonce: &'a str,
    /// The PKCE verifier, whose hash goes with it.
    pub verifier: &'a str,
    /// `prompt=none`: the provider must not ask the person anything.
    pub silent: bool,
}

/// What the browser brought back, and what it must fit.
#[derive(Clone, Copy, Debug)]
pub struct Answered<'a> {
    /// The code.
    pub code: &'a str,
    /// As in [`Asking`].
    pub redirect_uri: &'a str,
    /// As in [`Asking`].
    pub nonce: &'a str,
    /// As in [`Asking`].
    pub verifier: &'a str,
    /// When the sign-in began: no ID token for it is older.
    pub begun: UnixMs,
}

/// Every provider of the configuration.
pub struct Oidc {
    clients: BTreeMap<String, Client>,
    /// In the order they were written.
    order: Vec<String>,
}

impl Oidc {
    /// Asks nobody yet.
    pub fn new(providers: Vec<Provider>, clock: &Clock) -> Self {
        let order = providers.iter().map(|provider| provider.name.clone()).collect();
        // certificates are read only where somebody needs them
        let web = if providers.is_empty() { Web::none() } else { Web::new() };
        let client = |provider: Provider| {
            let discovery = Arc::new(Discovery::new(&provider, web.clone(), clock.clone()));
            (provider.name.clone(), Client { provider, discovery, web: web.clone(), clock: clock.clone() })
        };
        Self { clients: providers.into_iter().map(client).collect(), order }
    }

    /// The provider of this name.
    pub fn get(&self, name: &str) -> Option<&Client> {
        self.clients.get(name)
    }

    /// In the order of the configuration.
    pub fn providers(&self) -> impl Iterator<Item = &Provider> {
        self.order.iter().filter_map(|name| self.clients.get(name)).map(|client| &client.provider)
    }
}

/// One provider, and what is known of it.
pub struct Client {
    provider: Provider,
    discovery: Arc<Discovery>,
    web: Web,
    clock: Clock,
}

impl Client {
    /// What the configuration says of it.
    pub fn provider(&self) -> &Provider {
        &self.provider
    }

    /// Asks for what must be known of it first.
    ///
    /// # Errors
    /// [`Fault::Unavailable`].
    pub async fn reach(&self) -> Result<(), Fault> {
        self.discovery.known().await.map(|_| ())
    }

    /// The address that the browser is sent to.
    ///
    /// # Errors
    /// [`Fault::Unavailable`].
    pub async fn address(&self, asking: Asking<'_>) -> Result<String, Fault> {
        let known = self.discovery.known().await?;
        let client = self.client(&known)?.set_redirect_uri(redirect_uri(asking.redirect_uri)?);
        let (state, nonce) = (CsrfToken::new(asking.state.to_owned()), Nonce::new(asking.nonce.to_owned()));
        let challenge = PkceCodeChallenge::from_code_verifier_sha256(&PkceCodeVerifier::new(asking.verifier.to_owned()));
        let mut request = client
            .authorize_url(CoreAuthenticationFlow::AuthorizationCode, move || state, move || nonce)
            .add_scopes(self.provider.scopes.iter().cloned().map(Scope::new))
            .set_pkce_challenge(challenge);
        if asking.silent {
            request = request.add_prompt(CoreAuthPrompt::None);
        }
        Ok(request.url().0.into())
    }

    /// Checks the `iss` of a callback (RFC 9207): what was sent must be right, and what was promised must be sent.
    ///
    /// # Errors
    /// [`Fault::Refused`] where an answer of another provider came here (mix-up), or unavailable.
    pub async fn check_issuer(&self, iss: Option<&str>) -> Result<(), Fault> {
        let known = self.discovery.known().await?;
        match iss {
            Some(iss) if known.issuer.is(iss) => Ok(()),
            Some(_) => Err(Fault::Refused("`iss` of the callback is not this provider's".to_owned())),
            None if known.says_iss => Err(Fault::Refused("the callback has no `iss`, which this provider promises".to_owned())),
            None => Ok(()),
        }
    }

    /// Exchanges a code and proves who came.
    ///
    /// # Errors
    /// [`Fault::Refused`] where anything of the answer is not as it must be, or unavailable.
    pub async fn identify(&self, answered: Answered<'_>) -> Result<Person, Fault> {
        let known = self.discovery.known().await?;
        let client = self.client(&known)?.set_redirect_uri(redirect_uri(answered.redirect_uri)?);
        let web = self.web.clone();
        let http = move |request| {
            let web = web.clone();
            async move { web.send(request).await }
        };
        let code = AuthorizationCode::new(answered.code.to_owned());
        let verifier = PkceCodeVerifier::new(answered.verifier.to_owned());
        let response = client.exchange_code(code).set_pkce_verifier(verifier).request_async(&http).await.map_err(|error| match error {
            RequestTokenError::ServerResponse(said) => Fault::Refused(format!("it does not take the code: `{}`", said.error())),
            RequestTokenError::Request(fault) => fault.into(),
            RequestTokenError::Parse(error, _) => Fault::Refused(format!("its tokens cannot be read: {error}")),
            RequestTokenError::Other(what) => Fault::Unavailable(what),
        })?;
        let expected = |known: &Known| Expected {
            client_id: self.provider.client_id.clone(),
            issuer: known.issuer.clone(),
            nonce: answered.nonce.to_owned(),
            code: answered.code.to_owned(),
            begun: answered.begun,
            now: self.clock.now(),
        };
        let claims = match id_token::prove(&response, &known.keys, &expected(&known)) {
            Err(NotProved::UnknownKey) => {
                let known = self.discovery.refetched().await?;
                id_token::prove(&response, &known.keys, &expected(&known))
            }
            proved => proved,
        };
        match claims {
            Ok(claims) => Person::of(self.provider.kind, claims).map_err(|what| Fault::Refused(what.to_owned())),
            Err(NotProved::UnknownKey) => Err(Fault::Refused("the ID token is signed with a key that is none of its own".to_owned())),
            Err(NotProved::Because(what)) => Err(Fault::Refused(what)),
        }
    }

    fn client(&self, known: &Known) -> Result<Ready, Fault> {
        let wrong = |error: openidconnect::url::ParseError| Fault::Unavailable(format!("an address of it cannot be read: {error}"));
        let issuer = IssuerUrl::new(self.provider.issuer.clone()).map_err(wrong)?;
        let client = CoreClient::new(ClientId::new(self.provider.client_id.clone()), issuer, JsonWebKeySet::new(Vec::new()))
            .set_client_secret(ClientSecret::new(self.provider.client_secret.expose_secret().to_owned()))
            .set_auth_type(if known.takes_secret_in_body_only { AuthType::RequestBody } else { AuthType::BasicAuth })
            .set_auth_uri(AuthUrl::new(known.authorization_endpoint.clone()).map_err(wrong)?)
            .set_token_uri(TokenUrl::new(known.token_endpoint.clone()).map_err(wrong)?);
        Ok(client)
    }
}

/// A client that can send people away and exchange their codes.
type Ready = CoreClient<
    openidconnect::EndpointSet,
    openidconnect::EndpointNotSet,
    openidconnect::EndpointNotSet,
    openidconnect::EndpointNotSet,
    openidconnect::EndpointSet,
    openidconnect::EndpointNotSet,
>;

fn redirect_uri(text: &str) -> Result<RedirectUrl, Fault> {
    RedirectUrl::new(text.to_owned()).map_err(|error| Fault::Unavailable(format!("`{text}` is no address to come back to: {error}")))
}
