//! Which host is to be spoken with: the one of the address; what the Sentinels call the primary of the service; or the
//! Cluster's primary that serves our slot. Asked anew for every connection, so whoever takes over is found by it.
//!
//! All are asked at once, so one that is away delays nobody. What they say is a hint, no more: whoever is spoken with
//! must say itself that it is the primary ([`super::link::Link::connect`]), and nothing is believed of it before it is whole.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use tokio::task::JoinSet;

use super::address::{Address, Host, Kind};
use super::link::{Access, Failure, Wire};
use super::reply::Reply;
use super::socket::Dialer;
use crate::lock::Mutex;

/// For a connection, its handshake and what it is asked, each.
const CONNECT: Duration = Duration::from_millis(100);
/// The same with TLS: two more round trips, and arithmetic.
const CONNECT_TLS: Duration = Duration::from_millis(250);
/// Most nodes of a Cluster that are asked at once.
const NODES: usize = 16;

/// Who to speak with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) host: Host,
    /// How many replicas it is known to have, those away included; the server itself may know of more.
    pub(super) replicas: u64,
}

/// What one of those asked says.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Answer {
    place: Place,
    /// Of two answers the one of the higher epoch is newer; 0 where nobody counts.
    epoch: u64,
    /// Who else could be asked next time.
    others: Vec<Host>,
}

/// Finds it.
pub(super) struct Finder {
    pub(super) address: Arc<Address>,
    pub(super) dialer: Arc<Dialer>,
    /// Nodes of the Cluster beside those of the address.
    learnt: Mutex<Vec<Host>>,
    kept: Arc<Kept>,
}

/// Connections over which is asked. They stay: while many replicas look for a primary, over and over, those who elect it
/// have better to do than handshakes.
#[derive(Default)]
struct Kept(Mutex<HashMap<Host, Wire>>);

impl Kept {
    /// Asks over the connection to `host`, a new one where none is left.
    async fn ask<A>(&self, host: Host, open: impl Future<Output = Result<Wire, Failure>>, ask: impl FnOnce(Wire) -> A) -> A::Output
    where
        A: Future<Output = Result<Answer, Failure>>,
    {
        let known = self.wires().get(&host).cloned();
        let wire = match known {
            Some(wire) => wire,
            None => {
                let wire = open.await?;
                self.wires().insert(host.clone(), wire.clone());
                wire
            }
        };
        let answer = ask(wire).await;
        if matches!(answer, Err(Failure::Stalled | Failure::Broken(_) | Failure::Unread)) {
            self.wires().remove(&host);
        }
        answer
    }

    fn wires(&self) -> MutexGuard<'_, HashMap<Host, Wire>> {
        self.0.lock()
    }
}

impl Finder {
    /// For this address; reads the files that TLS needs.
    pub(super) fn new(address: Address) -> Result<Self, String> {
        let dialer = Dialer::new(address.tls.as_ref())?;
        Ok(Self { address: Arc::new(address), dialer: Arc::new(dialer), learnt: Mutex::default(), kept: Arc::default() })
    }

    /// How long a connection may take, and an answer on it.
    pub(super) fn patience(&self) -> Duration {
        if self.address.tls.is_some() { CONNECT_TLS } else { CONNECT }
    }

    /// Who is to be spoken with.
    pub(super) async fn find(&self) -> Result<Place, Failure> {
        let (patience, tls) = (self.patience(), self.address.tls.is_some());
        match &self.address.kind {
            Kind::Single => match self.address.hosts.first() {
                Some(host) => Ok(Place { host: host.clone(), replicas: 0 }),
                None => Err(Failure::Unread),
            },
            Kind::Sentinel(service) => {
                let service: Arc<str> = service.as_str().into();
                let ask = |host: Host| {
                    let (address, dialer, kept, service) = self.shared(&service);
                    async move {
                        let open = Wire::open(&dialer, &host, Access::sentinel(&address), patience);
                        kept.ask(host.clone(), open, async |wire| ask_sentinel(&wire, &service).await).await
                    }
                };
                agree(self.address.hosts.clone(), patience, ask).await.map(|answer| answer.place)
            }
            Kind::Cluster => {
                let nodes = self.nodes();
                self.kept.wires().retain(|host, _| nodes.contains(host));
                let ask = |host: Host| {
                    let (address, dialer, kept, ()) = self.shared(&());
                    async move {
                        let open = Wire::open(&dialer, &host, Access::data(&address), patience);
                        kept.ask(host.clone(), open, async |wire| ask_node(&wire, &host, tls).await).await
                    }
                };
                let answer = agree(nodes, patience, ask).await?;
                *self.learnt.lock() = answer.others;
                Ok(answer.place)
            }
        }
    }

