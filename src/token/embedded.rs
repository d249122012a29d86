//! The embedded token store: records and live tokens in this process, for one machine.
//!
//! The database is where they last; memory is where checks look. Order of every mint and end:
//! commit, then memory, then answer, so `kill -9` loses nothing that was answered.
//!
//! INVARIANT: mints and ends take turns, and what they put into memory they read from the database
//! in that turn, so memory never goes back to an older version.
//! INVARIANT: no check is judged at a time later than the mark in the database ([`mark`]), so a clock
//! set back between two runs revives nothing.
//! INVARIANT: what changes in memory is told to the [`Fence`] after that and before anybody is answered, so nothing that the
//! cache kept from before outlives an end.
//! INVARIANT: nothing is answered without the lock of [`Database::lock`]: another process's memory may be the newer one.

mod mark;
mod memory;
mod tickets;
mod upkeep;

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use mark::Mark;
use memory::Memory;
use tickets::Tickets;

use super::fence::Fence;
use super::minting;
use super::record::{Fill, TokenRecord};
use super::sliding::Grid;
use super::store::{Ask, BATCH, MintOrder, MintRefusal, Minted, Propagated, Settings, TOKENS_PER_KEY, Unavailable};
use super::ticket::{Purpose, Ticket, Worth};
use crate::clock::{Clock, UnixMs};
use crate::database::{Database, DatabaseError, LiveToken, Lock, Pending, PendingKind};
use crate::id::Id;
use crate::lock::{Mutex, RwLock};

/// The store with the tasks that look after it; they end with it.
pub struct Embedded {
    state: Arc<State>,
    upkeep: tokio::task::JoinHandle<()>,
}

struct State {
    database: Database,
    settings: Settings,
    grid: Grid,
    mark: Mark,
    memory: RwLock<Memory>,
    /// Idle ends that moved and are not in the database yet: at most one a live token.
    slid: Mutex<HashMap<Id, UnixMs>>,
    /// Whose turn it is to mint or to end.
    turn: tokio::sync::Mutex<()>,
    lock: Lock,
    fence: Arc<Fence>,
    /// The number of the last import whose keys are in memory.
    imported: AtomicI64,
    tickets: Tickets,
}

impl Embedded {
    /// Locks the database, loads what is live and begins to look after it.
    ///
    /// # Errors
    /// Where another process serves from this database, or it cannot be read.
    pub async fn start(database: Database, settings: Settings) -> Result<Arc<Self>, DatabaseError> {
        let lock = database.lock().await?;
        let mark = Mark::begin(&database).await?;
        let epoch = Id::random().map_err(|_| DatabaseError::Unavailable("the system gave no randomness".to_owned()))?;
        let mut memory = Memory::default();
        // rows that another process left in the outbox are done by this: what they say is read here
        let left: Vec<i64> = database.pending(0, u32::MAX).await?.iter().map(|row| row.n).collect();
        let imported = database.newest_import().await?;
        for record in database.all_records().await? {
            memory.take(record);
        }
        for live in database.live_tokens(database.clock().now()).await? {
            memory.insert(live);
        }
        for rows in left.chunks(BATCH as usize) {
            database.done(rows, None).await?;
        }
        let state = Arc::new(State {
            grid: Grid::new(settings.ttl),
            memory: RwLock::new(memory),
            slid: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            lock,
            fence: Arc::default(),
            imported: AtomicI64::new(imported),
            tickets: Tickets::new(epoch),
            database,
            settings,
            mark,
        });
        Ok(Arc::new(Self { upkeep: tokio::spawn(upkeep::run(Arc::downgrade(&state))), state }))
    }

    /// See [`super::store::TokenStore::look_up`].
    ///
    /// # Errors
    /// [`Unavailable`] where the lock is lost or the time mark cannot be moved on.
    pub async fn look_up(&self, ask: Ask) -> Result<Option<Fill>, Unavailable> {
        self.state.serves()?;
        let now = self.state.database.clock().now();
        self.state.mark.covers(&self.state.database, now).await?;
        Ok(self.state.read().look_up(ask, now))
    }

