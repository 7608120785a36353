//! All queues, and the effect of each call on them. No clock and no I/O: `now_ms` is an argument,
//! and changes are noted for the store.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::attributes::QueueAttributes;
use super::message::{Contents, Delivered, Delivery, Draft, Receipt};
use super::messages::{Message, Messages, Sequence};
use super::move_task::MoveTask;
use super::{Counts, Queue, errors, queue_arn};
use crate::AwsError;
use crate::faults::Faults;

/// The maximum number of received messages of a queue that are not yet deleted (an AWS limit).
const IN_FLIGHT_LIMIT: usize = 120_000;
const LONGEST_VISIBILITY_TIMEOUT_MS: i64 = 43_200_000;
const PURGE_INTERVAL_MS: i64 = 60_000;

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) queues: BTreeMap<String, QueueState>,
    pub(super) tasks: Vec<MoveTask>,
    pub(super) faults: Faults,
    next_sequence: Sequence,
    changes: Vec<Change>,
}

#[derive(Debug)]
pub(super) struct QueueState {
    pub(super) settings: Settings,
    pub(super) messages: Messages,
    /// How many of the next received messages are delivered twice.
    deliver_twice: u32,
    /// Visible messages that a fault has delayed, and until when.
    held_back: BTreeMap<Sequence, i64>,
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

/// What a call changed. The store reads the new values itself, so several changes of one thing are
/// written once.
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

    /// Receives up to `max` messages, oldest first unless a fault reorders them. A message with too
    /// many receives moves to the dead-letter queue; like SQS, only at a receive.
    pub(super) fn receive(
        &mut self,
        name: &str,
        max: usize,
        visibility_timeout_s: Option<u32>,
        now_ms: i64,
    ) -> Result<Vec<Delivered>, AwsError> {
        let reordered = self.reordered(name, now_ms)?;
        let queue = self.queue(name)?;
        let room = room_in_flight(queue.messages.counts())?;
        let redrive = queue.settings.attributes.redrive.clone();
        let redrive =
            redrive.filter(|redrive| self.queues.contains_key(&redrive.dead_letter_queue));
        let is_spent = |message: &Message| {
            redrive
                .as_ref()
                .is_some_and(|redrive| message.delivery.receives_here >= redrive.max_receive_count)
        };
        let (mut spent, mut received) = (Vec::new(), Vec::new());
        let visible: Box<dyn Iterator<Item = Sequence>> = match reordered {
            Some(order) => Box::new(order.into_iter()),
            None => Box::new(queue.messages.visible()),
        };
        for sequence in visible {
            if received.len() >= max.min(room) {
                break;
            }
            if queue.messages.get(sequence).is_some_and(is_spent) {
                spent.push(sequence);
            } else {
                received.push(sequence);
            }
        }
        if let Some(redrive) = redrive {
            for sequence in spent {
                self.move_to_dead_letters(name, sequence, &redrive.dead_letter_queue, now_ms);
            }
        }
        let faults = self.faults.clone();
        let queue = self.queue_mut(name)?;
        let timeout_s =
            visibility_timeout_s.unwrap_or(queue.settings.attributes.visibility_timeout_s);
        let hidden_until_ms = now_ms + i64::from(timeout_s) * 1000;
        let mut delivered = Vec::with_capacity(received.len());
        for sequence in &received {
            // A second delivery is enough: more would exhaust the message's receives.
            let is_second = queue
                .messages
                .get(*sequence)
                .is_some_and(|message| message.delivery.delivered_twice);
            let twice = queue.deliver_twice > 0 || (!is_second && faults.duplicates(name));
            queue.deliver_twice = queue.deliver_twice.saturating_sub(1);
            delivered.extend(
                queue
                    .messages
                    .take(*sequence, name, now_ms, hidden_until_ms, twice),
            );
        }
        self.changes.extend(
            received
                .into_iter()
                .map(|sequence| Change::Delivery(name.to_owned(), sequence)),
        );
        Ok(delivered)
    }

