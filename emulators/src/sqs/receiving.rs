//! Receiving from a queue: which messages come, in which order, and which go to the dead-letter
//! queue instead.

use std::collections::BTreeSet;

use super::contents::{Delivered, Delivery};
use super::messages::{Message, Sequence};
use super::state::{Change, State};
use super::{Counts, errors, queue_arn};
use crate::AwsError;

/// The maximum number of messages of a queue between their receipt and their deletion (an AWS
/// limit).
const IN_FLIGHT_LIMIT: usize = 120_000;

impl State {
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
        // The sweep checks a meanwhile received message again when it becomes visible.
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

    /// Moves a message to the dead-letter queue. The message keeps its id, age and receive count,
    /// but the dead-letter queue's own limit counts from zero.
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
    use super::*;

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
}
