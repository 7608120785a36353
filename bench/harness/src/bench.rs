//! Interleaved rounds over all peers.

use std::fs::{self, OpenOptions};
use std::io::Write;

use serde_json::json;

use crate::measure::measure;
use crate::options::Options;
use crate::peer;
use crate::report;
use crate::session::prepare;

pub fn run(o: &Options) -> Result<(), String> {
    if let Some(reason) = o.memory.and_then(|_| peer::no_cpu_share()) {
        eprintln!(
            "skipped: no CPU share of {} MB here: {reason}",
            o.memory.unwrap_or_default()
        );
        return Ok(());
    }
    let (specs, setting) = prepare(o)?;
    let runs = o.out.join("runs.jsonl");
    let mut file = OpenOptions::new().create(true).append(true).open(&runs);
    let mut write = |line: String| match &mut file {
        Ok(file) => writeln!(file, "{line}").map_err(|e| e.to_string()),
        Err(error) => Err(format!("{}: {error}", runs.display())),
    };
    let (mut run, mut failures) = (0, 0);
    for round in 0..o.rounds {
        for &latency in &o.latency {
            for cold_only in (0..o.cold).map(|_| true).chain([false]) {
                for spec in &specs {
                    run += 1;
                    let mut record = json!({
                        "peer": spec.name, "label": spec.label, "round": round,
                        "latency_ms": latency, "tls": o.tls, "memory_mb": o.memory,
                        "cold_only": cold_only, "queues": o.queues,
                        "package_bytes": setting.package_bytes(spec), "load": load(),
                    });
                    match measure(&setting, spec, latency, run, cold_only) {
                        Ok(figures) => record.as_object_mut().expect("made above").extend(figures),
                        Err(error) => {
                            failures += 1;
                            record["error"] = json!(error);
                        }
                    }
                    write(record.to_string())?;
                    if !cold_only || record["error"].is_string() {
                        let of = |name: &str| record[name].as_f64().unwrap_or(f64::NAN);
                        eprintln!(
                            "round {round} {latency} ms {:<13} init {:>6.1} first {:>7.1} p50 {:>7.2} p99 {:>7.2} cpu \
                             {:>6.3} {}",
                            spec.name,
                            of("init_ms"),
                            of("first_ms"),
                            of("p50_ms"),
                            of("p99_ms"),
                            of("cpu_ms"),
                            record["error"].as_str().unwrap_or_default()
                        );
                    }
                }
            }
        }
    }
    report::print(&o.out)?;
    match failures {
        0 => Ok(()),
        _ => Err(format!(
            "{failures} runs failed: see \"error\" in {}",
            runs.display()
        )),
    }
}

fn load() -> Option<f64> {
    let load = fs::read_to_string("/proc/loadavg").ok()?;
    load.split(' ').next()?.parse().ok()
}
