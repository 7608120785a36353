//! Lists the findings of fraud, the newest first: merges several tenants, one page at a time.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use serde::Serialize;
use tokio::time::Instant;
use webhooks::event::EventKey;
use webhooks::figures::{Found, FoundPlace};
use webhooks::fraud::{Finding, RULES, Severity};

use crate::access::Scope;
use crate::parameters::Parameters;
use crate::period::{Period, parse_day};
use crate::report::Asked;
use crate::said::Said;
use crate::sources::{Named, Sources};

const LIMIT: usize = 100;
const LIMIT_MAX: usize = 1000;

/// How many tenants this module reads at the same time.
const CONCURRENCY: usize = 16;

/// How many events this module examines for one answer, if a filter leaves out most of them.
const LOOKED_THROUGH: usize = 5000;

/// How long one answer looks for findings. After that, the answer names the place to go on, even if
/// it found few.
const LOOKS_FOR: Duration = Duration::from_secs(8);

const SEVERITIES: [(&str, Severity); 3] = [
    ("medium", Severity::Medium),
    ("high", Severity::High),
    ("critical", Severity::Critical),
];

const CURSOR: Said = Said::new(
    "must be the next_cursor of an answer to the same question",
    "deve ser o next_cursor de uma resposta à mesma pergunta",
);

/// A filter for findings.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FindingFilter {
    pub rule: Option<String>,
    pub severity: Option<Severity>,
}

/// A question for findings.
#[derive(Debug, Clone, PartialEq)]
pub struct FindingsQuestion {
    pub asked: Asked,
    pub filter: FindingFilter,
    /// The page begins after this place; `None` begins at the end of the period.
    pub after: Option<FoundPlace>,
    /// The largest number of events on the page. Each of them has at least one finding.
    pub limit: usize,
}

impl FindingsQuestion {
    /// Reads a question. `parameters` collects the problems.
    pub fn read(
        sources: &Sources,
        parameters: &mut Parameters,
        scope: &Scope,
        now: Timestamp,
    ) -> Self {
        let rules = RULES.map(|name| (name, name));
        let filter = FindingFilter {
            rule: parameters.choice("rule", &rules).map(str::to_owned),
            severity: parameters.choice("severity", &SEVERITIES),
        };
        let limit = parameters.number("limit", LIMIT_MAX).unwrap_or(LIMIT);
        let cursor = parameters.text("cursor", &CURSOR);
        let (asked, _) = sources.ask(parameters, scope, now);
        let after = cursor.and_then(|text| {
            let after = parse_cursor(&text, asked.period);
            if after.is_none() {
                parameters.problem("cursor", &text, CURSOR);
            }
            after
        });
        Self {
            asked,
            filter,
            after,
            limit,
        }
    }
}

/// A finding as a row.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FindingRow {
    pub event: String,
    pub provider: String,
    pub tenant: String,
    /// The tenant's day of the event, on which the finding counts.
    pub date: String,
    pub occurred_at: Timestamp,
    pub found_at: Timestamp,
    pub rule: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub severity: &'static str,
    pub details: String,
}

pub const COLUMNS: &[&str] = &[
    "event",
    "provider",
    "tenant",
    "date",
    "occurred_at",
    "found_at",
    "rule",
    "type",
    "severity",
    "details",
];

impl FindingFilter {
    fn takes(&self, finding: &Finding) -> bool {
        self.rule.as_ref().is_none_or(|rule| *rule == finding.rule)
            && self.severity.is_none_or(|it| it == finding.severity)
    }

    fn rows(&self, found: &Found) -> Vec<FindingRow> {
        let findings = found.findings.iter().filter(|it| self.takes(it));
        let rows = findings.map(|finding| FindingRow {
            event: found.event.to_string(),
            provider: found.provider.clone(),
            tenant: found.tenant.clone(),
            date: found.day.to_string(),
            occurred_at: found.occurred_at,
            found_at: found.found_at,
            rule: finding.rule.clone(),
            kind: finding.kind.clone(),
            severity: finding.severity.name(),
            details: finding.details.clone(),
        });
        rows.collect()
    }
}

/// A page of findings.
#[derive(Debug, Default)]
pub struct FindingsPage {
    pub rows: Vec<FindingRow>,
    /// The cursor of the next page; `None` on the last one.
    pub next: Option<String>,
}

/// The findings of at most `limit` events after a place, back to the beginning of the period.
pub async fn findings(
    sources: &Sources,
    tenants: &[Named],
    question: &FindingsQuestion,
) -> anyhow::Result<FindingsPage> {
    let until = Instant::now() + LOOKS_FOR;
    let (mut after, mut page) = (question.after.clone(), FindingsPage::default());
    let (mut events, mut looked_through) = (0, 0);
    loop {
        let room = (question.limit - events).clamp(1, 200);
        let (found, is_end) = merged(
            sources,
            tenants,
            question.asked.period,
            after.as_ref(),
            room,
        )
        .await?;
        for found in &found {
            looked_through += 1;
            after = Some(found.place());
            let rows = question.filter.rows(found);
            if rows.is_empty() {
                continue;
            }
            page.rows.extend(rows);
            events += 1;
            if events == question.limit {
                page.next = after.as_ref().map(cursor);
                return Ok(page);
            }
        }
        if is_end {
            return Ok(page);
        }
        if looked_through >= LOOKED_THROUGH || Instant::now() >= until {
            page.next = after.as_ref().map(cursor);
            return Ok(page);
        }
    }
}

