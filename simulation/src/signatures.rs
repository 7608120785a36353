//! Signatures during a rotation of secrets: a signature that may be good never gets a 401, with any
//! other requests meanwhile.

use std::time::Duration;

use emulators::faults::{CallMode, Fault};
use emulators::service::Service;
use futures_util::future::join_all;
use serde_json::json;
use webhooks::config::{Aws, CallLimits};
use webhooks::provider::zupy;
use webhooks::secrets::{SecretStore, Undecided};
use webhooks::verify::{Secret, Secrets};

use crate::history::{Moment, Process};
use crate::scene::{Scene, play_scene};
use crate::world::{COMPANIES, Format};

const OLD: &str = COMPANIES[0].1;
const COMPANY: &str = COMPANIES[0].0;

/// The longest time that a new secret stays unknown during forgeries, including the time of a
/// fetch.
const UNKNOWN_MAX: Duration = Duration::from_millis(5_500);

impl Scene {
    /// Sends a redemption of its own, signed with this secret, and returns the answer's status.
    async fn send(&self, secret: &str) -> u16 {
        let code = format!("CP-{}", fastrand::u64(..));
        let body = json!({
            "event": "coupon.redeemed", "timestamp": self.world.now(), "company_id": COMPANY,
            "customer": {"member_id": "ZP-1"},
            "coupon": {"coupon_code": code, "points_spent": 1, "expires_at": "2100-01-01T00:00:00Z"},
        });
        let body = body.to_string().into_bytes();
        let secret = Secret::new(secret).unwrap();
        let headers = zupy::V1.sign(&body, &secret, self.world.now());
        let headers: Vec<_> = headers
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        let path = "/webhooks/zupy/coupon-redeemed";
        let answer = self.world.post(path, &headers, &body, Format::V2).await;
        answer.map_or(0, |(status, _)| status)
    }

    async fn send_all(&self, secrets: &[&str]) -> Vec<u16> {
        let mut statuses = Vec::new();
        for secret in secrets {
            statuses.push(self.send(secret).await);
        }
        statuses
    }

    fn rotate(&self, text: &str) {
        self.world.rotate(text).unwrap();
    }

    /// Makes every read of the version with this label fail.
    fn hide(&self, label: &str) -> u64 {
        let fault = Fault::calls(Service::SecretsManager, "GetSecretValue", CallMode::Fail);
        self.world.faults.add(fault.about(label))
    }

    fn fetches(&self) -> usize {
        let moments = self.world.history.moments().into_iter();
        let calls = moments.filter(|(_, moment)| {
            matches!(moment, Moment::Performed { call, .. } if call.operation.contains("GetSecretValue"))
        });
        calls.count()
    }
}

fn named(secret: &str) -> String {
    format!("{COMPANY}={secret}")
}

#[test]
fn forgeries_just_before_a_rotation_cost_no_event() {
    play_scene(async |scene| {
        assert_eq!(scene.send_all(&[OLD, "forged"]).await, [200, 401]);
        scene.rotate(&named("new"));
        assert_eq!(scene.send_all(&["new"; 9]).await, [200; 9]);
        assert_eq!(scene.send_all(&[OLD, "forged"]).await, [200, 401]);
    });
}