    /// The visible messages that a fault lets through, in its order; `None` if no fault applies.
    fn reordered(&mut self, name: &str, now_ms: i64) -> Result<Option<Vec<Sequence>>, AwsError> {
        let faults = self.faults.clone();
        let queue = self.queue_mut(name)?;
        let reorders = faults.reorders(name);
        if !reorders && queue.held_back.is_empty() {
            return Ok(None);
        }
        let visible: BTreeSet<Sequence> = queue.messages.visible().collect();
        // A message that was received meanwhile is checked again when it becomes visible.
        queue
            .held_back
            .retain(|sequence, _| visible.contains(sequence));
        if reorders {
            for sequence in visible {
                queue.held_back.entry(sequence).or_insert_with(|| {
                    let hold_ms = faults.hold_back(name).as_millis();
                    now_ms.saturating_add(i64::try_from(hold_ms).unwrap_or(i64::MAX))
                });
            }
        }
        let is_held = |sequence: &Sequence| {
            let until_ms = queue.held_back.get(sequence);
            until_ms.is_some_and(|until_ms| *until_ms > now_ms)
        };
        let free = queue.messages.visible();
        let mut free: Vec<Sequence> = free.filter(|sequence| !is_held(sequence)).collect();
        faults.shuffle(name, &mut free);
        Ok(Some(free))
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

    /// Moves a message to the dead-letter queue. It keeps its id, age and receive count, but the
    /// dead-letter queue's own limit counts from zero.
    fn move_to_dead_letters(
        &mut self,
        source: &str,
        sequence: Sequence,
        target: &str,
        now_ms: i64,
    ) {
        let message = self
            .queues
            .get_mut(source)
            .and_then(|queue| queue.messages.remove(sequence));
        let (Some(mut message), Some(target_queue)) = (message, self.queues.get_mut(target)) else {
            return;
        };
        message.delivery = Delivery {
            visible_at_ms: now_ms,
            receives_here: 0,
            receipts: Vec::new(),
            dead_letter_source: Some(queue_arn(source)),
            delivered_twice: false,
            ..message.delivery
        };
        target_queue.messages.insert(sequence, message, now_ms);
        self.changed(Change::Delivery(target.to_owned(), sequence));
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

fn room_in_flight(counts: Counts) -> Result<usize, AwsError> {
    let room = IN_FLIGHT_LIMIT.saturating_sub(counts.in_flight);
    if room == 0 {
        Err(errors::over_limit())
    } else {
        Ok(room)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::super::Redrive;
    use super::super::move_task::MoveStatus;
    use super::*;
    use crate::faults::{Fault, MessageMode};

    const MAX_RECEIVE_COUNT: u32 = 3;

    /// Queues `work` and `dead`, the dead-letter queue of `work`.
    fn state() -> State {
        let mut state = State::default();
        let queue = |name: &str, redrive| Queue {
            name: name.to_owned(),
            visibility_timeout_s: 30,
            retention_s: 3600,
            delay_s: 0,
            redrive,
        };
        let redrive = Redrive {
            dead_letter_queue: "dead".to_owned(),
            max_receive_count: MAX_RECEIVE_COUNT,
        };
        state.declare(queue("work", Some(redrive)), 0);
        state.declare(queue("dead", None), 0);
        state
    }

    fn send(state: &mut State, body: &str, now_ms: i64) -> String {
        let draft = Draft {
            body: body.to_owned(),
            ..Draft::default()
        };
        state.send("work", draft, now_ms).unwrap().id.clone()
    }

    fn receive(state: &mut State, queue: &str, now_ms: i64) -> Vec<Delivered> {
        state.advance(now_ms);
        state.receive(queue, 10, None, now_ms).unwrap()
    }

    fn counts(state: &mut State, queue: &str, now_ms: i64) -> (usize, usize, usize) {
        state.advance(now_ms);
        let counts = state.counts()[queue];
        (counts.visible, counts.in_flight, counts.delayed)
    }

    #[test]
    fn hides_a_received_message_until_its_timeout_ends() {
        let mut state = state();
        let id = send(&mut state, "x", 0);
        let first = receive(&mut state, "work", 1_000).remove(0);
        assert_eq!(counts(&mut state, "work", 30_999), (0, 1, 0));
        assert!(receive(&mut state, "work", 30_999).is_empty());
        assert_eq!(state.next_visible_ms("work"), Some(31_000));
        let second = receive(&mut state, "work", 31_000).remove(0);
        assert_eq!((&first.contents.id, &second.contents.id), (&id, &id));
        assert_ne!(first.receipt, second.receipt);
        let attributes = second.system_attributes();
        assert_eq!(attributes["SentTimestamp"], "0");
        assert_eq!(attributes["ApproximateFirstReceiveTimestamp"], "1000");
        assert_eq!(attributes["ApproximateReceiveCount"], "2");
    }

    #[test]
    fn delays_a_message_or_all_of_a_queue() {
        let mut state = state();
        state
            .set_attributes(
                "work",
                &BTreeMap::from([("DelaySeconds".to_owned(), "5".to_owned())]),
                0,
            )
            .unwrap();
        send(&mut state, "queue's delay", 0);
        let own = Draft {
            body: "own delay".to_owned(),
            delay_s: Some(9),
            ..Draft::default()
        };
        state.send("work", own, 0).unwrap();
        assert_eq!(counts(&mut state, "work", 4_999), (0, 0, 2));
        assert_eq!(counts(&mut state, "work", 5_000), (1, 0, 1));
        assert_eq!(counts(&mut state, "work", 9_000), (2, 0, 0));
    }

    #[test]
    fn only_the_latest_receipt_deletes() {
        let mut state = state();
        send(&mut state, "x", 0);
        let first = receive(&mut state, "work", 0).remove(0);
        let second = receive(&mut state, "work", 30_000).remove(0);
        state.delete("work", &first.receipt.handle()).unwrap();
        assert_eq!(counts(&mut state, "work", 30_000), (0, 1, 0));
        // The message is visible again, but nobody has received it since.
        assert_eq!(counts(&mut state, "work", 60_000), (1, 0, 0));
        state.delete("work", &second.receipt.handle()).unwrap();
        assert_eq!(counts(&mut state, "work", 60_000), (0, 0, 0));
        state.delete("work", &second.receipt.handle()).unwrap();
    }

    #[test]
    fn changes_the_visibility_of_a_message_in_flight_only() {
        let mut state = state();
        send(&mut state, "x", 0);
        let first = receive(&mut state, "work", 0).remove(0).receipt.handle();
        state.change_visibility("work", &first, 60, 10_000).unwrap();
        assert_eq!(counts(&mut state, "work", 69_999), (0, 1, 0));
        let error = state
            .change_visibility("work", &first, 43_200, 69_999)
            .unwrap_err();
        assert!(error.message.contains("beyond the limit"), "{error:?}");
        state.change_visibility("work", &first, 0, 69_999).unwrap();
        assert_eq!(counts(&mut state, "work", 69_999), (1, 0, 0));
        assert_eq!(
            state
                .change_visibility("work", &first, 9, 69_999)
                .unwrap_err()
                .code,
            "MessageNotInflight"
        );
        let second = receive(&mut state, "work", 70_000)
            .remove(0)
            .receipt
            .handle();
        let late = state
            .change_visibility("work", &first, 9, 70_000)
            .unwrap_err();
        assert!(
            late.message
                .contains("not available for visibility timeout change"),
            "{late:?}"
        );
        state.delete("work", &second).unwrap();
        assert!(state.change_visibility("work", &second, 9, 70_000).is_err());
    }

    #[test]
    fn moves_a_message_that_was_received_too_often() {
        let mut state = state();
        let id = send(&mut state, "x", 5);
        for round in 0..i64::from(MAX_RECEIVE_COUNT) {
            assert_eq!(receive(&mut state, "work", 5 + round * 30_000).len(), 1);
        }
        assert_eq!(counts(&mut state, "dead", 90_005), (0, 0, 0));
        assert!(receive(&mut state, "work", 90_005).is_empty());
        assert_eq!(counts(&mut state, "work", 90_005), (0, 0, 0));
        let dead = receive(&mut state, "dead", 90_006).remove(0);
        let attributes = dead.system_attributes();
        assert_eq!(
            (&dead.contents.id, attributes["SentTimestamp"].as_str()),
            (&id, "5")
        );
        assert_eq!(attributes["DeadLetterQueueSourceArn"], queue_arn("work"));
        assert_eq!(attributes["ApproximateReceiveCount"], "4");
        state.delete("dead", &dead.receipt.handle()).unwrap();
        assert_eq!(counts(&mut state, "dead", 90_006), (0, 0, 0));
    }

    #[test]
    fn delivers_on_while_the_dead_letter_queue_does_not_exist() {
        let mut state = state();
        send(&mut state, "x", 0);
        state.delete_queue("dead").unwrap();
        for round in 0..5 {
            assert_eq!(receive(&mut state, "work", round * 30_000).len(), 1);
        }
    }

    #[test]
    fn a_message_expires_with_its_retention_also_in_flight() {
        let mut state = state();
        send(&mut state, "x", 0);
        receive(&mut state, "work", 3_590_000);
        assert_eq!(counts(&mut state, "work", 3_599_999), (0, 1, 0));
        assert_eq!(counts(&mut state, "work", 3_600_000), (0, 0, 0));
        assert!(state.take_changes().contains(&Change::Gone(0)));
    }

    #[test]
    fn delivers_twice_on_request() {
        let mut state = state();
        send(&mut state, "a", 0);
        send(&mut state, "b", 0);
        state.deliver_twice("work", 1).unwrap();
        let first = receive(&mut state, "work", 0);
        let second = receive(&mut state, "work", 0);
        assert_eq!((first.len(), second.len()), (2, 1));
        assert_eq!(first[0].contents.id, second[0].contents.id);
        state
            .change_visibility("work", &first[0].receipt.handle(), 9, 0)
            .unwrap();
        state.delete("work", &first[0].receipt.handle()).unwrap();
        state.delete("work", &second[0].receipt.handle()).unwrap();
        assert_eq!(counts(&mut state, "work", 30_000), (1, 0, 0));
    }

    #[test]
    fn a_fault_delivers_each_message_twice_and_not_more() {
        let mut state = state();
        state
            .faults
            .add(Fault::messages("work", MessageMode::Duplicate));
        let id = send(&mut state, "a", 0);
        for _ in 0..2 {
            let received = receive(&mut state, "work", 0);
            assert_eq!(received.len(), 1);
            assert_eq!(received[0].contents.id, id);
        }
        assert_eq!(counts(&mut state, "work", 0), (0, 1, 0));
    }

    #[test]
    fn a_fault_hands_messages_out_in_another_order_and_later_than_younger_ones() {
        let mut state = state();
        let reorder = MessageMode::Reorder(Duration::from_millis(100));
        state.faults.add(Fault::messages("work", reorder).seeded(7));
        let sent: Vec<_> = (0..20)
            .map(|n| send(&mut state, &n.to_string(), n))
            .collect();
        let mut received = Vec::new();
        let mut now_ms = 20;
        while received.len() < sent.len() {
            let delivered = receive(&mut state, "work", now_ms);
            received.extend(
                delivered
                    .into_iter()
                    .map(|message| message.contents.id.clone()),
            );
            let held_back = sent.len() - received.len();
            assert_eq!(
                counts(&mut state, "work", now_ms).0,
                held_back,
                "still visible"
            );
            if received.len() < sent.len() {
                now_ms = state.next_visible_ms("work").unwrap().max(now_ms + 1);
            }
        }
        assert!(now_ms <= 120, "{now_ms}");
        assert_ne!(received, sent);
        let all: BTreeSet<_> = received.iter().collect();
        assert_eq!(all, sent.iter().collect());
    }

    #[test]
    fn hurries_hidden_messages_except_those_that_a_function_processes() {
        let mut state = state();
        let later = Draft {
            delay_s: Some(60),
            ..Draft::default()
        };
        state.send("work", later, 0).unwrap();
        let (left, worked_on) = (
            send(&mut state, "left", 0),
            send(&mut state, "worked on", 0),
        );
        let receipts = receive(&mut state, "work", 0);
        state.start_work("work", [worked_on.as_str()].into_iter());
        assert_eq!(state.hurry("work", 1), Ok(2));
        assert_eq!(counts(&mut state, "work", 1), (2, 1, 0));
        let (first, _) = state.queues["work"].messages.with_id(&left).unwrap();
        assert!(
            state
                .take_changes()
                .contains(&Change::Delivery("work".to_owned(), first))
        );
        state.delete("work", &receipts[0].receipt.handle()).unwrap();
        assert_eq!(
            counts(&mut state, "work", 1),
            (1, 1, 0),
            "its receipt is still valid"
        );
        state.end_work("work", [worked_on.as_str()].into_iter());
        assert_eq!(state.hurry("work", 2), Ok(1));
        assert!(state.hurry("nothing", 2).is_err());
    }

    #[test]
    fn has_no_more_in_flight_than_sqs_allows() {
        let room = |in_flight| {
            room_in_flight(Counts {
                visible: 7,
                in_flight,
                delayed: 7,
            })
            .map_err(|error| error.code)
        };
        assert_eq!(room(119_999), Ok(1));
        assert_eq!(room(120_000), Err("OverLimit".to_owned()));
    }

    #[test]
    fn purges_at_most_once_a_minute() {
        let mut state = state();
        send(&mut state, "x", 0);
        state.purge("work", 0).unwrap();
        assert_eq!(counts(&mut state, "work", 0), (0, 0, 0));
        assert_eq!(
            state.purge("work", 59_999).unwrap_err().code,
            "PurgeQueueInProgress"
        );
        state.purge("work", 60_000).unwrap();
    }

    #[test]
    fn a_redrive_policy_needs_a_queue_that_allows_it() {
        let mut state = state();
        let policy = format!(
            r#"{{"deadLetterTargetArn":"{}","maxReceiveCount":3}}"#,
            queue_arn("none")
        );
        let given = BTreeMap::from([("RedrivePolicy".to_owned(), policy)]);
        let error = state
            .create_queue("new", &given, BTreeMap::new(), 0)
            .unwrap_err();
        assert!(
            error.message.contains("Dead letter target does not exist."),
            "{error:?}"
        );
        let deny = BTreeMap::from([(
            "RedriveAllowPolicy".to_owned(),
            r#"{"redrivePermission":"denyAll"}"#.to_owned(),
        )]);
        state
            .create_queue("none", &deny, BTreeMap::new(), 0)
            .unwrap();
        assert!(state.set_attributes("work", &given, 0).is_err());
    }

    /// Sends messages and receives them until they are dead letters.
    fn with_dead_letters(count: usize) -> State {
        let mut state = state();
        for _ in 0..count {
            send(&mut state, "x", 0);
        }
        for round in 0..=i64::from(MAX_RECEIVE_COUNT) {
            receive(&mut state, "work", round * 30_000);
        }
        assert_eq!(counts(&mut state, "dead", 90_000), (count, 0, 0));
        state
    }

    #[test]
    fn moves_dead_letters_back_as_new_messages() {
        let mut state = with_dead_letters(2);
        state
            .start_move_task(&queue_arn("dead"), None, None, 100_000)
            .unwrap();
        assert_eq!(state.tasks[0].status, MoveStatus::Completed);
        assert_eq!((state.tasks[0].moved, state.tasks[0].to_move), (2, 2));
        assert_eq!(counts(&mut state, "dead", 100_000), (0, 0, 0));
        let moved = receive(&mut state, "work", 100_000);
        let attributes = moved[0].system_attributes();
        assert_eq!(
            (moved.len(), attributes["ApproximateReceiveCount"].as_str()),
            (2, "1")
        );
        assert_eq!(attributes["SentTimestamp"], "100000");
        assert!(!attributes.contains_key("DeadLetterQueueSourceArn"));
    }

    #[test]
    fn moves_dead_letters_at_the_given_rate_until_cancelled() {
        let mut state = with_dead_letters(5);
        let task = state
            .start_move_task(
                &queue_arn("dead"),
                Some(&queue_arn("work")),
                Some(2),
                100_000,
            )
            .unwrap();
        assert_eq!(counts(&mut state, "work", 100_499), (0, 0, 0));
        assert_eq!(state.next_visible_ms("work"), Some(100_500));
        assert_eq!(counts(&mut state, "work", 100_500), (1, 0, 0));
        assert!(
            state
                .start_move_task(&queue_arn("dead"), None, None, 100_500)
                .is_err()
        );
        assert_eq!(counts(&mut state, "work", 101_000), (2, 0, 0));
        assert_eq!(state.cancel_move_task(&task.id), Ok(2));
        assert_eq!(counts(&mut state, "dead", 110_000), (3, 0, 0));
        assert_eq!(
            state.cancel_move_task(&task.id).unwrap_err().code,
            "UnsupportedOperation"
        );
        assert_eq!(
            state.cancel_move_task("other").unwrap_err().code,
            "ResourceNotFoundException"
        );
    }

    #[test]
    fn a_move_task_fails_without_a_way_back() {
        let mut state = state();
        state
            .send(
                "dead",
                Draft {
                    body: "sent directly".to_owned(),
                    ..Draft::default()
                },
                0,
            )
            .unwrap();
        state
            .start_move_task(&queue_arn("dead"), None, None, 0)
            .unwrap();
        assert_eq!(
            state.tasks[0].status,
            MoveStatus::Failed("CouldNotDetermineMessageSource".to_owned())
        );
        assert_eq!(counts(&mut state, "dead", 0), (1, 0, 0));
        assert!(
            state
                .start_move_task(&queue_arn("work"), None, None, 0)
                .is_err()
        );
        let missing = state
            .start_move_task(&queue_arn("no"), None, None, 0)
            .unwrap_err();
        assert_eq!(missing.code, "ResourceNotFoundException");
    }

    #[derive(Debug, Clone)]
    enum Step {
        Send {
            delay_s: u32,
        },
        Receive {
            queue: &'static str,
            max: usize,
            timeout_s: u32,
        },
        Delete {
            which: usize,
        },
        ChangeVisibility {
            which: usize,
            timeout_s: u32,
        },
        Wait {
            ms: i64,
        },
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => (0..3_u32).prop_map(|delay_s| Step::Send { delay_s }),
            4 => (prop_oneof![Just("work"), Just("work"), Just("dead")], 1..=10_usize, 0..4_u32)
                .prop_map(|(queue, max, timeout_s)| Step::Receive { queue, max, timeout_s }),
            2 => any::<usize>().prop_map(|which| Step::Delete { which }),
            1 => (any::<usize>(), 0..4_u32).prop_map(|(which, timeout_s)| Step::ChangeVisibility { which, timeout_s }),
            3 => (0..3_000_i64).prop_map(|ms| Step::Wait { ms }),
        ]
    }

    /// What must be true of the queues after some steps, kept in the simplest way.
    #[derive(Default)]
    struct Model {
        alive: BTreeSet<String>,
        hidden_until_ms: HashMap<String, i64>,
        latest: HashMap<String, Receipt>,
        receipts: Vec<Receipt>,
    }

    impl Model {
        fn run(&mut self, state: &mut State, step: &Step, now_ms: &mut i64) {
            state.advance(*now_ms);
            match step {
                Step::Wait { ms } => *now_ms += ms,
                Step::Send { delay_s } => {
                    let draft = Draft {
                        body: "x".to_owned(),
                        delay_s: Some(*delay_s),
                        ..Draft::default()
                    };
                    let id = state.send("work", draft, *now_ms).unwrap().id.clone();
                    self.hidden_until_ms
                        .insert(id.clone(), *now_ms + i64::from(*delay_s) * 1000);
                    self.alive.insert(id);
                }
                Step::Receive {
                    queue,
                    max,
                    timeout_s,
                } => {
                    let delivered = state
                        .receive(queue, *max, Some(*timeout_s), *now_ms)
                        .unwrap();
                    assert!(delivered.len() <= *max);
                    for delivered in delivered {
                        let id = delivered.contents.id.clone();
                        assert!(self.alive.contains(&id), "a deleted message returned");
                        let hidden_until_ms = *now_ms + i64::from(*timeout_s) * 1000;
                        let before = self
                            .hidden_until_ms
                            .insert(id.clone(), hidden_until_ms)
                            .unwrap();
                        assert!(before <= *now_ms, "received while another holds it");
                        assert!(
                            *queue == "dead"
                                || delivered.delivery.receive_count <= MAX_RECEIVE_COUNT
                        );
                        self.latest.insert(id, delivered.receipt.clone());
                        self.receipts.push(delivered.receipt);
                    }
                }
                Step::Delete { which } if !self.receipts.is_empty() => {
                    let receipt = self.receipts[which % self.receipts.len()].clone();
                    state.delete(&receipt.queue, &receipt.handle()).unwrap();
                    let moved = state
                        .queue(&receipt.queue)
                        .unwrap()
                        .messages
                        .with_id(&receipt.message_id)
                        .is_none();
                    if self.latest.get(&receipt.message_id) == Some(&receipt)
                        && !self.is_elsewhere(state, &receipt)
                    {
                        assert!(moved, "the latest receipt did not delete");
                        self.alive.remove(&receipt.message_id);
                    }
                }
                Step::ChangeVisibility { which, timeout_s } if !self.receipts.is_empty() => {
                    let receipt = self.receipts[which % self.receipts.len()].clone();
                    if state
                        .change_visibility(&receipt.queue, &receipt.handle(), *timeout_s, *now_ms)
                        .is_ok()
                    {
                        assert_eq!(self.latest.get(&receipt.message_id), Some(&receipt));
                        self.hidden_until_ms
                            .insert(receipt.message_id, *now_ms + i64::from(*timeout_s) * 1000);
                    }
                }
                Step::Delete { .. } | Step::ChangeVisibility { .. } => {}
            }
            state.advance(*now_ms);
            self.check(state, *now_ms);
        }

        /// The message moved to the dead-letter queue since this receipt.
        fn is_elsewhere(&self, state: &State, receipt: &Receipt) -> bool {
            let mut others = state
                .queues
                .iter()
                .filter(|(name, _)| **name != receipt.queue);
            others.any(|(_, queue)| queue.messages.with_id(&receipt.message_id).is_some())
        }

        fn check(&self, state: &State, now_ms: i64) {
            let mut found = Vec::new();
            let mut hidden = 0;
            for id in &self.alive {
                found.extend(
                    state
                        .queues
                        .values()
                        .filter_map(|queue| queue.messages.with_id(id)),
                );
                hidden += usize::from(self.hidden_until_ms[id] > now_ms);
            }
            assert_eq!(
                found.len(),
                self.alive.len(),
                "each message is in exactly one queue"
            );
            let counts = state.counts();
            let visible: usize = counts.values().map(|counts| counts.visible).sum();
            let waiting: usize = counts
                .values()
                .map(|counts| counts.in_flight + counts.delayed)
                .sum();
            assert_eq!((visible + waiting, waiting), (self.alive.len(), hidden));
        }

        /// Receives and deletes every message that is left; then no message may be left.
        fn drain(&mut self, state: &mut State, mut now_ms: i64) {
            now_ms += 10_000;
            for queue in ["work", "dead"] {
                for delivered in std::iter::repeat_with(|| receive(state, queue, now_ms))
                    .take_while(|list| !list.is_empty())
                    .flatten()
                    .collect::<Vec<_>>()
                {
                    assert!(self.alive.remove(&delivered.contents.id));
                    state.delete(queue, &delivered.receipt.handle()).unwrap();
                }
            }
            assert!(self.alive.is_empty(), "lost: {:?}", self.alive);
            assert!(
                state
                    .counts()
                    .values()
                    .all(|counts| counts.visible + counts.in_flight + counts.delayed == 0)
            );
        }
    }

    proptest! {
        #[test]
        fn no_message_is_lost_or_held_twice(steps in proptest::collection::vec(step(), 1..120)) {
            let mut state = state();
            let mut model = Model::default();
            let mut now_ms = 1_000_000;
            for step in &steps {
                model.run(&mut state, step, &mut now_ms);
            }
            model.drain(&mut state, now_ms);
        }
    }
}
