//! Fraud, when a member redeems in a rush: one alert, and another whenever the rush has doubled.
//! Batches stay small in a rush of any length.

use std::time::Duration;

use emulators::faults::{CallMode, Fault};
use emulators::sent::Detail;
use emulators::service::Service;
use fraud::Fraud;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use webhooks::config::{Aws, Environment};
use webhooks::event::{Envelope, Event, EventKey, Fact, Member, Redemption, escape};
use webhooks::task::Message;
use webhooks::worker::{BatchWork, Failure, QueueMessage};

use crate::history::{Moment, Process};
use crate::scene::{Scene, play_scene};

/// When the rush begins, in seconds since 1970.
const BEGIN_S: i64 = 1_800_000_000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(BEGIN_S + second).unwrap()
}

/// One of the member's redemptions, this many seconds after the first.
fn redeemed(second: i64) -> Event {
    let code = format!("CP-{second}");
    Event {
        received_at: None,
        key: EventKey::redeemed("zupy", "comp", &code),
        provider: "zupy".into(),
        tenant: "comp".into(),
        occurred_at: at(second),
        sandbox: false,
        envelope: Envelope::default(),
        warnings: Vec::new(),
        member: Member {
            id: "ZP-1".into(),
            ..Member::default()
        },
        fact: Fact::Redeemed(Redemption {
            coupon_code: code,
            ..Redemption::default()
        }),
    }
}

fn watcher(scene: &Scene) -> Fraud {
    let process = Process {
        function: "fraud".into(),
        number: 1,
    };
    let network = scene.world.functions.network(&process);
    let aws = Aws::local("http://aws").over(network.client());
    let mut environment = Environment::of([
        ("EVENTS_TABLE", "events"),
        ("MEMBERS_TABLE", "members"),
        (
            "ALERTS_TOPIC_ARN",
            "arn:aws:sns:us-east-1:000000000000:alerts",
        ),
        ("UNKNOWN_COUPON_GRACE_S", "3600"),
        ("RETENTION_DAYS", "35"),
        ("FIGURES_TABLE", "figures"),
        ("FIGURE_SHARDS", "4"),
        ("REPORT_DAYS", "400"),
        ("TIME_ZONE", "UTC"),
    ]);
    let fraud = Fraud::read(&mut environment, &aws);
    environment.check().unwrap();
    fraud
}

impl Scene {
    /// Writes the event's row as the receiver does.
    async fn write_down(&self, event: &Event) {
        let body = json!({
            "event": "coupon.redeemed", "timestamp": event.occurred_at, "company_id": "comp",
            "customer": {"member_id": event.member.id},
            "coupon": {
                "coupon_code": event.fact.coupon_code(), "points_spent": 1,
                "expires_at": "2030-01-01T00:00:00Z",
            },
        });
        let row = json!({
            "coupon": {"S": event.key.coupon()}, "entry": {"S": event.key.entry()},
            "provider": {"S": "zupy"}, "tenant": {"S": "comp"}, "scheme": {"S": "zupy-v1"},
            "occurred_at": {"S": event.occurred_at.to_string()},
            "received_at": {"S": self.world.now().to_string()},
            "body": {"S": body.to_string()},
        });
        self.world.put("events", row).await.unwrap();
    }

    async fn watch(&self, fraud: &Fraud, events: &[Event]) -> Vec<Result<(), Failure>> {
        for event in events {
            self.write_down(event).await;
        }
        let messages = events.iter().map(|event| {
            let message = Message::new(event, self.world.now(), None);
            Message::read(&message.to_body()).unwrap()
        });
        fraud.work(messages.collect(), self.invocation()).await
    }

    /// How many redemptions each alert reports.
    fn rush_alerts(&self) -> Vec<usize> {
        let sent = self.world.sent().into_iter();
        let texts = sent.filter(|it| matches!(it.detail, Detail::Topic(_)));
        let counts = texts.filter_map(|alert| {
            let text = alert.text.unwrap_or_default();
            let (_, rest) = text.split_once("at least ")?;
            rest.split(' ').next()?.parse().ok()
        });
        counts.collect()
    }

    async fn findings(&self) -> usize {
        let rows = self.world.items("events").await.unwrap();
        let found = |row: &&Value| row["result"] == "found rapid_redemption";
        rows.iter().filter(found).count()
    }

    fn queries(&self) -> usize {
        let moments = self.world.history.moments().into_iter();
        let queries = moments.filter(|(_, moment)| match moment {
            Moment::Performed { call, .. } => call.operation.ends_with("Query"),
            _ => false,
        });
        queries.count()
    }
}

#[test]
fn a_rush_is_alerted_once_and_whenever_it_has_doubled() {
    play_scene(async |scene| {
        let fraud = watcher(scene);
        for second in 0..45 {
            let event = redeemed(second);
            for _ in 0..2 {
                let outcomes = scene.watch(&fraud, std::slice::from_ref(&event)).await;
                assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
            }
        }
        assert_eq!(scene.rush_alerts(), [5, 10, 20, 40]);
        assert_eq!(scene.findings().await, 41);
    });
}

