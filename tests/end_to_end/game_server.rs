//! A redemption of in-game items: recorded for its player, and forwarded to the game's own server
//! if that is set up.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use emulators::sent::{Detail, Forwarded, Sent};
use jiff::Timestamp;
use serde_json::{Value, json};
use webhooks::request::Headers;
use webhooks::verify::{STANDARD_WEBHOOKS, Secrets};

use crate::command_line::{coupons, free_port};
use crate::shop::{Shop, Webhook, code_redeemed, in_a_shop, in_a_shop_at};
use crate::support::command;

const GAME: &str = "gm_exTAyxPsVwh";
const PLAYER: &str = "2D2R-OP3C";
const GRANT: &str = "redeemed/delivery/grant";
const FORWARD: &str = "redeemed/delivery/forward";
const SECRET: &str = "whsec_c2VncmVkby1kby1qb2dv";

/// A redemption of a bundle, by a player or by somebody who tests it.
fn bundle(idempotency_key: &str, sandbox: bool) -> Webhook {
    let body = include_str!("../../events/samples/aghanim-coupon-redeemed-bundle.json");
    code_redeemed("any")
        .body(body)
        .set("/idempotency_key", idempotency_key)
        .set("/event_data/player_id", PLAYER)
        .set("/trigger", "hub.redeem")
        .set("/sandbox", sandbox)
}

/// The record of a redemption's task.
async fn row(shop: &Shop, idempotency_key: &str, record: &str) -> Option<Value> {
    let coupon = format!("aghanim#{GAME}#{idempotency_key}");
    let rows = shop.system.items("events").await.unwrap().into_iter();
    let mut rows = rows.filter(|row| row["coupon"] == *coupon && row["entry"] == record);
    rows.next()
}

async fn record(shop: &Shop, idempotency_key: &str, record: &str) -> String {
    let Some(row) = row(shop, idempotency_key, record).await else {
        return "no record".into();
    };
    let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
    format!("{}: {}", text("status"), text("result"))
}

/// Runs a story in a system that forwards to its own server for games.
async fn in_a_forwarding_shop(parameters: &[(&str, &str)], story: impl AsyncFnOnce(&mut Shop)) {
    let port = free_port();
    let url = format!("http://127.0.0.1:{port}/_local/game-server/{GAME}?v=1");
    let mut all = vec![("ForwardUrl", url.as_str()), ("ForwardSecrets", SECRET)];
    all.extend(parameters);
    in_a_shop_at(port, &all, story).await;
}

fn forwarded(sent: &Sent) -> &Forwarded {
    match &sent.detail {
        Detail::GameServer(forwarded) => forwarded,
        other => panic!("{other:?}"),
    }
}

/// Checks a request as a game's server should, with the secret alone. Returns its id and body.
fn verified(sent: &Sent, secret: &str) -> (String, Value) {
    let forwarded = forwarded(sent);
    let headers = forwarded.headers.iter();
    let headers: Headers<'_> = headers.map(|(name, value)| (&**name, &**value)).collect();
    let secrets = Secrets::parse(secret).unwrap();
    let verified = STANDARD_WEBHOOKS.verify(&headers, forwarded.body.as_bytes(), &secrets);
    let (_, signed_at) = verified.unwrap();
    let age = Timestamp::now().duration_since(signed_at.unwrap());
    assert!(age.as_secs().abs() < 300, "{age:?}");
    assert_eq!(forwarded.headers["content-type"], "application/json");
    let body = serde_json::from_str(&forwarded.body).unwrap();
    (forwarded.headers["webhook-id"].clone(), body)
}

