//! The judgement: what came of the probes, in one line each, and the faults behind it. Pure: no network, no clock.

use std::collections::BTreeSet;
use std::time::Duration;

use super::fault::Fault;
use super::probe::{DESCRIPTION, IDENTITY, JUDGED_BY, Kind, is_spoofed, reads_as_identity};
use super::stand_in::Reached;
use super::visitor::{Place, Reply};
use crate::dialect::Proxy;
use crate::examinations::{Said, Sight};

/// A gate that is silent this long holds a client up. Silence lasts three seconds.
const SLOW: Duration = Duration::from_millis(2900);

/// One probe and what came of it.
#[derive(Debug, Clone)]
pub(super) struct Tried {
    pub(super) kind: Kind,
    pub(super) method: &'static str,
    pub(super) target: String,
    pub(super) reply: Result<Reply, String>,
    /// In order of arrival.
    pub(super) sights: Vec<Sight>,
    /// What a stand-in got.
    pub(super) reached: Vec<Reached>,
}

/// Everything there is to judge.
#[derive(Debug, Clone)]
pub(super) struct Examined {
    pub(super) place: Place,
    pub(super) tried: Vec<Tried>,
    /// Connections below this number are older than the examination.
    pub(super) first_connection: u64,
    /// Whether doctor stands in for the application.
    pub(super) stands_in: bool,
}

/// What is found of one probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// As it should be.
    Fine,
    /// Something is wrong.
    Wrong,
    /// It could not be told.
    Unknown,
}

/// The line of one question, and the faults behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// What was asked, in a word or two.
    pub(super) name: &'static str,
    pub(super) outcome: Outcome,
    pub(super) says: String,
    /// Each with what arrived.
    pub(super) faults: Vec<(Fault, String)>,
}

impl Line {
    fn fine(name: &'static str, says: impl Into<String>) -> Self {
        Self { name, outcome: Outcome::Fine, says: says.into(), faults: Vec::new() }
    }

    fn unknown(name: &'static str, says: impl Into<String>) -> Self {
        Self { name, outcome: Outcome::Unknown, says: says.into(), faults: Vec::new() }
    }

    fn wrong(name: &'static str, says: impl Into<String>, faults: Vec<(Fault, String)>) -> Self {
        Self { name, outcome: Outcome::Wrong, says: says.into(), faults }
    }

    fn of(name: &'static str, fine: impl Into<String>, wrong: impl Into<String>, faults: Vec<(Fault, String)>) -> Self {
        if faults.is_empty() { Self::fine(name, fine) } else { Self::wrong(name, wrong, faults) }
    }
}

impl Tried {
    fn verify(&self) -> Option<&Sight> {
        self.sights.iter().find(|sight| sight.call.as_deref() == Some("verify"))
    }

    fn status(&self) -> Option<u16> {
        self.reply.as_ref().ok().map(|reply| reply.status)
    }

    /// What the client was answered, in words.
    fn answer(&self) -> String {
        match &self.reply {
            Ok(reply) => format!("the client was answered {}", reply.status),
            Err(problem) => format!("the client got no answer ({problem})"),
        }
    }

    /// Whether the proxy itself refused it: it neither asked nor passed it on.
    fn was_refused_outright(&self) -> bool {
        self.sights.is_empty()
            && self.reached.is_empty()
            && self.status().is_none_or(|status| (300..600).contains(&status) && status != 404)
    }
}

impl Examined {
    fn of(&self, kind: Kind) -> Option<&Tried> {
        self.tried.iter().find(|tried| tried.kind == kind)
    }

    /// Whose gate was asked.
    pub(super) fn gate(&self) -> Option<Proxy> {
        self.of(Kind::Reach)?.sights.first().and_then(|sight| Proxy::from_name(&sight.gate))
    }

    /// Whether the rules let everyone pass: then nothing is refused that could be looked at, and probes would reach the application.
    pub(super) fn is_open(&self) -> bool {
        self.of(Kind::Reach).and_then(Tried::verify).is_some_and(|sight| sight.allowed)
    }