    /// What each who asks holds on to.
    fn shared<T: Clone>(&self, more: &T) -> (Arc<Address>, Arc<Dialer>, Arc<Kept>, T) {
        (Arc::clone(&self.address), Arc::clone(&self.dialer), Arc::clone(&self.kept), more.clone())
    }

    /// Nodes of the Cluster to be asked.
    fn nodes(&self) -> Vec<Host> {
        let learnt = self.learnt.lock().clone();
        let mut seen = HashSet::new();
        // those learnt last first: they are of the shard that matters
        learnt.into_iter().chain(self.address.hosts.iter().cloned()).filter(|host| seen.insert(host.clone())).take(NODES).collect()
    }
}

/// Asks all of `hosts`. What more than half of them say is taken at once; else, when all have answered or time is up, the
/// newest of what was said.
async fn agree<A>(hosts: Vec<Host>, patience: Duration, ask: impl Fn(Host) -> A) -> Result<Answer, Failure>
where
    A: Future<Output = Result<Answer, Failure>> + Send + 'static,
{
    let asked = hosts.len();
    let mut asking: JoinSet<A::Output> = hosts.into_iter().map(ask).collect();
    let (mut answers, mut failed) = (Vec::new(), Failure::Stalled);
    let listening = async {
        while let Some(said) = asking.join_next().await {
            match said {
                Ok(Ok(answer)) => answers.push(answer),
                // what waiting will not mend is told before what it may
                Ok(Err(failure)) if !failed.is_lasting() => failed = failure,
                _ => {}
            }
            if newest(&answers).is_some_and(|(_, votes)| votes * 2 > asked) {
                break;
            }
        }
    };
    // connecting, and two questions
    drop(tokio::time::timeout(patience * 3, listening).await);
    newest(&answers).map(|(answer, _)| answer.clone()).ok_or(failed)
}

/// Of the highest epoch, what most say; and how many say it.
fn newest(answers: &[Answer]) -> Option<(&Answer, usize)> {
    let votes =
        |answer: &Answer| answers.iter().filter(|other| (other.epoch, &other.place.host) == (answer.epoch, &answer.place.host)).count();
    answers.iter().map(|answer| (answer, votes(answer))).max_by_key(|(answer, votes)| (answer.epoch, *votes))
}

async fn ask_sentinel(wire: &Wire, service: &str) -> Result<Answer, Failure> {
    let host = wire.host();
    let address = match wire.ask(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", service]).await {
        Err(Failure::Refused { code, text }) if code == "ERR" && text.contains("unknown command") => {
            return Err(Failure::Unusable(format!("{host} is no Sentinel; name Sentinels, or write redis:// for a server without them")));
        }
        answer => answer?,
    };
    let (Some(name), Some(port)) = (address.at(0).text(), address.at(1).number().and_then(|port| u16::try_from(port).ok())) else {
        return Err(Failure::Unusable(format!(
            "the Sentinel {host} knows no service `{service}`; write the name that `sentinel monitor` gives it"
        )));
    };
    // a user that may not ask this loses the order of answers, and the count of replicas that are away
    let more = wire.ask(&["SENTINEL", "MASTER", service]).await.unwrap_or(Reply::Nil);
    let number = |name: &str| more.field(name).number().and_then(|number| u64::try_from(number).ok()).unwrap_or_default();
    let place = Place { host: Host { name: name.to_owned(), port }, replicas: number("num-slaves").max(number("num-replicas")) };
    Ok(Answer { place, epoch: number("config-epoch"), others: Vec::new() })
}

async fn ask_node(wire: &Wire, asked: &Host, tls: bool) -> Result<Answer, Failure> {
    let shards = match wire.ask(&["CLUSTER", "SHARDS"]).await {
        Err(Failure::Refused { code, text }) if code == "ERR" && text.contains("cluster support disabled") => {
            return Err(Failure::Unusable(format!("{asked} is no node of a Cluster; write redis:// or redis+sentinel://")));
        }
        answer => answer?,
    };
    let slot = wire.keys().slot();
    of_shards(&shards, slot, asked, tls)
        .ok_or_else(|| Failure::Refused { code: "CLUSTERDOWN".to_owned(), text: format!("{asked} knows nobody who serves slot {slot}") })
}

