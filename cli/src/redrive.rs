//! `coupons redrive`: moves the messages of a dead-letter queue back to their task.

mod one_by_one;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use aws_sdk_sqs::types::{ListMessageMoveTasksResultEntry, QueueAttributeName};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::output::{harmless, say, say_json};
use crate::target::{self, DeadLetterQueue, Target};

/// The pauses between two looks at the move's progress: short at first, as most moves are short.
const FIRST_LOOK: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Move the messages of a dead-letter queue back to the queue they came from, and wait until all
/// are there.
///
/// Fix the cause first: `coupons dead` shows it. Ctrl-C cancels the move; messages moved by then
/// stay moved.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// A task such as delivery, or its dead-letter queue
    queue: String,
    /// At most N messages a second [default: as fast as SQS can]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..=500))]
    rate: Option<i32>,
    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    target: target::Arguments,
}

/// The state of a move.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Move {
    queue: String,
    to: String,
    /// The state in SQS's words: RUNNING, COMPLETED, CANCELLING, CANCELLED, FAILED.
    status: String,
    moved: u64,
    to_move: Option<u64>,
    failure: Option<String>,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let target = Target::connect(&arguments.target).await?;
    let queues = target.dead_letter_queues(Some(&arguments.queue)).await?;
    let queue = queues.first().context("no queue has this name")?;
    let (ended, cancelled) = if queue.is_of_schedules {
        one_by_one::run(&target, queue, arguments.rate).await?
    } else {
        by_sqs(&target, queue, arguments.rate).await?
    };
    if arguments.json {
        say_json(&ended)?;
    } else {
        say(&harmless(&describe(&ended)))?;
    }
    Ok(match ended.status.as_str() {
        "COMPLETED" => ExitCode::SUCCESS,
        _ if cancelled => ExitCode::from(130),
        _ => ExitCode::FAILURE,
    })
}

/// Lets SQS move the messages. Returns the result, and whether Ctrl-C cancelled the move.
async fn by_sqs(
    target: &Target,
    queue: &DeadLetterQueue,
    rate: Option<i32>,
) -> anyhow::Result<(Move, bool)> {
    let arn = arn(target, &queue.name, &queue.url).await?;
    let handle = start(target, queue, &arn, rate).await?;
    tokio::select! {
        ended = follow(target, queue, &arn) => Ok((ended?, false)),
        interrupted = tokio::signal::ctrl_c() => {
            interrupted.context("listening for Ctrl-C")?;
            cancel(target, &handle).await?;
            Ok((follow(target, queue, &arn).await?, true))
        }
    }
}

async fn arn(target: &Target, name: &str, url: &str) -> anyhow::Result<String> {
    target
        .queue_attribute(name, url, QueueAttributeName::QueueArn)
        .await?
        .with_context(|| format!("SQS returned no ARN of {name}"))
}

/// Starts a move, or joins one that is under way, because SQS allows one at a time. Returns the
/// move's handle.
async fn start(
    target: &Target,
    queue: &DeadLetterQueue,
    arn: &str,
    rate: Option<i32>,
) -> anyhow::Result<String> {
    if let Some(task) = latest(target, queue, arn).await?
        && task.status() == Some("RUNNING")
        && let Some(handle) = task.task_handle()
    {
        eprintln!("note: a move is under way already; following it");
        return Ok(handle.to_owned());
    }
    // The destination is explicit, so that messages that a person put there by hand move too.
    let destination = self::arn(target, &queue.source, &queue.source_url).await?;
    let started = target
        .sqs
        .start_message_move_task()
        .source_arn(arn)
        .destination_arn(destination)
        .set_max_number_of_messages_per_second(rate)
        .send()
        .await
        .map_err(|error| target.explain(error))
        .with_context(|| format!("starting to move the messages of {}", queue.name))?;
    Ok(started.task_handle.unwrap_or_default())
}