    /// The first line: whether the gate is asked, and told what was sent.
    pub(super) fn asked(&self) -> Line {
        const NAME: &str = "the gate is asked";
        let Some(tried) = self.of(Kind::Reach) else { return Line::unknown(NAME, "nothing was sent") };
        let Some(first) = tried.sights.first() else {
            let elsewhere = tried.reply.as_ref().ok().and_then(|reply| reply.headers.get(http::header::LOCATION)?.to_str().ok());
            let elsewhere = elsewhere.map(|to| format!(" and sent to `{to}`")).unwrap_or_default();
            return Line::wrong(NAME, "no gate was asked", vec![(Fault::NotAsked, format!("nothing; {}{elsewhere}", tried.answer()))]);
        };
        let sight = tried.verify().unwrap_or(first);
        if let Some(other) = other_dialect(sight) {
            return Line::wrong(NAME, "in words that this gate does not read", vec![(Fault::WrongDialect, other)]);
        }
        if sight.call.is_none() {
            return Line::wrong(NAME, "at a place where nothing lives", vec![(Fault::WrongTarget, format!("`{}`", sight.line))]);
        }
        if !sight.secret_is_right {
            let lines = count(sight, "x-proxy-secret");
            let what = match lines {
                0 => "no X-Proxy-Secret".to_owned(),
                1 => "another X-Proxy-Secret than the gate's".to_owned(),
                lines => format!("{lines} lines of X-Proxy-Secret"),
            };
            return Line::wrong(NAME, "by somebody without its secret", vec![(Fault::ProxySecret, what)]);
        }
        let faults = self.description(tried, sight);
        let fine = format!("{} {} arrived at the {} gate as it was sent", tried.method, short(&tried.target), sight.gate);
        Line::of(NAME, fine, "but not told what the client sent", faults)
    }

