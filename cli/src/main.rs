//! The command line `coupons`, by which developers and operators work with the system.

mod analytics;
mod clock;
mod dead;
mod demo;
mod export;
mod http;
mod listen;
mod lives;
mod member;
mod output;
mod redrive;
mod refused;
mod replay;
mod report;
mod report_sources;
mod sample;
mod send;
mod serve;
mod show;
mod stack;
mod stock;
mod target;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use serde_json::json;

use crate::output::{harmless, say_json};

/// Coupon webhooks: start the system on this machine, send samples, and operate a system.
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
    Refused(refused::Arguments),
    Member(member::Arguments),
    Stock(stock::Arguments),
    Analytics(analytics::Arguments),
    Listen(listen::Arguments),
    Report(report::Arguments),
    Export(export::Arguments),
    Demo(demo::Arguments),
    Clock(clock::Arguments),
}

impl Command {
    /// Whether the output is for programs.
    fn is_json(&self) -> bool {
        match self {
            Command::Serve(arguments) => arguments.json,
            Command::Send(arguments) => arguments.json,
            Command::Show(arguments) => arguments.json,
            Command::Replay(arguments) => arguments.json,
            Command::Dead(arguments) => arguments.json,
            Command::Redrive(arguments) => arguments.json,
            Command::Refused(arguments) => arguments.json,
            Command::Member(arguments) => arguments.json,
            Command::Stock(arguments) => arguments.is_json(),
            Command::Analytics(arguments) => arguments.json,
            Command::Listen(arguments) => arguments.json,
            Command::Report(arguments) => arguments.json,
            Command::Export(arguments) => arguments.json,
            Command::Demo(arguments) => arguments.json,
            Command::Clock(arguments) => arguments.json,
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let line = CommandLine::parse();
    let command = line.command.unwrap_or(Command::Serve(line.serve));
    let is_json = command.is_json();
    let outcome = match command {
        Command::Serve(arguments) => serve::run(arguments).await,
        Command::Send(arguments) => send::run(arguments).await,
        Command::Show(arguments) => show::run(arguments).await,
        Command::Replay(arguments) => replay::run(arguments).await,
        Command::Dead(arguments) => dead::run(arguments).await,
        Command::Redrive(arguments) => redrive::run(arguments).await,
        Command::Refused(arguments) => refused::run(arguments).await,
        Command::Member(arguments) => member::run(arguments).await,
        Command::Stock(arguments) => stock::run(arguments).await,
        Command::Analytics(arguments) => analytics::run(arguments).await,
        Command::Listen(arguments) => listen::run(arguments).await,
        Command::Report(arguments) => report::run(arguments).await,
        Command::Export(arguments) => export::run(arguments).await,
        Command::Demo(arguments) => demo::run(arguments).await,
        Command::Clock(arguments) => clock::run(arguments).await,
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {}", harmless(&format!("{error:#}")));
        if is_json {
            // If standard output fails, the line above on standard error still has the error.
            let _ = say_json(&json!({"error": format!("{error:#}")}));
        }
        ExitCode::FAILURE
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn every_command_prints_json_and_finds_a_system_by_its_ports() {
        let line = CommandLine::command();
        for command in line.get_subcommands().chain([&line]) {
            for name in ["json", "port", "aws-port"] {
                let mut arguments = command.get_arguments();
                assert!(
                    arguments.any(|argument| argument.get_long() == Some(name)),
                    "{} has no --{name}",
                    command.get_name()
                );
            }
        }
    }

    #[test]
    fn the_arguments_do_not_contradict_each_other() {
        CommandLine::command().debug_assert();
    }
}
