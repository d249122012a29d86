//! One Gatepost process: the shipped protocol (`gatepost::token::fencelog`, `gatepost::token::fence`), driven as
//! `src/token/redis` drives it, over a network and a database that are made up.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use gatepost::id::Id;
use gatepost::token::fence::{Fence, Stamps};
use gatepost::token::fencelog::check::{Leave, outlasts};
use gatepost::token::fencelog::ending::{Ending, Next as EndNext, Told};
use gatepost::token::fencelog::follower::{Agreement, Beat, Entry, Follower, Heard};
use gatepost::token::fencelog::listing::{Listing, unlisted};
use gatepost::token::fencelog::minting::{Minting, Next as MintNext, Wrote};
use gatepost::token::fencelog::presence::{Member, Presence};
use gatepost::token::fencelog::recovery::{Claimed, Locked, Next as RecoverNext, Recovery};
use gatepost::token::fencelog::strict::{Longest, Strict};
use gatepost::token::fencelog::{Epoch, Ran};
use gatepost::token::store::Ask;

use super::redis::{By, Reply, Script, Thing};
use super::world::{Credential, World};
use super::{MS, SECOND};

/// What a check came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Allowed,
    Refused,
    Unavailable,
}

/// A process; it may be ended and started again in its place.
pub(crate) struct Process {
    pub(crate) world: Rc<World>,
    pub(crate) number: u64,
    /// Its clock runs so many millionths of real time...
    rate: u64,
    /// ...and began here.
    offset: u64,
    /// L.
    bound: Duration,
    /// D of the rules in force.
    cached: Cell<Duration>,
    pub(crate) paused_until: Cell<u64>,
    pub(crate) is_over: Cell<bool>,
    /// It takes no lease any more.
    is_leaving: Cell<bool>,
    /// Which server it is connected to, and by which connection.
    server: Cell<usize>,
    pub(crate) link: Cell<u64>,
    fence: Arc<Fence>,
    follower: RefCell<Follower>,
    moved: Cell<bool>,
    /// The next heartbeat, and the next look into the database, are due.
    kick: Cell<bool>,
    look: Cell<bool>,
    is_pending: Cell<Option<(u64, Thing)>>,
    listing: Listing,
    was_listed: Cell<bool>,
    cache: RefCell<BTreeMap<Id, (Stamps, bool)>>,
    fills: RefCell<BTreeMap<Id, Rc<Fill>>>,
}

/// A fill under way, and what it brought.
struct Fill {
    stamps: Stamps,
    brought: Cell<Option<Outcome>>,
}

impl Process {
    /// Starts one.
    pub(crate) fn start(world: &Rc<World>, number: u64) -> Rc<Self> {
        let fence = Arc::new(Fence::default());
        let rate = world.settings.clocks.map_or(1_000_000, |(from, to)| world.random.between(from, to));
        let offset = world.random.below(1_000_000 * SECOND);
        let [bound, cached] = [&world.settings.bounds, &world.settings.cached].map(|of| world.random.pick(of).copied().unwrap_or_default());
        fence.want_cached(cached);
        let process = Rc::new(Self {
            world: Rc::clone(world),
            number,
            rate,
            offset,
            bound,
            cached: Cell::new(cached),
            paused_until: Cell::new(0),
            is_over: Cell::new(false),
            is_leaving: Cell::new(false),
            server: Cell::new(world.server_of(number)),
            link: Cell::new(1),
            follower: RefCell::new(Follower::new(Arc::clone(&fence), bound)),
            fence,
            moved: Cell::new(false),
            kick: Cell::new(false),
            look: Cell::new(false),
            is_pending: Cell::new(None),
            listing: Listing::default(),
            was_listed: Cell::new(false),
            cache: RefCell::default(),
            fills: RefCell::default(),
        });
        world.time.spawn(Rc::clone(&process).heartbeats());
        world.time.spawn(Rc::clone(&process).log());
        world.time.spawn(Rc::clone(&process).lookout());
        world.time.spawn(Rc::clone(&process).relay());
        process
    }

    /// Its own clock, nanoseconds since boot.
    fn clock(&self) -> u64 {
        self.offset + (u128::from(self.world.time.now()) * u128::from(self.rate) / 1_000_000) as u64
    }