    /// Faults of what a gate was told.
    fn description(&self, tried: &Tried, sight: &Sight) -> Vec<(Fault, String)> {
        let mut faults = Vec::new();
        let parts = [("method", &sight.method), ("URI", &sight.uri), ("host", &sight.host)];
        let untold: Vec<String> = parts
            .iter()
            .filter_map(|(name, said)| match said {
                Said { times: 0, .. } => Some(format!("no {name}")),
                Said { times: 1, value: Some(value) } if value.is_empty() => Some(format!("an empty {name}")),
                Said { times: 1, .. } => None,
                _ => Some(format!("the {name} twice")),
            })
            .collect();
        if !untold.is_empty() {
            return vec![(Fault::NotDescribed, untold.join(", "))];
        }
        if let Some(got) = differs(&sight.uri, &tried.target) {
            let why = if got.starts_with("/_") || got.ends_with("/verify") {
                "; that is the check's own location"
            } else if tried.target.ends_with(&got) {
                "; its beginning was cut before the check"
            } else {
                ""
            };
            faults.push((Fault::WrongUri, format!("URI `{got}` for `{}`{why}", tried.target)));
        }
        if let Some(got) = differs(&sight.method, tried.method) {
            faults.push((Fault::WrongMethod, format!("method `{got}` for `{}`", tried.method)));
        }
        let bare = |host: &str| {
            host.rsplit_once(':')
                .filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()))
                .map_or(host, |(name, _)| name)
                .to_ascii_lowercase()
        };
        if let Some(got) = sight.host.value.as_deref().filter(|got| bare(got) != bare(&self.place.authority)) {
            faults.push((Fault::WrongHost, format!("host `{got}` for `{}`", self.place.authority)));
        }
        if let Some(got) = sight.proto.value.as_deref().filter(|got| got.replacen("ws", "http", 1) != self.place.scheme) {
            faults.push((Fault::WrongScheme, format!("scheme `{got}` for `{}`", self.place.scheme)));
        }
        if faults.is_empty()
            && let Some(fault) = sight.fault.as_deref().filter(|_| sight.reason.as_deref() == Some("request_not_described"))
        {
            faults.push((Fault::NotDescribed, fault.to_owned()));
        }
        faults
    }

    /// Every further line, once the gate is asked and told.
    pub(super) fn further(&self) -> Vec<Line> {
        let mut lines = vec![self.refusal(), self.keep_alive(), self.query(), self.method(), self.body(), self.spoofed(), self.aliases()];
        lines.extend([self.credentials(), self.upgrade(), self.paths()]);
        lines.extend([Kind::Fails, Kind::HangsUp, Kind::Silent].into_iter().filter_map(|kind| self.outage(kind)));
        lines.push(self.pass());
        lines.extend(self.application());
        lines
    }

    fn refusal(&self) -> Line {
        const NAME: &str = "its no holds";
        let Some((tried, sight)) = self.seen(Kind::Reach) else { return Line::unknown(NAME, "not seen") };
        match tried.status() {
            Some(status) if tried.reached.is_empty() && status == sight.status => {
                let explained =
                    sight.gate != Proxy::Nginx.as_str() || tried.sights.iter().any(|sight| sight.call.as_deref() == Some("explain"));
                let what = format!("{status}, without the gate's body: /explain was not asked");
                let faults = if explained { Vec::new() } else { vec![(Fault::StatusLost, what.clone())] };
                Line::of(NAME, format!("the client sees {status}"), what, faults)
            }
            Some(400 | 401 | 403 | 500..=599) | None if tried.reached.is_empty() => {
                let what = format!("the gate said {}, {}", sight.status, tried.answer());
                Line::wrong(NAME, "but in other words", vec![(Fault::StatusLost, what)])
            }
            _ => {
                let what = format!("the gate said {}, {}", sight.status, tried.answer());
                Line::wrong(NAME, "the refusal is not obeyed", vec![(Fault::RefusalIgnored, what)])
            }
        }
    }

    fn keep_alive(&self) -> Line {
        const NAME: &str = "connections are kept";
        let numbers: Vec<u64> =
            self.tried.iter().filter(|tried| tried.kind == Kind::Again).filter_map(|tried| Some(tried.verify()?.connection)).collect();
        let distinct: BTreeSet<u64> = numbers.iter().copied().collect();
        if numbers.len() < 4 {
            return Line::unknown(NAME, "too few checks arrived");
        }
        let what = format!("{} checks over {} connections", numbers.len(), distinct.len());
        let each_its_own = distinct.len() == numbers.len() && distinct.iter().all(|number| *number >= self.first_connection);
        let faults = if each_its_own { vec![(Fault::NoKeepAlive, what.clone())] } else { Vec::new() };
        Line::of(NAME, what.clone(), what, faults)
    }

    fn query(&self) -> Line {
        const NAME: &str = "queries";
        let Some((tried, sight)) = self.seen(Kind::Query) else { return self.unseen(NAME, Kind::Query) };
        let mut faults = Vec::new();
        if sight.gate != Proxy::Envoy.as_str() && sight.line.contains('?') {
            faults.push((Fault::QueryAppended, format!("`{}`", sight.line)));
        }
        if let Some(got) = differs(&sight.uri, &tried.target) {
            faults.push((Fault::QueryLost, format!("URI `{got}` for `{}`", tried.target)));
        }
        Line::of(NAME, "told as they were sent", "not told as they were sent", faults)
    }

    fn method(&self) -> Line {
        const NAME: &str = "methods";
        let Some((tried, sight)) = self.seen(Kind::Method) else { return self.unseen(NAME, Kind::Method) };
        let wrong = differs(&sight.method, tried.method);
        let faults = wrong.map(|got| (Fault::WrongMethod, format!("method `{got}` for `{}`", tried.method))).into_iter().collect();
        Line::of(NAME, "PATCH arrived as PATCH", "told as another one", faults)
    }

    fn body(&self) -> Line {
        const NAME: &str = "bodies";
        let Some((_, sight)) = self.seen(Kind::Body) else { return self.unseen(NAME, Kind::Body) };
        let announced = ["content-length", "transfer-encoding"].into_iter().find(|name| count(sight, name) > 0);
        let faults = match (sight.announces_body, announced) {
            (true, Some(name)) => vec![(Fault::BodyAnnounced, format!("`{name}` of the client's request, without a body"))],
            _ => Vec::new(),
        };
        Line::of(NAME, "stay away from the gate", "are announced to the gate", faults)
    }

    fn spoofed(&self) -> Line {
        const NAME: &str = "made-up headers";
        let Some((tried, sight)) = self.seen(Kind::Spoofed) else { return self.unseen(NAME, Kind::Spoofed) };
        let mut faults = Vec::new();
        let parts = [("method", &sight.method), ("URI", &sight.uri), ("host", &sight.host), ("scheme", &sight.proto)];
        let believed: Vec<String> = parts
            .iter()
            .filter_map(|(name, said)| match said {
                Said { times: 2, .. } => Some(format!("the {name} twice, the client's among them")),
                Said { value: Some(value), .. } if is_spoofed(value) => Some(format!("{name} `{value}`")),
                _ => None,
            })
            .collect();
        if !believed.is_empty() {
            faults.push((Fault::DescriptionBelieved, believed.join(", ")));
        } else if let Some(what) = self.description(tried, sight).first().map(|(_, what)| what.clone()) {
            faults.push((Fault::DescriptionBelieved, what));
        }
        if !sight.secret_is_right || count(sight, "x-proxy-secret") > 1 {
            faults
                .push((Fault::ProxySecret, format!("{} lines of X-Proxy-Secret, the client's among them", count(sight, "x-proxy-secret"))));
        }
        let theirs = spoofed_names(sight, |name| DESCRIPTION.iter().any(|(other, _)| *other == name));
        if !theirs.is_empty() && believed.is_empty() {
            faults.push((Fault::ClientHeaders, theirs.join(", ")));
        }
        let identity = spoofed_names(sight, reads_as_identity);
        if !identity.is_empty() {
            faults.push((Fault::IdentityToGate, identity.join(", ")));
        }
        Line::of(NAME, "none of them arrived", "arrived at the gate", faults)
    }

    fn aliases(&self) -> Line {
        const NAME: &str = "other spellings";
        let Some((_, sight)) = self.seen(Kind::Aliases) else { return self.unseen(NAME, Kind::Aliases) };
        let identity = spoofed_names(sight, reads_as_identity);
        let faults = if identity.is_empty() { Vec::new() } else { vec![(Fault::IdentityToGate, identity.join(", "))] };
        Line::of(NAME, "of identity headers are dropped", "of identity headers arrived at the gate", faults)
    }

    fn credentials(&self) -> Line {
        const NAME: &str = "credentials";
        let Some((_, sight)) = self.seen(Kind::Credentials) else { return self.unseen(NAME, Kind::Credentials) };
        let lost: Vec<&str> = JUDGED_BY.into_iter().filter(|name| count(sight, name) == 0).collect();
        let faults = if lost.is_empty() { Vec::new() } else { vec![(Fault::CredentialsLost, format!("without {}", lost.join(", ")))] };
        Line::of(NAME, "arrive, wherever they are sent", "do not all arrive", faults)
    }

    fn upgrade(&self) -> Line {
        const NAME: &str = "WebSockets";
        let Some((tried, sight)) = self.seen(Kind::Upgrade) else { return self.unseen(NAME, Kind::Upgrade) };
        if !self.description(tried, sight).is_empty() {
            return Line::unknown(NAME, "the request was not told");
        }
        let faults =
            if sight.upgrade { Vec::new() } else { vec![(Fault::UpgradeUntold, "no header that tells of the upgrade".to_owned())] };
        Line::of(NAME, "are told as such", "are not told as such", faults)
    }

    fn paths(&self) -> Line {
        const NAME: &str = "odd paths";
        let (mut past, mut rewritten, mut seen, mut refused) = (Vec::new(), Vec::new(), 0, 0);
        for tried in &self.tried {
            let Kind::Path(name) = tried.kind else { continue };
            match tried.verify() {
                Some(sight) => {
                    seen += 1;
                    // Traefik and Envoy clean the path for gate and application alike
                    let cleans = [Proxy::Traefik, Proxy::Envoy].iter().any(|proxy| proxy.as_str() == sight.gate);
                    if !cleans && let Some(got) = differs(&sight.uri, &tried.target) {
                        rewritten.push(format!("`{}` for `{}`", short(&got), short(&tried.target)));
                    }
                }
                None if tried.was_refused_outright() => refused += 1,
                None => past.push(format!("{name}: `{}`, {}", short(&tried.target), tried.answer())),
            }
        }
        let mut faults = Vec::new();
        if !past.is_empty() {
            faults.push((Fault::PastTheGate, past.join("; ")));
        }
        if !rewritten.is_empty() {
            faults.push((Fault::UriRewritten, rewritten.join("; ")));
        }
        let fine = format!("{seen} judged, {refused} refused by the proxy itself, none past the gate");
        Line::of(NAME, fine, "do not all reach the gate as the application gets them", faults)
    }

    /// What a failing gate does; `None` where none was made to fail.
    fn outage(&self, kind: Kind) -> Option<Line> {
        let tried = self.of(kind)?;
        let name = match kind {
            Kind::Fails => "a gate that fails",
            Kind::HangsUp => "a gate that hangs up",
            _ => "a gate that is silent",
        };
        let Some(sight) = tried.verify() else { return Some(self.unseen(name, kind)) };
        let mut faults = Vec::new();
        let through = match tried.status() {
            _ if !tried.reached.is_empty() => true,
            Some(400 | 401 | 403 | 500..=599) | None => false,
            Some(status) => status != sight.status,
        };
        if through {
            faults.push((Fault::FailOpen, format!("a check without an answer; {}", tried.answer())));
        }
        let took = tried.reply.as_ref().map_or(Duration::MAX, |reply| reply.took);
        // Traefik's is fixed in its code
        if kind == Kind::Silent && took >= SLOW && !through && sight.gate != Proxy::Traefik.as_str() {
            faults.push((Fault::SlowTimeout, "a check that waited for the silent gate for three seconds".to_owned()));
        }
        if faults.is_empty() && !self.stands_in && self.looks_like_the_application(tried) {
            return Some(Line::unknown(name, format!("{}, as the application answers; --application tells", tried.answer())));
        }
        let wrong = if through { "lets everyone pass" } else { "holds clients up" };
        let fine = tried.status().map_or_else(|| "lets nobody pass".to_owned(), |status| format!("lets nobody pass: {status}"));
        Some(Line::of(name, fine, wrong, faults))
    }

    fn pass(&self) -> Line {
        const NAME: &str = "its yes counts";
        let Some((tried, sight)) = self.seen(Kind::Pass) else { return self.unseen(NAME, Kind::Pass) };
        if !self.description(tried, sight).is_empty() {
            return Line::unknown(NAME, "the request was not told");
        }
        let refused = || vec![(Fault::NotLetThrough, format!("the gate said 200, {}", tried.answer()))];
        match tried.status() {
            _ if !tried.reached.is_empty() => Line::fine(NAME, "the application was reached"),
            Some(500..=599) | None => Line::wrong(NAME, "but not with 200", refused()),
            Some(401 | 403) if self.stands_in || self.is_refused_alike(tried) => Line::wrong(NAME, "but not with 200", refused()),
            Some(status @ (401 | 403)) => Line::unknown(NAME, format!("{status}, by the application or by the proxy; --application tells")),
            Some(status) if self.stands_in => Line::unknown(
                NAME,
                format!("{status} came from another application than this: let the proxy's route lead to --application"),
            ),
            Some(status) => Line::fine(NAME, format!("the application answered {status}")),
        }
    }

    /// Whether it was answered like the first, which the gate refused.
    fn is_refused_alike(&self, tried: &Tried) -> bool {
        let answered = |tried: &Tried| tried.reply.as_ref().ok().map(|reply| (reply.status, reply.body.clone()));
        self.of(Kind::Reach).is_some_and(|first| answered(first) == answered(tried))
    }

    /// Whether it was answered like what was let through, in a way that a refusal could look like, too.
    fn looks_like_the_application(&self, tried: &Tried) -> bool {
        let Some(pass) = self.of(Kind::Pass) else { return false };
        let answered = |tried: &Tried| tried.reply.as_ref().ok().map(|reply| (reply.status, reply.body.clone()));
        matches!(pass.status(), Some(401 | 403 | 500..=599)) && answered(pass) == answered(tried)
    }

    /// What an application gets.
    fn application(&self) -> Vec<Line> {
        const NAME: &str = "the application";
        if !self.stands_in {
            return vec![Line::unknown(NAME, "not looked at: --application shows what it gets")];
        }
        let Some((plain, sight)) = self.seen(Kind::AppPlain) else { return vec![self.unseen(NAME, Kind::AppPlain)] };
        let Some(reached) = plain.reached.first() else { return vec![Line::unknown(NAME, format!("not reached: {}", plain.answer()))] };
        let mut lines = Vec::new();
        let told = [(&reached.method, plain.method), (&reached.target, plain.target.as_str())];
        let changed: Vec<String> = told
            .iter()
            .filter(|(got, sent)| got.as_str() != *sent)
            .map(|(got, sent)| format!("`{got}` at the application for `{sent}`"))
            .collect();
        let faults = if changed.is_empty() { Vec::new() } else { vec![(Fault::RequestChanged, changed.join(", "))] };
        lines.push(Line::of("what was judged", "is what the application gets", "is not what the application gets", faults));
        let lost = lost_identity(reached);
        let faults = if lost.is_empty() { Vec::new() } else { vec![(Fault::IdentityLost, format!("without {}", lost.join(", ")))] };
        lines.push(Line::of("who asks", "is told to the application", "is not told to the application", faults));
        lines.push(self.made_up_at_the_application(sight));
        lines.push(self.dropped_at_the_application(!lost.is_empty()));
        let tunnel = self.of(Kind::AppTunnel).and_then(|tried| tried.reached.first());
        let tunnels = tunnel.is_some_and(|reached| reached.all("upgrade").any(|value| value.to_ascii_lowercase().contains("h2c")));
        let faults = if tunnels { vec![(Fault::TunnelToApp, "`Upgrade: h2c` at the application".to_owned())] } else { Vec::new() };
        lines.push(Line::of("tunnels", "are not passed on", "are passed on", faults));
        lines
    }

    fn made_up_at_the_application(&self, sight: &Sight) -> Line {
        const NAME: &str = "made-up headers there";
        let reached: Vec<&Reached> =
            [Kind::AppSpoofed, Kind::AppAliases].into_iter().filter_map(|kind| self.of(kind)?.reached.first()).collect();
        if reached.is_empty() {
            return Line::fine(NAME, "are refused by the proxy itself");
        }
        let made_up = |wanted: &dyn Fn(&str) -> bool| {
            let all = reached.iter().flat_map(|reached| &reached.headers);
            let names: BTreeSet<&str> =
                all.filter(|(name, value)| wanted(name) && is_spoofed(value)).map(|(name, _)| name.as_str()).collect();
            names.into_iter().collect::<Vec<_>>().join(", ")
        };
        let mut faults = Vec::new();
        let mut add = |fault, names: String| {
            if !names.is_empty() {
                faults.push((fault, format!("{names} of the client at the application")));
            }
        };
        add(Fault::IdentitySpoofed, made_up(&reads_as_identity));
        add(Fault::ClientHeadersToApp, made_up(&|name| name != "x-proxy-secret" && DESCRIPTION.iter().any(|(other, _)| *other == name)));
        // Traefik cannot take one cookie out of several
        let keeps_cookies = sight.gate == Proxy::Traefik.as_str();
        add(
            Fault::CredentialsToApp,
            made_up(&|name| matches!(name, "x-api-key" | "x-authorization") || (name == "cookie" && !keeps_cookies)),
        );
        if reached.iter().any(|reached| reached.all("x-proxy-secret").next().is_some()) {
            faults.push((Fault::SecretToApp, "X-Proxy-Secret at the application".to_owned()));
        }
        Line::of(NAME, "none arrived", "arrived", faults)
    }

    fn dropped_at_the_application(&self, lost_anyway: bool) -> Line {
        const NAME: &str = "headers named in Connection";
        let Some(reached) = self.of(Kind::AppHop).and_then(|tried| tried.reached.first()) else {
            return Line::fine(NAME, "are refused by the proxy itself");
        };
        let lost = lost_identity(reached);
        let faults = match lost.is_empty() || lost_anyway {
            true => Vec::new(),
            false => vec![(Fault::IdentityDropped, format!("without {} where the client names them in Connection", lost.join(", ")))],
        };
        Line::of(NAME, "are not dropped", "are dropped", faults)
    }

    /// A probe that arrived at the gate.
    fn seen(&self, kind: Kind) -> Option<(&Tried, &Sight)> {
        let tried = self.of(kind)?;
        Some((tried, tried.verify()?))
    }

    /// The line of a probe that did not arrive: refused by the proxy, which is fine, or answered past the gate.
    fn unseen(&self, name: &'static str, kind: Kind) -> Line {
        match self.of(kind) {
            None => Line::unknown(name, "not sent"),
            Some(tried) if !tried.sights.is_empty() => Line::unknown(name, "asked for /explain alone"),
            Some(tried) if tried.was_refused_outright() => Line::fine(name, format!("refused by the proxy itself: {}", tried.answer())),
            Some(tried) => Line::wrong(name, "went past the gate", vec![(Fault::PastTheGate, format!("nothing; {}", tried.answer()))]),
        }
    }
}

