//! Small charts, drawn on the server.

use std::fmt::Write;

use maud::{Markup, html};

const WIDTH: f64 = 300.0;
const HEIGHT: f64 = 80.0;

/// Two lines over time on one scale, the first with its area: `main` and, in the colour of refusals, `denied`.
pub(super) fn lines(label: &str, main: &[f64], denied: &[f64]) -> Markup {
    let highest = main.iter().chain(denied).copied().fold(1.0_f64, f64::max);
    let line = path(main, highest);
    html! {
        svg.chart viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none" role="img" aria-label=(label) {
            path.base d={ "M0 " (HEIGHT - 0.5) "H" (WIDTH) } {}
            @if !line.is_empty() {
                path.area d={ (line) "L" (WIDTH) " " (HEIGHT) "L0 " (HEIGHT) "Z" } {}
                path.line d=(line) {}
                path.line.denied d=(path(denied, highest)) {}
            }
        }
    }
}

/// `M… L…` through the values, oldest left, newest right.
fn path(values: &[f64], highest: f64) -> String {
    if values.len() < 2 {
        return String::new();
    }
    #[expect(clippy::cast_precision_loss, reason = "a few hundred samples")]
    let (step, place) = (WIDTH / (values.len() - 1) as f64, |n: usize| n as f64);
    values.iter().enumerate().fold(String::new(), |mut path, (n, value)| {
        let y = HEIGHT - 1.0 - value / highest * (HEIGHT - 4.0);
        let _ = write!(path, "{}{:.1} {y:.1}", if n == 0 { 'M' } else { 'L' }, place(n) * step);
        path
    })
}

/// A bar as long as `share` of its place, 0 to 1.
pub(super) fn bar(share: f64) -> Markup {
    html! {
        svg viewBox="0 0 100 12" preserveAspectRatio="none" aria-hidden="true" {
            rect width={ (format!("{:.1}", (share * 100.0).clamp(1.0, 100.0))) } height="12" {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_goes_through_its_values() {
        assert_eq!(path(&[], 1.0), "");
        assert_eq!(path(&[1.0], 1.0), "");
        assert_eq!(path(&[0.0, 10.0, 5.0], 10.0), "M0.0 79.0L150.0 3.0L300.0 41.0");
    }
}
