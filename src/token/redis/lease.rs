//! Rates: one bucket for all processes, of which each leases a part.

use super::core::Core;
use super::link::CHECK;
use super::scripts::Script;
use crate::decision::limit::Rate;
use crate::token::store::Unavailable;

impl Core {
    /// Takes up to `wanted` units out of the bucket `name`; below zero puts them back, and 0 only looks. How many units those are, or are there,
    /// and in how many milliseconds there is one more.
    ///
    /// # Errors
    /// [`Unavailable`] where Redis cannot be asked.
    pub(super) async fn lease(&self, name: &str, rate: Rate, wanted: i64) -> Result<(u64, u64), Unavailable> {
        let held = self.hold()?;
        let call =
            held.wire.call(Script::Lease).arg(name).number(rate.count).number(rate.per_ms).number(rate.burst).arg(wanted.to_string());
        let reply = held.wire.run(call, CHECK).await.map_err(|_| Unavailable)?;
        let number = |n: usize| reply.at(n).number().and_then(|number| u64::try_from(number).ok());
        Ok((number(1).unwrap_or(0), number(2).ok_or(Unavailable)?))
    }
}
