//! Plays three hundred seeds in the ordinary tests, which takes minutes. To play more: `cargo run
//! -p simulation -- --seeds 100000`.

use std::sync::atomic::{AtomicU64, Ordering};

use simulation::play;

const SEEDS: u64 = 300;

#[test]
fn three_hundred_seeds_leave_everything_as_it_should_be() {
    let next = AtomicU64::new(0);
    let work = || {
        let mut broken = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= SEEDS {
                return broken;
            }
            let outcome = play(seed).unwrap();
            if !outcome.broken.is_empty() {
                broken.push((seed, outcome.broken));
            }
        }
    };
    let broken: Vec<_> = std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        running
            .into_iter()
            .flat_map(|it| it.join().unwrap())
            .collect()
    });
    assert!(
        broken.is_empty(),
        "{broken:#?}\nPlay one again: cargo run -p simulation -- --seed {}",
        broken[0].0
    );
}

#[test]
fn a_seed_plays_the_same_again() {
    for seed in [1, 122] {
        assert_eq!(play(seed).unwrap().history, play(seed).unwrap().history);
    }
}