    /// See [`super::store::TokenStore::slide`].
    pub fn slide(&self, token: Id, cap: UnixMs, seen: UnixMs) -> UnixMs {
        let state = &self.state;
        let now = state.database.clock().now();
        let idle_end = state.grid.idle_end(now, cap);
        if idle_end > seen && state.read().slide(token, idle_end, now) {
            state.slid.lock().insert(token, idle_end);
        }
        state.grid.due(idle_end, cap)
    }

    /// From when on a use moves this idle end on.
    pub(super) fn slides_from(&self, idle_end: UnixMs, cap: UnixMs) -> UnixMs {
        self.state.grid.due(idle_end, cap)
    }

    /// What tells the cache that something ended or changed.
    pub(super) fn fence(&self) -> Arc<Fence> {
        Arc::clone(&self.state.fence)
    }

    /// How long a token lasts unused.
    pub(super) fn ttl(&self) -> Duration {
        self.state.settings.ttl
    }

    pub(super) fn database(&self) -> &Database {
        &self.state.database
    }

    pub(super) fn clock(&self) -> &Clock {
        self.state.database.clock()
    }

    /// The life of this store, which a ticket made now names.
    pub(super) fn epoch(&self) -> Id {
        self.state.tickets.epoch
    }

    /// See [`super::store::TokenStore::ticket`].
    ///
    /// # Errors
    /// [`Unavailable`] where the lock is lost, or too many were used to keep one more.
    pub(super) fn ticket(&self, ticket: &Ticket, purpose: Purpose) -> Result<Worth, Unavailable> {
        self.state.serves()?;
        self.state.tickets.worth(ticket, purpose, self.clock().now())
    }

    /// Whether checks can be answered at `now` without anything being written first.
    pub(super) fn serves_at(&self, now: UnixMs) -> bool {
        self.state.lock.is_held() && self.state.mark.reaches(now)
    }

    /// See [`super::store::TokenStore::mint`].
    ///
    /// # Errors
    /// See [`MintRefusal`].
    pub async fn mint(&self, order: MintOrder) -> Result<Minted, MintRefusal> {
        self.state.mint(order).await
    }

    /// See [`super::store::TokenStore::apply`].
    pub async fn apply(&self, until: i64) -> Propagated {
        self.state.apply(until).await
    }

    /// See [`super::store::TokenStore::idle_ends`].
    pub fn idle_ends(&self, tokens: &[Id]) -> Vec<Option<UnixMs>> {
        let now = self.state.database.clock().now();
        let memory = self.state.read();
        tokens.iter().map(|id| memory.live(*id, now).map(memory::Live::idle_end)).collect()
    }

    /// See [`super::store::TokenStore::is_ready`].
    pub fn is_ready(&self) -> bool {
        self.serves_at(self.state.database.clock().now())
    }

    /// See [`super::store::TokenStore::flush`].
    pub async fn flush(&self) {
        self.state.flush().await;
    }

    /// See [`super::store::TokenStore::stop`].
    pub async fn stop(&self) {
        self.state.flush().await;
        self.state.lock.release().await;
    }

    /// See [`super::store::TokenStore::ousted`].
    pub async fn ousted(&self) {
        self.state.lock.lost().await;
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.upkeep.abort();
    }
}

impl State {
    /// Without the lock another process may serve, whose ends this one's memory does not know.
    fn serves(&self) -> Result<(), Unavailable> {
        if self.lock.is_held() { Ok(()) } else { Err(Unavailable) }
    }