    /// Sleeps so long on its own clock.
    async fn sleep(&self, for_: u64) {
        let real = (u128::from(for_) * 1_000_000 / u128::from(self.rate)) as u64 + 1;
        self.world.time.until(self.world.time.now() + real).await;
        self.go_on().await;
    }

    /// Sleeps so long, or until it is waked.
    async fn sleep_unless(&self, wakes: &Cell<bool>, for_: u64) {
        let until = self.clock() + for_;
        while self.clock() < until && !wakes.replace(false) {
            self.sleep((until - self.clock()).min(10 * MS)).await;
        }
    }

    /// Where it is paused, nothing happens until it is not.
    pub(crate) async fn go_on(&self) {
        while self.paused_until.get() > self.world.time.now() {
            self.world.time.until(self.paused_until.get()).await;
        }
    }

    /// Asks Redis: the answer, or nothing where request, answer or connection was lost, or time was up.
    async fn ask(&self, script: Script) -> Option<Reply> {
        let (link, server, begun) = (self.link.get(), self.server.get(), self.world.time.now());
        let given_up = begun + 200 * MS;
        let reply = self.world.carry(server, script).await;
        self.go_on().await;
        match reply {
            Some(reply) if self.link.get() == link && self.world.time.now() < given_up => Some(reply),
            _ => {
                let rest = given_up.saturating_sub(self.world.time.now());
                if rest > 0 && self.link.get() == link {
                    self.world.time.until(given_up).await;
                    self.go_on().await;
                }
                None
            }
        }
    }

    /// A new connection, to whatever server is the primary by what it hears.
    pub(crate) fn reconnect(&self) {
        self.follower.borrow_mut().lost(self.link.get());
        self.follower.borrow().replaced();
        self.link.set(self.link.get() + 1);
        self.server.set(self.world.server_of(self.number));
        self.moved.set(true);
    }

    /// The process ends, at once.
    pub(crate) fn end(&self) {
        self.is_over.set(true);
    }

    /// The process ends in good order: it leaves the lists, while it answers what is under way.
    pub(crate) async fn leave(self: Rc<Self>) {
        self.go_on().await;
        self.is_leaving.set(true);
        self.follower.borrow_mut().stop();
        if self.ask(Script::Members { remove: vec![(self.number, None)] }).await.is_some() {
            let number = self.number;
            self.world.database(move |database| database.unlist(number, None)).await;
        }
        self.sleep(500 * MS).await;
        self.end();
    }

    /// Other rules come into force.
    pub(crate) fn reload(&self, cached: Duration) {
        self.cached.set(cached);
        self.fence.want_cached(cached);
    }

    /// How much later than an end a check that begins now may be allowed.
    pub(crate) fn staleness(&self) -> u64 {
        (self.bound + self.cached.get()).as_nanos() as u64
    }

    async fn heartbeats(self: Rc<Self>) {
        let mut unanswered = 0;
        while !self.is_over.get() {
            let (sent, link, applied) = (self.clock(), self.link.get(), self.follower.borrow().ack());
            let settles = self.follower.borrow().settles(sent, self.world.settings.slack).cloned();
            let cached = self.listing.cached();
            let reply = self.ask(Script::Beat { member: self.number, lasts: self.bound + cached, settles }).await;
            if self.is_leaving.get() {
                return;
            }
            let Some(Reply::Beat { whole, there, recovering, was_member, settled, seq, last }) = reply else {
                unanswered += 1;
                if unanswered > 3 {
                    unanswered = 0;
                    self.reconnect();
                }
                self.sleep(20 * MS).await;
                continue;
            };
            unanswered = 0;
            self.listing.hear(sent, was_member);
            if let Some(cached) = self.listing.lacks(self.fence.longest_cached()).filter(|_| whole.is_some()) {
                if self.list(cached).await.is_none() {
                    self.sleep(20 * MS).await;
                }
                continue;
            }
            let is_stray = !recovering && whole.as_ref().is_some_and(|whole| self.follower.borrow().is_stray(whole.as_str()));
            let instead_of = whole.clone().filter(|_| is_stray);
            let beat =
                Beat { sent, cached, applied, link, whole: whole.filter(|_| !is_stray), settled, seq, last: last.to_string().into() };
            let heard = self.follower.borrow_mut().beat(self.clock(), beat);
            match heard {
                Heard::NotWhole => {
                    self.recover(there, instead_of).await;
                    self.sleep(20 * MS).await;
                }
                Heard::Adopted => {
                    self.world.adopted.set(self.world.adopted.get() + 1);
                    self.moved.set(true);
                    self.look.set(true);
                    if self.follower.borrow().agreement() == Agreement::Unknown {
                        self.listing.doubt();
                    }
                }
                Heard::Ours => self.sleep_unless(&self.kick, self.bound.as_nanos() as u64 / 4).await,
            }
        }
    }

