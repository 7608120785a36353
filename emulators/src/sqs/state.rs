//! All queues, and the effect of each call on them. The state has no clock and no I/O: `now_ms` is
//! an argument, and a list notes changes for the store.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::attributes::QueueAttributes;
use super::contents::{Contents, Delivery, Draft, Receipt};
use super::messages::{Message, Messages, Sequence};
use super::move_task::MoveTask;
use super::{Counts, Queue, errors};
use crate::AwsError;
use crate::faults::Faults;

const LONGEST_VISIBILITY_TIMEOUT_MS: i64 = 43_200_000;
const PURGE_INTERVAL_MS: i64 = 60_000;

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) queues: BTreeMap<String, QueueState>,
    pub(super) tasks: Vec<MoveTask>,
    pub(super) faults: Faults,
    next_sequence: Sequence,
    pub(super) changes: Vec<Change>,
}

#[derive(Debug)]
pub(super) struct QueueState {
    pub(super) settings: Settings,
    pub(super) messages: Messages,
    /// How many of the next received messages come twice.
    pub(super) deliver_twice: u32,
    /// Visible messages that a fault has delayed, and until when.
    pub(super) held_back: BTreeMap<Sequence, i64>,
    /// How many deliveries of each message, by id, functions now process.
    in_work: BTreeMap<String, usize>,
}

/// A queue without its messages.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Settings {
    pub(super) attributes: QueueAttributes,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) created_ms: i64,
    pub(super) modified_ms: i64,
    purged_ms: Option<i64>,
}

/// What a call changed. The store reads the new values itself, so it writes several changes of one
/// thing once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    Queue(String),
    QueueDeleted(String),
    Purged(String),
    Sent(String, Sequence),
    Delivery(String, Sequence),
    Gone(Sequence),
    Tasks,
}

impl QueueState {
    fn new(settings: Settings) -> QueueState {
        QueueState {
            settings,
            messages: Messages::default(),
            deliver_twice: 0,
            held_back: BTreeMap::new(),
            in_work: BTreeMap::new(),
        }
    }
}

impl State {
    /// Continues with the contents of a store.
    pub(super) fn restore(
        queues: Vec<(String, Settings)>,
        messages: Vec<(Sequence, String, Contents, Delivery)>,
        tasks: Vec<MoveTask>,
        now_ms: i64,
    ) -> State {
        let queues = queues
            .into_iter()
            .map(|(name, settings)| (name, QueueState::new(settings)));
        let mut state = State {
            queues: queues.collect(),
            tasks,
            ..State::default()
        };
        for (sequence, queue, contents, delivery) in messages {
            state.next_sequence = state.next_sequence.max(sequence + 1);
            if let Some(queue) = state.queues.get_mut(&queue) {
                queue.messages.insert(
                    sequence,
                    Message {
                        contents: Arc::new(contents),
                        delivery,
                    },
                    now_ms,
                );
            }
        }
        state
    }

    pub(super) fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    pub(super) fn changed(&mut self, change: Change) {
        self.changes.push(change);
    }

    /// Lets time pass: delays and visibility timeouts end, old messages expire, move tasks
    /// continue.
    pub(super) fn advance(&mut self, now_ms: i64) {
        for queue in self.queues.values_mut() {
            let retention_ms = i64::from(queue.settings.attributes.retention_s) * 1000;
            let expired = queue.messages.advance(now_ms, retention_ms);
            self.changes.extend(expired.into_iter().map(Change::Gone));
        }
        self.advance_move_tasks(now_ms);
    }

    /// When the next message of this queue becomes visible without a call.
    pub(super) fn next_visible_ms(&self, queue: &str) -> Option<i64> {
        let queue = self.queues.get(queue);
        let hidden = queue.and_then(|queue| queue.messages.next_visible_ms());
        let held_back = queue.and_then(|queue| queue.held_back.values().min().copied());
        let moved = self.tasks.iter().filter_map(MoveTask::next_step_ms).min();
        [hidden, held_back, moved].into_iter().flatten().min()
    }

