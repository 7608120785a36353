//! One-time schedules of EventBridge Scheduler, each of which sends one message to our own queue.

use anyhow::{Context, anyhow};
use aws_sdk_scheduler::Client;
use aws_sdk_scheduler::operation::create_schedule::CreateScheduleError;
use aws_sdk_scheduler::types::{
    ActionAfterCompletion, DeadLetterConfig, FlexibleTimeWindow, FlexibleTimeWindowMode,
    RetryPolicy, Target,
};
use jiff::tz::TimeZone;
use webhooks::config::{Aws, CallLimits, Environment};
use webhooks::survey::Due;

/// How long the scheduler tries to send a message, in seconds, and how often. After that the
/// message goes to the dead-letter queue.
const EVENT_AGE_MAX_S: i32 = 3600;
const ATTEMPTS_MAX: i32 = 185;

#[derive(Debug)]
pub(crate) struct Scheduler {
    client: Client,
    group: String,
    role_arn: String,
    queue_arn: String,
    dead_letter_arn: String,
}

impl Scheduler {
    pub(crate) fn read(environment: &mut Environment, aws: &Aws) -> Self {
        Self {
            client: Client::new(&aws.sdk_config(CallLimits::TASK)),
            group: environment.text("SURVEY_SCHEDULE_GROUP"),
            role_arn: environment.text("SURVEY_SCHEDULE_ROLE_ARN"),
            queue_arn: environment.text("SURVEYS_QUEUE_ARN"),
            dead_letter_arn: environment.text("SURVEY_SCHEDULE_DEAD_LETTER_ARN"),
        }
    }

    /// Creates a schedule of this name. An existing one stays, and counts as created.
    pub(crate) async fn create(&self, name: &str, due: &Due) -> anyhow::Result<()> {
        let retries = RetryPolicy::builder()
            .maximum_event_age_in_seconds(EVENT_AGE_MAX_S)
            .maximum_retry_attempts(ATTEMPTS_MAX)
            .build();
        let dead_letters = DeadLetterConfig::builder().arn(&self.dead_letter_arn);
        let target = Target::builder()
            .arn(&self.queue_arn)
            .role_arn(&self.role_arn)
            .input(due.to_body())
            .retry_policy(retries)
            .dead_letter_config(dead_letters.build())
            .build()?;
        let at_once = FlexibleTimeWindow::builder()
            .mode(FlexibleTimeWindowMode::Off)
            .build()?;
        let at = due.due_at.to_zoned(TimeZone::UTC);
        let created = self
            .client
            .create_schedule()
            .name(name)
            .group_name(&self.group)
            .schedule_expression(at.strftime("at(%Y-%m-%dT%H:%M:%S)").to_string())
            .schedule_expression_timezone("UTC")
            .flexible_time_window(at_once)
            .action_after_completion(ActionAfterCompletion::Delete)
            .target(target)
            .send()
            .await;
        match created {
            Ok(_) => Ok(()),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(CreateScheduleError::is_conflict_exception) =>
            {
                Ok(())
            }
            Err(error) => Err(anyhow!(error))
                .with_context(|| format!("scheduling the survey of {}", due.event)),
        }
    }
}