/// Reads the latest move's progress until the move has ended.
async fn follow(target: &Target, queue: &DeadLetterQueue, arn: &str) -> anyhow::Result<Move> {
    let progress = ProgressBar::new(0).with_style(
        ProgressStyle::with_template("{bar:32} {human_pos}/{human_len} moved")
            .context("the progress bar's template")?,
    );
    let mut pause = FIRST_LOOK;
    loop {
        let task = latest(target, queue, arn).await?;
        let task = task.with_context(|| format!("SQS forgot the move of {}", queue.name))?;
        let state = Move::read(queue, &task);
        progress.set_length(state.to_move.unwrap_or(state.moved));
        progress.set_position(state.moved);
        if !matches!(state.status.as_str(), "RUNNING" | "CANCELLING") {
            progress.finish_and_clear();
            return Ok(state);
        }
        tokio::time::sleep(pause).await;
        pause = LONGEST_PAUSE.min(pause * 2);
    }
}

/// The latest move.
async fn latest(
    target: &Target,
    queue: &DeadLetterQueue,
    arn: &str,
) -> anyhow::Result<Option<ListMessageMoveTasksResultEntry>> {
    let listed = target
        .sqs
        .list_message_move_tasks()
        .source_arn(arn)
        .max_results(10)
        .send()
        .await
        .map_err(|error| target.explain(error))
        .with_context(|| format!("looking at the moves of {}", queue.name))?;
    let tasks = listed.results.unwrap_or_default().into_iter();
    Ok(tasks.max_by_key(|task| (task.started_timestamp(), task.status() == Some("RUNNING"))))
}

async fn cancel(target: &Target, handle: &str) -> anyhow::Result<()> {
    if handle.is_empty() {
        bail!("SQS returned no handle to cancel the move with: the move goes on");
    }
    let cancelled = target
        .sqs
        .cancel_message_move_task()
        .task_handle(handle)
        .send()
        .await;
    match cancelled {
        Ok(_) => Ok(()),
        // The move ended by itself before the cancellation arrived.
        Err(error) if error.as_service_error().is_some() => Ok(()),
        Err(error) => Err(target.explain(error).context("cancelling the move")),
    }
}

impl Move {
    fn read(queue: &DeadLetterQueue, task: &ListMessageMoveTasksResultEntry) -> Self {
        let count = |number: i64| u64::try_from(number).unwrap_or_default();
        Self {
            queue: queue.name.clone(),
            to: queue.source.clone(),
            status: task.status().unwrap_or_default().to_owned(),
            moved: count(task.approximate_number_of_messages_moved()),
            to_move: task.approximate_number_of_messages_to_move().map(count),
            failure: task.failure_reason().map(str::to_owned),
        }
    }
}

fn describe(ended: &Move) -> String {
    let moved = match ended.moved {
        1 => "1 message".to_owned(),
        count => format!("{count} messages"),
    };
    let (from, to) = (&ended.queue, &ended.to);
    match ended.status.as_str() {
        "COMPLETED" => format!("{moved} moved from {from} to {to}\n"),
        "CANCELLED" => format!("cancelled: {moved} moved from {from} to {to} before\n"),
        status => {
            let reason = ended.failure.as_deref().unwrap_or(status);
            format!("the move from {from} to {to} failed after {moved}: {reason}\n")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(status: &str, failure: Option<&str>, expected: &str) {
        let task = ListMessageMoveTasksResultEntry::builder()
            .status(status)
            .approximate_number_of_messages_moved(2)
            .approximate_number_of_messages_to_move(3)
            .set_failure_reason(failure.map(str::to_owned))
            .build();
        let queue = DeadLetterQueue {
            name: "delivery-dead-letter".into(),
            url: String::new(),
            source: "delivery".into(),
            source_url: String::new(),
            is_of_schedules: false,
        };
        let printed = describe(&Move::read(&queue, &task));
        assert_eq!(printed, format!("{expected}\n"));
    }

    #[test]
    fn a_move_is_described_as_it_ended() {
        let route = "from delivery-dead-letter to delivery";
        check("COMPLETED", None, &format!("2 messages moved {route}"));
        let cancelled = format!("cancelled: 2 messages moved {route} before");
        check("CANCELLED", None, &cancelled);
        check(
            "FAILED",
            Some("AccessDenied"),
            &format!("the move {route} failed after 2 messages: AccessDenied"),
        );
    }
}
