//! `coupons send`: signs a sample as its provider does, posts it, and shows the answer.

mod judge;
mod many;
mod print;
mod settle;
mod soak;
mod summary;

use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, anyhow, bail};
use clap::builder::PossibleValuesParser;
use clap::value_parser;
use http::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER};
use http::{HeaderName, Uri};
use jiff::Timestamp;
use serde_json::{Value, json};
use webhooks::verify::{Secret, Secrets};

use crate::http::{Answer, Client, Request, is_loopback, parse_url};
use crate::output::{harmless, readable, say, say_json};
use crate::sample::{Assignment, Path, SAMPLES, Sample, Sender};
use crate::send::many::{Again, Plan, Run, Share};
pub(crate) use crate::send::settle::Local;
use crate::send::soak::Place;
use crate::target;

const EXAMPLES: &str = "\
Examples:
  coupons send
  coupons send zupy-coupon-redeemed --set coupon.points_spent=0
  coupons send zupy-coupon-used --set 'usage.items_affected[0].quantity=2' --unset usage.order_id
  coupons send aghanim-coupon-redeemed --count 1000 --concurrency 32
  coupons send --count 20000 --duplicates 10% --concurrency 32
  coupons send zupy-coupon-used --url https://abc.execute-api.us-east-1.amazonaws.com --secret ...
  coupons send zupy-coupon-used --now --print event > event.json";

/// Sign a sample as its provider does, post it, and show the answer.
///
/// With --count, the command sends many coupons as a provider does: without an answer, or after a
/// 5xx, it retries after growing pauses. Then it waits until the system on this machine has
/// settled, retries included. From the tables and mails, the command finds lost and doubled events.
///
/// The command succeeds if every webhook finally got a 2xx, and no event was lost or doubled.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The sample to send.
    #[arg(default_value = "zupy-coupon-redeemed")]
    #[arg(value_parser = PossibleValuesParser::new(SAMPLES.map(|sample| sample.name)))]
    sample: String,

    /// Where to post: a whole endpoint, or a base URL such as
    /// https://abc.execute-api.us-east-1.amazonaws.com, with or without /webhooks. A base URL gets
    /// the sample's route [default: this machine].
    #[arg(long, value_parser = parse_url, conflicts_with = "port")]
    url: Option<Uri>,

    /// Secret to sign with [default: the first in ZUPY_WEBHOOK_SECRETS or AGHANIM_WEBHOOK_SECRETS,
    /// else the secret of the system on this machine].
    #[arg(long, value_parser = parse_secret)]
    secret: Option<Secret>,

    /// Set a field of the body, such as coupon.points_spent=10 or
    /// usage.items_affected[0].quantity=2. The value is JSON if it parses as JSON, else text.
    /// Repeatable.
    #[arg(long, value_name = "PATH=VALUE")]
    set: Vec<Assignment>,

    /// Remove a field from the body, after every --set. Repeatable.
    #[arg(long, value_name = "PATH")]
    unset: Vec<Path>,

    /// Send the contents of this file (- for standard input) instead of the sample's body. The
    /// bytes stay the same unless an option edits the body.
    #[arg(long)]
    file: Option<PathBuf>,

    /// Move all times in the body of --file, as if the provider sent it now. A sample's times
    /// always move, unless you give --as-dated.
    #[arg(long, conflicts_with = "as_dated")]
    now: bool,

    /// Keep a sample's times. Its coupon expired long ago, so no customer gets a message about it.
    #[arg(long)]
    as_dated: bool,

    /// Send this many distinct coupons, sum up the answers, and judge what became of the coupons.
    /// Each coupon has a member of its own, unless --set names one.
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=1_000_000))]
    count: Option<u32>,

    /// How many requests are under way at the same time.
    #[arg(long, value_name = "N", default_value_t = 8, requires = "count")]
    #[arg(value_parser = value_parser!(u16).range(1..=1000))]
    concurrency: u16,

    /// Send the same request again after its answer.
    #[arg(long)]
    repeat: bool,

    /// Send this share of the coupons twice, such as 10% or 0.1. For some, both requests are under
    /// way together; the others follow at random later moments.
    #[arg(
        long,
        value_name = "SHARE",
        requires = "count",
        conflicts_with = "repeat"
    )]
    duplicates: Option<Share>,

    /// Seed that decides which coupons go out twice, and when [default: a random seed, which the
    /// command prints].
    #[arg(long, value_name = "N", requires = "duplicates")]
    seed: Option<u64>,

    /// Print a signed curl command instead of sending, or the API Gateway event that a function
    /// gets, for `sam local invoke -e` [default: curl].
    #[arg(long, value_name = "FORM", num_args = 0..=1, default_missing_value = "curl")]
    #[arg(conflicts_with_all = ["count", "repeat", "json"])]
    print: Option<print::Form>,

    /// Print the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    target: target::Arguments,
}

