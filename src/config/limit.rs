//! A limit, as a rule or a declaration says it.

use super::problem::Complaint;
use super::reader::{Field, Shape};
use super::rule::optional;
use super::values;
use crate::decision::limit::Limit;

/// `{ rate: 100/s, burst: 200, quota: 10000/day, per: key }`
pub(super) fn limit(field: &Field<'_>) -> Option<Option<Limit>> {
    if field.shape() == Shape::Absent {
        return Some(None);
    }
    field.mapping(&["rate", "burst", "quota", "per"]);
    if field.shape() != Shape::Mapping {
        return None;
    }
    let text = |key: &str| optional(&field.key(key), None, |text| Ok(Some(text.to_owned())));
    let burst = optional(&field.key("burst"), None, |text| values::number(1, u64::MAX)(text).map(Some));
    let (rate, burst, quota, per) = (text("rate")?, burst?, text("quota")?, text("per")?);
    match Limit::parse(rate.as_deref(), burst, quota.as_deref(), per.as_deref()) {
        Ok(limit) => Some(Some(limit)),
        Err(fault) => {
            let at = field.key(fault.key);
            let at = if at.shape() == Shape::Absent { field } else { &at };
            at.problem(Complaint::new("not a limit", format!("write {}: {}", fault.key, fault.expected)));
            None
        }
    }
}
