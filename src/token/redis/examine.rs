//! Which Redis may be used: read at the start and at every connection, before anything else is said there.
//!
//! What would break the promise of COHERENCE §1 refuses the start, with the setting's name and what to do. Found later,
//! on a server that took over, it keeps the store unavailable until somebody mends it.

use std::time::Duration;

use super::StartError;
use super::link::{Failure, Link, Wire};
use super::reply::Reply;

/// The oldest that has what the scripts need.
const OLDEST: u32 = 7;

/// Every command that is sent, as it is asked for; `{k}` is a key of ours. The rights that a user needs, no more.
const RIGHTS: [&str; 23] = [
    "INFO default",
    "EVAL x 1 {k}",
    "EVALSHA x 1 {k}",
    "TIME",
    "GET {k}",
    "SET {k} x NX PX 1",
    "DEL {k}",
    "EXISTS {k}",
    "INCR {k}",
    "PTTL {k}",
    "PEXPIRE {k} 1",
    "PEXPIREAT {k} 1",
    "PEXPIRETIME {k}",
    "HGET {k} x",
    "HMGET {k} x",
    "HGETALL {k}",
    "HKEYS {k}",
    "HEXISTS {k} x",
    "HSET {k} x x",
    "HDEL {k} x",
    "XADD {k} * x x",
    "XREAD STREAMS {k} 0",
    "XREVRANGE {k} - +",
];