/// In which other proxy's words the request is described, where they carry the nonce and this gate's own do not.
fn other_dialect(sight: &Sight) -> Option<String> {
    if sight.uri.value.as_deref().is_some_and(|uri| uri.contains(&sight.nonce)) {
        return None;
    }
    let carries = |name: &str| sight.headers.iter().any(|header| header.name.eq_ignore_ascii_case(name) && header.has_nonce);
    let (nginx, forwarded, envoy) = ("X-Original-URI", "X-Forwarded-Uri", "the request line");
    let own = match Proxy::from_name(&sight.gate)? {
        Proxy::Nginx => nginx,
        Proxy::Envoy => envoy,
        Proxy::Traefik | Proxy::Caddy | Proxy::Haproxy => forwarded,
    };
    let told = [
        (nginx, "nginx tells", carries(nginx)),
        (forwarded, "Traefik, Caddy and HAProxy tell", carries(forwarded)),
        (envoy, "Envoy tells", sight.line.contains(&sight.nonce)),
    ];
    let (place, who, _) = told.into_iter().find(|(place, _, carries)| *carries && *place != own)?;
    Some(format!("the URI in {place}, as {who} it; the {} gate reads {own}", sight.gate))
}

/// What was said instead of `sent`, where it was said once.
fn differs(said: &Said, sent: &str) -> Option<String> {
    said.value.clone().filter(|value| value != sent)
}