    pub(super) fn queue(&self, name: &str) -> Result<&QueueState, AwsError> {
        self.queues
            .get(name)
            .ok_or_else(errors::queue_does_not_exist)
    }

    pub(super) fn queue_mut(&mut self, name: &str) -> Result<&mut QueueState, AwsError> {
        self.queues
            .get_mut(name)
            .ok_or_else(errors::queue_does_not_exist)
    }

    pub(super) fn create_queue(
        &mut self,
        name: &str,
        given: &BTreeMap<String, String>,
        tags: BTreeMap<String, String>,
        now_ms: i64,
    ) -> Result<(), AwsError> {
        let mut attributes = QueueAttributes::default();
        attributes.set_all(given)?;
        if let Some(existing) = self.queues.get(name) {
            let differs =
                |name: &&String| existing.settings.attributes.get(name) != attributes.get(name);
            return given
                .keys()
                .find(differs)
                .map_or(Ok(()), |name| Err(errors::queue_name_exists(name)));
        }
        self.check_redrive(name, given, &attributes)?;
        self.insert_queue(name, attributes, tags, now_ms);
        Ok(())
    }

    fn insert_queue(
        &mut self,
        name: &str,
        attributes: QueueAttributes,
        tags: BTreeMap<String, String>,
        now_ms: i64,
    ) {
        let settings = Settings {
            attributes,
            tags,
            created_ms: now_ms,
            modified_ms: now_ms,
            purged_ms: None,
        };
        self.queues
            .insert(name.to_owned(), QueueState::new(settings));
        self.changed(Change::Queue(name.to_owned()));
    }

    fn check_redrive(
        &self,
        queue: &str,
        given: &BTreeMap<String, String>,
        attributes: &QueueAttributes,
    ) -> Result<(), AwsError> {
        let (Some(policy), Some(redrive)) = (given.get("RedrivePolicy"), &attributes.redrive)
        else {
            return Ok(());
        };
        let invalid = |reason| errors::invalid_value(policy, "RedrivePolicy", reason);
        let target = self.queues.get(&redrive.dead_letter_queue);
        let target = target.ok_or_else(|| invalid("Dead letter target does not exist."))?;
        if target.settings.attributes.allows_redrive_from(queue) {
            Ok(())
        } else {
            Err(invalid(
                "Dead letter target does not allow this queue as a source.",
            ))
        }
    }

    /// Makes a queue match the template; attributes that the template does not set stay the same.
    pub(super) fn declare(&mut self, queue: Queue, now_ms: i64) {
        let existing = self
            .queues
            .get(&queue.name)
            .map(|queue| queue.settings.attributes.clone());
        let attributes = QueueAttributes {
            visibility_timeout_s: queue.visibility_timeout_s,
            retention_s: queue.retention_s,
            delay_s: queue.delay_s,
            redrive: queue.redrive,
            ..existing.unwrap_or_default()
        };
        if let Some(existing) = self.queues.get_mut(&queue.name) {
            existing.settings.attributes = attributes;
            self.changed(Change::Queue(queue.name));
        } else {
            self.insert_queue(&queue.name, attributes, BTreeMap::new(), now_ms);
        }
    }

    pub(super) fn set_attributes(
        &mut self,
        name: &str,
        given: &BTreeMap<String, String>,
        now_ms: i64,
    ) -> Result<(), AwsError> {
        let mut attributes = self.queue(name)?.settings.attributes.clone();
        attributes.set_all(given)?;
        self.check_redrive(name, given, &attributes)?;
        let settings = &mut self.queue_mut(name)?.settings;
        settings.attributes = attributes;
        settings.modified_ms = now_ms;
        self.changed(Change::Queue(name.to_owned()));
        Ok(())
    }