#[tokio::test(flavor = "multi_thread")]
async fn by_default_a_redemption_is_recorded_and_grants_nothing() {
    in_a_shop(async |shop| {
        shop.send(bundle("key", false)).await;
        shop.settle().await;
        let reason = "skipped: off: Aghanim's item.add credits the items";
        assert_eq!(record(shop, "key", GRANT).await, reason);
        assert_eq!(record(shop, "key", FORWARD).await, "no record");
        assert_eq!(shop.members().await, [] as [Value; 0]);
        assert_eq!(shop.system.sent(), []);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn granted_items_are_the_bundles_multiplied_with_what_replaces_them() {
    in_a_forwarding_shop(&[("Grant", "on")], async |shop| {
        let three = bundle("three", false).set("/event_data/item/quantity", 3);
        for expected in ["200 accepted", "200 duplicate"] {
            let answer = shop.send(three.clone()).await;
            assert_eq!(answer.word(), expected, "{answer:?}");
        }
        shop.send(bundle("test", true)).await;
        shop.settle().await;

        let members = shop.members().await;
        assert_eq!(members.len(), 1, "{members:?}");
        let grant = &members[0];
        assert_eq!(grant["member"], format!("aghanim#{GAME}#{PLAYER}").as_str());
        assert_eq!(grant["code"], "LAUNCHDAY");
        let received = |field: &str| {
            let all: Value = serde_json::from_str(grant[field].as_str().unwrap()).unwrap();
            let sku = |it: &Value| it["sku"].as_str().unwrap_or("-").to_owned();
            let all = all.as_array().unwrap().iter().map(|item| {
                let fallback = &item["fallback_item"];
                let place = item["bundle"].as_u64();
                let place = place.map_or("-".into(), |item| item.to_string());
                let one = format!("{place}: {} x {}", sku(item), item["quantity"]);
                match fallback {
                    Value::Null => one,
                    fallback => format!("{one}, or {} x {}", sku(fallback), fallback["quantity"]),
                }
            });
            all.collect::<Vec<_>>()
        };
        let items = ["0: gems x 1500", "1: sword x 6", "1: coins x 1500"];
        assert_eq!(received("items"), items);
        let bundles = [
            "-: starter.bundle x 3, or gems x 1500",
            "0: chest.bundle x 6",
        ];
        assert_eq!(received("bundles"), bundles);

        let sent = shop.sent("game-server");
        assert_eq!(sent.len(), 1, "{sent:?}");
        let (id, body) = verified(&sent[0], SECRET);
        assert!(id.starts_with("msg_"), "{id}");
        assert_eq!(body["type"], "coupon.redeemed");
        assert_eq!(body["data"]["player_id"], PLAYER);
        assert_eq!(body["data"]["coupon_code"], "LAUNCHDAY");
        assert_eq!(body["data"]["items"].as_array().unwrap().len(), 3);
        assert_eq!(body["data"]["bundles"].as_array().unwrap().len(), 2);
        assert_eq!(
            body["data"]["event"],
            format!("aghanim#{GAME}#three/redeemed")
        );
        assert!(
            sent[0]
                .to
                .ends_with(&format!("/_local/game-server/{GAME}?v=1"))
        );

        let member = command(shop, &["member", PLAYER, "--json"]).await.json();
        assert_eq!(member["grants"][0]["code"], "LAUNCHDAY");
        let printed = command(shop, &["member", PLAYER]).await.out;
        assert!(
            printed.contains("LAUNCHDAY: gems x 1500, sword x 6"),
            "{printed}"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_refuses_for_now_is_asked_again_and_one_that_refuses_for_good_is_not() {
    in_a_forwarding_shop(&[], async |shop| {
        shop.expect_error("Cannot be delivered");
        let refused = async |key: &str, fault: Value| {
            let (status, _) = shop.ask("POST", "/_local/faults", fault).await;
            assert_eq!(status, 201);
            shop.send(code_redeemed(key)).await;
            shop.settle().await;
            shop.ask("DELETE", "/_local/faults", Value::Null).await;
        };
        let answering =
            |status: u16| json!({"service": "game-server", "mode": "fail", "status": status});
        for status in [400, 401, 404, 410, 422] {
            let key = format!("key-{status}");
            refused(&key, answering(status)).await;
            let expected = format!("failed: the game's server answered {status}");
            assert_eq!(record(shop, &key, FORWARD).await, expected);
        }
        assert_eq!(shop.sent("game-server"), []);
        // From here on, earlier requests may be retried meanwhile.
        for status in [408, 500, 503, 599] {
            let key = format!("key-{status}");
            refused(&key, answering(status)).await;
            let expected = format!("released: the game's server answered {status}");
            assert_eq!(record(shop, &key, FORWARD).await, expected);
        }
        // With `Retry-After: 2`.
        let throttle = json!({"service": "game-server", "mode": "throttle"});
        refused("key-429", throttle).await;
        let throttled = row(shop, "key-429", FORWARD).await.unwrap();
        assert_eq!(throttled["result"], "the game's server answered 429");
        let tried_at: Timestamp = throttled["finished_at"].as_str().unwrap().parse().unwrap();
        let not_before = throttled["not_before_ms"].as_i64().unwrap();
        // The two times are read one after the other.
        let pause_ms = not_before - tried_at.as_millisecond();
        assert!((1900..=2000).contains(&pause_ms), "{pause_ms}");

        shop.settle_retries().await;
        let sent = shop.sent("game-server");
        let received: Vec<_> = sent.iter().map(|it| verified(it, SECRET)).collect();
        let mut events: Vec<_> = received
            .iter()
            .map(|(_, body)| body["data"]["event"].as_str().unwrap())
            .collect();
        events.sort_unstable();
        let expected = [408, 429, 500, 503, 599];
        assert_eq!(
            events,
            expected.map(|status| format!("aghanim#{GAME}#key-{status}/redeemed"))
        );
        for status in expected {
            assert_eq!(
                record(shop, &format!("key-{status}"), FORWARD).await,
                "done: 200"
            );
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redemption_of_more_than_can_be_granted_or_forwarded_fails_on_its_records() {
    in_a_forwarding_shop(&[("Grant", "on")], async |shop| {
        shop.expect_error("Cannot be delivered");
        let leaf = json!({
            "id": "itm", "name": "Coin", "sku": "coin", "quantity": 1_i64 << 40, "type": "item",
        });
        let much = bundle("much", false)
            .set("/event_data/item/quantity", 1_i64 << 40)
            .set("/event_data/item/nested_items", json!([leaf]));
        shop.send(much).await;
        let mut small = leaf.clone();
        small["quantity"] = 1.into();
        let many = bundle("many", false).set("/event_data/item/nested_items", vec![small; 3_600]);
        assert_eq!(shop.send(many).await.word(), "200 accepted");
        shop.settle().await;
        let reason = "failed: the quantity of an item does not fit 64 bits";
        assert_eq!(record(shop, "much", GRANT).await, reason);
        assert_eq!(record(shop, "much", FORWARD).await, reason);
        let reason = "failed: more items than a row of the player's account holds";
        assert_eq!(record(shop, "many", GRANT).await, reason);
        // A request has more room.
        assert_eq!(record(shop, "many", FORWARD).await, "done: 200");
        let (_, body) = verified(&shop.sent("game-server")[0], SECRET);
        assert_eq!(body["data"]["items"].as_array().unwrap().len(), 3_600);
    })
    .await;
}

/// A request that is repeated after a lost answer has the same id, by which a server recognises it.
#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_after_a_lost_answer_has_the_same_id_and_the_same_body() {
    in_a_forwarding_shop(&[], async |shop| {
        let lose = json!({"service": "game-server", "mode": "lose_response", "count": 1});
        shop.ask("POST", "/_local/faults", lose).await;
        shop.send(code_redeemed("key")).await;
        shop.settle().await;
        assert_eq!(record(shop, "key", FORWARD).await, "released: no answer");
        shop.settle_retries().await;
        let sent = shop.sent("game-server");
        let received: Vec<_> = sent.iter().map(|it| verified(it, SECRET)).collect();
        assert_eq!(received.len(), 2);
        assert_eq!(received[0], received[1]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_events_draft_is_shown_and_not_sent() {
    in_a_forwarding_shop(&[("Grant", "on")], async |shop| {
        // The button that tests a webhook marks its event differently from the sandbox.
        let button = bundle("button", false).set("/trigger", "test");
        let mut key = String::new();
        for webhook in [button, bundle("test", true)] {
            let answer = shop.send(webhook).await;
            assert_eq!(answer.word(), "200 accepted");
            let event = answer.body["event"].as_str().unwrap();
            key = event.rsplit_once('/').unwrap().0.to_owned();
        }
        shop.settle().await;
        assert_eq!(shop.system.sent(), []);
        assert_eq!(shop.members().await, [] as [Value; 0]);
        let life = command(shop, &["show", &key, "--json"]).await.json();
        assert_eq!(life["received"][0]["sandbox"], true);
        let task = |name: &str| {
            let tasks = life["tasks"].as_array().unwrap().iter();
            tasks.clone().find(|it| it["task"] == name).unwrap()
        };
        for name in ["delivery/grant", "delivery/forward"] {
            assert_eq!(task(name)["status"], "skipped");
            let reason = "a sandbox or test event: not sent";
            assert_eq!(task(name)["result"], reason);
        }
        let granted = &task("delivery/grant")["would_send"]["items"];
        assert_eq!(granted[0]["quantity"], 500);
        let body = &task("delivery/forward")["would_send"]["body"];
        assert_eq!(body["data"]["sandbox"], true);
        assert_eq!(life["missing"], json!([]));
        let printed = command(shop, &["show", &key]).await.out;
        for piece in ["would have been sent", "coupon.redeemed", "sword"] {
            assert!(printed.contains(piece), "{piece:?}: {printed}");
        }
        // The page shows drafts beside sent messages; scripts that count sent messages do not get
        // them.
        let (_, state) = shop.get("/_local/state").await;
        let state: Value = serde_json::from_str(&state).unwrap();
        let shown = state["messages"].as_array().unwrap();
        assert_eq!(shown.len(), 2, "{shown:?}");
        for message in shown {
            assert_eq!(message["would_be"], true);
            assert_eq!(message["channel"], "game-server");
            let body = message["game-server"]["body"].as_str().unwrap();
            assert!(body.contains("sword"), "{body}");
        }
        assert_eq!(shop.get("/_local/messages").await.1, "[]");
    })
    .await;
}

/// A running `coupons listen`.
struct Listening {
    process: Child,
    lines: Receiver<Value>,
}

impl Listening {
    async fn on(port: u16, arguments: &[&str]) -> Self {
        let mut process = Command::new(coupons().await)
            .args(["listen", "--json", "--on", &port.to_string()])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let (said, heard) = mpsc::channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if said.send(serde_json::from_str(&line).unwrap()).is_err() {
                    return;
                }
            }
        });
        let listening = Self {
            process,
            lines: heard,
        };
        let url = format!("http://127.0.0.1:{port}");
        assert_eq!(listening.heard(), json!({"listening": url}));
        listening
    }

    fn heard(&self) -> Value {
        self.lines.recv_timeout(Duration::from_secs(20)).unwrap()
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listening_server_gets_waiting_events_and_accepts_only_what_is_signed_well() {
    let port = free_port();
    let url = format!("http://127.0.0.1:{port}/hooks");
    let parameters = [("ForwardUrl", url.as_str()), ("ForwardSecrets", SECRET)];
    in_a_shop_at(0, &parameters, async |shop| {
        shop.expect_error("Cannot be delivered");
        shop.send(code_redeemed("early")).await;
        shop.settle().await;
        assert_eq!(record(shop, "early", FORWARD).await, "released: no answer");

        // There was no connection at all, so the server certainly got nothing, and the pause is
        // short.
        let listening = Listening::on(port, &["--secret", SECRET]).await;
        shop.settle_retries().await;
        let heard = listening.heard();
        assert_eq!(heard["what"], "received", "{heard}");
        assert_eq!(heard["body"]["data"]["player_id"], PLAYER);
        assert_eq!(record(shop, "early", FORWARD).await, "done: 204");

        drop(listening);
        let listening = Listening::on(port, &[]).await;
        shop.send(code_redeemed("distrusted")).await;
        shop.settle().await;
        let heard = listening.heard();
        assert_eq!(heard["what"], "refused", "{heard}");
        assert_eq!(heard["body"], Value::Null);
        assert_eq!(
            record(shop, "distrusted", FORWARD).await,
            "failed: the game's server answered 401"
        );
    })
    .await;
}
