//! BatchGetItem leaves out keys, as DynamoDB does if a table lacks capacity.

use emulators::faults::{CallMode, Fault};
use emulators::service::Service;
use webhooks::event::Event;
use webhooks::ledger::{Effects, ItemKey};

use crate::commits::used;
use crate::scene::{Scene, play_scene};

impl Scene {
    /// Writes a record for each of these many events. Returns the records' keys.
    async fn recorded(&self, events: usize) -> Vec<ItemKey> {
        let events: Vec<_> = (0..events).map(used).collect();
        let effects: Vec<_> = events
            .iter()
            .map(|it| Effects::new(it, "inventory"))
            .collect();
        for outcome in self.ledger.commit_all(&effects, self.invocation()).await {
            outcome.ok().unwrap();
        }
        let key = |event: &Event| {
            let entry = format!("{}/inventory", event.key.entry());
            self.ledger.row_key(event.key.coupon(), entry)
        };
        events.iter().map(key).collect()
    }
}

#[test]
fn every_row_is_read_although_dynamodb_leaves_out_keys() {
    play_scene(async |scene| {
        let keys = scene.recorded(9).await;
        let fault = Fault::calls(Service::DynamoDb, "BatchGetItem", CallMode::FailPartially);
        // Nine keys, five, three, two, and one that is throttled.
        scene.world.faults.add(fault.times(5));
        let rows = scene.ledger.rows(&keys, &[], scene.world.now()).await;
        let mut read: Vec<_> = rows
            .unwrap()
            .iter()
            .map(|row| row["entry"].clone())
            .collect();
        read.sort_by_key(|entry| format!("{entry:?}"));
        let wanted: Vec<_> = keys
            .iter()
            .map(|key| key.attributes()["entry"].clone())
            .collect();
        assert_eq!(read, wanted);
    });
}

#[test]
fn a_part_of_the_rows_is_no_answer() {
    play_scene(async |scene| {
        let keys = scene.recorded(9).await;
        let fault = Fault::calls(Service::DynamoDb, "BatchGetItem", CallMode::FailPartially);
        scene.world.faults.add(fault);
        let rows = scene.ledger.rows(&keys, &[], scene.world.now()).await;
        assert!(rows.is_err(), "{rows:?}");
    });
}
