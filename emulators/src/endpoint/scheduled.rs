//! The calls of EventBridge Scheduler to queues: for targets, and for dead-letter queues.
//!
//! As on AWS, a target may get two calls: after a call without an answer, or if this program ends
//! during a call.

use std::sync::Arc;

use axum::body::to_bytes;
use axum::http::{HeaderMap, Uri};
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{Aws, Call, MAXIMUM_BODY, error, faulty};
use crate::AwsError;
use crate::scheduler::Schedule;
use crate::service::{SCHEDULER, Service};
use crate::template::arn;

/// How many targets this module calls at the same time.
const AT_ONCE: usize = 10;

/// Calls targets until `stop` becomes true (or its sender is dropped).
pub(super) async fn run(aws: Arc<Aws>, mut stop: watch::Receiver<bool>) {
    let scheduler = aws.scheduler.clone();
    let mut calls = JoinSet::new();
    loop {
        let changed = scheduler.changed();
        while calls.len() < AT_ONCE
            && let Some(schedule) = scheduler.take_due(aws.clock.now().as_millisecond())
        {
            let (aws, scheduler) = (Arc::clone(&aws), scheduler.clone());
            calls.spawn(async move {
                let next_ms = deliver(&aws, &schedule).await;
                scheduler.settle(schedule, next_ms);
            });
        }
        let (_, next) = scheduler.overview();
        let wake_at = next.unwrap_or(Timestamp::MAX);
        let is_full = calls.len() >= AT_ONCE;
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return,
            Some(_) = calls.join_next() => {}
            () = changed => {}
            () = aws.clock.until(wake_at), if !is_full => {}
        }
    }
}

/// Calls the target. Returns when to call it again, after a failure that may pass.
async fn deliver(aws: &Arc<Aws>, schedule: &Schedule) -> Option<i64> {
    let role_arn = schedule.role_arn();
    let called = aws.call_target(role_arn, &schedule.message()).await;
    let failure = called.err()?;
    let now_ms = aws.clock.now().as_millisecond();
    let next_ms = schedule.retry_ms(&failure, now_ms);
    if next_ms.is_none() {
        bury(aws, schedule, &failure, now_ms).await;
    }
    next_ms
}

/// Sends a failed schedule's message to its dead-letter queue, without faults: AWS documents no
/// retries for this call.
async fn bury(aws: &Aws, schedule: &Schedule, failure: &AwsError, now_ms: i64) {
    let arn = schedule.arn();
    let Some(letter) = schedule.dead_letter(failure, now_ms) else {
        tracing::error!("{arn} failed for good: {}", failure.message);
        return;
    };
    if let Err(error) = aws.bury(schedule.role_arn(), &letter).await {
        tracing::error!(
            "{arn} failed for good, and its dead-letter queue did not take it: {}",
            error.message
        );
    }
}

impl Aws {
    /// Sends a message to a queue as the target of a schedule, with the schedule's role, and
    /// subject to faults.
    async fn call_target(
        self: &Arc<Self>,
        role_arn: &str,
        message: &Value,
    ) -> Result<(), AwsError> {
        self.permit_role(role_arn, message)?;
        let call = Call {
            service: Service::Sqs,
            operation: "SendMessage".to_owned(),
            function: Some(SCHEDULER.to_owned()),
            process: None,
            uri: Uri::default(),
            headers: HeaderMap::new(),
            body: message.to_string().into(),
        };
        let answer = faulty::perform(self, call, self.clock.now()).await?;
        // A fault may end the answer before it has begun.
        let lost = |_| error(503, "ServiceUnavailable", "The target did not answer.");
        to_bytes(answer.into_body(), MAXIMUM_BODY)
            .await
            .map(|_| ())
            .map_err(lost)
    }

    /// Sends a message as [`Self::call_target`] does, but without faults.
    async fn bury(&self, role_arn: &str, message: &Value) -> Result<(), AwsError> {
        self.permit_role(role_arn, message)?;
        self.sqs.handle("SendMessage", message).await.map(|_| ())
    }

    fn permit_role(&self, role_arn: &str, message: &Value) -> Result<(), AwsError> {
        let queue = message["QueueUrl"].as_str().unwrap_or_default();
        let queue_arn = arn("sqs", queue);
        if self.scheduler.may_send(role_arn, &queue_arn) {
            return Ok(());
        }
        let message = format!(
            "User: {role_arn} is not authorized to perform: sqs:SendMessage on resource: {queue_arn} \
             because no identity-based policy allows the sqs:SendMessage action"
        );
        Err(error(403, "AccessDeniedException", &message))
    }
}