    /// Tells the database for how long what this process has may be used.
    async fn list(&self, cached: Duration) -> Option<()> {
        let (number, bound) = (self.number, self.bound);
        if !self.world.settings.unlisted {
            let is_new = self.world.database(move |database| database.list(number, bound, cached)).await?;
            let is_back = is_new && self.was_listed.replace(true);
            self.world.relisted.set(self.world.relisted.get() + u64::from(is_back));
            self.go_on().await;
        }
        self.listing.wrote(cached);
        Some(())
    }

    async fn lookout(self: Rc<Self>) {
        while !self.is_over.get() {
            self.look_out().await;
            self.sleep_unless(&self.look, 250 * MS).await;
        }
    }

    /// Looks whether the database has the epoch held, and whether somebody claims to found the next.
    async fn look_out(&self) -> Option<()> {
        let held = self.follower.borrow().epoch().cloned();
        let (epoch, is_claimed, row) = self.world.database(|database| database.outlook()).await?;
        self.go_on().await;
        self.is_pending.set(row);
        let epoch = epoch?;
        if let Some(held) = held {
            let has_it = self.world.settings.trusting || held == epoch;
            let is_news = !has_it || self.follower.borrow().agreement() != Agreement::Agrees;
            self.follower.borrow_mut().compared(self.clock(), &held, has_it);
            self.kick.set(self.kick.get() || is_news);
        }
        if is_claimed && self.follower.borrow().defends(&epoch, self.clock()) {
            let refused = self.world.database(move |database| database.refuse_claims(&epoch)).await?;
            self.world.refused.set(self.world.refused.get() + refused);
            self.go_on().await;
        }
        Some(())
    }

    /// Whether somebody refuses that this epoch is founded.
    async fn claim(&self, epoch: Epoch) -> Option<Claimed> {
        let (number, claim) = (self.number, epoch.clone());
        let is_alone = self.world.database(move |database| {
            let is_alone = database.listed().keys().all(|id| *id == number);
            if !is_alone {
                database.claims.insert(claim, false);
            }
            is_alone
        });
        let mut claimed = Claimed::Stands;
        if !is_alone.await? {
            self.sleep(750 * MS).await;
            claimed = match self.world.database(move |database| database.claims.remove(&epoch)).await? {
                None => Claimed::Overtaken,
                Some(is_refused) => {
                    if is_refused {
                        Claimed::Refused
                    } else {
                        Claimed::Stands
                    }
                }
            };
        }
        self.go_on().await;
        Some(claimed)
    }

    async fn recover(&self, there: Option<Epoch>, instead_of: Option<Epoch>) {
        let Some(old) = self.world.database(|database| database.epoch.clone()).await else { return };
        self.go_on().await;
        let (nonce, new) = (self.world.random.next(), Epoch::new(&format!("e{}", self.world.random.next())));
        let knows = |old: &Epoch| there.as_ref() == Some(old) || self.follower.borrow().has_known(old);
        let recovery = Recovery::begin(old, new.clone(), knows);
        let (locked, by) = match self.ask(Script::Lock { nonce, instead_of }).await {
            Some(Reply::Locked { run_id, replid }) => (Locked::Ours, By::Lock { nonce, run_id, replid, epoch: new }),
            _ => return,
        };
        let next = recovery.locked(locked);
        let epoch = match &by {
            By::Lock { epoch, .. } | By::Epoch(epoch) => epoch.clone(),
        };
        let last = self.recover_under(by, recovery, next).await;
        if last != Some(RecoverNext::Founded) {
            self.follower.borrow_mut().gives_up(&epoch);
            self.ask(Script::Unlock { nonce }).await;
        }
        if last == Some(RecoverNext::Refused) {
            self.sleep(SECOND).await;
        }
    }

