//! Prints what a report of 30 days reads, for the numbers of events on the command line.

use bench::reading::report_of_sums;

const EVENTS: [usize; 2] = [10_000, 1_000_000];

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let given = std::env::args().skip(1).map(|it| it.parse());
    let given: Vec<usize> = given.collect::<Result<_, _>>()?;
    let counts = match given.as_slice() {
        [] => EVENTS.to_vec(),
        given => given.to_vec(),
    };
    println!("| events | requests | read units | milliseconds |");
    println!("| --- | --- | --- | --- |");
    for events in counts {
        let read = report_of_sums(events).await?;
        let (cost, took_ms) = (read.cost, read.took.as_millis());
        println!(
            "| {events} | {} | {:.1} | {took_ms} |",
            cost.requests, cost.read_units
        );
    }
    Ok(())
}
