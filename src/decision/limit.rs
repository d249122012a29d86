//! Limits: how often something may pass, and how often in a day or a month.
//!
//! What a limit says, how it is written and how much of it each part of time has; what counts is another's (`src/meters.rs`).

use std::fmt;

use crate::id::Id;

/// Highest rate and burst.
const MOST: u64 = 1_000_000_000;
const SECOND_MS: u64 = 1000;
const DAY_MS: u64 = 86_400_000;

/// What may pass at most: at a rate, in a day or month, or both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Limit {
    /// Who shares it.
    pub per: Per,
    /// How often.
    pub rate: Option<Rate>,
    /// How often in all.
    pub quota: Option<Quota>,
}

/// Who shares a limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Per {
    /// All tokens of one key; of a credential without a key, all of its principal.
    #[default]
    Key,
    /// All keys and logins of one principal.
    Principal,
    /// Everybody of one tenant.
    Tenant,
}

/// So many in each part of time, and so many at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rate {
    /// How many.
    pub count: u64,
    /// In how long, milliseconds.
    pub per_ms: u64,
    /// How many may come at once after a pause.
    pub burst: u64,
}

/// So many in each day or month, by UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Quota {
    /// How many.
    pub amount: u64,
    /// In each of what.
    pub each: Period,
}

/// A part of the calendar, by UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Period {
    /// From midnight to midnight.
    Day,
    /// From the first of a month to the first of the next.
    Month,
}

/// One of the two things a limit says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Allowance {
    /// How often.
    Rate(Rate),
    /// How often in all.
    Quota(Quota),
}

/// What a limit allows, with whom it is shared and where it is written: a check is charged for each that concerns it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Limited {
    /// The key, policy or rule that says so.
    pub of: Id,
    /// Who shares it.
    pub per: Per,
    /// What it allows.
    pub allowance: Allowance,
}

impl fmt::Display for Limited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.allowance {
            Allowance::Rate(rate) => write!(f, "{rate}, {} at once", rate.burst)?,
            Allowance::Quota(quota) => write!(f, "{quota}")?,
        }
        write!(f, ", per {}", self.per.as_str())
    }
}

/// Why a check may not pass though everything else lets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exceeded {
    /// What is used up.
    pub allowance: Allowance,
    /// When it is worth trying again; whole seconds, at least one.
    pub retry_after_s: u64,
}

/// What of a limit cannot be understood: the key, and what is expected there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("`{key}`: {expected}")]
pub struct LimitFault {
    /// `rate`, `burst`, `quota` or `per`.
    pub key: &'static str,
    /// What is expected.
    pub expected: &'static str,
}

impl LimitFault {
    const RATE: Self = Self { key: "rate", expected: "a number and s, m or h, like 100/s" };
    const BURST: Self = Self { key: "burst", expected: "a number from 1 to 1000000000, beside a rate" };
    const QUOTA: Self = Self { key: "quota", expected: "a number and day or month, like 10000/day" };
    const PER: Self = Self { key: "per", expected: "key, principal or tenant" };
    const NOTHING: Self = Self { key: "rate", expected: "a rate like 100/s, a quota like 10000/day, or both" };
}

impl Limit {
    /// The limit that these texts say. Without a burst, as many may come at once as in a second, or one.
    ///
    /// # Errors
    /// Which of them cannot be understood.
    pub fn parse(rate: Option<&str>, burst: Option<u64>, quota: Option<&str>, per: Option<&str>) -> Result<Self, LimitFault> {
        let per = match per {
            None => Per::default(),
            Some(name) => Per::from_name(name).ok_or(LimitFault::PER)?,
        };
        let rate = rate.map(|text| parse_rate(text, burst)).transpose()?;
        if rate.is_none() && burst.is_some() {
            return Err(LimitFault::BURST);
        }
        let quota = quota.map(|text| parse_quota(text).ok_or(LimitFault::QUOTA)).transpose()?;
        if rate.is_none() && quota.is_none() {
            return Err(LimitFault::NOTHING);
        }
        Ok(Self { per, rate, quota })
    }

    /// What `of` says with it, one thing at a time.
    pub fn said_by(&self, of: Id) -> impl Iterator<Item = Limited> + use<> {
        let per = self.per;
        let allowances = self.rate.map(Allowance::Rate).into_iter().chain(self.quota.map(Allowance::Quota));
        allowances.map(move |allowance| Limited { of, per, allowance })
    }
}

impl Per {
    const NAMES: [(Self, &'static str); 3] = [(Self::Key, "key"), (Self::Principal, "principal"), (Self::Tenant, "tenant")];

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        Self::NAMES.into_iter().find(|(per, _)| *per == self).map_or("", |(_, name)| name)
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::NAMES.into_iter().find(|(_, known)| *known == name).map(|(per, _)| per)
    }
}

fn count(text: &str) -> Option<u64> {
    text.parse().ok().filter(|count| (1..=MOST).contains(count))
}

fn parse_rate(text: &str, burst: Option<u64>) -> Result<Rate, LimitFault> {
    let (number, unit) = text.split_once('/').ok_or(LimitFault::RATE)?;
    let per_ms = match unit {
        "s" => SECOND_MS,
        "m" => 60 * SECOND_MS,
        "h" => 3600 * SECOND_MS,
        _ => return Err(LimitFault::RATE),
    };
    let count = count(number).ok_or(LimitFault::RATE)?;
    let burst = burst.unwrap_or((count * SECOND_MS / per_ms).max(1));
    if !(1..=MOST).contains(&burst) {
        return Err(LimitFault::BURST);
    }
    Ok(Rate { count, per_ms, burst })
}

fn parse_quota(text: &str) -> Option<Quota> {
    let (number, unit) = text.split_once('/')?;
    let each = match unit {
        "day" => Period::Day,
        "month" => Period::Month,
        _ => return None,
    };
    Some(Quota { amount: count(number)?, each })
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.per_ms {
            60_000 => "m",
            3_600_000 => "h",
            _ => "s",
        };
        write!(f, "{}/{unit}", self.count)
    }
}

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = if self.each == Period::Day { "day" } else { "month" };
        write!(f, "{}/{unit}", self.amount)
    }
}

