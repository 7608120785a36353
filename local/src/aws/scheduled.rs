//! The calls of EventBridge Scheduler to queues: for targets, and for dead-letter queues.

use std::sync::Arc;

use axum::body::to_bytes;
use axum::http::{HeaderMap, Uri};
use serde_json::Value;

use super::{Aws, Call, MAXIMUM_BODY, Service, error, faulty};
use crate::AwsError;
use crate::template::arn;

/// The scheduler's name among the functions that faults know.
pub(crate) const SCHEDULER: &str = "scheduler";

impl Aws {
    /// Sends a message to a queue as the target of a schedule, with the schedule's role, and
    /// subject to faults.
    pub(crate) async fn call_target(
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
    pub(crate) async fn bury(&self, role_arn: &str, message: &Value) -> Result<(), AwsError> {
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