/// How often a header stands.
fn count(sight: &Sight, name: &str) -> usize {
    sight.headers.iter().filter(|header| header.name == name).count()
}

/// The headers with made-up values whose names are wanted.
fn spoofed_names(sight: &Sight, wanted: impl Fn(&str) -> bool) -> Vec<&str> {
    let made_up = sight.headers.iter().filter(|header| wanted(&header.name) && header.value.as_deref().is_some_and(is_spoofed));
    made_up.map(|header| header.name.as_str()).collect::<BTreeSet<_>>().into_iter().collect()
}

/// Identity headers that do not say who doctor is.
fn lost_identity(reached: &Reached) -> Vec<&'static str> {
    let says = |name: &str, value: &str| if name == "x-auth-expires-in" { value == "60" } else { value == "gatepost-doctor" };
    IDENTITY.into_iter().filter(|name| !reached.all(name).any(|value| says(name, value))).collect()
}

/// A target that fits a line.
fn short(target: &str) -> String {
    match target.find("gpd_") {
        Some(at) => {
            target.get(..at + 8).map_or_else(|| target.to_owned(), |start| format!("{start}…{}", target.get(at + 36..).unwrap_or_default()))
        }
        None => target.to_owned(),
    }
}

#[cfg(test)]
mod tests;
