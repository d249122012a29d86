//! Which Redis is taken at the start, and what is written into it.

use rustix::process::Signal;

use super::house::{CLIENT, House, KEY, SECOND, SECRET, SESSION, SOON, ask, start_redis, until_answered};
use super::server::{Server, free_port};
use crate::clock::Clock;
use crate::database::Database;
use crate::id::hex;
use crate::token::redis::StartError;
use crate::token::store::{Ask, Unavailable};

pub(super) async fn another_installation_is_refused(house: House) {
    let data = tempfile::tempdir().unwrap();
    let other = Database::open_sqlite(&data.path().join("gatepost.db"), Clock::system()).await.unwrap();
    let refused = start_redis(&house.server().url(), &other, house.settings).await.err().unwrap();
    assert!(matches!(refused, StartError::Foreign), "{refused}");
    house.token().await;
}

pub(super) async fn an_eviction_policy_is_refused(house: House) {
    let server = Server::start_with(house.engine, free_port(), &["--maxmemory-policy", "allkeys-lru"]).await;
    let refused = start_redis(&server.url(), &house.database, house.settings).await.err().unwrap();
    assert!(refused.to_string().contains("`maxmemory-policy allkeys-lru`"), "{refused}");
    let locked = Server::start_with(house.engine, free_port(), &["--requirepass", "x"]).await;
    let refused = start_redis(&locked.open_url(), &house.database, house.settings).await.err().unwrap();
    assert!(matches!(refused, StartError::Refused(_)), "{refused}");
    let refused = start_redis("http://127.0.0.1/", &house.database, house.settings).await.err().unwrap();
    assert!(matches!(refused, StartError::Address(_)), "{refused}");
}

pub(super) async fn a_user_of_too_few_rights_is_refused_by_the_names_of_those_missing(house: House) {
    let refused = async |url: &str| start_redis(url, &house.database, house.settings).await.err().unwrap().to_string();
    let wrong = house.server().url().replace(":pass@", ":wrong@");
    assert!(refused(&wrong).await.starts_with("Redis refuses: WRONGPASS"), "{}", refused(&wrong).await);
    house.server().command(&["ACL", "SETUSER", "gatepost", "-hset", "-xread"]).await;
    let told = refused(&house.server().url()).await;
    assert!(told.starts_with("the Redis user may not run on our keys: hset xread;"), "{told}");
    house.server().command(&["ACL", "SETUSER", "gatepost", "-eval"]).await;
    let told = refused(&house.server().url()).await;
    assert!(told.starts_with("Redis refuses: NOPERM") && told.contains("'eval'"), "{told}");
    house.server().command(&["ACL", "SETUSER", "gatepost", "+eval", "resetkeys", "~other:*"]).await;
    let told = refused(&house.server().url()).await;
    assert!(told.contains("{gp}:epoch") || told.contains("NOPERM"), "{told}");
}

pub(super) async fn what_is_no_server_of_its_own_is_refused(house: House) {
    let node = Server::start_with(house.engine, free_port(), &["--cluster-enabled", "yes"]).await;
    let refused = async |url: &str| start_redis(url, &house.database, house.settings).await.err().unwrap().to_string();
    assert_eq!(refused(&node.url()).await, "this is a node of a Cluster; write `redis+cluster://…` for it");
    let single = house.server().url();
    let told = refused(&single.replace("redis://", "redis+cluster://")).await;
    assert!(told.contains("cluster|shards"), "{told}");
    let told = refused(&house.server().open_url().replace("redis://", "redis+cluster://")).await;
    assert!(told.contains("is no node of a Cluster; write redis://"), "{told}");
    let told = refused(&format!("{}service", house.server().open_url().replace("redis://", "redis+sentinel://"))).await;
    assert!(told.contains("is no Sentinel; name Sentinels"), "{told}");
}

pub(super) async fn found_foreign_later_it_stays_unavailable(house: House) {
    let data = tempfile::tempdir().unwrap();
    let other = Database::open_sqlite(&data.path().join("gatepost.db"), Clock::system()).await.unwrap();
    house.server().signal(Signal::STOP);
    let store = start_redis(&house.server().url(), &other, house.settings).await.unwrap();
    house.server().signal(Signal::CONT);
    tokio::time::sleep(SECOND / 2).await;
    assert!(!store.is_ready());
    assert_eq!(store.look_up(Ask::Key(KEY)).await, Err(Unavailable));
    house.token().await;
}

pub(super) async fn installations_with_a_tag_each_share_one_redis(house: House) {
    let data = tempfile::tempdir().unwrap();
    let other = Database::open_sqlite(&data.path().join("gatepost.db"), Clock::system()).await.unwrap();
    let refused = start_redis(&house.server().open_url(), &other, house.settings).await.err().unwrap();
    assert!(matches!(refused, StartError::Foreign) && refused.to_string().contains("`tag=`"), "{refused}");
    let store = start_redis(&format!("{}?tag=other", house.server().open_url()), &other, house.settings).await.unwrap();
    let minted = house.token().await;
    let ask = Ask::Token { id: minted.token.id, key: minted.token.key };
    assert!(until_answered(&store, ask).await < SOON);
    assert_eq!(store.look_up(ask).await, Ok(None), "that is the other one's");
    assert!(house.check(ask).await.is_some());
    let names: Vec<String> = ::redis::FromRedisValue::from_redis_value(house.server().command(&["KEYS", "*"]).await).unwrap();
    for name in ["{gp}:epoch", "{other}:epoch", "{gp}:members", "{other}:members"] {
        assert!(names.iter().any(|known| known == name), "{name}: {names:?}");
    }
    assert!(names.iter().all(|name| name.starts_with("{gp}:") || name.starts_with("{other}:")), "{names:?}");
}