fn parse_secret(text: &str) -> Result<Secret, &'static str> {
    Secret::new(text).ok_or("a secret cannot be empty")
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    if arguments.target.is_deployed() && (arguments.count.is_none() || arguments.url.is_none()) {
        bail!(
            "--stack and --deployed name the system to judge: also give --count, and where to post with --url"
        );
    }
    let draft = Draft::new(&arguments, Timestamp::now())?;
    if let Some(form) = arguments.print {
        let at = draft.signed_at(&draft.body);
        say(&print::print(form, &draft.sign(draft.body.clone()), at)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let client = Client::of(&draft.url)?;
    let success = match arguments.count {
        Some(count) => many(&client, &draft, &arguments, count).await?,
        None => once(&client, &draft.sign(draft.body.clone()), &arguments).await?,
    };
    Ok(if success {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The webhook to send, before its signature.
#[derive(Debug)]
struct Draft {
    sender: Sender,
    url: Uri,
    secret: Secret,
    body: Vec<u8>,
    now: Timestamp,
    /// Whether all copies are about the member that the arguments name.
    one_member: bool,
    /// Whether the time of the signature is now, or the time in the body.
    signed_now: bool,
}

impl Draft {
    fn new(arguments: &Arguments, now: Timestamp) -> anyhow::Result<Self> {
        let sample = SAMPLES.iter().find(|it| it.name == arguments.sample);
        let sample = sample.with_context(|| format!("no sample {:?}", arguments.sample))?;
        let url = endpoint(arguments, sample)?;
        let leaves = !is_loopback(&url);
        let member = sample.sender.member_path();
        let set = arguments.set.iter().map(|it| &it.path);
        let mut changed = set.chain(&arguments.unset);
        Ok(Self {
            one_member: changed.any(|path| path.leads_to(member)),
            sender: sample.sender,
            secret: secret(arguments, sample.sender, leaves)?,
            body: body(arguments, sample, now)?,
            url,
            now,
            signed_now: !arguments.as_dated,
        })
    }

    fn signed_at(&self, body: &[u8]) -> Timestamp {
        if self.signed_now {
            return self.now;
        }
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        self.sender.sent_at(&body).unwrap_or(self.now)
    }

    fn sign(&self, body: Vec<u8>) -> Request {
        let signed_at = self.signed_at(&body);
        let signature = self.sender.scheme().sign(&body, &self.secret, signed_at);
        let mut headers = vec![("Content-Type", "application/json".to_owned())];
        headers.extend(signature);
        Request {
            url: self.url.clone(),
            headers,
            body,
        }
    }
}

/// Adds the sample's route to a URL without a path, or to the stack's output that ends in
/// `/webhooks`.
fn endpoint(arguments: &Arguments, sample: &Sample) -> anyhow::Result<Uri> {
    let Some(url) = &arguments.url else {
        let port = arguments.target.port.unwrap_or(target::PORT);
        return parse_url(&format!("http://127.0.0.1:{port}{}", sample.route));
    };
    if !matches!(url.path().trim_end_matches('/'), "" | "/webhooks") {
        return Ok(url.clone());
    }
    let mut parts = url.clone().into_parts();
    let query = url.query().map_or(String::new(), |it| format!("?{it}"));
    parts.path_and_query = Some(format!("{}{query}", sample.route).parse()?);
    Ok(Uri::from_parts(parts)?)
}

fn secret(arguments: &Arguments, sender: Sender, leaves: bool) -> anyhow::Result<Secret> {
    if let Some(secret) = &arguments.secret {
        return Ok(secret.clone());
    }
    let variable = sender.secrets_variable();
    let secrets = match std::env::var(variable) {
        Ok(text) if text.trim().is_empty() => None,
        Ok(text) => {
            let secrets = Secrets::parse(&text);
            Some(secrets.map_err(|unusable| anyhow!("{variable} {unusable}"))?)
        }
        Err(std::env::VarError::NotPresent) => None,
        Err(std::env::VarError::NotUnicode(_)) => bail!("{variable} is not UTF-8"),
    };
    if let Some(secrets) = secrets {
        return Ok(secrets.first().clone());
    }
    let secret = sender.local_secret();
    if leaves {
        eprintln!("note: signed with {secret}; give the real one with --secret or {variable}");
    }
    Secret::new(secret).context("a local secret is not empty")
}

fn body(arguments: &Arguments, sample: &Sample, now: Timestamp) -> anyhow::Result<Vec<u8>> {
    let bytes = match &arguments.file {
        None => sample.body.as_bytes().to_vec(),
        Some(file) if file.as_os_str() == "-" => {
            let mut bytes = Vec::new();
            let read = std::io::stdin().read_to_end(&mut bytes);
            read.context("reading standard input")?;
            bytes
        }
        Some(file) => std::fs::read(file).with_context(|| format!("reading {}", file.display()))?,
    };
    let moves = arguments.now || (!arguments.as_dated && arguments.file.is_none());
    if !moves && arguments.set.is_empty() && arguments.unset.is_empty() {
        return Ok(bytes);
    }
    let mut body = parse(&bytes)?;
    if moves {
        match sample.sender.move_to(&mut body, now) {
            Some(_) if arguments.now => {}
            Some(before) => {
                eprintln!("note: dated now in place of {before}; --as-dated keeps the times");
            }
            None => eprintln!(
                "note: the times stay the same: `{}` has no time",
                sample.sender.sent_at_path().join(".")
            ),
        }
    }
    // Edits follow the move of the times, so that a time from --set stays unchanged.
    for Assignment { path, value } in &arguments.set {
        path.set(&mut body, value.clone())?;
    }
    for path in &arguments.unset {
        path.unset(&mut body)?;
    }
    Ok(write(&body))
}

fn parse(body: &[u8]) -> anyhow::Result<Value> {
    serde_json::from_slice(body).context("the options edit the body, but it is not JSON")
}

fn write(body: &Value) -> Vec<u8> {
    format!("{body:#}\n").into_bytes()
}

/// Sends many coupons, and judges whether the system lost or doubled any. Returns whether all is
/// well.
async fn many(
    client: &Client,
    draft: &Draft,
    arguments: &Arguments,
    count: u32,
) -> anyhow::Result<bool> {
    let again = match arguments.duplicates {
        // A random seed is short, so that a person can type it again.
        Some(share) => Again::Share {
            share,
            seed: arguments.seed.unwrap_or_else(|| fastrand::u16(..).into()),
        },
        None if arguments.repeat => Again::Each,
        None => Again::Nothing,
    };
    let plan = Plan {
        count,
        concurrency: arguments.concurrency.into(),
        again,
    };
    let place = Place::find(&arguments.target, &draft.url).await?;
    let run = Run::new(draft)?;
    let summary = many::send(client, &run, plan).await?;
    let judged = place.judge(&run, &summary).await;
    if arguments.json {
        let mut figures = summary.to_json();
        judged.add_to(&mut figures);
        say_json(&figures)?;
    } else {
        say(&harmless(&format!("{summary}{judged}")))?;
    }
    if let Some(error) = judged.error.as_ref().filter(|_| !arguments.json) {
        eprintln!("error: {}", harmless(&format!("{error:#}")));
    }
    Ok(summary.is_success() && judged.is_success())
}

/// Sends one request, or the same request twice. Returns whether every answer was a 2xx.
async fn once(client: &Client, request: &Request, arguments: &Arguments) -> anyhow::Result<bool> {
    let mut success = true;
    let mut results = Vec::new();
    if !arguments.json {
        say(&describe_request(request))?;
    }
    for _ in 0..=u8::from(arguments.repeat) {
        let answer = client.post(request).await;
        success &= answer.as_ref().is_ok_and(|it| it.status.is_success());
        if arguments.json {
            results.push(result_json(request, &answer));
        } else {
            say(&describe_answer(&answer?))?;
        }
    }
    match results.as_slice() {
        [] => {}
        [result] => say_json(result)?,
        _ => say_json(&json!(results))?,
    }
    Ok(success)
}

fn describe_request(request: &Request) -> String {
    let mut text = format!("POST {}\n", request.url);
    for (name, value) in &request.headers {
        text.push_str(&format!("{name}: {value}\n"));
    }
    text.push_str(&format!("\n{}\n", readable(&request.body)));
    harmless(&text)
}

fn describe_answer(answer: &Answer) -> String {
    let milliseconds = answer.duration.as_secs_f64() * 1000.0;
    let mut text = format!("\n{} in {milliseconds:.1} ms\n", answer.status);
    for (name, value) in headers_of_interest(answer) {
        text.push_str(&format!("{name}: {value}\n"));
    }
    if !answer.body.is_empty() {
        text.push_str(&format!("\n{}\n", readable(&answer.body)));
    }
    harmless(&text)
}

fn result_json(request: &Request, answer: &anyhow::Result<Answer>) -> Value {
    let headers: serde_json::Map<_, _> = request
        .headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), json!(value)))
        .collect();
    let mut result = json!({
        "request": {
            "method": "POST",
            "url": request.url.to_string(),
            "headers": headers,
            "body": String::from_utf8_lossy(&request.body),
        },
    });
    match answer {
        Ok(answer) => {
            let body = String::from_utf8_lossy(&answer.body);
            let headers: serde_json::Map<_, _> = headers_of_interest(answer)
                .map(|(name, value)| (name, json!(value)))
                .collect();
            result["answer"] = json!({
                "status": answer.status.as_u16(),
                "headers": headers,
                "body": serde_json::from_str(&body).unwrap_or_else(|_| json!(body)),
                "duration_ms": milliseconds(answer.duration),
            });
        }
        Err(error) => result["error"] = json!(format!("{error:#}")),
    }
    result
}

/// The headers that explain the answer, and those that support asks for.
fn headers_of_interest(answer: &Answer) -> impl Iterator<Item = (String, String)> {
    [
        CONTENT_TYPE,
        RETRY_AFTER,
        LOCATION,
        HeaderName::from_static("apigw-requestid"),
        HeaderName::from_static("x-amzn-requestid"),
        HeaderName::from_static("x-amzn-errortype"),
        HeaderName::from_static("x-amzn-trace-id"),
    ]
    .into_iter()
    .filter_map(|name| {
        let value = answer.headers.get(&name)?;
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        Some((name.to_string(), value))
    })
}

/// Milliseconds, with microseconds as decimals.
fn milliseconds(duration: std::time::Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Send {
        #[command(flatten)]
        arguments: Arguments,
    }

    const SECRET: [&str; 2] = ["--secret", "s"];

    fn arguments(given: &[&str]) -> Arguments {
        let all = ["send"].iter().chain(given).chain(&SECRET);
        Send::try_parse_from(all).unwrap().arguments
    }

    fn draft(given: &[&str]) -> anyhow::Result<Draft> {
        let now = Timestamp::from_second(1_900_000_000).unwrap();
        Draft::new(&arguments(given), now)
    }

    #[track_caller]
    fn check_url(given: &[&str], expected: &str) {
        let all = [&["zupy-coupon-used"], given].concat();
        assert_eq!(draft(&all).unwrap().url.to_string(), expected);
    }

    #[test]
    fn a_base_gets_the_route_and_an_endpoint_stays() {
        check_url(&[], "http://127.0.0.1:3000/webhooks/zupy/coupon-used");
        check_url(
            &["--port", "4000"],
            "http://127.0.0.1:4000/webhooks/zupy/coupon-used",
        );
        for base in [
            "https://a.example",
            "https://a.example/",
            "https://a.example/webhooks",
        ] {
            check_url(
                &["--url", base],
                "https://a.example/webhooks/zupy/coupon-used",
            );
        }
        check_url(
            &["--url", "https://a.example/webhooks/zupy"],
            "https://a.example/webhooks/zupy",
        );
        check_url(
            &["--url", "https://a.example/x?y=1"],
            "https://a.example/x?y=1",
        );
    }

    #[test]
    fn a_sample_as_dated_keeps_its_bytes() {
        for sample in SAMPLES {
            let draft = draft(&[sample.name, "--as-dated"]).unwrap();
            assert_eq!(draft.body, sample.body.as_bytes());
        }
    }

    #[test]
    fn a_sample_is_dated_now_wherever_it_goes() {
        let elsewhere: &[&str] = &["--url", "https://a.example"];
        for given in [&[][..], elsewhere] {
            let draft = draft(&[&["zupy-coupon-redeemed"], given].concat()).unwrap();
            let body: Value = serde_json::from_slice(&draft.body).unwrap();
            assert_eq!(body["timestamp"], "2030-03-17T17:46:40Z");
            assert_eq!(body["coupon"]["expires_at"], "2030-04-18T14:20:00Z");
        }
    }

    #[test]
    fn edits_come_in_their_order_and_after_the_times() {
        let draft = draft(&[
            "zupy-coupon-redeemed",
            "--now",
            "--set",
            "coupon.expires_at=2020-01-01T00:00:00Z",
            "--set",
            "coupon.points_spent=1",
            "--set",
            "coupon.points_spent=2",
            "--unset",
            "customer.tier",
        ])
        .unwrap();
        let body: Value = serde_json::from_slice(&draft.body).unwrap();
        assert_eq!(body["timestamp"], "2030-03-17T17:46:40Z");
        assert_eq!(body["coupon"]["expires_at"], "2020-01-01T00:00:00Z");
        assert_eq!(body["coupon"]["points_spent"], 2);
        assert_eq!(body["customer"].get("tier"), None);
        let names: Vec<_> = body.as_object().unwrap().keys().take(3).collect();
        assert_eq!(names, ["event", "timestamp", "company_id"]);
    }

    #[test]
    fn aghanim_signs_at_the_time_of_its_body_unless_it_is_now() {
        let signed_at = |given: &[&str]| {
            let all = [&["aghanim-coupon-redeemed"], given].concat();
            let draft = draft(&all).unwrap();
            let request = draft.sign(draft.body.clone());
            assert_eq!(request.headers[1].0, "X-Aghanim-Signature-Timestamp");
            request.headers[1].1.clone()
        };
        let elsewhere = ["--url", "https://a.example"];
        assert_eq!(signed_at(&[]), "1900000000");
        assert_eq!(signed_at(&["--now"]), "1900000000");
        assert_eq!(signed_at(&["--as-dated"]), "1725548450");
        assert_eq!(signed_at(&elsewhere), "1900000000");
        assert_eq!(
            signed_at(&[elsewhere.as_slice(), &["--as-dated"]].concat()),
            "1725548450"
        );
    }

    #[test]
    fn a_file_is_sent_byte_for_byte_and_its_sample_gives_the_route() {
        let folder = std::env::temp_dir().join(format!("coupons-send-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("body");
        std::fs::write(&file, b"\xff not JSON").unwrap();
        let path = file.to_str().unwrap();
        let given = ["zupy-coupon-used", "--file", path];
        let sent = draft(&[given.as_slice(), &["--url", "https://a.example"]].concat());
        let edited = draft(&[given.as_slice(), &["--set", "a=1"]].concat());
        std::fs::remove_dir_all(&folder).unwrap();
        let sent = sent.unwrap();
        assert_eq!(sent.body, b"\xff not JSON");
        assert_eq!(sent.url.path(), "/webhooks/zupy/coupon-used");
        let error = format!("{:#}", edited.unwrap_err());
        assert!(error.starts_with("the options edit the body, but it is not JSON: "));
    }

    #[test]
    fn an_unknown_sample_gets_the_list_of_samples() {
        let error = Send::try_parse_from(["send", "zupy"])
            .unwrap_err()
            .to_string();
        for sample in SAMPLES {
            assert!(error.contains(sample.name), "{error}");
        }
    }

    #[test]
    fn print_means_a_curl_command_unless_it_says_event() {
        let form = |given: &[&str]| arguments(&[&["zupy-coupon-used"], given].concat()).print;
        assert_eq!(form(&[]), None);
        assert_eq!(form(&["--print"]), Some(print::Form::Curl));
        assert_eq!(form(&["--print", "curl"]), Some(print::Form::Curl));
        assert_eq!(form(&["--print", "event"]), Some(print::Form::Event));
    }
}
