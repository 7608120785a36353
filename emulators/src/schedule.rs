//! Schedules: invokes a function in intervals, as EventBridge does.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::lambda::{ACCOUNT, Event, Invoked, Lambda, REGION, request_id};

/// Invokes the function at the end of every interval until `stop` becomes true (or its sender
/// ends). An interval begins when the run before it has ended; the wait for its end does not count
/// as running. If the clock moves past several intervals at once, the function runs once.
pub async fn run(
    schedule: String,
    every: Duration,
    function: String,
    lambda: Lambda,
    clock: Clock,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return,
            () = clock.sleep(every) => {}
        }
        if let Err(failure) = run_now(&schedule, &function, &lambda, clock.now()).await {
            tracing::warn!("function `{function}` failed on its schedule {schedule}: {failure}");
        }
    }
}

/// Invokes the function once, as at the end of its interval.
pub async fn run_now(schedule: &str, function: &str, lambda: &Lambda, now: Timestamp) -> Invoked {
    lambda.invoke(function, event(schedule, now)).await
}

fn event(schedule: &str, now: Timestamp) -> Event {
    let payload = json!({
        "version": "0",
        "id": request_id(),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": ACCOUNT,
        // Whole seconds, as in EventBridge's events.
        "time": format!("{now:.0}"),
        "region": REGION,
        "resources": [format!("arn:aws:events:{REGION}:{ACCOUNT}:rule/{schedule}")],
        "detail": {},
    });
    Event {
        payload: payload.to_string().into(),
        trigger: format!("schedule {schedule}"),
        trace: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lambda::{Options, tests as lambda_tests};

    #[tokio::test]
    async fn runs_after_each_interval_and_is_idle_in_between() {
        let lambda = Lambda::open(Options::default()).await.unwrap();
        lambda.start(lambda_tests::echo()).await.unwrap();
        let (stop, stopped) = watch::channel(false);
        let every = Duration::from_millis(20);
        let (name, function) = ("Sweep".to_owned(), "echo".to_owned());
        let (clock, lambda_of_runs) = (Clock::default(), lambda.clone());
        let runs = run(name, every, function, lambda_of_runs, clock, stopped);
        let runs = tokio::spawn(runs);
        assert_eq!(lambda.running(), 0);
        while lambda.recent().len() < 2 {
            tokio::task::yield_now().await;
        }
        stop.send_replace(true);
        runs.await.unwrap();
        assert_eq!(lambda.running(), 0);
        assert_eq!(lambda.recent()[0].trigger, "schedule Sweep");
        lambda.stop().await;
    }

    #[test]
    fn sends_the_function_eventbridges_event() {
        let event = event("Sweep", "2026-11-05T10:00:00.789Z".parse().unwrap());
        let event: serde_json::Value = serde_json::from_slice(&event.payload).unwrap();
        assert_eq!(event["time"], "2026-11-05T10:00:00Z");
        assert_eq!(event["detail-type"], "Scheduled Event");
        assert_eq!(event["detail"], json!({}));
    }
}