/// Returns which of ARGV[1..] this user may not run on KEYS[1].
const LACKING: &str = "#!lua flags=no-writes
local lacking = {}
for _, line in ipairs(ARGV) do
  local words = {}
  for word in string.gmatch(line, '%S+') do words[#words + 1] = word == '{k}' and KEYS[1] or word end
  if not redis.acl_check_cmd(unpack(words)) then lacking[#lacking + 1] = words[1] end
end
return lacking";

/// Whether what answers there may be used; why it did not say, where it did not.
pub(super) async fn fits(link: &Link, wire: &Wire) -> Result<Option<Failure>, StartError> {
    let info = match wire.info().await {
        Ok(info) => Info(info),
        Err(failure) => return refusal(failure),
    };
    let version = info.field("redis_version");
    if version.split('.').next().and_then(|major| major.parse().ok()).is_none_or(|major: u32| major < OLDEST) {
        return Err(StartError::TooOld(version.to_owned()));
    }
    if info.mode() == "sentinel" {
        return Err(StartError::Mode("a Sentinel", "redis+sentinel://…/service"));
    }
    if link.is_single() && info.field("cluster_enabled") == "1" {
        return Err(StartError::Mode("a node of a Cluster", "redis+cluster://…"));
    }
    if info.field("maxmemory_policy") != "noeviction" {
        return Err(StartError::Evicts(info.field("maxmemory_policy").to_owned()));
    }
    let answers = async {
        let lacking = lacking(wire).await?;
        Ok::<_, Failure>((lacking, if link.is_single() { None } else { settings(wire).await? }))
    };
    let (lacking, settings) = match answers.await {
        Ok(answers) => answers,
        Err(failure) => return refusal(failure),
    };
    if !lacking.is_empty() {
        return Err(StartError::Rights(lacking));
    }
    if !link.is_single() {
        link.learn_lag(lag(&info, settings, wire.replicas(), link.declared_lag()).map_err(StartError::Replicas)?);
    }
    Ok(None)
}

/// An error where waiting will not mend this failure; else the failure again.
pub(super) fn refusal(failure: Failure) -> Result<Option<Failure>, StartError> {
    match failure {
        failure if !failure.is_lasting() => Ok(Some(failure)),
        Failure::Refused { code, text } => Err(StartError::Refused(format!("{code} {text}"))),
        failure => Err(StartError::Unusable(failure.to_string())),
    }
}

/// What INFO says.
struct Info(String);

impl Info {
    fn find(&self, name: &str) -> Option<&str> {
        self.0.lines().find_map(|line| line.trim_end().strip_prefix(name)?.strip_prefix(':'))
    }

    fn field(&self, name: &str) -> &str {
        self.find(name).unwrap_or_default()
    }

    /// `standalone`, `sentinel` or `cluster`.
    fn mode(&self) -> &str {
        self.find("redis_mode").or_else(|| self.find("server_mode")).unwrap_or_default()
    }
}

/// Commands that this user may not run on our keys; small letters, one space between.
async fn lacking(wire: &Wire) -> Result<String, Failure> {
    let words: Vec<&str> = ["EVAL", LACKING, "1", wire.keys().epoch()].into_iter().chain(RIGHTS).collect();
    let lacking = wire.ask(&words).await?;
    let names: Vec<String> = lacking.list().iter().filter_map(Reply::text).map(str::to_lowercase).collect();
    Ok(names.join(" "))
}

/// `min-replicas-to-write` and `min-replicas-max-lag`; `None` where they may not be read.
async fn settings(wire: &Wire) -> Result<Option<(u64, u64)>, Failure> {
    // one at a time: who knows neither name answers nothing rather than something else
    let mut read = [0; 2];
    for (value, name) in read.iter_mut().zip(["min-replicas-to-write", "min-replicas-max-lag"]) {
        let answer = match wire.ask(&["CONFIG", "GET", name]).await {
            Err(Failure::Refused { code, .. }) if code == "ERR" || code == "NOPERM" => return Ok(None),
            answer => answer?,
        };
        let Some(number) = answer.field(name).number().and_then(|number| u64::try_from(number).ok()) else { return Ok(None) };
        *value = number;
    }
    let [to_write, max_lag_s] = read;
    Ok(Some((to_write, max_lag_s)))
}

/// How far the replicas may lag behind a primary that still writes. `known`: how many of them are known.
///
/// With at least one, and at least half of them, needed for a write, of two halves of a split only one holds a primary that
/// writes: with 1 of 3, each half could have a primary and a replica for good.
fn lag(info: &Info, settings: Option<(u64, u64)>, known: u64, declared: Option<Duration>) -> Result<Duration, String> {
    let replicas = known.max(info.field("connected_slaves").parse().unwrap_or_default());
    let least = replicas.div_ceil(2).max(1);
    // INFO counts them only where both settings are above zero
    let counts = info.find("min_slaves_good_slaves").or_else(|| info.find("min_replicas_good_replicas")).is_some();
    match (settings, declared) {
        (Some((to_write, _)), _) if to_write < least => Err(format!(
            "`min-replicas-to-write` is {to_write}, and there are {replicas} replicas; set it to {least} on every server (CONFIG SET, and in its file), \
             else a primary that was cut off goes on after another took over"
        )),
        (Some((_, 0)), _) => {
            Err("`min-replicas-max-lag` is 0, so `min-replicas-to-write` does nothing; set it to 10 or less on every server".to_owned())
        }
        (Some((_, max_lag_s)), declared) => Ok(Duration::from_secs(max_lag_s).max(declared.unwrap_or_default())),
        (None, _) if !counts => Err(format!(
            "`min-replicas-to-write` or `min-replicas-max-lag` is 0; set the former to {least} and the latter to 10 or less on every server, \
             else a primary that was cut off goes on after another took over"
        )),
        (None, Some(declared)) => Ok(declared),
        (None, None) => Err(format!(
            "`min-replicas-max-lag` cannot be read; let the user run `CONFIG GET` (+config|get), or, where `min-replicas-to-write` is at least {least}, \
             write the lag into the address, like `?max_lag=10s`"
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn enough_replicas_are_asked_for_and_the_lag_is_known() {
        let info = |replicas: u64, counts: bool| {
            Info(format!("role:master\r\nconnected_slaves:{replicas}\r\n{}", if counts { "min_slaves_good_slaves:1\r\n" } else { "" }))
        };
        let seconds = Duration::from_secs;
        let good = [
            (2, 0, Some((1, 10)), None, 10),
            (0, 2, Some((1, 3)), None, 3),
            (3, 3, Some((2, 10)), None, 10),
            (4, 1, Some((2, 10)), Some(4), 10),
            (0, 0, Some((1, 1)), Some(4), 4),
            (2, 2, None, Some(5), 5),
        ];
        for (connected, known, settings, declared, expected) in good {
            let read = lag(&info(connected, true), settings, known, declared.map(seconds));
            assert_eq!(read, Ok(seconds(expected)), "{connected} {known} {settings:?}");
        }
        let bad = [
            (2, 0, true, Some((0, 10)), None, "`min-replicas-to-write` is 0, and there are 2 replicas; set it to 1 "),
            (0, 0, true, Some((0, 10)), None, "`min-replicas-to-write` is 0, and there are 0 replicas; set it to 1 "),
            (1, 3, true, Some((1, 10)), None, "`min-replicas-to-write` is 1, and there are 3 replicas; set it to 2 "),
            (1, 1, true, Some((1, 0)), Some(9), "`min-replicas-max-lag` is 0"),
            (1, 1, false, None, Some(9), "`min-replicas-to-write` or `min-replicas-max-lag` is 0"),
            (1, 1, true, None, None, "`min-replicas-max-lag` cannot be read"),
        ];
        for (connected, known, counts, settings, declared, expected) in bad {
            let refused = lag(&info(connected, counts), settings, known, declared.map(seconds)).unwrap_err();
            assert!(refused.starts_with(expected), "{refused}");
        }
    }

    /// Command names, small.
    fn names() -> BTreeSet<String> {
        RIGHTS.iter().map(|line| line.split(' ').next().unwrap().to_lowercase()).collect()
    }

    #[test]
    fn every_command_of_the_scripts_is_among_the_rights() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/token/redis");
        let mut called = BTreeSet::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "lua") {
                let text = std::fs::read_to_string(path).unwrap();
                for call in text.split("redis.call('").chain(text.split("redis.pcall('")).skip(1) {
                    called.insert(call.split('\'').next().unwrap().to_lowercase());
                }
            }
        }
        called.retain(|name| name.bytes().all(|b| b.is_ascii_lowercase()));
        assert!(called.contains("hset") && called.is_subset(&names()), "{:?}", called.difference(&names()));
    }

    #[test]
    fn the_page_tells_these_rights() {
        let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/scale-out/README.md");
        let page = std::fs::read_to_string(page).unwrap();
        let line = page.lines().find(|line| line.starts_with("ACL SETUSER gatepost ")).unwrap();
        let told: BTreeSet<String> = line.split(' ').filter_map(|word| word.strip_prefix('+')).map(ToOwned::to_owned).collect();
        assert_eq!(told, names());
        assert!(line.contains(&format!("~{}*", super::super::keys::Keys::default().prefix())), "{line}");
    }
}