/// The primary of our slot, and its replicas, in what CLUSTER SHARDS answered.
fn of_shards(shards: &Reply, slot: u16, asked: &Host, tls: bool) -> Option<Answer> {
    let serves = |shard: &&Reply| {
        let bounds: Vec<i64> = shard.field("slots").list().iter().filter_map(Reply::number).collect();
        bounds.chunks(2).any(|pair| matches!(pair, [first, last] if (*first..=*last).contains(&i64::from(slot))))
    };
    let nodes = shards.list().iter().find(serves)?.field("nodes").list();
    let host = |node: &Reply| {
        let known = |name: &str| node.field(name).text().filter(|name| !name.is_empty() && *name != "?").map(ToOwned::to_owned);
        // a node that does not know how it is reached is the one that was asked
        let name = known("endpoint").or_else(|| known("ip")).unwrap_or_else(|| asked.name.clone());
        let port = |name: &str| node.field(name).number().and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0);
        let port = if tls { port("tls-port").or_else(|| port("port")) } else { port("port") };
        Host { name, port: port.unwrap_or(asked.port) }
    };
    let is_primary = |node: &&Reply| node.field("role").text() == Some("master") && node.field("health").text() != Some("fail");
    let primary = host(nodes.iter().find(is_primary)?);
    let replicas = nodes.len() as u64 - 1;
    Some(Answer { place: Place { host: primary, replicas }, epoch: 0, others: nodes.iter().map(host).collect() })
}

#[cfg(test)]
mod tests {
    use super::super::keys::Keys;
    use super::*;

    fn answer(epoch: u64, name: &str) -> Answer {
        Answer { place: Place { host: Host { name: name.into(), port: 1 }, replicas: 2 }, epoch, others: Vec::new() }
    }

    #[test]
    fn the_newest_answer_counts_and_among_equals_what_most_say() {
        let said = |answers: &[Answer]| newest(answers).map(|(answer, votes)| (answer.place.host.name.clone(), votes));
        assert_eq!(said(&[]), None);
        assert_eq!(said(&[answer(1, "a"), answer(1, "a"), answer(2, "b")]), Some(("b".into(), 1)));
        assert_eq!(said(&[answer(0, "a"), answer(0, "b"), answer(0, "b")]), Some(("b".into(), 2)));
    }

    #[tokio::test]
    async fn one_that_is_away_delays_nobody() {
        let hosts: Vec<Host> = ["a", "b", "away"].iter().map(|name| Host { name: (*name).into(), port: 1 }).collect();
        let ask = |host: Host| async move { if host.name == "away" { std::future::pending().await } else { Ok(answer(3, "primary")) } };
        let said = tokio::time::timeout(Duration::from_secs(5), agree(hosts, Duration::from_secs(60), ask)).await;
        assert_eq!(said.unwrap().unwrap().place.host.name, "primary");
    }

    #[test]
    fn the_primary_of_the_slot_is_found_among_the_shards() {
        fn text(text: &str) -> Reply {
            Reply::Text(text.into())
        }
        let node = |ip: &str, role: &str, health: &str| {
            let pairs = [
                ("ip", text(ip)),
                ("endpoint", text("")),
                ("port", Reply::Number(7)),
                ("tls-port", Reply::Number(8)),
                ("role", text(role)),
                ("health", text(health)),
            ];
            Reply::List(pairs.into_iter().flat_map(|(name, value)| [text(name), value]).collect())
        };
        let shard = |slots: &[i64], nodes: Vec<Reply>| {
            let slots = Reply::List(slots.iter().map(|slot| Reply::Number(*slot)).collect());
            Reply::List(vec![text("slots"), slots, text("nodes"), Reply::List(nodes)])
        };
        let shards = Reply::List(vec![
            shard(&[0, 5], vec![node("a", "master", "online")]),
            shard(&[9, 9, 11306, 11306], vec![node("old", "master", "fail"), node("b", "replica", "online"), node("", "master", "online")]),
        ]);
        let asked = Host { name: "asked".into(), port: 1 };
        let found = of_shards(&shards, Keys::default().slot(), &asked, false).unwrap();
        assert_eq!((found.place.host.to_string(), found.place.replicas), ("asked:7".to_owned(), 2));
        assert_eq!(of_shards(&shards, Keys::default().slot(), &asked, true).unwrap().others.last().unwrap().to_string(), "asked:8");
        assert_eq!(of_shards(&Reply::Nil, Keys::default().slot(), &asked, false), None);
    }
}