pub(super) async fn a_second_redis_on_one_database_is_refused(mut house: House) {
    let second = Server::start(house.engine).await;
    let minted = house.token().await;
    let refused = start_redis(&second.url(), &house.database, house.settings).await.err().unwrap().to_string();
    let [here, there] = [house.server(), &second].map(|server| format!("redis://127.0.0.1:{}", server.port));
    assert!(
        refused.contains(&format!("its tokens in {here},")) && refused.contains(&format!("reaches as {there} is another Redis")),
        "{refused}"
    );
    assert!(house.store().is_ready() && house.check(ask(&minted)).await.is_some(), "who serves goes on");

    // nobody defends the epoch, though a process that died is listed still
    house.stop();
    let other = start_redis(&second.url(), &house.database, house.settings).await.unwrap();
    until_answered(&other, ask(&minted)).await;
    assert_eq!(other.look_up(ask(&minted)).await, Ok(None), "its token is elsewhere");
    // whole as it is, the first has another epoch than the database
    let refused = start_redis(&house.server().url(), &house.database, house.settings).await.err().unwrap().to_string();
    assert!(refused.contains(&format!("its tokens in {there},")), "{refused}");
    drop(other);
    house.restart(house.clock.clone(), house.settings).await;
    assert!(house.check(ask(&minted)).await.is_some(), "once it is alone it founds an epoch, and what was not ended is good again");
}

pub(super) async fn ids_are_in_key_names_and_secrets_are_not(house: House) {
    let minted = house.token().await;
    assert!(house.check(Ask::Session(SESSION)).await.is_some());
    let names: Vec<String> = ::redis::FromRedisValue::from_redis_value(house.server().command(&["KEYS", "*"]).await).unwrap();
    assert!(names.contains(&format!("{{gp}}:t:{}", minted.token.id)) && names.contains(&format!("{{gp}}:s:{CLIENT}")), "{names:?}");
    assert!(names.iter().all(|name| name.starts_with("{gp}:")), "{names:?}");
    assert!(names.iter().all(|name| !name.contains(&hex(&SECRET))), "{names:?}");
    let expiring = ["t", "k", "s", "l", "m"];
    for name in names.iter().filter(|name| expiring.iter().any(|kind| name.starts_with(&format!("{{gp}}:{kind}:")))) {
        let ::redis::Value::Int(left) = house.server().command(&["PTTL", name]).await else { panic!() };
        assert!(left > 0, "{name} stays for ever");
    }
}

pub(super) async fn who_stops_leaves_the_list_of_members(house: House) {
    let replica = house.replica().await;
    let members = async || house.server().command(&["HLEN", "{gp}:members"]).await;
    assert_eq!(members().await, ::redis::Value::Int(2));
    replica.stop().await;
    assert!(!replica.is_ready(), "nobody waits for it, so it allows nothing");
    drop(replica);
    assert_eq!(members().await, ::redis::Value::Int(1));
}

pub(super) async fn started_without_redis_it_serves_when_redis_comes(house: House) {
    let data = tempfile::tempdir().unwrap();
    let database = Database::open_sqlite(&data.path().join("gatepost.db"), Clock::system()).await.unwrap();
    let port = free_port();
    let store = start_redis(&format!("redis://127.0.0.1:{port}/"), &database, house.settings).await.unwrap();
    assert!(!store.is_ready());
    assert_eq!(store.look_up(Ask::Key(KEY)).await, Err(Unavailable));
    let _server = Server::start_with(house.engine, port, &[]).await;
    assert!(until_answered(&store, Ask::Key(KEY)).await < SOON);
    assert!(store.is_ready());
}

pub(super) async fn whoever_takes_leases_is_listed_in_the_database(house: House) {
    // the first process found a Redis that was not whole, the second a whole one
    let _replica = house.replica().await;
    assert_eq!(house.database.listed_replicas().await.unwrap().len(), 2);
    let (bound, _) = house.database.longest_leases().await.unwrap();
    assert_eq!(bound, house.settings.staleness_bound);
}

/// As after a cut so long that the others took it off both lists.
pub(super) async fn whoever_comes_back_lists_itself_again(house: House) {
    let minted = house.token().await;
    let [row] = &house.database.listed_replicas().await.unwrap()[..] else { panic!() };
    house.database.unlist_replica(&row.id, None).await.unwrap();
    let mut connection = ::redis::Client::open(house.server().open_url()).unwrap().get_multiplexed_async_connection().await.unwrap();
    let mut both = ::redis::pipe();
    both.atomic().del("{gp}:members").cmd("CLIENT").arg(&["KILL", "TYPE", "normal", "SKIPME", "yes"]);
    both.query_async::<()>(&mut connection).await.unwrap();
    tokio::time::sleep(house.settings.staleness_bound).await;
    until_answered(house.store(), ask(&minted)).await;
    let rows = house.database.listed_replicas().await.unwrap();
    assert!(house.store().is_ready() && rows.len() == 1 && rows[0].id == row.id, "{rows:?}");
}