#[test]
fn one_alert_of_a_batch_says_what_several_would() {
    play_scene(async |scene| {
        let fraud = watcher(scene);
        let rush: Vec<_> = (0..300).map(redeemed).collect();
        for batch in rush.chunks(100) {
            let outcomes = scene.watch(&fraud, batch).await;
            assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
        }
        assert_eq!(scene.rush_alerts(), [80, 160]);
        assert_eq!(scene.findings().await, 296);
    });
}

#[test]
fn a_rush_in_reverse_order_is_alerted_whenever_it_has_doubled() {
    play_scene(async |scene| {
        let fraud = watcher(scene);
        for second in (0..24).rev() {
            let outcomes = scene.watch(&fraud, &[redeemed(second)]).await;
            assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
        }
        // The latest redemption is the one that exceeds the limit because of the others.
        assert_eq!(scene.rush_alerts(), [5, 10, 20]);
        assert_eq!(scene.findings().await, 20);
    });
}

#[test]
fn another_rush_is_another_alert() {
    play_scene(async |scene| {
        let fraud = watcher(scene);
        for begin in [0, 3 * 3600, 86_400] {
            for second in 0..9 {
                let outcomes = scene.watch(&fraud, &[redeemed(begin + second)]).await;
                assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
            }
        }
        assert_eq!(scene.rush_alerts(), [5, 5, 5]);
    });
}

#[test]
fn an_alert_that_sns_did_not_accept_is_published_later_once() {
    play_scene(async |scene| {
        let fraud = watcher(scene);
        let down = Fault::service(Service::Sns, CallMode::Fail);
        let down = scene.world.faults.add(down);
        let rush: Vec<_> = (0..12).map(redeemed).collect();
        let outcomes = scene.watch(&fraud, &rush).await;
        assert!(outcomes.iter().any(Result::is_err));
        scene.world.faults.remove(down);
        tokio::time::sleep(Duration::from_secs(600)).await;
        for _ in 0..2 {
            let outcomes = scene.watch(&fraud, &rush).await;
            assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
        }
        assert_eq!(scene.rush_alerts(), [10]);
        assert_eq!(scene.findings().await, 8);
    });
}

/// A thousand redemptions that nobody has settled. Each of them affects all later ones.
#[test]
fn a_batch_takes_up_few_coupons_of_a_long_rush() {
    play_scene(async |scene| {
        let fraud = watcher(scene);
        for second in 100..1100 {
            let event = redeemed(second);
            let time = format!("{:.9}", event.occurred_at);
            let coupon = event.key.coupon();
            let row = json!({
                "member": {"S": "zupy#comp#ZP-1"},
                "entry": {"S": format!("redeemed@{time}#{}", escape(coupon))},
                "coupon": {"S": coupon},
            });
            scene.world.put("members", row).await.unwrap();
        }
        let before = scene.queries();
        let batch: Vec<_> = (0..10).map(redeemed).collect();
        scene.watch(&fraud, &batch).await;
        let queries = scene.queries() - before;
        assert!(queries <= 200, "{queries} queries");
    });
}

/// A use and its redemption wait on one queue until an outage ends, and the ledger records the use
/// first.
#[test]
fn after_an_outage_a_use_waits_for_its_redemption_again() {
    play_scene(async |scene| {
        let fraud = watcher(scene);
        let mut event = redeemed(0);
        event.key = EventKey::used("zupy", "comp", "CP-0", "ord_1");
        event.fact = Fact::Used(webhooks::event::Usage {
            coupon_code: "CP-0".into(),
            ..webhooks::event::Usage::default()
        });
        let hour = SignedDuration::from_hours(1);
        let received_at = scene.world.now();
        let row = json!({
            "coupon": {"S": event.key.coupon()}, "entry": {"S": event.key.entry()},
            "provider": {"S": "zupy"}, "tenant": {"S": "comp"}, "scheme": {"S": "zupy-v1"},
            "occurred_at": {"S": received_at.to_string()},
            "received_at": {"S": received_at.to_string()},
            "body": {"S": json!({
                "event": "coupon.used", "timestamp": received_at, "company_id": "comp",
                "customer": {"member_id": "ZP-1"},
                "usage": {
                    "coupon_code": "CP-0", "discount_applied": 1, "order_value": 2,
                    "order_id": "ord_1",
                },
            }).to_string()},
        });
        scene.world.put("events", row).await.unwrap();
        let look = async || {
            let message = Message::new(&event, received_at, None);
            let message = Message::read(&message.to_body()).unwrap();
            let mut outcomes = fraud.work(vec![message], scene.invocation()).await;
            match outcomes.pop().unwrap() {
                Err(Failure::Early(left)) => Some(SignedDuration::try_from(left).unwrap()),
                Ok(()) => None,
                other => panic!("{other:?}"),
            }
        };
        let is_an_hour = |left: Option<SignedDuration>| {
            // Calls take some milliseconds.
            let left = left.unwrap();
            left <= hour && left > hour - SignedDuration::from_secs(5)
        };
        assert!(is_an_hour(look().await));
        // Nothing works for a day. Then the use's message arrives late, and the ledger does not
        // have the redemption.
        tokio::time::sleep(Duration::from_secs(86_400)).await;
        assert!(is_an_hour(look().await));
        assert_eq!(scene.world.sent().len(), 0);
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert_eq!(look().await, None);
        assert_eq!(scene.world.sent().len(), 1);
    });
}