#[test]
fn a_flood_of_forgeries_costs_no_event_and_few_calls() {
    play_scene(async |scene| {
        assert_eq!(scene.send(OLD).await, 200);
        let before = scene.fetches();
        let mut rotated = None;
        let mut forged = Vec::new();
        for number in 0..120 {
            if number == 40 {
                scene.rotate(&named("new"));
                rotated = Some(tokio::time::Instant::now());
            }
            forged.push(scene.send("forged").await);
            tokio::time::sleep(Duration::from_millis(250)).await;
            if let Some(rotated) = rotated {
                let status = scene.send("new").await;
                let known = rotated.elapsed() > UNKNOWN_MAX;
                assert!(
                    status == 200 || (status == 503 && !known),
                    "{number}: {status}"
                );
                assert_eq!(scene.send(OLD).await, 200);
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        assert!(
            forged.iter().all(|status| [401, 503].contains(status)),
            "{forged:?}"
        );
        // Five fetches at once and one every five seconds, of two calls each.
        let calls = scene.fetches() - before;
        assert!(calls <= 2 * (5 + 60 / 5 + 1), "{calls} calls");
        // The flood is over.
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert_eq!(scene.send_all(&["forged"; 3]).await, [401; 3]);
    });
}

#[test]
fn the_previous_secret_stays_while_its_version_cannot_be_read() {
    play_scene(async |scene| {
        scene.rotate(&named("new"));
        assert_eq!(scene.send_all(&["new", OLD]).await, [200, 200]);
        let hidden = scene.hide("AWSPREVIOUS");
        // A sender with an unknown secret may know the hidden one.
        assert_eq!(
            scene.send_all(&["forged", OLD, "new"]).await,
            [503, 200, 200]
        );
        // The scheduled fetch changes nothing either.
        tokio::time::sleep(Duration::from_secs(301)).await;
        assert_eq!(
            scene.send_all(&[OLD, "new", "forged"]).await,
            [200, 200, 503]
        );
        scene.rotate(&named("newest"));
        assert_eq!(scene.send_all(&["newest", "new"]).await, [200, 200]);
        assert_ne!(scene.send(OLD).await, 401);
        scene.world.faults.remove(hidden);
        tokio::time::sleep(Duration::from_secs(30)).await;
        // Two rotations have ended the oldest secret.
        assert_eq!(
            scene.send_all(&[OLD, "forged", "new"]).await,
            [401, 401, 200]
        );
    });
}

#[test]
fn a_function_that_starts_without_the_previous_version_is_in_doubt() {
    play_scene(async |scene| {
        scene.rotate(&named("new"));
        let hidden = scene.hide("AWSPREVIOUS");
        assert_eq!(
            scene.send_all(&["new", OLD, "forged"]).await,
            [200, 503, 503]
        );
        scene.world.faults.remove(hidden);
        tokio::time::sleep(Duration::from_secs(6)).await;
        assert_eq!(scene.send_all(&[OLD, "forged"]).await, [200, 401]);
    });
}

#[test]
fn an_outage_of_the_store_is_no_401() {
    play_scene(async |scene| {
        assert_eq!(scene.send(OLD).await, 200);
        scene.rotate(&named("new"));
        let hidden = scene.hide("AWS");
        assert_eq!(scene.send_all(&["new"; 9]).await, [503; 9]);
        assert_eq!(scene.send(OLD).await, 200);
        scene.world.faults.remove(hidden);
        tokio::time::sleep(Duration::from_secs(6)).await;
        assert_eq!(scene.send_all(&["new"; 3]).await, [200; 3]);
        tokio::time::sleep(Duration::from_secs(6)).await;
        assert_eq!(scene.send("forged").await, 401);
    });
}

#[test]
fn a_rotation_to_an_impossible_value_loses_no_secret() {
    for unusable in [
        "\"quoted\"",
        " ",
        "sha256=x",
        "{\"comp\": \"x\"}",
        "whsec_x",
        "a\u{200B}b",
    ] {
        play_scene(async |scene| {
            assert_eq!(scene.send(OLD).await, 200);
            scene.rotate(unusable);
            assert_eq!(
                scene.send_all(&["forged", OLD]).await,
                [503, 200],
                "{unusable}"
            );
            tokio::time::sleep(Duration::from_secs(301)).await;
            assert_eq!(
                scene.send_all(&[OLD, "forged"]).await,
                [200, 503],
                "{unusable}"
            );
            scene.rotate(&named("new"));
            // A signature from before the mistake is good until the operator sets the intended
            // secret.
            assert_eq!(
                scene.send_all(&["new", OLD, "forged"]).await,
                [200, 200, 401]
            );
        });
        // A function that starts meanwhile has the version before.
        play_scene(async |scene| {
            scene.rotate(unusable);
            assert_eq!(
                scene.send_all(&[OLD, "forged"]).await,
                [200, 503],
                "{unusable}"
            );
        });
    }
}

#[test]
fn a_secret_that_was_misread_as_a_tenants_is_corrected() {
    play_scene(async |scene| {
        scene.rotate("S3=cr3t");
        assert_eq!(scene.send_all(&["S3=cr3t", "forged"]).await, [503, 401]);
        scene.rotate(r#"{"secret": "S3=cr3t"}"#);
        assert_eq!(scene.send_all(&["S3=cr3t", "forged"]).await, [200, 401]);
    });
}

#[test]
fn one_secret_may_be_several_tenants_own() {
    play_scene(async |scene| {
        scene.rotate(&format!("other=shared,{}", named("shared")));
        assert_eq!(scene.send("shared").await, 200);
        scene.rotate("other=shared,shared");
        assert_eq!(scene.send("shared").await, 200);
        scene.rotate("other=theirs");
        scene.rotate("other=theirs");
        tokio::time::sleep(Duration::from_secs(301)).await;
        assert_eq!(scene.send_all(&["shared", "theirs"]).await, [401, 401]);
        // Another tenant gets the same secret.
        scene.rotate(&named("theirs"));
        assert_eq!(scene.send("theirs").await, 200);
    });
}

/// A process that serves many requests at the same time.
#[test]
fn waiting_requests_share_one_fetch() {
    play_scene(async |scene| {
        let process = Process {
            function: "test".into(),
            number: 2,
        };
        let network = scene.world.functions.network(&process);
        let config = Aws::local("http://aws").over(network.client());
        let config = config.sdk_config(CallLimits::WEBHOOK);
        let id = "zupy-secrets".to_owned();
        let store = SecretStore::new(&config, id, &[zupy::V1]);
        store.start().await.unwrap();
        let before = scene.fetches();
        let ask = async |_| {
            let known = store.as_of(tokio::time::Instant::now()).await;
            known.map(|known| known.secrets().clone())
        };
        scene.rotate("new");
        let stated = join_all((0..1000).map(ask)).await;
        let new = Secrets::parse("new").unwrap();
        let first = |stated: &Result<Secrets, Undecided>| {
            stated.as_ref().map(|it| it.first().clone()).unwrap()
        };
        assert!(stated.iter().all(|it| first(it) == *new.first()));
        assert_eq!(scene.fetches() - before, 2);
        // A thousand requests a second, one after another.
        let before = scene.fetches();
        let mut undecided = 0;
        for _ in 0..10_000 {
            let began = tokio::time::Instant::now();
            undecided += usize::from(ask(0).await == Err(Undecided::TooMany));
            tokio::time::sleep_until(began + Duration::from_millis(1)).await;
        }
        let calls = scene.fetches() - before;
        assert!(calls <= 2 * (4 + 10 / 5 + 1), "{calls} calls");
        assert!(undecided > 9_900, "{undecided}");
    });
}
