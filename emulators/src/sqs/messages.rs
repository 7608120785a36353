//! The messages of one queue, sorted by what can happen to them next. No clock and no I/O: `now_ms`
//! is an argument.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::Counts;
use super::contents::{Contents, Delivered, Delivery, Receipt};

#[derive(Debug, Clone)]
pub(super) struct Message {
    pub(super) contents: Arc<Contents>,
    pub(super) delivery: Delivery,
}

/// A message's place in the order of sending over all queues, which is also its key in the store.
pub(super) type Sequence = i64;

/// Every message is in exactly one of `visible`, `in_flight` and `delayed`, sorted by when it
/// became or becomes visible.
#[derive(Debug, Default)]
pub(super) struct Messages {
    messages: BTreeMap<Sequence, Message>,
    by_id: HashMap<String, Sequence>,
    by_age: BTreeSet<(i64, Sequence)>,
    visible: BTreeSet<(i64, Sequence)>,
    in_flight: BTreeSet<(i64, Sequence)>,
    delayed: BTreeSet<(i64, Sequence)>,
}

impl Messages {
    pub(super) fn insert(&mut self, sequence: Sequence, message: Message, now_ms: i64) {
        self.by_id.insert(message.contents.id.clone(), sequence);
        self.by_age.insert((message.contents.sent_ms, sequence));
        let place = (message.delivery.visible_at_ms, sequence);
        if message.delivery.visible_at_ms <= now_ms {
            self.visible.insert(place);
        } else if message.delivery.receives_here > 0 {
            self.in_flight.insert(place);
        } else {
            self.delayed.insert(place);
        }
        self.messages.insert(sequence, message);
    }

    pub(super) fn remove(&mut self, sequence: Sequence) -> Option<Message> {
        let message = self.messages.remove(&sequence)?;
        self.by_id.remove(&message.contents.id);
        self.by_age.remove(&(message.contents.sent_ms, sequence));
        let place = (message.delivery.visible_at_ms, sequence);
        for set in [&mut self.visible, &mut self.in_flight, &mut self.delayed] {
            set.remove(&place);
        }
        Some(message)
    }

    /// Makes due messages visible, and drops those older than the retention. Returns the dropped
    /// ones.
    pub(super) fn advance(&mut self, now_ms: i64, retention_ms: i64) -> Vec<Sequence> {
        for waiting in [&mut self.in_flight, &mut self.delayed] {
            while let Some(place) = waiting
                .first()
                .copied()
                .filter(|(visible_at_ms, _)| *visible_at_ms <= now_ms)
            {
                waiting.remove(&place);
                self.visible.insert(place);
            }
        }
        let expired = |(sent_ms, _): &&(i64, Sequence)| now_ms - sent_ms >= retention_ms;
        let expired: Vec<Sequence> = self
            .by_age
            .iter()
            .take_while(expired)
            .map(|(_, sequence)| *sequence)
            .collect();
        for sequence in &expired {
            self.remove(*sequence);
        }
        expired
    }

    /// The visible messages, the longest visible one first.
    pub(super) fn visible(&self) -> impl Iterator<Item = Sequence> {
        self.visible.iter().map(|(_, sequence)| *sequence)
    }

    /// The messages within their delay or visibility timeout.
    pub(super) fn hidden(&self) -> impl Iterator<Item = Sequence> {
        let hidden = self.in_flight.iter().chain(&self.delayed);
        hidden.map(|(_, sequence)| *sequence)
    }

    /// Receives a message. The message stays hidden until `hidden_until_ms`, or visible for a
    /// duplicate delivery.
    pub(super) fn take(
        &mut self,
        sequence: Sequence,
        queue: &str,
        now_ms: i64,
        hidden_until_ms: i64,
        deliver_twice: bool,
    ) -> Option<Delivered> {
        let mut message = self.remove(sequence)?;
        let receipt = Receipt::new(queue, &message.contents.id);
        let delivery = &mut message.delivery;
        if !delivery.delivered_twice {
            delivery.receipts.clear();
        }
        delivery.receipts.push(receipt.nonce.clone());
        delivery.delivered_twice = deliver_twice;
        delivery.receive_count += 1;
        delivery.receives_here += 1;
        delivery.received_ms = Some(now_ms);
        delivery.first_received_ms.get_or_insert(now_ms);
        delivery.visible_at_ms = if deliver_twice {
            now_ms
        } else {
            hidden_until_ms
        };
        let delivered = Delivered {
            contents: message.contents.clone(),
            delivery: delivery.clone(),
            receipt,
        };
        self.insert(sequence, message, now_ms);
        Some(delivered)
    }

    pub(super) fn set_visible_at(&mut self, sequence: Sequence, visible_at_ms: i64, now_ms: i64) {
        if let Some(mut message) = self.remove(sequence) {
            message.delivery.visible_at_ms = visible_at_ms;
            self.insert(sequence, message, now_ms);
        }
    }

    pub(super) fn get(&self, sequence: Sequence) -> Option<&Message> {
        self.messages.get(&sequence)
    }

    pub(super) fn with_id(&self, id: &str) -> Option<(Sequence, &Message)> {
        let sequence = *self.by_id.get(id)?;
        Some((sequence, self.get(sequence)?))
    }

    pub(super) fn counts(&self) -> Counts {
        Counts {
            visible: self.visible.len(),
            in_flight: self.in_flight.len(),
            delayed: self.delayed.len(),
        }
    }

    /// When the next hidden message becomes visible.
    pub(super) fn next_visible_ms(&self) -> Option<i64> {
        [&self.in_flight, &self.delayed]
            .into_iter()
            .filter_map(|waiting| Some(waiting.first()?.0))
            .min()
    }
}
