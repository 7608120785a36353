//! Message move tasks at work: they move the messages of a dead-letter queue back to their source,
//! or to another queue.

use super::contents::{Contents, Delivery, new_id};
use super::messages::Message;
use super::move_task::{MoveStatus, MoveTask};
use super::state::{Change, State};
use super::{errors, queue_name_in_arn};
use crate::AwsError;

/// How many finished tasks each queue remembers: as many as `ListMessageMoveTasks` shows.
const REMEMBERED: usize = 10;

impl State {
    pub(super) fn start_move_task(
        &mut self,
        source_arn: &str,
        destination_arn: Option<&str>,
        messages_per_s: Option<u32>,
        now_ms: i64,
    ) -> Result<MoveTask, AwsError> {
        let source = self.queue_with_arn(source_arn, "SourceArn")?;
        let destination = destination_arn
            .map(|arn| self.queue_with_arn(arn, "DestinationArn"))
            .transpose()?;
        if self.dead_letter_sources(&source).next().is_none() {
            return Err(errors::invalid_parameter(
                "Source queue must be configured as a Dead Letter Queue.",
            ));
        }
        if destination.as_ref() == Some(&source) {
            return Err(errors::invalid_parameter(
                "Source queue arn and destination queue arn must be different.",
            ));
        }
        if self
            .tasks
            .iter()
            .any(|task| task.source == source && task.status == MoveStatus::Running)
        {
            return Err(errors::invalid_parameter(
                "There is already a task running. Only one active task is allowed for a source \
                 queue arn at a given time.",
            ));
        }
        let task = MoveTask {
            id: new_id(),
            to_move: self.queue(&source)?.messages.counts().visible as u64,
            source,
            destination,
            messages_per_s,
            status: MoveStatus::Running,
            moved: 0,
            started_ms: now_ms,
        };
        self.tasks.push(task.clone());
        self.forget_old_tasks(&task.source);
        self.changed(Change::Tasks);
        self.advance_move_tasks(now_ms);
        Ok(task)
    }

    fn queue_with_arn(&self, arn: &str, parameter: &str) -> Result<String, AwsError> {
        let name = queue_name_in_arn(arn).ok_or_else(|| {
            errors::invalid_parameter(format!("The {parameter} {arn} is not the ARN of a queue."))
        })?;
        let missing = || {
            format!("The resource that you specified for the {parameter} parameter doesn't exist.")
        };
        self.queue(name)
            .map(|_| name.to_owned())
            .map_err(|_| errors::resource_not_found(&missing()))
    }

    fn forget_old_tasks(&mut self, source: &str) {
        let mut surplus = self
            .tasks
            .iter()
            .filter(|task| task.source == source)
            .count()
            .saturating_sub(REMEMBERED);
        self.tasks.retain(|task| {
            let forget = surplus > 0 && task.source == source;
            surplus -= usize::from(forget);
            !forget
        });
    }

    /// The tasks of a queue, the latest first.
    pub(super) fn move_tasks(
        &self,
        source_arn: &str,
    ) -> Result<impl Iterator<Item = &MoveTask>, AwsError> {
        let source = self.queue_with_arn(source_arn, "SourceArn")?;
        Ok(self
            .tasks
            .iter()
            .rev()
            .filter(move |task| task.source == source))
    }

    /// Cancels a task. Returns how many messages it had moved.
    pub(super) fn cancel_move_task(&mut self, id: &str) -> Result<u64, AwsError> {
        let task = self.tasks.iter_mut().find(|task| task.id == id);
        let task = task.ok_or_else(|| errors::resource_not_found("Task does not exist."))?;
        if task.status != MoveStatus::Running {
            return Err(errors::unsupported(
                "Only a task that is RUNNING can be cancelled.",
            ));
        }
        task.status = MoveStatus::Cancelled;
        let moved = task.moved;
        self.changed(Change::Tasks);
        Ok(moved)
    }

    /// Moves the messages that the running tasks may have moved by now.
    pub(super) fn advance_move_tasks(&mut self, now_ms: i64) {
        for index in 0..self.tasks.len() {
            let mut task = self.tasks[index].clone();
            if task.status != MoveStatus::Running {
                continue;
            }
            self.advance_move_task(&mut task, now_ms);
            if task != self.tasks[index] {
                self.tasks[index] = task;
                self.changed(Change::Tasks);
            }
        }
    }

    fn advance_move_task(&mut self, task: &mut MoveTask, now_ms: i64) {
        while task.moved < task.allowed(now_ms) {
            match self.move_one(task, now_ms) {
                Ok(true) => task.moved += 1,
                Ok(false) => break,
                Err(reason) => {
                    task.status = MoveStatus::Failed(reason.to_owned());
                    return;
                }
            }
        }
        let left = self
            .queue(&task.source)
            .is_ok_and(|queue| queue.messages.counts().visible > 0);
        if task.moved >= task.to_move || !left {
            task.status = MoveStatus::Completed;
        }
    }

    /// Moves one message, which becomes a new one: another id, sent now, never received. Returns
    /// false without a further message.
    fn move_one(&mut self, task: &MoveTask, now_ms: i64) -> Result<bool, &'static str> {
        let missing = "AWS.SimpleQueueService.NonExistentQueue";
        let source = self.queue(&task.source).map_err(|_| missing)?;
        let Some(sequence) = source.messages.visible().next() else {
            return Ok(false);
        };
        let message = source.messages.get(sequence);
        let origin = message.and_then(|message| message.delivery.dead_letter_source.as_deref());
        let origin = origin.and_then(queue_name_in_arn).map(str::to_owned);
        let destination = task
            .destination
            .clone()
            .or(origin)
            .ok_or("CouldNotDetermineMessageSource")?;
        self.queue(&destination).map_err(|_| missing)?;
        let message = self
            .queue_mut(&task.source)
            .ok()
            .and_then(|queue| queue.messages.remove(sequence));
        if let Some(message) = message {
            let contents = Contents {
                id: new_id(),
                sent_ms: now_ms,
                ..Contents::clone(&message.contents)
            };
            let delivery = Delivery {
                visible_at_ms: now_ms,
                ..Delivery::default()
            };
            self.enqueue(
                &destination,
                Message {
                    contents: contents.into(),
                    delivery,
                },
                now_ms,
            )
            .map_err(|_| missing)?;
            self.changed(Change::Gone(sequence));
        }
        Ok(true)
    }
}