    /// Deletes a queue. Its name is free again at once; AWS keeps it for 60 seconds.
    pub(super) fn delete_queue(&mut self, name: &str) -> Result<(), AwsError> {
        self.queues
            .remove(name)
            .ok_or_else(errors::queue_does_not_exist)?;
        self.changed(Change::QueueDeleted(name.to_owned()));
        Ok(())
    }

    pub(super) fn purge(&mut self, name: &str, now_ms: i64) -> Result<(), AwsError> {
        let queue = self.queue_mut(name)?;
        if queue
            .settings
            .purged_ms
            .is_some_and(|purged_ms| now_ms - purged_ms < PURGE_INTERVAL_MS)
        {
            return Err(errors::purge_in_progress(name));
        }
        queue.settings.purged_ms = Some(now_ms);
        queue.messages = Messages::default();
        self.changed(Change::Purged(name.to_owned()));
        self.changed(Change::Queue(name.to_owned()));
        Ok(())
    }

    pub(super) fn send(
        &mut self,
        name: &str,
        draft: Draft,
        now_ms: i64,
    ) -> Result<Arc<Contents>, AwsError> {
        let attributes = &self.queue(name)?.settings.attributes;
        let maximum_bytes = attributes.maximum_message_bytes as usize;
        if draft.bytes() > maximum_bytes {
            return Err(errors::message_too_long(maximum_bytes));
        }
        let delay_s = draft.delay_s.unwrap_or(attributes.delay_s);
        let delivery = Delivery {
            visible_at_ms: now_ms + i64::from(delay_s) * 1000,
            ..Delivery::default()
        };
        let contents = Arc::new(draft.into_contents(now_ms));
        self.enqueue(
            name,
            Message {
                contents: contents.clone(),
                delivery,
            },
            now_ms,
        )?;
        Ok(contents)
    }

    /// Adds a message that is new to all queues.
    pub(super) fn enqueue(
        &mut self,
        name: &str,
        message: Message,
        now_ms: i64,
    ) -> Result<(), AwsError> {
        let sequence = self.next_sequence;
        self.queue_mut(name)?
            .messages
            .insert(sequence, message, now_ms);
        self.next_sequence += 1;
        self.changed(Change::Sent(name.to_owned(), sequence));
        Ok(())
    }

