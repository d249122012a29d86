//! The report: one line a question, then each fault with what arrived, what it means and how it is mended.

use std::fmt::Write;

use serde::Serialize;

use super::fault::Fault;
use super::judge::{Line, Outcome};
use crate::dialect::Proxy;

/// What was found.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    url: String,
    /// The `proxy` of the gate that was asked.
    gate: Option<&'static str>,
    lines: Vec<ReportLine>,
    faults: Vec<ReportFault>,
}

#[derive(Debug, Serialize)]
struct ReportLine {
    name: &'static str,
    /// `fine`, `wrong` or `unknown`.
    outcome: &'static str,
    says: String,
}

#[derive(Debug, Serialize)]
struct ReportFault {
    fault: Fault,
    says: String,
    arrived: String,
    means: &'static str,
    /// In the words of the proxy whose gate was asked; of each where no gate was.
    mend: Vec<Mend>,
}

#[derive(Debug, Serialize)]
struct Mend {
    proxy: &'static str,
    how: &'static str,
}

impl Report {
    pub(super) fn new(url: &str, gate: Option<Proxy>, lines: Vec<Line>) -> Self {
        let proxies: Vec<Proxy> = gate.map_or_else(|| Proxy::ALL.to_vec(), |proxy| vec![proxy]);
        let mut faults: Vec<ReportFault> = Vec::new();
        for line in &lines {
            for (fault, arrived) in &line.faults {
                // one thing that is wrong shows in several probes
                if faults.iter().any(|other| other.fault == *fault && other.arrived == *arrived) {
                    continue;
                }
                let mend = proxies.iter().map(|proxy| Mend { proxy: proxy.as_str(), how: fault.mend(*proxy) }).collect();
                let says = format!("{} {}", line.name, line.says);
                faults.push(ReportFault { fault: *fault, says, arrived: arrived.clone(), means: fault.means(), mend });
            }
        }
        let line = |line: Line| {
            let outcome = match line.outcome {
                Outcome::Fine => "fine",
                Outcome::Wrong => "wrong",
                Outcome::Unknown => "unknown",
            };
            ReportLine { name: line.name, outcome, says: line.says }
        };
        Self { url: url.to_owned(), gate: gate.map(Proxy::as_str), lines: lines.into_iter().map(line).collect(), faults }
    }

    /// Whether something was found.
    pub(super) fn has_faults(&self) -> bool {
        !self.faults.is_empty()
    }

    /// For machines.
    pub(super) fn to_json(&self) -> String {
        format!("{}\n", serde_json::to_string_pretty(self).unwrap_or_default())
    }

    /// For people.
    pub(super) fn to_text(&self) -> String {
        let mut text = match self.gate {
            Some(gate) => format!("{} asks the {gate} gate\n\n", self.url),
            None => format!("{} asks no gate of this process\n\n", self.url),
        };
        let width = self.lines.iter().map(|line| line.name.chars().count()).max().unwrap_or_default();
        for line in &self.lines {
            let mark = match line.outcome {
                "fine" => '✓',
                "wrong" => '✗',
                _ => '?',
            };
            let _ = writeln!(text, "{mark} {:width$}  {}", line.name, line.says);
        }
        for (number, fault) in self.faults.iter().enumerate() {
            let _ = write!(text, "\n{}. {}\n   arrived  {}\n   means    {}\n", number + 1, fault.says, fault.arrived, fault.means);
            for mend in &fault.mend {
                let _ = writeln!(text, "   mend     {}: {}", mend.proxy, mend.how);
            }
        }
        let _ = match self.faults.len() {
            0 => writeln!(text, "\nnothing found"),
            1 => writeln!(text, "\n1 fault"),
            faults => writeln!(text, "\n{faults} faults"),
        };
        text
    }
}
