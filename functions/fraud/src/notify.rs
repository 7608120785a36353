//! Publishes alerts of findings, each once.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, anyhow};
use futures_util::future::join_all;
use webhooks::alerts::{MEND_PAUSE, Unpublished, may_claim, may_publish};
use webhooks::event::Event;
use webhooks::fraud::Finding;
use webhooks::invocation::Invocation;
use webhooks::ledger::{Claim, Status};
use webhooks::telemetry::{Count, count};
use webhooks::worker::Failure;

use crate::case::{Case, State};
use crate::coupon::{KnownEvent, Record, alert_name};
use crate::finding_alert::alert;
use crate::rapid::RAPID_REDEMPTION;
use crate::rush;
use crate::setup::Fraud;

/// The outcome of a due alert.
enum Owed {
    Settled,
    /// Another message tries again.
    Later,
}

impl Fraud {
    /// Publishes the due alerts.
    pub(crate) async fn notify(
        &self,
        cases: &mut BTreeMap<String, Case<'_>>,
        invocation: Invocation,
    ) {
        let notify = cases.values_mut().map(|case| async move {
            if !case.is_up_to_date() {
                return;
            }
            // A failed alert does not hold back the others.
            let mut failed: Option<Failure> = None;
            let mut owes = false;
            for known in &case.coupon.events {
                for outcome in self.notify_of(case, known, invocation).await {
                    match outcome {
                        Ok(Owed::Settled) => {}
                        Ok(Owed::Later) => owes = true,
                        Err(failure) => {
                            failed = Some(match failed {
                                Some(before) => before.and(failure),
                                None => failure,
                            });
                        }
                    }
                }
            }
            case.owes_alerts = owes;
            match failed {
                None => {}
                Some(Failure::Outside { error, after }) => {
                    case.state = State::AlertsBlocked(error, after.unwrap_or(MEND_PAUSE));
                }
                Some(Failure::Early(after)) => {
                    let error = anyhow!("SNS refused an alert; another message publishes it later");
                    case.state = State::AlertsBlocked(error, after);
                }
                Some(Failure::Transient(error) | Failure::Permanent(error)) => case.fail(&error),
            }
        });
        join_all(notify).await;
    }

    /// Publishes each unpublished alert of an event; without a check, only those that a message
    /// names. Returns the outcome of each.
    async fn notify_of(
        &self,
        case: &Case<'_>,
        known: &KnownEvent,
        invocation: Invocation,
    ) -> Vec<Result<Owed, Failure>> {
        let Some(record) = &known.record else {
            return Vec::new();
        };
        let mut outcomes = Vec::new();
        for (index, names) in record.alerts.iter().enumerate() {
            let number = index + 1;
            if known.published.contains(&number) {
                continue;
            }
            let (entry, name) = (known.event.key.entry(), alert_name(number));
            let is_named = case.names(entry, &name);
            if !is_named && !case.is_checked() {
                continue;
            }
            let is_own = is_named || case.is_own(entry);
            let findings = self.findings_of(known, record, names);
            let published = self.publish(&known.event, &name, &findings, is_own, invocation);
            outcomes.push(published.await);
        }
        outcomes
    }

    /// Publishes one alert of an event, unless another worker did.
    async fn publish(
        &self,
        event: &Event,
        name: &str,
        findings: &[Finding],
        is_own: bool,
        invocation: Invocation,
    ) -> Result<Owed, Failure> {
        if !may_claim(invocation) {
            return Err(anyhow!("no time is left to publish the alert of {}", event.key).into());
        }
        let lease = match self.ledger.claim(event, name, invocation).await? {
            Claim::Granted(lease) => lease,
            Claim::Settled => return Ok(Owed::Settled),
            Claim::Taken { until } => {
                let key = &event.key;
                let why = anyhow!("another worker is publishing {key}, until {until} at most");
                return Err(why.into());
            }
            // SNS refused the alert. The event's own message tries again, or the one that saw the
            // refusal.
            Claim::Early { until } if is_own => {
                let left = until.duration_since(invocation.now());
                return Err(Failure::Early(Duration::try_from(left).unwrap_or_default()));
            }
            Claim::Early { .. } => return Ok(Owed::Later),
        };
        if findings.is_empty() {
            let why = "the findings do not stand any more";
            lease.settle(Status::Skipped, why).await?;
            return Ok(Owed::Settled);
        }
        if !may_publish(invocation) {
            let why = "no time was left to publish it";
            lease.release(why, None).await?;
            return Err(anyhow!("{why}, an alert of {}", event.key).into());
        }
        let unpublished = match self.topic.publish(alert(event, findings)).await {
            Ok(id) => {
                tracing::warn!(event.key = %event.key, alert.id = id, "Published an alert of findings");
                lease.settle(Status::Done, &id).await?;
                return Ok(Owed::Settled);
            }
            Err(unpublished) => unpublished,
        };
        let reason = unpublished.to_string();
        match unpublished {
            Unpublished::Refused(_) => {
                count(Count::AlertFailed);
                tracing::error!(event.key = %event.key, "{reason}");
                lease.settle(Status::Failed, &reason).await?;
                Ok(Owed::Settled)
            }
            Unpublished::Misconfigured(_) => {
                count(Count::AlertFailed);
                let until = invocation.now().checked_add(MEND_PAUSE);
                let until = until.context("delaying an alert")?;
                lease.release(&reason, Some(until)).await?;
                Err(Failure::Outside {
                    error: anyhow!(reason),
                    after: Some(MEND_PAUSE),
                })
            }
            Unpublished::ForNow(_) => {
                lease.release(&reason, None).await?;
                Err(anyhow!(reason).into())
            }
        }
    }

    /// Settles redemptions beyond the limit that need no further alert, so that later redemptions
    /// do not check them again.
    pub(crate) async fn settle(&self, cases: &mut BTreeMap<String, Case<'_>>) {
        let settles = cases.values_mut().map(|case| async move {
            if !case.is_up_to_date() || case.owes_alerts {
                return;
            }
            let Some((known, member, redeemed)) = case.redeemed() else {
                // The redemption's own rows have expired, so nobody needs to check it again.
                if let Some((member, redeemed)) = &case.listed_as
                    && let Err(error) = self.history.settle(member, redeemed).await
                {
                    case.fail(&error);
                }
                return;
            };
            let is_found = known
                .record
                .as_ref()
                .is_some_and(|it| it.has(RAPID_REDEMPTION));
            let mut rows = case.history().iter();
            let is_open = rows.any(|row| row.coupon == redeemed.coupon && !row.is_settled);
            let is_open = is_open || case.is_open_again;
            if is_found
                && is_open
                && let Err(error) = self.history.settle(&member, &redeemed).await
            {
                case.fail(&error);
            }
        });
        join_all(settles).await;
    }

    /// The findings of an alert, without those that no longer stand. For a rush, the details name
    /// the number of redemptions.
    fn findings_of(&self, known: &KnownEvent, record: &Record, names: &[String]) -> Vec<Finding> {
        let alerted: BTreeMap<_, _> = names.iter().map(|name| rush::parse(name)).collect();
        let of_alert = record.findings.iter().filter_map(|finding| {
            let count = alerted.get(finding.rule.as_str())?;
            let mut finding = finding.clone();
            if let (RAPID_REDEMPTION, Some(count)) = (finding.rule.as_str(), count) {
                let rapid = self.settings(&known.event).rapid;
                finding.details = rapid.details(*count, known.event.occurred_at);
            }
            Some(finding)
        });
        of_alert.collect()
    }
}
