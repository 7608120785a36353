//! The options of the command line.

use std::path::PathBuf;

pub const USAGE: &str =
    "side-by-side bench [options]     run and append to OUT/runs.jsonl, then report
side-by-side check [options]     behaviour of every peer, and CPU against --limit times the null function's
side-by-side report [--out DIR]  medians of OUT/runs.jsonl as Markdown

  --peers FILE      list of peers               (peers.json)
  --dist DIR        what they are built into    (dist)
  --out DIR         where results go            (results)
  --only A,B        only these peers
  --rounds N        interleaved rounds          (5)
  --events N        measured distinct events    (2000)
  --duplicates N    measured repeated events    (300)
  --warmup N        events before measuring     (100)
  --cold N          extra start-only runs/round (3)
  --latency A,B     added ms per backend request (0,3)
  --queues N        queues of peers that do not say (3)
  --memory MB       give the peer Lambda's CPU share of this memory after init (off)
  --tls             backend speaks https with a throwaway CA
  --limit X         check: most CPU an event, in multiples of the null function's (off)
";

/// The queues of peers, of which they use the first few.
pub const QUEUES: [&str; 5] = ["delivery", "inventory", "fraud", "analytics", "surveys"];

pub struct Options {
    pub peers: PathBuf,
    pub dist: PathBuf,
    pub out: PathBuf,
    pub only: Vec<String>,
    pub rounds: u64,
    pub events: u64,
    pub duplicates: u64,
    pub warmup: u64,
    pub cold: u64,
    pub latency: Vec<f64>,
    pub memory: Option<u64>,
    pub tls: bool,
    pub queues: usize,
    pub limit: Option<f64>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            peers: "peers.json".into(),
            dist: "dist".into(),
            out: "results".into(),
            only: vec![],
            rounds: 5,
            events: 2000,
            duplicates: 300,
            warmup: 100,
            cold: 3,
            latency: vec![0.0, 3.0],
            memory: None,
            tls: false,
            queues: 3,
            limit: None,
        }
    }
}

impl Options {
    pub fn read(args: &[String]) -> Result<Self, String> {
        let mut o = Self::default();
        let mut args = args.iter();
        while let Some(name) = args.next() {
            if name == "--tls" {
                o.tls = true;
                continue;
            }
            let value = args.next().ok_or_else(|| format!("{name} needs a value"))?;
            let wrong = || format!("{name}: {value} is not a number");
            let number = || value.parse::<u64>().map_err(|_| wrong());
            let list = || value.split(',').map(str::to_owned);
            match name.as_str() {
                "--peers" => o.peers = value.into(),
                "--dist" => o.dist = value.into(),
                "--out" => o.out = value.into(),
                "--only" => o.only = list().collect(),
                "--rounds" => o.rounds = number()?,
                "--events" => o.events = number()?.max(1),
                "--duplicates" => o.duplicates = number()?,
                "--warmup" => o.warmup = number()?,
                "--cold" => o.cold = number()?,
                "--memory" => o.memory = Some(number()?),
                "--queues" => o.queues = number()?.clamp(1, QUEUES.len() as u64) as usize,
                "--limit" => o.limit = Some(value.parse().map_err(|_| wrong())?),
                "--latency" => {
                    let parsed: Result<_, _> = list().map(|it| it.parse()).collect();
                    o.latency = parsed.map_err(|_| wrong())?;
                }
                _ => return Err(format!("unknown option {name}\n\n{USAGE}")),
            }
        }
        Ok(o)
    }
}
