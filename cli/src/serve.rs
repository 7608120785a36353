//! `coupons serve`: builds the functions and starts the whole system on this machine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use emulators::lambda::LogLine;
use local::binaries;
use local::system::{Options, System, find_template};
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use crate::output::say;
use crate::target::{AWS_PORT, PORT};

/// Build the functions and start the whole system on this machine (the default command).
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Port of the gateway, which receives webhooks and shows the page.
    #[arg(long, default_value_t = PORT)]
    port: u16,
    /// Port of the AWS endpoint for DynamoDB, SQS, SES, SNS, WhatsApp and Secrets Manager. The same
    /// port has a game's server to forward to.
    #[arg(long, default_value_t = AWS_PORT)]
    aws_port: u16,
    /// Keep tables, queues and sent messages in this directory. Without a directory, they end with
    /// the system.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The template to start [default: the nearest template.yaml].
    #[arg(long, value_name = "FILE")]
    template: Option<PathBuf>,
    /// Change one of the template's parameters, for instance MaxAgeS=300. Repeatable.
    #[arg(long = "parameter", value_name = "NAME=VALUE", value_parser = parameter)]
    parameters: Vec<(String, String)>,
    /// Build the functions as for a deployment: slower to build, faster to run.
    #[arg(long)]
    release: bool,
    /// Start the functions' binaries from this directory instead of building them.
    #[arg(long, value_name = "DIR", conflicts_with = "release")]
    bin_dir: Option<PathBuf>,
    /// Do not print the functions' logs.
    #[arg(long)]
    quiet: bool,
    /// When the system is ready, print one line of JSON: each part of the system, and its address.
    /// Everything else goes to standard error.
    #[arg(long)]
    pub(crate) json: bool,
}

fn parameter(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or("it must be NAME=VALUE, for instance MaxAgeS=300")?;
    Ok((name.to_owned(), value.to_owned()))
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let mut terminated = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupted = signal(SignalKind::interrupt()).context("listening for Ctrl-C")?;
    let stopped = async move {
        tokio::select! {
            _ = terminated.recv() => {}
            _ = interrupted.recv() => {}
        }
    };
    tokio::pin!(stopped);

    let quiet = arguments.quiet;
    log_the_emulators_errors();
    // Dropping the start kills its processes: cargo, or functions that are starting.
    let system = tokio::select! {
        system = start(arguments) => system?,
        () = &mut stopped => {
            eprintln!("Stopped before it was ready.");
            return Ok(ExitCode::from(130));
        }
    };
    if !quiet {
        eprintln!("\nThe functions' logs follow; Ctrl-C stops everything.\n");
    }
    stopped.await;
    eprintln!("Stopping ...");
    system.stop().await;
    Ok(ExitCode::SUCCESS)
}

async fn start(arguments: Arguments) -> anyhow::Result<System> {
    let template = match arguments.template {
        Some(template) => template,
        None => find_template(&std::env::current_dir().context("finding the current directory")?)?,
    };
    let workspace = template
        .canonicalize()
        .with_context(|| format!("reading the template {}", template.display()))?
        .with_file_name("");
    let parameters: BTreeMap<_, _> = arguments.parameters.into_iter().collect();
    let prepared = System::prepare(Options {
        template,
        parameters,
        data_dir: arguments.data.clone(),
        port: arguments.port,
        aws_port: arguments.aws_port,
        log_output: (!arguments.quiet).then(|| Arc::new(show as fn(&LogLine)) as _),
    })
    .await?;

    let functions = prepared.function_names();
    let binaries = match &arguments.bin_dir {
        Some(directory) => binaries::in_directory(directory, &functions)?,
        None => {
            eprintln!("Building {} functions ...", functions.len());
            let began = Instant::now();
            let selection = selection(&functions, arguments.release);
            let binaries = binaries::build(&workspace, &functions, &selection, false).await?;
            eprintln!("Built in {:.1} s.", began.elapsed().as_secs_f64());
            binaries
        }
    };
    let system = prepared.start(binaries).await?;
    if arguments.json {
        say(&format!(
            "{}\n",
            started(&system, arguments.data.as_deref())
        ))?;
    } else {
        announce(&system, arguments.data.is_some(), arguments.port);
    }
    Ok(system)
}