    /// How it ended; nothing where the database was away.
    async fn recover_under(&self, by: By, mut recovery: Recovery, mut next: RecoverNext) -> Option<RecoverNext> {
        let mut ends = Vec::new();
        loop {
            next = match next {
                RecoverNext::Claim(epoch) => {
                    let claimed = self.claim(epoch).await?;
                    recovery.claimed(claimed)
                }
                RecoverNext::SwapEpoch(old, new) => {
                    if let Some(cached) = self.listing.lacks(self.fence.longest_cached()) {
                        self.list(cached).await?;
                    }
                    let founds = new.clone();
                    let swapped = self.world.database(move |database| database.swap_epoch(old.as_ref(), &new)).await?;
                    if swapped {
                        self.follower.borrow_mut().founds(&founds, self.clock());
                    }
                    recovery.swapped(swapped)
                }
                RecoverNext::ReadEnds => {
                    ends = self.world.database(|database| database.replayed()).await?;
                    if let Some(slow) = self.world.settings.slow_replays {
                        self.sleep(self.world.random.below(slow.as_nanos() as u64)).await;
                    }
                    recovery.read(ends.len().div_ceil(4))
                }
                RecoverNext::Replay(n) => {
                    let things = ends.chunks(4).nth(n).unwrap_or_default().to_vec();
                    recovery.replayed(n, ran(self.ask(Script::End { by: by.clone(), things }).await))
                }
                RecoverNext::Found => {
                    recovery.founded(ran(self.ask(Script::Found { by: by.clone(), is_first: recovery.is_first() }).await))
                }
                RecoverNext::Founded => {
                    self.world.founded.set(self.world.founded.get() + 1);
                    return Some(next);
                }
                RecoverNext::Refused | RecoverNext::ByOthers | RecoverNext::Foreign | RecoverNext::Interrupted => return Some(next),
            };
            self.go_on().await;
        }
    }

    async fn log(self: Rc<Self>) {
        while !self.is_over.get() {
            self.moved.set(false);
            let (position, ack) = (self.follower.borrow().position(), self.follower.borrow().ack());
            let (Some(position), Some(ack)) = (position, ack) else {
                self.sleep(10 * MS).await;
                continue;
            };
            let after = position.parse().unwrap_or(0);
            let read = self.world.carry(self.server.get(), Script::Read { member: self.number, ack, after }).await;
            self.go_on().await;
            // what was read at an old position is left behind with its connection
            if let (Some(Reply::Entries(logged)), false) = (read, self.moved.get()) {
                let entries: Vec<Entry> = logged
                    .into_iter()
                    .map(|entry| Entry {
                        epoch: entry.epoch,
                        n: entry.n,
                        concerns: entry.concerns,
                        position: entry.place.to_string().into(),
                    })
                    .collect();
                self.follower.borrow_mut().entries(&entries);
            }
            let pause = self.world.random.between(MS / 2, 3 * MS) * self.world.settings.pace.min(20);
            self.sleep(pause).await;
        }
    }

    async fn relay(self: Rc<Self>) {
        let (mut members, mut rows) = (Presence::<u64>::default(), Presence::<u64>::default());
        while !self.is_over.get() {
            self.sleep(250 * MS).await;
            self.remove_the_dead(&mut members, &mut rows).await;
            if let Some((row, thing)) = self.is_pending.take() {
                self.end_once(row, thing).await;
            }
        }
    }

