//! The command line: what a developer or an operator does with the system by hand.

mod http;
mod sample;
mod send;
mod serve;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Coupon webhooks: the system on this machine, and what its providers send.
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
}

#[tokio::main]
async fn main() -> ExitCode {
    let line = CommandLine::parse();
    let command = line.command.unwrap_or(Command::Serve(line.serve));
    let outcome = match command {
        Command::Serve(arguments) => serve::run(arguments).await,
        Command::Send(arguments) => send::run(arguments).await,
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
