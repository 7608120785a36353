//! One run of one peer: its cost, and whether it does the whole job.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::backend::{Counts, since};
use crate::events;
use crate::options::QUEUES;
use crate::peer::Spec;
use crate::session::{Session, Setting};

type Figures = Map<String, Value>;

fn ms(d: Duration) -> f64 {
    (d.as_secs_f64() * 1e6).round() / 1e3
}

fn quantile(sorted: &[f64], q: f64) -> f64 {
    let at = (sorted.len() as f64 * q) as usize;
    sorted
        .get(at)
        .or(sorted.last())
        .copied()
        .unwrap_or(f64::NAN)
}

/// Starts a peer and passes its first event to it.
fn start(
    setting: &Setting<'_>,
    spec: &Spec,
    run: u64,
    out: &mut Figures,
) -> Result<Session, String> {
    let mut session = setting.start(spec)?;
    let ready = session.wait_for_next()?;
    out.insert("init_ms".into(), json!(ms(ready - session.started)));
    out.insert("init_cpu_ms".into(), json!(ms(session.peer.cpu())));
    if let Some(memory) = setting.options.memory {
        session
            .peer
            .throttle(memory)
            .map_err(|e| format!("cgroup: {e}"))?;
    }
    // Waits until the peer's background work after its start has ended.
    std::thread::sleep(Duration::from_millis(20));
    let before = session.peer.cpu();
    let (first, _) = session.invoke(&events::valid(run, 0), 200)?;
    out.insert("first_ms".into(), json!(ms(first)));
    out.insert(
        "first_cpu_ms".into(),
        json!(ms(session.peer.cpu() - before)),
    );
    Ok(session)
}

/// Runs a peer to its first event, or through all events.
pub fn measure(
    setting: &Setting<'_>,
    spec: &Spec,
    latency: f64,
    run: u64,
    cold_only: bool,
) -> Result<Figures, String> {
    let (o, state) = (setting.options, &setting.backend.state);
    state.reset(Duration::from_secs_f64(latency / 1e3));
    let mut out = Figures::new();
    let mut session = start(setting, spec, run, &mut out)?;
    if cold_only {
        return Ok(out);
    }
    let count = if spec.slow {
        o.events.div_ceil(3)
    } else {
        o.events
    };
    let fresh: Vec<_> = (1..=o.warmup + count)
        .map(|n| events::valid(run, n))
        .collect();
    let (warmup, measured) = fresh.split_at(o.warmup as usize);
    for event in warmup {
        session.invoke(event, 200)?;
    }

    let log = setting.log_of(spec);
    let logged = || fs::metadata(&log).map_or(0, |m| m.len());
    let (counts, cpu, log_before) = (state.counts(), session.peer.cpu(), logged());
    let (mut times, mut cycles) = (Vec::with_capacity(measured.len()), 0.0);
    for event in measured {
        let (answer, cycle) = session.invoke(event, 200)?;
        times.push(ms(answer));
        cycles += ms(cycle);
    }
    let cpu = session.peer.cpu() - cpu;
    let log_bytes = logged() - log_before;
    let counts = since(&state.counts(), &counts);
    times.sort_by(f64::total_cmp);
    let n = count as f64;
    let per = |counts: &Counts, n: f64| -> BTreeMap<_, _> {
        counts
            .iter()
            .map(|(what, count)| (what.clone(), *count as f64 / n))
            .collect()
    };
    out.insert("p50_ms".into(), json!(quantile(&times, 0.5)));
    out.insert("p99_ms".into(), json!(quantile(&times, 0.99)));
    out.insert("cycle_mean_ms".into(), json!(cycles / n));
    out.insert("cpu_ms".into(), json!(cpu.as_secs_f64() * 1e3 / n));
    out.insert("log_bytes".into(), json!((log_bytes as f64 / n).round()));
    out.insert("per_event".into(), json!(per(&counts, n)));

    let before = state.counts();
    let mut times = Vec::new();
    for event in fresh.iter().rev().take(o.duplicates as usize) {
        times.push(ms(session.invoke(event, 200)?.0));
    }
    times.sort_by(f64::total_cmp);
    let repeated = since(&state.counts(), &before);
    out.insert("dup_p50_ms".into(), json!(quantile(&times, 0.5)));
    out.insert(
        "per_duplicate".into(),
        json!(per(&repeated, times.len() as f64)),
    );

    if !spec.answers_only {
        let queues = setting.queues_of(spec);
        expect_messages(&counts, &queues, count, "distinct events")?;
        expect_messages(&repeated, &queues, 0, "duplicates")?;
        expect_refusals(setting, &mut session, run)?;
    }
    out.insert("rss_kib".into(), json!(session.peer.peak_rss_kib()));
    let totals = state.counts();
    let connections = totals
        .iter()
        .filter(|(what, _)| what.ends_with("connections"));
    out.insert(
        "connections".into(),
        json!(connections.map(|it| it.1).sum::<u64>()),
    );
    Ok(out)
}

/// Checks that every expected queue got its messages, and that no other queue got any.
fn expect_messages(counts: &Counts, queues: &[String], n: u64, what: &str) -> Result<(), String> {
    for queue in QUEUES.iter().chain(&["work", "retry"]) {
        let n = if queues.iter().any(|it| it == queue) {
            n
        } else {
            0
        };
        let got = counts
            .get(&format!("messages to coupon-{queue}"))
            .copied()
            .unwrap_or(0);
        if got != n {
            return Err(format!("{what}: {got} messages to {queue}, not {n}"));
        }
    }
    for wrong in ["bad messages", "unsigned"] {
        if let Some(n) = counts.get(wrong) {
            return Err(format!("{what}: {n} {wrong}"));
        }
    }
    Ok(())
}

/// Checks that forged events reach no service and malformed events no queue. A peer may look for a
/// newer secret.
fn expect_refusals(setting: &Setting<'_>, session: &mut Session, run: u64) -> Result<(), String> {
    let state = &setting.backend.state;
    for (event, status) in events::refused(run) {
        let before = state.counts();
        session.invoke(&event, status)?;
        let reached = since(&state.counts(), &before);
        let may = |what: &str| match status {
            401 => what.starts_with("SecretsManager") || what.ends_with("connections"),
            _ => !what.starts_with("messages") && !what.starts_with("SQS requests"),
        };
        if let Some((what, n)) = reached.iter().find(|(what, _)| !may(what)) {
            return Err(format!(
                "an event that is refused with {status} made {n} {what}"
            ));
        }
    }
    Ok(())
}