impl Rate {
    /// How long one takes, in milliseconds.
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    pub fn interval_ms(&self) -> f64 {
        self.per_ms as f64 / self.count as f64
    }

    /// In how long everything that may come at once has come back, milliseconds; at least one.
    pub fn refill_ms(&self) -> u64 {
        (self.burst.saturating_mul(self.per_ms) / self.count.max(1)).max(1)
    }
}

impl Period {
    /// The period that `now_ms` (Unix milliseconds) lies in: where it begins, and where the next one does.
    pub fn around(self, now_ms: u64) -> (u64, u64) {
        let day = now_ms / DAY_MS;
        let (first, next) = match self {
            Self::Day => (day, day + 1),
            Self::Month => month_around(day),
        };
        (first * DAY_MS, next.saturating_mul(DAY_MS))
    }
}

/// The first day of the month that `day` (since 1970-01-01) lies in, and that of the next.
fn month_around(day: u64) -> (u64, u64) {
    let mut year = 1970 + day / 366;
    while first_of_year(year + 1) <= day {
        year += 1;
    }
    let leap = first_of_year(year + 1) - first_of_year(year) - 365;
    let mut first = first_of_year(year);
    for days in [31, 28 + leap, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if day < first + days {
            return (first, first + days);
        }
        first += days;
    }
    (first, first_of_year(year + 1))
}

/// Days from 1970-01-01 to the first of January (the Gregorian calendar; 719162 of its days lie before 1970).
fn first_of_year(year: u64) -> u64 {
    let before = year - 1;
    (365 * before + before / 4 - before / 100 + before / 400).saturating_sub(719_162)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_written_is_said() {
        let limit = Limit::parse(Some("100/s"), None, Some("10000/day"), None).unwrap();
        assert_eq!(limit.rate, Some(Rate { count: 100, per_ms: 1000, burst: 100 }));
        assert_eq!(limit.quota, Some(Quota { amount: 10_000, each: Period::Day }));
        assert_eq!((limit.per, limit.said_by(Id::from_bytes([1; 16])).count()), (Per::Key, 2));
        let slow = Limit::parse(Some("30/m"), None, None, Some("tenant")).unwrap();
        assert_eq!((slow.per, slow.rate.unwrap().burst, slow.rate.unwrap().to_string()), (Per::Tenant, 1, "30/m".to_owned()));
        assert_eq!(Limit::parse(None, None, Some("5/month"), Some("principal")).unwrap().quota.unwrap().to_string(), "5/month");
    }

    #[test]
    fn what_is_not_says_where() {
        for (rate, burst, quota, per, key) in [
            (None, None, None, None, "rate"),
            (Some("100"), None, None, None, "rate"),
            (Some("0/s"), None, None, None, "rate"),
            (Some("-1/s"), None, None, None, "rate"),
            (Some("1/d"), None, None, None, "rate"),
            (Some("1/s"), Some(0), None, None, "burst"),
            (None, Some(5), Some("1/day"), None, "burst"),
            (None, None, Some("1/week"), None, "quota"),
            (None, None, Some("/day"), None, "quota"),
            (Some("1/s"), None, None, Some("route"), "per"),
        ] {
            assert_eq!(Limit::parse(rate, burst, quota, per).unwrap_err().key, key, "{rate:?} {burst:?} {quota:?} {per:?}");
        }
    }

    #[test]
    fn months_are_those_of_the_calendar() {
        let at = |text: &str| {
            u64::try_from(humantime::parse_rfc3339(text).unwrap().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis()).unwrap()
        };
        for (now, begins, ends) in [
            ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "1970-02-01T00:00:00Z"),
            ("2024-02-29T23:59:59Z", "2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z"),
            ("2025-02-28T23:59:59Z", "2025-02-01T00:00:00Z", "2025-03-01T00:00:00Z"),
            ("2026-12-31T23:59:59Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"),
            ("2100-02-28T12:00:00Z", "2100-02-01T00:00:00Z", "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(Period::Month.around(at(now)), (at(begins), at(ends)), "{now}");
        }
    }

    proptest! {
        #[test]
        fn periods_follow_each_other(now in 0u64..1 << 43) {
            for period in [Period::Day, Period::Month] {
                let (begins, ends) = period.around(now);
                prop_assert!(begins <= now && now < ends);
                prop_assert_eq!(period.around(ends - 1), (begins, ends));
                prop_assert_eq!(period.around(ends).0, ends);
            }
        }
    }
}
