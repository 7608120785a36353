//! A short run that fails if a peer breaks a rule, or needs far more CPU than before.

use crate::measure::measure;
use crate::options::Options;
use crate::session::prepare;

/// The null function's CPU, in ms an event. Below this value, a machine's clock is too coarse to
/// measure.
const NULL_MIN_MS: f64 = 0.005;

/// The best round counts, because on a busy machine it is the closest to a quiet one.
pub fn run(o: &Options) -> Result<(), String> {
    let (specs, setting) = prepare(o)?;
    let null = specs.iter().find(|it| it.answers_only);
    let mut best = vec![f64::INFINITY; specs.len()];
    for round in 0..o.rounds {
        for (spec, best) in specs.iter().zip(&mut best) {
            let figures = measure(&setting, spec, 0.0, round + 1, false)
                .map_err(|error| format!("{}: {error}", spec.name))?;
            *best = best.min(figures["cpu_ms"].as_f64().unwrap_or(f64::INFINITY));
        }
    }
    let Some(null) = null else {
        return Ok(());
    };
    let cpu_of = |name: &str| {
        specs
            .iter()
            .position(|it| it.name == name)
            .map(|at| best[at])
    };
    let of_null = cpu_of(&null.name).unwrap_or(NULL_MIN_MS).max(NULL_MIN_MS);
    for (spec, cpu) in specs.iter().zip(&best) {
        let multiple = cpu / of_null;
        println!(
            "{}: {cpu:.3} ms of CPU an event, {multiple:.1} times the null function's",
            spec.name
        );
        if o.limit.is_some_and(|limit| multiple > limit) {
            return Err(format!(
                "{} takes {multiple:.1} times the CPU of the null function, and --limit allows {}",
                spec.name,
                o.limit.unwrap_or_default()
            ));
        }
    }
    Ok(())
}
