//! Plays many seeds, or prints everything that happened in one.

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use clap::Parser;
use simulation::{Outcome, play};

/// Plays the system under faults, in simulated time, and judges the result.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many seeds to play.
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Stop at the first seed with a broken expectation.
    #[arg(long)]
    until_broken: bool,
    /// Play this seed alone, and print everything that happened.
    #[arg(long, conflicts_with_all = ["seeds", "from", "until_broken"])]
    seed: Option<u64>,
    /// How many seeds play at the same time [default: one for each processor].
    #[arg(long)]
    threads: Option<usize>,
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    if let Some(seed) = arguments.seed {
        let outcome = play(seed)?;
        for line in &outcome.history {
            println!("{line}");
        }
        return Ok(report(&[outcome]));
    }
    let began = Instant::now();
    let threads = match arguments.threads {
        Some(threads) => threads.max(1),
        None => std::thread::available_parallelism().map_or(1, usize::from),
    };
    let next = AtomicU64::new(arguments.from);
    let end = arguments.from.saturating_add(arguments.seeds);
    let is_over = AtomicBool::new(false);
    let work = || -> anyhow::Result<(Vec<Outcome>, usize)> {
        let (mut broken, mut calls) = (Vec::new(), 0);
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end || is_over.load(Ordering::Relaxed) {
                return Ok((broken, calls));
            }
            let outcome = play(seed)?;
            calls += outcome.calls;
            if !outcome.broken.is_empty() {
                eprintln!("seed {seed}: {}", outcome.broken[0]);
                broken.push(outcome);
                is_over.fetch_or(arguments.until_broken, Ordering::Relaxed);
            }
        }
    };
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        running
            .into_iter()
            .map(|it| it.join().expect("a simulation does not panic"))
            .collect()
    });
    let (mut broken, mut calls) = (Vec::new(), 0);
    for outcome in outcomes {
        let (of_thread, called) = outcome?;
        broken.extend(of_thread);
        calls += called;
    }
    broken.sort_by_key(|it| it.seed);
    println!(
        "{} seeds, {calls} calls, {} broken, {:.1} s",
        next.into_inner().min(end) - arguments.from,
        broken.len(),
        began.elapsed().as_secs_f64()
    );
    Ok(report(&broken))
}

fn report(outcomes: &[Outcome]) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for outcome in outcomes.iter().filter(|it| !it.broken.is_empty()) {
        code = ExitCode::FAILURE;
        println!("\nseed {}:", outcome.seed);
        for broken in &outcome.broken {
            println!("  {broken}");
        }
        println!(
            "  play it again: cargo run -p simulation -- --seed {}",
            outcome.seed
        );
    }
    code
}
