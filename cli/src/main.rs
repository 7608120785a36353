//! The command line: what a developer or an operator does with the system by hand.

mod dead;
mod http;
mod life;
mod output;
mod redrive;
mod replay;
mod sample;
mod send;
mod serve;
mod show;
mod stack;
mod stock;
mod target;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Coupon webhooks: the system on this machine, what its providers send, and looking after it.
#[derive(Debug, Parser)]
#[command(name = "coupons", version, args_conflicts_with_subcommands = true)]
struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: serve::Arguments,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Arguments),
    Send(send::Arguments),
    Show(show::Arguments),
    Replay(replay::Arguments),
    Dead(dead::Arguments),
    Redrive(redrive::Arguments),
    Stock(stock::Arguments),
}

#[tokio::main]
async fn main() -> ExitCode {
    let line = CommandLine::parse();
    let command = line.command.unwrap_or(Command::Serve(line.serve));
    let outcome = match command {
        Command::Serve(arguments) => serve::run(arguments).await,
        Command::Send(arguments) => send::run(arguments).await,
        Command::Show(arguments) => show::run(arguments).await,
        Command::Replay(arguments) => replay::run(arguments).await,
        Command::Dead(arguments) => dead::run(arguments).await,
        Command::Redrive(arguments) => redrive::run(arguments).await,
        Command::Stock(arguments) => stock::run(arguments).await,
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_do_not_contradict_each_other() {
        CommandLine::command().debug_assert();
    }
}
