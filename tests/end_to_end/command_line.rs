//! The command line as a developer uses it: one command starts everything, another sends a webhook.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::shop::{built, root};

/// A running `coupons serve`.
struct Served {
    process: Child,
    port: u16,
    aws_port: u16,
    /// The lines that it printed until it was ready.
    said: Vec<String>,
}

pub(crate) async fn coupons() -> PathBuf {
    built(&["coupons".to_owned()]).await["coupons"].clone()
}

/// Another port each time, on which nobody listens. The ports are below the range for arbitrary
/// ports, so that no parallel test gets one meanwhile.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let of_process = u16::try_from(std::process::id() % 100).unwrap() * 100;
    loop {
        let port = 20_000 + of_process + NEXT.fetch_add(1, Ordering::Relaxed);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// The command that serves with the binaries of the test run.
fn serve_command(coupons: &Path, port: u16, aws_port: u16) -> Command {
    let mut command = Command::new(coupons);
    command
        .arg("serve")
        .arg(format!("--port={port}"))
        .arg(format!("--aws-port={aws_port}"))
        .arg("--bin-dir")
        .arg(coupons.parent().unwrap())
        .current_dir(root())
        .env_remove("AGHANIM_WEBHOOK_SECRETS")
        .env_remove("ZUPY_WEBHOOK_SECRETS")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

async fn serve(arguments: &[&str]) -> Served {
    let (port, aws_port) = (free_port(), free_port());
    let mut process = serve_command(&coupons().await, port, aws_port)
        .args(arguments)
        .arg("--quiet")
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let mut said = Vec::new();
    for line in lines.by_ref() {
        said.push(line.unwrap());
        if said.last().unwrap().starts_with("ready: ") {
            break;
        }
    }
    // The test reads the rest at once, so that the pipe never fills.
    std::thread::spawn(move || lines.for_each(drop));
    Served {
        process,
        port,
        aws_port,
        said,
    }
}

impl Served {
    async fn send(&self, arguments: &[&str]) -> Output {
        Command::new(coupons().await)
            .args(["send", "--port", &self.port.to_string()])
            .args(arguments)
            .output()
            .unwrap()
    }

    /// The answer of one of the system's pages.
    fn get(&self, path: &str) -> String {
        use std::io::Write;
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        write!(stream, "GET {path} HTTP/1.0\r\nhost: localhost\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(" 200 "), "{head}");
        body.to_owned()
    }

    /// The messages of a channel.
    fn messages(&self, channel: &str) -> Vec<Value> {
        self.get("/_local/idle?timeout_s=20");
        let messages: Vec<Value> = serde_json::from_str(&self.get("/_local/messages")).unwrap();
        let of_channel = messages.into_iter().filter(|it| it["channel"] == channel);
        of_channel.collect()
    }

    /// The number of the functions' processes: those with this system's AWS endpoint.
    fn function_processes(&self) -> usize {
        let endpoint = format!("AWS_ENDPOINT_URL=http://127.0.0.1:{}\0", self.aws_port);
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        processes
            .filter_map(|process| std::fs::read(process.path().join("environ")).ok())
            .filter(|environment| String::from_utf8_lossy(environment).contains(&endpoint))
            .count()
    }

    /// Sends a signal, waits for the end, and returns the exit code.
    fn stop(mut self, signal: &str) -> Option<i32> {
        let pid = self.process.id().to_string();
        let killed = Command::new("kill").args([signal, &pid]).status().unwrap();
        assert!(killed.success());
        let code = self.process.wait().unwrap().code();
        assert_eq!(
            self.function_processes(),
            0,
            "a function outlived the system"
        );
        code
    }
}

/// A failing test leaves no process running.
impl Drop for Served {
    fn drop(&mut self) {
        if let Ok(None) = self.process.try_wait() {
            let pid = self.process.id().to_string();
            let _ = Command::new("kill").args(["-TERM", &pid]).status();
            let _ = self.process.wait();
        }
    }
}

/// How many functions the repository has.
fn functions() -> usize {
    std::fs::read_dir(root().join("functions")).unwrap().count()
}

#[tokio::test]
async fn serve_starts_everything_and_send_brings_a_coupon_to_its_customer() {
    let served = serve(&[]).await;
    let ready = format!("ready: http://127.0.0.1:{}", served.port);
    assert_eq!(served.said.last(), Some(&ready), "{:?}", served.said);
    assert_eq!(served.function_processes(), functions());

    let sent = served.send(&[]).await;
    assert!(sent.status.success(), "{sent:?}");
    let printed = String::from_utf8(sent.stdout).unwrap();
    assert!(
        printed.contains("x-zupy-signature") || printed.contains("X-Zupy-Signature"),
        "{printed}"
    );
    assert!(printed.contains(r#""status": "accepted""#), "{printed}");

    let messages = served.messages("email");
    assert_eq!(messages.len(), 1);
    assert_eq!(served.messages("whatsapp").len(), 1);
    assert_eq!(messages[0]["to"], "customer@example.com");
    assert!(
        messages[0]["html"]
            .as_str()
            .unwrap()
            .contains("CP-A1B2C3D4")
    );
    assert!(served.get("/").contains("<title>"));
    let state: Value = serde_json::from_str(&served.get("/_local/state")).unwrap();
    for route in state["routes"].as_array().unwrap() {
        // People open pages in a browser.
        let path = route["path"].as_str().unwrap();
        let is_page = path.starts_with("/dashboard") || path.starts_with("/surveys");
        let has_example = route["example"]["curl"].is_string();
        assert!(has_example || is_page, "no example: {route}");
    }
    assert_eq!(served.stop("-TERM"), Some(0));
}

#[tokio::test]
async fn serve_reports_to_programs_in_one_line() {
    let (port, aws_port) = (free_port(), free_port());
    let mut process = serve_command(&coupons().await, port, aws_port)
        .args(["--json", "--quiet"])
        .spawn()
        .unwrap();
    let mut out = BufReader::new(process.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    let served = Served {
        process,
        port,
        aws_port,
        said: Vec::new(),
    };
    let started: Value =
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
    assert_eq!(started["gateway"], format!("http://127.0.0.1:{port}"));
    assert_eq!(started["aws"], format!("http://127.0.0.1:{aws_port}"));
    let functions = started["functions"].as_array().unwrap();
    assert_eq!(functions.len(), self::functions());
    let function = |name: &str| functions.iter().find(|it| it["name"] == name).unwrap();
    let route = json!([{"method": "POST", "path": "/webhooks/zupy"}]);
    assert_eq!(function("zupy")["routes"], route);
    assert_eq!(function("delivery")["queues"], json!(["delivery"]));
    assert_eq!(function("outbox")["schedules"][0]["every_s"], 60);
    assert_eq!(
        started["tables"],
        json!(["events", "members", "stock", "figures"])
    );
    let queues = started["queues"].as_array().unwrap();
    assert!(queues.contains(&json!("delivery-dead-letter")), "{line}");
    assert_eq!(served.stop("-TERM"), Some(0));
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "");
}

#[tokio::test]
async fn every_sample_is_accepted_and_refused_with_another_secret() {
    let served = serve(&[]).await;
    let files = std::fs::read_dir(root().join("events/samples")).unwrap();
    let samples = files.map(|file| file.unwrap().path());
    for sample in samples {
        let sample = sample.file_stem().unwrap().to_str().unwrap();
        let refused = served
            .send(&[sample, "--secret", "another", "--json"])
            .await;
        assert_eq!(refused.status.code(), Some(1), "{sample}");
        let sent = served.send(&[sample, "--json"]).await;
        assert!(sent.status.success(), "{sample}: {sent:?}");
    }
    let many = served
        .send(&[
            "zupy-coupon-redeemed",
            "--count",
            "50",
            "--repeat",
            "--json",
        ])
        .await;
    assert!(many.status.success(), "{many:?}");
    // Two redemptions of v1 and fifty copies of one. The order decides whether the redemption of v2
    // has a contact.
    let mails = served.messages("email").into_iter();
    let of_v1 = mails.filter(|mail| mail["event"].as_str().unwrap().contains("bella_vista"));
    assert_eq!(of_v1.count(), 52);
    assert_eq!(served.stop("-INT"), Some(0));
}

#[tokio::test]
async fn a_signed_curl_command_is_printed() {
    let served = serve(&[]).await;
    let printed = served
        .send(&[
            "zupy-coupon-redeemed",
            "--set",
            "customer.name=D'Ávila \"$HOME\"",
            "--print",
        ])
        .await;
    let command = String::from_utf8(printed.stdout).unwrap();
    assert!(command.starts_with("curl "), "{command}");
    assert!(command.contains("X-Zupy-Signature: sha256="), "{command}");
    assert_eq!(served.stop("-TERM"), Some(0));
}

#[tokio::test]
async fn data_in_a_directory_survive_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let data = ["--data", directory.path().to_str().unwrap()];
    let served = serve(&data).await;
    served.send(&["zupy-coupon-redeemed"]).await;
    assert_eq!(served.messages("email").len(), 1);
    served.stop("-TERM");

    let served = serve(&data).await;
    let again = served.send(&["zupy-coupon-redeemed"]).await;
    let printed = String::from_utf8(again.stdout).unwrap();
    assert!(printed.contains(r#""status": "duplicate""#), "{printed}");
    assert_eq!(served.messages("email").len(), 1);
    served.stop("-TERM");
}

#[tokio::test]
async fn a_directory_is_one_systems_own() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().to_str().unwrap();
    let served = serve(&["--data", data]).await;
    check_fails(|serve| _ = serve.args(["--data", data]), &[data, "--data"]).await;
    served.stop("-TERM");
}

#[tokio::test]
async fn requests_under_way_at_the_end_are_answered() {
    let served = serve(&[]).await;
    let port = served.port.to_string();
    let many = Command::new(coupons().await)
        .args(["send", "zupy-coupon-redeemed", "--port", &port])
        .args(["--count", "300", "--concurrency", "4", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while serde_json::from_str::<Vec<Value>>(&served.get("/_local/messages"))
        .unwrap()
        .len()
        < 10
    {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    served.stop("-TERM");
    let printed = many.wait_with_output().unwrap().stdout;
    let printed: Value = serde_json::from_slice(&printed).unwrap();
    let statuses = printed["statuses"].as_object().expect("counts by status");
    let statuses: Vec<_> = statuses.keys().map(String::as_str).collect();
    assert_eq!(statuses, ["200"], "{printed}");
}

#[tokio::test]
async fn other_secrets_come_from_the_environment() {
    let (port, aws_port) = (free_port(), free_port());
    let mut process = serve_command(&coupons().await, port, aws_port)
        .env("ZUPY_WEBHOOK_SECRETS", "first, second")
        .arg("--quiet")
        .spawn()
        .unwrap();
    let mut said = BufReader::new(process.stdout.take().unwrap()).lines();
    assert!(said.any(|line| line.unwrap().starts_with("ready: ")));
    std::thread::spawn(move || said.for_each(drop));
    let served = Served {
        process,
        port,
        aws_port,
        said: Vec::new(),
    };
    for (secret, status) in [("second", 200), ("first", 200), ("local-zupy-secret", 401)] {
        let sent = served
            .send(&["zupy-coupon-redeemed", "--secret", secret, "--json"])
            .await;
        let sent: Value = serde_json::from_slice(&sent.stdout).unwrap();
        assert_eq!(sent["answer"]["status"], status, "{secret}");
    }
    served.stop("-TERM");
}

/// Checks that a wrong `coupons serve` ends by itself with a non-zero code, and that its output
/// contains these pieces.
async fn check_fails(change: impl FnOnce(&mut Command), pieces: &[&str]) {
    check_fails_on((free_port(), free_port()), change, pieces).await;
}

async fn check_fails_on(
    (port, aws_port): (u16, u16),
    change: impl FnOnce(&mut Command),
    pieces: &[&str],
) {
    let mut command = serve_command(&coupons().await, port, aws_port);
    change(&mut command);
    let mut process = command.spawn().unwrap();
    let began = Instant::now();
    let status = loop {
        if let Some(status) = process.try_wait().unwrap() {
            break status;
        }
        assert!(
            began.elapsed() < Duration::from_secs(30),
            "the command does not end"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let mut printed = String::new();
    let mut stderr = process.stderr.take().unwrap();
    stderr.read_to_string(&mut printed).unwrap();
    assert_eq!(status.code(), Some(1), "{printed}");
    for piece in pieces {
        assert!(
            printed.contains(piece),
            "{piece:?} is missing in: {printed}"
        );
    }
}

#[tokio::test]
async fn a_port_in_use_is_named_with_the_option_that_changes_it() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let named = port.to_string();
    let nothing = |_: &mut Command| {};
    check_fails_on((port, free_port()), nothing, &[&named, "--port"]).await;
    check_fails_on((free_port(), port), nothing, &[&named, "--aws-port"]).await;
}

#[tokio::test]
async fn an_unreadable_template_is_named_with_its_problem() {
    let directory = tempfile::tempdir().unwrap();
    let template = directory.path().join("template.yaml");
    let path = template.to_str().unwrap();
    check_fails(|serve| _ = serve.args(["--template", path]), &[path]).await;

    std::fs::write(&template, "Resources: [").unwrap();
    check_fails(
        |serve| _ = serve.args(["--template", path]),
        &["template.yaml"],
    )
    .await;

    let good = std::fs::read_to_string(root().join("template.yaml")).unwrap();
    let unknown = good.replace(
        "Type: AWS::DynamoDB::Table",
        "Type: AWS::DynamoDB::GlobalTable",
    );
    std::fs::write(&template, unknown).unwrap();
    let pieces = ["EventsTable", "AWS::DynamoDB::GlobalTable"];
    check_fails(|serve| _ = serve.args(["--template", path]), &pieces).await;
}

#[tokio::test]
async fn a_function_that_dies_at_start_is_named_with_its_last_words() {
    let zone = ["--parameter", "TimeZone=Nowhere/Land"];
    let pieces = ["did not start", "TIME_ZONE", "America/Sao_Paulo"];
    check_fails(|serve| _ = serve.args(zone), &pieces).await;

    // A signature from slightly in the future stays valid for longer than MaxAgeS.
    let short = [
        "--parameter",
        "MaxAgeS=2591900",
        "--parameter",
        "RetentionDays=30",
    ];
    let pieces = ["did not start", "RETENTION_DAYS", "MAX_FUTURE_S"];
    check_fails(|serve| _ = serve.args(short), &pieces).await;

    let pieces = ["did not start", "zupy-secrets", "entry 2", "in quotes"];
    let quoted = "new, \"old\"";
    check_fails(
        |serve| _ = serve.env("ZUPY_WEBHOOK_SECRETS", quoted),
        &pieces,
    )
    .await;

    // The template's default is no secret, although it is valid base64.
    let unsigned = [
        "--parameter",
        "ForwardUrl=http://127.0.0.1:9",
        "--parameter",
        "ForwardSecrets=none",
    ];
    let pieces = ["`delivery` did not start", "forwarding-secrets", "none"];
    check_fails(|serve| _ = serve.args(unsigned), &pieces).await;

    let pieces = ["did not start", "zupy-secrets", "empty"];
    check_fails(
        |serve| _ = serve.env("ZUPY_WEBHOOK_SECRETS", " , "),
        &pieces,
    )
    .await;
}

#[tokio::test]
async fn if_nothing_listens_the_error_says_what_to_do() {
    let port = free_port().to_string();
    for many in [&[][..], &["--count", "20000", "--json"]] {
        let sent = Command::new(coupons().await)
            .args(["send", "--port", &port])
            .args(many)
            .output()
            .unwrap();
        assert_eq!(sent.status.code(), Some(1));
        let mut printed = vec![String::from_utf8(sent.stderr).unwrap()];
        if !many.is_empty() {
            let said: Value = serde_json::from_slice(&sent.stdout).unwrap();
            printed.push(said["error"].as_str().unwrap().to_owned());
        }
        for printed in printed {
            assert!(printed.contains("nothing listens"), "{printed}");
            assert!(printed.contains("cargo run"), "{printed}");
        }
    }
}