    fn read(&self) -> RwLockReadGuard<'_, Memory> {
        self.memory.read()
    }

    fn write(&self) -> RwLockWriteGuard<'_, Memory> {
        self.memory.write()
    }

    async fn mint(&self, order: MintOrder) -> Result<Minted, MintRefusal> {
        let away = |_| MintRefusal::Unavailable;
        let _turn = self.turn.lock().await;
        self.serves().map_err(|Unavailable| MintRefusal::Unavailable)?;
        let now = self.database.clock().now();
        self.mark.covers(&self.database, now).await.map_err(|_| MintRefusal::Unavailable)?;
        let records = self.database.records_of(PendingKind::Key, order.key).await.map_err(away)?;
        let scopes = minting::admit(&records, &order, now)?;
        let idle_end = |token: &TokenRecord| self.grid.idle_end(now, token.cap);
        let found = {
            let mut memory = self.write();
            // what is newer than memory is an end or a change whose own turn comes next
            let newer: Vec<_> = records.into_iter().filter_map(|record| memory.take(record)).collect();
            let found = memory.reusable(&order, &scopes, now, self.settings.ttl);
            drop(memory);
            newer.into_iter().for_each(|(kind, id)| self.changed(kind, id));
            found
        };
        if let Some(token) = found {
            let live = LiveToken { idle_end: idle_end(&token), token };
            if self.database.save_token(&live).await.map_err(away)? {
                self.read().slide(live.token.id, live.idle_end, now);
                // a check may have found it ended meanwhile, and its absence is kept
                self.fence.bump(live.token.id);
                return Ok(Minted { token: live.token, idle_end: live.idle_end });
            }
            // ended in the database; the turn of its outbox row comes next
            self.write().remove(live.token.id);
            self.fence.bump(live.token.id);
        }
        if self.read().live_of(order.key, now) >= TOKENS_PER_KEY {
            return Err(MintRefusal::TooManyTokens);
        }
        let token = minting::record(&order, scopes, now, &self.settings)?;
        let live = LiveToken { idle_end: idle_end(&token), token };
        if !self.database.save_token(&live).await.map_err(away)? {
            return Err(MintRefusal::Unavailable);
        }
        self.write().insert(live.clone());
        Ok(Minted { token: live.token, idle_end: live.idle_end })
    }

    /// Memory holds something new, so what was read before counts no more.
    fn changed(&self, kind: PendingKind, id: Id) {
        match kind {
            PendingKind::Token | PendingKind::Key | PendingKind::Session | PendingKind::Denials => self.fence.bump(id),
            PendingKind::Subject | PendingKind::Policy => self.fence.bump_all(),
            PendingKind::Imports => self.fence.bump_imports(),
        }
    }

    async fn apply(&self, until: i64) -> Propagated {
        let _turn = self.turn.lock().await;
        loop {
            match self.apply_some().await {
                Ok(None) => return Propagated::Yes,
                Ok(Some(last)) if last >= until => return Propagated::Yes,
                Ok(Some(_)) => {}
                Err(error) => {
                    tracing::warn!(%error, "an end or change waits in the outbox");
                    return Propagated::Later;
                }
            }
        }
    }

    /// Applies the oldest rows and says which was the last; `None` where there is none.
    async fn apply_some(&self) -> Result<Option<i64>, DatabaseError> {
        if self.serves().is_err() {
            return Err(DatabaseError::Unavailable("its lock is lost".to_owned()));
        }
        let rows = self.database.pending(0, BATCH).await?;
        let Some(last) = rows.last() else { return Ok(None) };
        for Pending { kind, id, .. } in &rows {
            let record = match kind {
                PendingKind::Imports => {
                    self.take_imported().await?;
                    self.changed(*kind, *id);
                    continue;
                }
                PendingKind::Token => None,
                _ => self.database.record(*kind, *id).await?,
            };
            match record {
                Some(record) => drop(self.write().take(record)),
                None => self.write().forget(*kind, *id),
            }
            self.changed(*kind, *id);
        }
        self.database.done(&rows.iter().map(|row| row.n).collect::<Vec<_>>(), None).await?;
        Ok(Some(last.n))
    }

    /// Keys that were imported since the last time.
    async fn take_imported(&self) -> Result<(), DatabaseError> {
        let newest = self.database.newest_import().await?;
        // one turn at a time comes here
        let last = self.imported.load(Ordering::Acquire);
        for record in self.database.imported_records(last).await? {
            let taken = self.write().take(record);
            // what was found not to be there may be cached so
            taken.into_iter().for_each(|(kind, id)| self.changed(kind, id));
        }
        self.imported.store(newest, Ordering::Release);
        Ok(())
    }

    async fn flush(&self) {
        let slid = std::mem::take(&mut *self.slid.lock());
        let ends: Vec<_> = slid.into_iter().collect();
        if let Err(error) = self.database.slide_tokens(&ends).await {
            tracing::warn!(%error, "idle ends are kept in memory until the database takes them");
            let mut slid = self.slid.lock();
            for (id, end) in ends {
                let later = slid.entry(id).or_insert(end);
                *later = (*later).max(end);
            }
        }
    }
}
