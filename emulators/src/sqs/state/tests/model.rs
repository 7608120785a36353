//! Random calls: no message is lost, and none is in two places.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

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
        1 => (any::<usize>(), 0..4_u32)
            .prop_map(|(which, timeout_s)| Step::ChangeVisibility { which, timeout_s }),
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
                        *queue == "dead" || delivered.delivery.receive_count <= MAX_RECEIVE_COUNT
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