/// Logs errors inside the emulators. dynoxide warns of every failed condition, which is no error.
fn log_the_emulators_errors() {
    tracing_subscriber::fmt()
        .with_env_filter("warn,dynoxide=off")
        .with_writer(std::io::stderr)
        .without_time()
        .init();
}

/// The packages and the profile to build. The list contains this program: otherwise Cargo would
/// choose other features for the shared dependencies, and build them again.
fn selection(functions: &[String], release: bool) -> Vec<String> {
    let packages = functions.iter().map(String::as_str).chain(["cli"]);
    let mut selection: Vec<_> = packages
        .flat_map(|package| ["--package".to_owned(), package.to_owned()])
        .collect();
    if release {
        selection.push("--release".into());
    }
    selection
}

/// Prints a function's log line, without the metrics that CloudWatch would remove from it.
fn show(line: &LogLine) {
    if !line.line.starts_with(r#"{"_aws""#) {
        eprintln!("{}", webhooks::steering::escaped(&line.to_string()));
    }
}

/// The started functions, queues and tables, and the addresses.
fn started(system: &System, data: Option<&Path>) -> Value {
    let template = system.template();
    let functions = template.functions.iter().map(|function| {
        let routes = function.routes.iter();
        let routes = routes.map(|route| json!({"method": route.method, "path": route.path}));
        let schedules = function.schedules.iter();
        let schedules =
            schedules.map(|schedule| json!({"name": schedule.name, "every_s": schedule.every_s}));
        let queues = function.sources.iter().map(|it| it.queue.as_str());
        json!({
            "name": function.name,
            "routes": routes.collect::<Vec<_>>(),
            "queues": queues.collect::<Vec<_>>(),
            "schedules": schedules.collect::<Vec<_>>(),
        })
    });
    json!({
        "gateway": system.gateway_url(),
        "aws": system.aws_url(),
        "aws_for_containers": system.aws_url_for_containers(),
        "data": data,
        "functions": functions.collect::<Vec<_>>(),
        "queues": template.queues.iter().map(|it| &it.name).collect::<Vec<_>>(),
        "tables": template.tables.iter().map(|it| &it.name).collect::<Vec<_>>(),
    })
}

fn announce(system: &System, kept: bool, port: u16) {
    let template = system.template();
    println!("Started, as template.yaml wires it:");
    for function in &template.functions {
        let routes = function
            .routes
            .iter()
            .map(|route| format!("{} {}", route.method, route.path));
        let queues = function
            .sources
            .iter()
            .map(|source| format!("queue {}", source.queue));
        let schedules = function
            .schedules
            .iter()
            .map(|schedule| format!("every {} s", schedule.every_s));
        let triggers: Vec<_> = routes.chain(queues).chain(schedules).collect();
        println!("  {:<26} {}", function.name, triggers.join(", "));
    }
    let tables: Vec<_> = template.tables.iter().map(|t| t.name.as_str()).collect();
    let queues: Vec<_> = template.queues.iter().map(|q| q.name.as_str()).collect();
    println!("  {:<26} {}", "tables", tables.join(", "));
    println!("  {:<26} {}", "queues", queues.join(", "));
    let place = if kept {
        "kept in the data directory"
    } else {
        "in memory; --data DIR keeps it"
    };
    println!("  {:<26} {place}", "data");
    print!("  {:<26} {}", "AWS endpoint", system.aws_url());
    match system.aws_url_for_containers() {
        Some(url) => println!(" (containers: {url})"),
        None => println!(),
    }
    println!("ready: {}", system.gateway_url());
    let at = match port {
        PORT => String::new(),
        _ => format!(" --port {port}"),
    };
    println!(
        "\nOpen {} in a browser, and try in another terminal:",
        system.gateway_url()
    );
    println!("  cargo run -- send{at}");
    println!(
        "What happened, on one page, signed in: {}/_local/dashboard",
        system.gateway_url()
    );
}