/// Events of all tenants after a place, the newest first; and whether these are the last ones.
async fn merged(
    sources: &Sources,
    tenants: &[Named],
    period: Period,
    after: Option<&FoundPlace>,
    limit: usize,
) -> anyhow::Result<(Vec<Found>, bool)> {
    // Owned, because the compiler cannot follow a reference into the stream.
    let tenants = stream::iter(tenants.to_vec());
    let pages = tenants.map(|(provider, tenant)| async move {
        let days = (period.from, period.to);
        let figures = &sources.figures;
        figures
            .findings((&provider, &tenant), days, after, limit)
            .await
    });
    let pages: Vec<Vec<Found>> = pages.buffered(CONCURRENCY).try_collect().await?;
    let full = pages.iter().filter(|page| page.len() == limit);
    // If a tenant has more events, this module knows only those newer than its last read one.
    let horizon = full.filter_map(|page| page.last().map(Found::place)).max();
    let mut found: Vec<_> = pages.into_iter().flatten().collect();
    if let Some(horizon) = &horizon {
        found.retain(|it| it.place() >= *horizon);
    }
    found.sort_by_key(|it| std::cmp::Reverse(it.place()));
    Ok((found, horizon.is_none()))
}

fn cursor(place: &FoundPlace) -> String {
    let FoundPlace {
        day,
        occurred_at,
        event,
    } = place;
    let at = occurred_at.as_millisecond();
    URL_SAFE_NO_PAD.encode(format!("{day}~{at}~{event}"))
}

/// `None` if the text is no cursor, or not one within the period.
fn parse_cursor(text: &str, period: Period) -> Option<FoundPlace> {
    let text = URL_SAFE_NO_PAD.decode(text).ok()?;
    let text = std::str::from_utf8(&text).ok()?;
    let mut parts = text.splitn(3, '~');
    let day = parse_day(parts.next()?).filter(|day| period.contains(*day))?;
    let occurred_at = Timestamp::from_millisecond(parts.next()?.parse().ok()?).ok()?;
    let event = EventKey::parse(parts.next()?)?;
    Some(FoundPlace {
        day,
        occurred_at,
        event,
    })
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    const PERIOD: Period = Period {
        from: date(2026, 11, 1),
        to: date(2026, 11, 25),
    };

    #[test]
    fn a_cursor_is_read_as_it_was_written() {
        let place = FoundPlace {
            day: date(2026, 11, 20),
            occurred_at: "2026-11-20T12:00:00.123Z".parse().unwrap(),
            event: EventKey::used("zupy", "a~b", "CP-1", "ord~1/2"),
        };
        assert_eq!(parse_cursor(&cursor(&place), PERIOD), Some(place));
    }

    #[test]
    fn what_is_no_cursor_of_the_period_is_refused() {
        let coded = |text: &str| URL_SAFE_NO_PAD.encode(text);
        for text in [
            String::new(),
            "====".into(),
            coded("2026-11-20"),
            coded("2026-11-26~1~zupy#a#b/c"),
            coded("2026-11-20~x~zupy#a#b/c"),
            coded("2026-11-20~1~no-key"),
        ] {
            assert_eq!(parse_cursor(&text, PERIOD), None, "{text}");
        }
    }

    #[test]
    fn a_filter_takes_single_findings() {
        let finding = |rule: &str, severity| Finding {
            kind: rule.into(),
            severity,
            details: String::new(),
            rule: rule.into(),
        };
        let found = Found {
            event: EventKey::redeemed("zupy", "comp", "CP-1"),
            provider: "zupy".into(),
            tenant: "comp".into(),
            day: date(2026, 11, 20),
            occurred_at: Timestamp::UNIX_EPOCH,
            found_at: Timestamp::UNIX_EPOCH,
            findings: vec![
                finding("duplicate_usage", Severity::High),
                finding("excessive_discount", Severity::Critical),
            ],
        };
        let check = |rule: Option<&str>, severity, expected: &[&str]| {
            let rule = rule.map(str::to_owned);
            let rows = FindingFilter { rule, severity }.rows(&found);
            let rules: Vec<_> = rows.iter().map(|it| it.rule.as_str()).collect();
            assert_eq!(rules, expected);
        };
        check(None, None, &["duplicate_usage", "excessive_discount"]);
        check(Some("duplicate_usage"), None, &["duplicate_usage"]);
        check(None, Some(Severity::Critical), &["excessive_discount"]);
        check(Some("duplicate_usage"), Some(Severity::Critical), &[]);
    }
}
