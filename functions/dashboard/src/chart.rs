//! Charts as SVG: bars for one series and a line for the other. Readers distinguish the series by
//! their shapes, so colours carry no meaning.
//!
//! A chart stretches to the width of its place. Its labels are text outside it, so they stay
//! readable on a narrow screen. A table holds the same numbers for readers who do not see the
//! chart.

use askama::Template;

/// The height of a chart in its own units; its width is `STEP` for each value.
const HEIGHT: f64 = 100.0;
const STEP: f64 = 10.0;

/// How much of a step a bar fills.
const BAR: f64 = 7.0;

/// A pair of values, and the text that a pointer over them shows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Value {
    pub(crate) line: u64,
    pub(crate) bar: u64,
    pub(crate) hint: String,
}

/// The values of `parts/chart.html`.
#[derive(Debug, Clone, Template)]
#[template(path = "parts/chart.html")]
pub(crate) struct Chart {
    width: u64,
    steps: Vec<Step>,
    /// The points of the line, for `points`.
    points: String,
    /// The labels at the side of the chart: the greatest value, and half of it.
    top: String,
    middle: String,
    /// The labels below the chart, from the left to the right.
    labels: Vec<String>,
    /// The class that spreads the labels.
    spread: &'static str,
    line_is: &'static str,
    bars_are: &'static str,
}

#[derive(Debug, Clone)]
struct Step {
    left: String,
    bar_left: String,
    bar_top: String,
    bar_height: String,
    dot: String,
    hint: String,
}

/// The places of labels below a chart.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Spread {
    /// The first label is at the left end, and the last at the right end.
    Ends,
    /// Each label is in the middle of an equal share.
    Shares,
}

impl Chart {
    /// `count` writes a number of the axis.
    pub(crate) fn new(
        values: Vec<Value>,
        labels: Vec<String>,
        spread: Spread,
        (line_is, bars_are): (&'static str, &'static str),
        count: impl Fn(u64) -> String,
    ) -> Self {
        let greatest = values.iter().map(|value| value.line.max(value.bar)).max();
        let top = round_up(greatest.unwrap_or_default());
        let y = |value: u64| HEIGHT - value as f64 / top as f64 * HEIGHT;
        let steps = values.into_iter().enumerate().map(|(index, value)| {
            let left = index as f64 * STEP;
            Step {
                left: short(left),
                bar_left: short(left + (STEP - BAR) / 2.0),
                bar_top: short(y(value.bar)),
                bar_height: short(HEIGHT - y(value.bar)),
                dot: format!("{} {}", short(left + STEP / 2.0), short(y(value.line))),
                hint: value.hint,
            }
        });
        let steps: Vec<_> = steps.collect();
        let points: Vec<_> = steps.iter().map(|it| it.dot.as_str()).collect();
        Self {
            width: (steps.len().max(1) as f64 * STEP) as u64,
            points: points.join(" "),
            steps,
            top: count(top),
            middle: match top.is_multiple_of(2) {
                true => count(top / 2),
                false => String::new(),
            },
            labels,
            spread: match spread {
                Spread::Ends => "ends",
                Spread::Shares => "shares",
            },
            line_is,
            bars_are,
        }
    }
}

/// The number at the top of an axis: the next one that begins with 1, 2 or 5, or an even multiple.
fn round_up(greatest: u64) -> u64 {
    let mut unit = 1_u64;
    loop {
        for step in [1, 2, 4, 5, 6, 8] {
            let top = unit.saturating_mul(step);
            if greatest <= top {
                return top;
            }
        }
        unit = unit.saturating_mul(10);
    }
}

/// Writes one decimal at most.
fn short(value: f64) -> String {
    format!("{}", (value * 10.0).round() / 10.0)
}

/// The full part of a meter, in percent from 0 to 100.
pub(crate) fn share(part: u64, whole: u64) -> String {
    match whole {
        0 => "0".to_owned(),
        whole => short((part as f64 / whole as f64 * 100.0).clamp(0.0, 100.0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_ends_at_a_round_number() {
        let check = |greatest: u64, expected: u64| assert_eq!(round_up(greatest), expected);
        check(0, 1);
        check(1, 1);
        check(3, 4);
        check(7, 8);
        check(9, 10);
        check(11, 20);
        check(52, 60);
        check(1001, 2000);
        check(u64::MAX, u64::MAX);
    }

    #[test]
    fn a_chart_draws_each_value_within_its_height() {
        let value = |line, bar| Value {
            line,
            bar,
            hint: format!("{line} <{bar}>"),
        };
        let values = vec![value(4, 0), value(0, 2), value(1, 4)];
        let labels = vec!["a".into(), "b".into()];
        let written = |it: u64| it.to_string();
        let chart = Chart::new(values, labels, Spread::Ends, ("Line", "Bars"), written);
        assert_eq!(chart.points, "5 0 15 100 25 75");
        let bars: Vec<_> = chart
            .steps
            .iter()
            .map(|it| it.bar_height.as_str())
            .collect();
        assert_eq!(bars, ["0", "50", "100"]);
        let html = chart.render().unwrap();
        assert!(html.contains("viewBox=\"0 0 30 100\""), "{html}");
        assert!(!html.contains("style="), "{html}");
        assert!(!html.contains("<2>"), "{html}");
    }

    #[test]
    fn a_share_is_within_its_meter() {
        assert_eq!(share(1, 3), "33.3");
        assert_eq!(share(5, 3), "100");
        assert_eq!(share(0, 0), "0");
    }
}
