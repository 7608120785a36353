//! Prints the cost of an event in each task function, by the size of its batches. Each function is
//! the built program, in a process of its own.
//!
//! Usage: `task-costs FOLDER`, where `FOLDER/inventory/bootstrap` or `FOLDER/inventory` is the
//! function `inventory`.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use bench::process::Process;
use bench::tables::{CountedTables, redeemed_today, used_today};
use jiff::Timestamp;
use tokio::net::TcpListener;
use webhooks::dispatch::WORK;
use webhooks::event::Event;
use webhooks::task::{Message, Task, WorkMessage, tasks};

/// What each call to AWS takes at least.
const ROUND_TRIP: Duration = Duration::from_millis(3);

const BATCH_SIZES: [usize; 3] = [1, 10, 100];

/// How many coupons have a redemption and a use before the measurement, and in it.
const WARM_UP: usize = 200;
const COUPONS: usize = 300;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let folder = std::env::args_os().nth(1);
    let folder = PathBuf::from(folder.context("usage: task-costs FOLDER")?);
    println!(
        "| function | in a batch | requests | requests elsewhere | write units | read units | \
         CPU ms | ms | ms a batch |"
    );
    println!("|{}", " --- |".repeat(9));
    let functions = std::iter::once(Function::Dispatch).chain(Task::ALL.map(Function::Task));
    for function in functions {
        let program = program(&folder, function.name())?;
        for batch_size in BATCH_SIZES {
            measure(&program, function, batch_size)
                .await
                .with_context(|| format!("{} by {batch_size}", function.name()))?;
        }
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Function {
    Dispatch,
    Task(Task),
}

impl Function {
    fn name(self) -> &'static str {
        match self {
            Function::Dispatch => "dispatch",
            Function::Task(task) => task.name(),
        }
    }

    fn queue(self) -> &'static str {
        match self {
            Function::Dispatch => WORK,
            Function::Task(task) => task.name(),
        }
    }

    /// The event's message to this function, if it gets one.
    fn body(self, event: &Event) -> Option<String> {
        let message = Message::new(event, Timestamp::now(), None);
        match self {
            Function::Dispatch => Some(WorkMessage::new(&message, tasks(event)).into_body()),
            Function::Task(task) => tasks(event).contains(&task).then(|| message.to_queue()),
        }
    }
}

fn program(folder: &Path, function: &str) -> anyhow::Result<PathBuf> {
    let itself = folder.join(function);
    let candidates = [itself.join("bootstrap"), itself];
    match candidates.into_iter().find(|it| it.is_file()) {
        Some(program) => Ok(program.canonicalize()?),
        None => bail!("{} has no function {function}", folder.display()),
    }
}

/// Starts the function with empty tables, and prints the cost of one event.
async fn measure(program: &Path, function: Function, batch_size: usize) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let tables = CountedTables::at(&format!("http://{}", listener.local_addr()?))?;
    let endpoint = tokio::spawn(tables.counted().clone().serve(listener, ROUND_TRIP));
    let environment = tables.environment(function.name())?;
    let mut process = Process::start(program, function.name(), environment).await?;
    run(&mut process, function, 0..WARM_UP, batch_size).await?;
    tables.cost();
    let cpu = process.cpu()?;
    let ran = run(
        &mut process,
        function,
        WARM_UP..WARM_UP + COUPONS,
        batch_size,
    )
    .await?;
    let (cost, cpu) = (tables.cost(), process.cpu()? - cpu);
    endpoint.abort();
    let events = f64::from(ran.events);
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    println!(
        "| {} | {batch_size} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {:.1} |",
        function.name(),
        f64::from(cost.requests) / events,
        f64::from(cost.other_requests) / events,
        cost.write_units / events,
        cost.read_units / events,
        ms(cpu) / events,
        ms(ran.waited) / events,
        ms(ran.waited) / f64::from(ran.batches),
    );
    Ok(())
}

#[derive(Default)]
struct Ran {
    events: u32,
    batches: u32,
    /// The time to the answers.
    waited: Duration,
}

/// Redeems coupons, then uses them.
async fn run(
    process: &mut Process,
    function: Function,
    coupons: Range<usize>,
    batch_size: usize,
) -> anyhow::Result<Ran> {
    let mut ran = Ran::default();
    let (from, count) = (coupons.start, coupons.len());
    for of_kind in [redeemed_today(from, count)?, used_today(from, count)?] {
        let bodies: Vec<_> = of_kind.iter().filter_map(|it| function.body(it)).collect();
        for batch in bodies.chunks(batch_size) {
            ran.events += u32::try_from(batch.len())?;
            ran.batches += 1;
            ran.waited += process.invoke(function.queue(), batch.to_vec()).await?;
        }
    }
    Ok(ran)
}