    pub(super) fn start_work<'a>(&mut self, name: &str, ids: impl Iterator<Item = &'a str>) {
        if let Some(queue) = self.queues.get_mut(name) {
            for id in ids {
                *queue.in_work.entry(id.to_owned()).or_default() += 1;
            }
        }
    }

    pub(super) fn end_work<'a>(&mut self, name: &str, ids: impl Iterator<Item = &'a str>) {
        let Some(queue) = self.queues.get_mut(name) else {
            return;
        };
        for id in ids {
            if let Some(deliveries) = queue.in_work.get_mut(id) {
                *deliveries -= 1;
                if *deliveries == 0 {
                    queue.in_work.remove(id);
                }
            }
        }
    }

    /// Makes hidden messages visible, except messages that a function processes.
    pub(super) fn hurry(&mut self, name: &str, now_ms: i64) -> Result<usize, AwsError> {
        let queue = self.queue_mut(name)?;
        let is_in_work = |sequence: &Sequence| {
            let message = queue.messages.get(*sequence);
            message.is_some_and(|message| queue.in_work.contains_key(&message.contents.id))
        };
        let hidden = queue.messages.hidden();
        let waiting: Vec<Sequence> = hidden.filter(|sequence| !is_in_work(sequence)).collect();
        for sequence in &waiting {
            queue.messages.set_visible_at(*sequence, now_ms, now_ms);
        }
        let hurried = waiting.len();
        let changes = waiting
            .into_iter()
            .map(|sequence| Change::Delivery(name.to_owned(), sequence));
        self.changes.extend(changes);
        Ok(hurried)
    }

    /// Extends the visibility timeouts of the messages that functions work on.
    pub(super) fn keep_hidden(&mut self, by_ms: i64, now_ms: i64) {
        for (name, queue) in &mut self.queues {
            let in_work = queue.in_work.keys();
            let hidden: Vec<_> = in_work
                .filter_map(|id| queue.messages.with_id(id))
                .map(|(sequence, message)| (sequence, message.delivery.visible_at_ms))
                .filter(|(_, visible_at_ms)| *visible_at_ms > now_ms)
                .collect();
            for (sequence, visible_at_ms) in hidden {
                let later_ms = visible_at_ms.saturating_add(by_ms);
                queue.messages.set_visible_at(sequence, later_ms, now_ms);
                let change = Change::Delivery(name.clone(), sequence);
                self.changes.push(change);
            }
        }
    }

    /// Deletes a message. A handle from an earlier receive succeeds without effect, as AWS
    /// documents it. So does a handle whose message is gone.
    pub(super) fn delete(&mut self, name: &str, handle: &str) -> Result<(), AwsError> {
        let queue = self.queue_mut(name)?;
        let receipt = Receipt::read(handle, name)?;
        let deletable = queue.messages.with_id(&receipt.message_id);
        if let Some((sequence, _)) =
            deletable.filter(|(_, message)| message.delivery.receipts.contains(&receipt.nonce))
        {
            queue.messages.remove(sequence);
            self.changed(Change::Gone(sequence));
        }
        Ok(())
    }

    /// Changes the visibility timeout of a message in flight, for its latest receiver only. AWS may
    /// ignore a late call instead of refusing it.
    pub(super) fn change_visibility(
        &mut self,
        name: &str,
        handle: &str,
        timeout_s: u32,
        now_ms: i64,
    ) -> Result<(), AwsError> {
        let queue = self.queue_mut(name)?;
        let receipt = Receipt::read(handle, name)?;
        let found = queue.messages.with_id(&receipt.message_id);
        let found = found.filter(|(_, message)| message.delivery.receipts.contains(&receipt.nonce));
        let (sequence, message) = found.ok_or_else(|| {
            let reason =
                "Message does not exist or is not available for visibility timeout change.";
            errors::invalid_value(handle, "ReceiptHandle", reason)
        })?;
        if message.delivery.delivered_twice {
            return Ok(());
        }
        if message.delivery.visible_at_ms <= now_ms {
            return Err(errors::message_not_in_flight());
        }
        let visible_at_ms = now_ms + i64::from(timeout_s) * 1000;
        let received_ms = message.delivery.received_ms.unwrap_or(now_ms);
        if visible_at_ms > received_ms + LONGEST_VISIBILITY_TIMEOUT_MS {
            let reason =
                "Total VisibilityTimeout for the message is beyond the limit [43200 seconds].";
            return Err(errors::invalid_value(
                timeout_s,
                "VisibilityTimeout",
                reason,
            ));
        }
        queue
            .messages
            .set_visible_at(sequence, visible_at_ms, now_ms);
        self.changed(Change::Delivery(name.to_owned(), sequence));
        Ok(())
    }

    pub(super) fn deliver_twice(&mut self, name: &str, count: u32) -> Result<(), AwsError> {
        self.queue_mut(name)?.deliver_twice += count;
        Ok(())
    }

    pub(super) fn dead_letter_sources(&self, name: &str) -> impl Iterator<Item = &String> {
        self.queues.iter().filter_map(move |(source, queue)| {
            let redrive = queue.settings.attributes.redrive.as_ref()?;
            (redrive.dead_letter_queue == name).then_some(source)
        })
    }

    pub(super) fn counts(&self) -> BTreeMap<String, Counts> {
        self.queues
            .iter()
            .map(|(name, queue)| (name.clone(), queue.messages.counts()))
            .collect()
    }
}

#[cfg(test)]
mod tests;
