//! Medians over the runs as Markdown, and the cost of a million events.
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::prices::{
    DYNAMODB_READ, DYNAMODB_WRITE, HTTP_API, LAMBDA_GB_SECOND, LAMBDA_REQUEST, LOG_GB, SQS_REQUEST,
};

fn median(mut values: Vec<f64>) -> f64 {
    values.retain(|v| v.is_finite());
    if values.is_empty() {
        return f64::NAN;
    }
    values.sort_by(f64::total_cmp);
    let mid = values.len() / 2;
    if values.len() % 2 == 1 {
        values[mid]
    } else {
        (values[mid - 1] + values[mid]) / 2.0
    }
}

fn show(v: f64) -> String {
    match v {
        v if !v.is_finite() => "-".into(),
        v if v >= 100.0 => format!("{v:.0}"),
        v if v >= 10.0 => format!("{v:.1}"),
        v if v >= 1.0 => format!("{v:.2}"),
        v => format!("{v:.3}"),
    }
}

struct Group<'a> {
    label: String,
    runs: Vec<&'a Value>,
}

impl Group<'_> {
    fn median(&self, field: &str) -> f64 {
        median(self.runs.iter().filter_map(|r| r[field].as_f64()).collect())
    }
    /// The median, and the best run, which on a shared machine is the closest to a quiet one.
    fn both(&self, field: &str) -> String {
        let best = self
            .runs
            .iter()
            .filter_map(|r| r[field].as_f64())
            .fold(f64::INFINITY, f64::min);
        format!("{} ({})", show(self.median(field)), show(best))
    }
    fn per(&self, table: &str, name: &str) -> f64 {
        median(
            self.runs
                .iter()
                .filter(|r| r[table].is_object())
                .map(|r| r[table][name].as_f64().unwrap_or(0.0))
                .collect(),
        )
    }
    fn full(&self) -> usize {
        self.runs.iter().filter(|r| r["p50_ms"].is_number()).count()
    }
}

/// A run's setting, in words.
fn setting_of(run: &Value) -> String {
    let memory = run["memory_mb"].as_u64();
    let memory = memory
        .map(|m| format!(", CPU share of {m} MB"))
        .unwrap_or_default();
    let tls = if run["tls"] == true { ", TLS" } else { "" };
    let queues = &run["queues"];
    format!(
        "{} ms backend{tls}{memory}, peers with {queues} queues",
        run["latency_ms"]
    )
}

pub fn print(out: &Path) -> Result<(), String> {
    let path = out.join("runs.jsonl");
    let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let runs: Vec<Value> = text
        .lines()
        .filter_map(|l| serde_json::from_str(l).ok())
        .collect();
    let mut order: Vec<String> = Vec::new();
    let mut groups: BTreeMap<(String, usize), Group<'_>> = BTreeMap::new();
    for run in &runs {
        if run["error"].is_string() {
            println!(
                "failed: {} at {} ms: {}\n",
                run["peer"], run["latency_ms"], run["error"]
            );
            continue;
        }
        let peer = run["peer"].as_str().unwrap_or("?").to_owned();
        let position = order.iter().position(|it| *it == peer).unwrap_or_else(|| {
            order.push(peer.clone());
            order.len() - 1
        });
        let label = run["label"].as_str().unwrap_or(&peer).to_owned();
        let group = groups.entry((setting_of(run), position));
        group
            .or_insert_with(|| Group {
                label,
                runs: vec![],
            })
            .runs
            .push(run);
    }
    let mut last = "";
    for ((setting, _), group) in &groups {
        if setting != last {
            println!("\n### {setting}\n");
            println!(
                "Medians over the runs, the best run in brackets. Times in ms; runs: full + start \
                 only.\n"
            );
            let head = "| | zip KiB | init | init CPU | first | first CPU | p50 | p99 | CPU an \
                        event | duplicate p50 | RSS MiB | \
                        DynamoDB + SQS requests | write units | item B | log B | connections | \
                        runs | load |";
            println!("{head}");
            println!("|{}", " --- |".repeat(head.matches('|').count() - 1));
            last = setting;
        }
        println!("{}", row(group));
    }
    costs(&groups);
    Ok(())
}

fn row(g: &Group<'_>) -> String {
    let per = |name: &str| g.per("per_event", name);
    let requests = format!("{} + {}", per("DynamoDB requests"), per("SQS requests"));
    let cells = [
        g.label.clone(),
        show(g.median("package_bytes") / 1024.0),
        g.both("init_ms"),
        g.both("init_cpu_ms"),
        g.both("first_ms"),
        g.both("first_cpu_ms"),
        g.both("p50_ms"),
        g.both("p99_ms"),
        g.both("cpu_ms"),
        g.both("dup_p50_ms"),
        show(g.median("rss_kib") / 1024.0),
        requests,
        per("DynamoDB write units").to_string(),
        show(per("PutItem bytes")),
        g.median("log_bytes").to_string(),
        g.median("connections").to_string(),
        format!("{} + {}", g.full(), g.runs.len() - g.full()),
        show(g.median("load")),
    ];
    format!("| {} |", cells.join(" | "))
}

fn costs(groups: &BTreeMap<(String, usize), Group<'_>>) {
    println!("\n### US dollars for a million distinct events (list prices, arm64)\n");
    println!(
        "Lambda time is the measured mean time to the next request for work. Without a CPU share"
    );
    println!("the CPU part of it is stretched by 1769/MB; with one it is as measured.\n");
    println!(
        "| setting | | HTTP API | Lambda requests | Lambda time, 128 MB | same, 256 MB | DynamoDB \
         | SQS | own log lines | sum at 128 MB |"
    );
    println!("|{}", " --- |".repeat(10));
    for ((setting, _), g) in groups {
        let mean = g.median("cycle_mean_ms");
        if !mean.is_finite() {
            continue;
        }
        let cpu = g.median("cpu_ms");
        let memory = g.runs.iter().find_map(|r| r["memory_mb"].as_f64());
        let time = |mb: f64| {
            if memory.is_some_and(|m| m != mb) {
                return f64::NAN;
            }
            // The time without CPU is waiting; CPU time grows as the share of a core shrinks.
            let stretched = (mean - cpu).max(0.0) + cpu * (1769.0 / mb);
            let ms = if memory.is_some() { mean } else { stretched };
            // Lambda bills each started millisecond.
            ms.ceil() * 1e-3 * (mb / 1024.0) * LAMBDA_GB_SECOND * 1e6
        };
        let per = |name: &str| g.per("per_event", name);
        let dynamodb = per("DynamoDB write units") * DYNAMODB_WRITE
            + per("DynamoDB read units") * DYNAMODB_READ;
        let sqs = per("SQS requests") * SQS_REQUEST;
        let logs = g.median("log_bytes") * 1e6 / 1e9 * LOG_GB;
        let sum = HTTP_API + LAMBDA_REQUEST + time(128.0) + dynamodb + sqs + logs;
        println!(
            "| {setting} | {} | {HTTP_API:.2} | {LAMBDA_REQUEST:.2} | {} | {} | {dynamodb:.3} | \
             {sqs:.2} | {logs:.2} | {} |",
            g.label,
            show(time(128.0)),
            show(time(256.0)),
            show(sum),
        );
    }
}