    async fn remove_the_dead(&self, members: &mut Presence<u64>, rows: &mut Presence<u64>) {
        let Some(Reply::Members(beating)) = self.ask(Script::Members { remove: Vec::new() }).await else { return };
        let Some(listed) = self.world.database(|database| database.listed()).await else { return };
        self.go_on().await;
        let absent = listed.into_iter().filter(|(id, ..)| !beating.iter().any(|(member, ..)| member == id));
        let slack = self.world.settings.slack;
        let absent = absent.map(|(id, (bound, cached, listings))| unlisted(id.to_string(), listings, (bound, cached), slack)).collect();
        for gone in rows.gone(absent, self.clock()) {
            let (id, listings) = (gone.id.parse().unwrap_or(0), gone.sign);
            let removed = self.world.database(move |database| database.unlist(id, Some(listings))).await;
            self.world.unlisted.set(self.world.unlisted.get() + u64::from(removed == Some(true)));
        }
        let member = |(id, beat, lasts): (u64, u64, Duration)| Member { id: id.to_string(), sign: beat, lasts };
        let gone = members.gone(beating.into_iter().map(member).collect(), self.clock());
        let remove: Vec<_> = gone.iter().filter_map(|member| Some((member.id.parse().ok()?, Some(member.sign)))).collect();
        if !remove.is_empty() {
            self.ask(Script::Members { remove }).await;
        }
    }

    /// END 2 and 3, once: what it came to.
    async fn end_once(&self, row: u64, thing: Thing) -> EndNext {
        let Some(epoch) = self.follower.borrow().epoch().cloned() else { return EndNext::Later };
        let settings = &self.world.settings;
        let is_settled = settings.hasty || self.follower.borrow().settled(self.clock(), settings.slack) == Some(&epoch);
        let mut ending = Ending::begin(&epoch, is_settled);
        let Some(record) = self.world.database(move |database| database.record(thing)).await else { return EndNext::Later };
        self.go_on().await;
        let ran = match self.ask(Script::End { by: By::Epoch(ending.epoch().clone()), things: vec![(thing, record)] }).await {
            Some(Reply::Ended(n)) => Ran::Done(n),
            Some(_) => Ran::OtherEpoch,
            None => Ran::Unanswered,
        };
        let mut next = ending.ran(self.clock(), ran);
        if let EndNext::MarkDone(epoch) = &next {
            let (epoch, world) = (epoch.clone(), Rc::clone(&self.world));
            let marked = self.world.database(move |database| {
                let done = database.mark_done(row, &epoch);
                if done {
                    world.applied(thing);
                }
                done
            });
            let marked = marked.await;
            self.go_on().await;
            next = ending.marked(marked);
        }
        next
    }

    /// END, whole: committed, applied, and seen everywhere where that is asked.
    pub(crate) async fn end_thing(self: Rc<Self>, thing: Thing, strict: bool) {
        let Some(row) = self.world.database(move |database| database.commit_end(thing)).await else { return };
        for _ in 0..4 {
            self.go_on().await;
            match self.end_once(row, thing).await {
                EndNext::Applied(told) => {
                    if strict && self.wait_strictly(told).await.is_some() {
                        self.world.seen_everywhere(thing);
                    }
                    return;
                }
                EndNext::Later | EndNext::OnceSettled => return,
                EndNext::InNextEpoch | EndNext::MarkDone(_) => self.sleep(300 * MS).await,
            }
        }
    }

    /// Nothing where the database does not say how long that may take.
    async fn wait_strictly(&self, told: Told) -> Option<()> {
        let settings = &self.world.settings;
        let (bound, cached) = match settings.selfish {
            true => (self.bound, self.cached.get()),
            false => self.world.database(|database| database.longest()).await?,
        };
        self.go_on().await;
        let longest = Longest { bound: bound.max(self.bound), cached, slack: settings.slack };
        let strict = Strict::begin(told.clone(), longest);
        while self.clock() < strict.until() {
            let may_ask = strict.may_ask(self.clock(), self.follower.borrow().held());
            if may_ask
                && let Some(Reply::Acks(of_members)) = self.ask(Script::Acks { epoch: told.epoch.clone() }).await
                && strict.is_acknowledged(of_members.iter().map(Option::as_ref))
            {
                self.world.by_acks.set(self.world.by_acks.get() + 1);
                return Some(());
            }
            self.sleep(5 * MS).await;
        }
        self.world.by_time.set(self.world.by_time.get() + 1);
        Some(())
    }

