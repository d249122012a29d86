//! Rules by number: a rule keeps its number for the life of the process, whatever a reload makes of its place.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, LazyLock};

use crate::decision::rules::{Rule, RuleSet};
use crate::lock::Mutex;

/// A rule's number.
pub(super) type Number = NonZeroU32;

/// Every rule that was ever in force in this process.
static NAMES: LazyLock<Mutex<Names>> = LazyLock::new(Mutex::default);

#[derive(Default)]
struct Names {
    numbers: HashMap<Arc<str>, Number>,
    /// In the order of their numbers, which begin with 1.
    ids: Vec<Arc<str>>,
}

/// The numbers of one set of rules, each in the rule's place.
#[derive(Debug)]
pub struct RuleNumbers(Box<[Number]>);

impl RuleNumbers {
    /// The numbers of these rules; those that have none are given one.
    pub fn of(rules: &RuleSet) -> Self {
        let mut names = NAMES.lock();
        Self(rules.rules().iter().map(|rule| names.number(&rule.id)).collect())
    }

    /// The number of a rule of that set.
    pub(super) fn get(&self, rule: &Rule) -> Option<Number> {
        self.0.get(rule.number).copied()
    }
}

impl Names {
    fn number(&mut self, id: &str) -> Number {
        if let Some(number) = self.numbers.get(id) {
            return *number;
        }
        let id: Arc<str> = id.into();
        self.ids.push(Arc::clone(&id));
        let number = u32::try_from(self.ids.len()).ok().and_then(Number::new).unwrap_or(Number::MAX);
        self.numbers.insert(id, number);
        number
    }
}

/// The id of the rule with this number.
pub(super) fn id(number: Number) -> Option<Arc<str>> {
    let names = NAMES.lock();
    names.ids.get(usize::try_from(number.get()).ok()?.checked_sub(1)?).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::rules_file;

    fn rules(ids: &[&str]) -> RuleSet {
        let lines: String = ids.iter().map(|id| format!("  - {{ id: {id}, path: /{id} }}\n")).collect();
        rules_file::load("rules.yaml".into(), &format!("rules:\n{lines}")).unwrap().rules
    }

    #[test]
    fn a_rule_keeps_its_number() {
        let (before, after) = (rules(&["names-a", "names-b"]), rules(&["names-c", "names-b", "names-a"]));
        let (before_numbers, after_numbers) = (RuleNumbers::of(&before), RuleNumbers::of(&after));
        for rule in before.rules() {
            let again = after.rules().iter().find(|other| other.id == rule.id).unwrap();
            assert_eq!(before_numbers.get(rule), after_numbers.get(again));
        }
        for rule in after.rules() {
            assert_eq!(id(after_numbers.get(rule).unwrap()).as_deref(), Some(rule.id.as_str()));
        }
    }
}