    /// MINT: a token for the key, or the one it has.
    pub(crate) async fn mint(self: Rc<Self>, key: Id, subject: Id) {
        for _ in 0..3 {
            let Some(epoch) = self.follower.borrow().epoch().cloned() else { return };
            let minting = Minting::begin(&epoch);
            let things = [Thing::Key(key), Thing::Subject(subject)];
            let Some(records) = self.world.database(move |database| things.map(|thing| (thing, database.record(thing)))).await else {
                return;
            };
            self.go_on().await;
            if records.iter().any(|(_, record)| record.ended) {
                return;
            }
            let (token, again) = (self.world.new_id(), self.world.random.per_mille(300));
            let by = By::Epoch(minting.epoch().clone());
            let (ran, written) = match self.ask(Script::Mint { by, records: records.to_vec(), token, key, subject, again }).await {
                Some(Reply::Minted(id)) => (Ran::Done(Wrote::It), Some(id)),
                Some(Reply::NewerThere) => (Ran::Done(Wrote::NewerThere), None),
                Some(_) => (Ran::OtherEpoch, None),
                None => (Ran::Unanswered, None),
            };
            let mut next = minting.ran(ran);
            if let (MintNext::Save, Some(token)) = (next, written) {
                let saved = self.world.database(move |database| database.save_token(token)).await;
                self.go_on().await;
                next = minting.saved(saved);
            }
            match (next, written) {
                (MintNext::Minted, Some(token)) => return self.world.minted(Credential { token, key, subject }),
                (MintNext::EndIt, Some(token)) => {
                    let (by, things) = (By::Epoch(minting.epoch().clone()), vec![(Thing::Token(token), Default::default())]);
                    if self.ask(Script::End { by, things }).await.is_none() {
                        return;
                    }
                }
                (MintNext::Again, _) => {}
                (MintNext::InNextEpoch, _) => self.sleep(300 * MS).await,
                _ => return,
            }
        }
    }

    /// CHECK. Begins now: the head is complete.
    pub(crate) async fn check(&self, credential: Credential) -> Outcome {
        let began = self.clock();
        let (token, ask) = (credential.token, Ask::Token { id: credential.token, key: credential.key });
        let cached_for = self.fence.cached_for(self.cached.get());
        let leave = Leave::read(&self.fence, began);
        let stamps = self.fence.stamps(ask);
        let kept = self.cache.borrow().get(&token).copied().filter(|(of, _)| *of == stamps);
        let may_be_used = match leave {
            Leave::Lapsed(since) => outlasts(since, cached_for, began),
            Leave::Leased | Leave::Unleased => true,
        };
        if let Some((_, is_live)) = kept.filter(|_| may_be_used) {
            self.world.hits.set(self.world.hits.get() + 1);
            return if is_live { Outcome::Allowed } else { Outcome::Refused };
        }
        if !leave.asks() {
            return Outcome::Unavailable;
        }
        let under_way = self.fills.borrow().get(&token).cloned();
        if let Some(fill) = under_way.filter(|fill| leave.joins(fill.stamps, stamps)) {
            self.world.joins.set(self.world.joins.get() + 1);
            for _ in 0..500 {
                if let Some(brought) = fill.brought.get() {
                    return brought;
                }
                self.sleep(MS).await;
            }
            return Outcome::Unavailable;
        }
        let Some(epoch) = self.follower.borrow().epoch().cloned() else { return Outcome::Unavailable };
        let fill = Rc::new(Fill { stamps, brought: Cell::new(None) });
        self.fills.borrow_mut().insert(token, Rc::clone(&fill));
        let reply = self.ask(Script::Fill { epoch, token, key: credential.key }).await;
        let outcome = match reply {
            Some(Reply::Live(is_live)) => {
                self.cache.borrow_mut().insert(token, (stamps, is_live));
                if is_live { Outcome::Allowed } else { Outcome::Refused }
            }
            _ => Outcome::Unavailable,
        };
        fill.brought.set(Some(outcome));
        let mut fills = self.fills.borrow_mut();
        if fills.get(&token).is_some_and(|under_way| Rc::ptr_eq(under_way, &fill)) {
            fills.remove(&token);
        }
        outcome
    }
}

fn ran(reply: Option<Reply>) -> Ran<()> {
    match reply {
        Some(Reply::Ended(_) | Reply::Ok) => Ran::Done(()),
        Some(_) => Ran::OtherEpoch,
        None => Ran::Unanswered,
    }
}
