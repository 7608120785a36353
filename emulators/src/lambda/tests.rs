//! Lambda with real processes: the example `echo-function` does what each event says.

use std::path::Path;

use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::*;

/// Cargo builds the package's examples together with its tests, next to them.
fn echo_function() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let binary = test
        .parent()
        .and_then(Path::parent)
        .unwrap()
        .join("examples/echo-function");
    assert!(
        binary.exists(),
        "build the examples first: cargo build --package local --examples"
    );
    binary
}

pub(crate) fn echo() -> FunctionProcess {
    FunctionProcess {
        name: "echo".to_owned(),
        binary: echo_function(),
        timeout: Duration::from_secs(20),
        memory_mb: 128,
        environment: BTreeMap::from([("COLOR".to_owned(), "green".to_owned())]),
        credentials: Credentials {
            access_key_id: "AKIAECHO".to_owned(),
            secret_access_key: "secret".to_owned(),
            session_token: "token".to_owned(),
        },
    }
}

fn started(variable: &str) -> FunctionProcess {
    FunctionProcess {
        environment: BTreeMap::from([("START".to_owned(), variable.to_owned())]),
        ..echo()
    }
}

async fn lambda_with(options: Options, function: FunctionProcess) -> Lambda {
    let lambda = Lambda::open(options).await.unwrap();
    lambda.start(function).await.unwrap();
    lambda
}

async fn lambda() -> Lambda {
    lambda_with(Options::default(), echo()).await
}

fn event(payload: Value) -> Event {
    Event {
        payload: payload.to_string().into(),
        trigger: "test".to_owned(),
        trace: None,
    }
}

async fn invoke(lambda: &Lambda, payload: Value) -> Result<Value, Failure> {
    let answer = lambda.invoke("echo", event(payload)).await?;
    Ok(serde_json::from_slice(&answer).unwrap())
}

/// The process that serves now.
async fn process(lambda: &Lambda) -> u64 {
    invoke(lambda, json!({"do": "context"})).await.unwrap()["process"]
        .as_u64()
        .unwrap()
}

fn is_alive(process: u64) -> bool {
    Path::new(&format!("/proc/{process}")).exists()
}

#[tokio::test]
async fn hands_an_event_to_the_process_and_its_answer_back() {
    let lambda = lambda().await;
    assert_eq!(
        invoke(&lambda, json!({"coupon": "CP-1"})).await,
        Ok(json!({"coupon": "CP-1"}))
    );
    assert_eq!(lambda.running(), 0);
    let recent = lambda.recent();
    assert_eq!(recent.len(), 1);
    assert_eq!(
        (recent[0].status, recent[0].trigger.as_str()),
        (Status::Success, "test")
    );
    assert_eq!(
        recent[0].init_duration_ms, None,
        "it had been started before"
    );
    lambda.stop().await;
}

#[tokio::test]
async fn gives_the_function_its_context_as_lambda_does() {
    let lambda = lambda().await;
    let trace = "Root=1-5fff599f-6fca6ee66e37fe5e518eb45b";
    let event = Event {
        trace: Some(trace.to_owned()),
        ..event(json!({"do": "context"}))
    };
    let before = Timestamp::now().as_millisecond();
    let answer: Value =
        serde_json::from_slice(&lambda.invoke("echo", event).await.unwrap()).unwrap();
    assert_eq!(answer["request_id"], lambda.recent()[0].request_id);
    assert_eq!(
        answer["arn"],
        "arn:aws:lambda:us-east-1:000000000000:function:echo"
    );
    assert!(answer["deadline"].as_i64().unwrap() >= before + 20_000);
    let given = answer["trace"].as_str().unwrap();
    assert!(
        given.starts_with(trace) && given.contains(";Parent=") && given.ends_with(";Sampled=0"),
        "{given}"
    );
    assert_eq!(answer["color"], "green");
    assert_eq!(
        answer["home"], false,
        "the function must not find a person's AWS configuration"
    );
    lambda.stop().await;
}

#[tokio::test]
async fn an_idle_process_serves_again() {
    let lambda = lambda().await;
    let first = process(&lambda).await;
    for _ in 0..20 {
        assert_eq!(process(&lambda).await, first);
    }
    lambda.stop().await;
}

#[tokio::test]
async fn reports_the_error_that_a_function_answers_and_keeps_its_process() {
    let lambda = lambda().await;
    let process_before = process(&lambda).await;
    let failure = invoke(&lambda, json!({"do": "fail", "message": "no such table"}))
        .await
        .unwrap_err();
    assert_eq!(
        (failure.status, failure.message.as_str()),
        (Status::Error, "no such table")
    );
    assert_eq!(process(&lambda).await, process_before);
    lambda.stop().await;
}

#[tokio::test]
async fn two_invocations_run_at_once_in_two_processes() {
    let lambda = lambda().await;
    let directory = tempfile::tempdir().unwrap();
    let meet = json!({"do": "meet", "in": directory.path()});
    let (one, other) = tokio::join!(invoke(&lambda, meet.clone()), invoke(&lambda, meet));
    assert_eq!((one, other), (Ok(Value::Null), Ok(Value::Null)));
    let cold_starts = lambda
        .recent()
        .iter()
        .filter(|invocation| invocation.init_duration_ms.is_some())
        .count();
    assert_eq!(cold_starts, 1);
    lambda.stop().await;
}

#[tokio::test]
async fn invocations_beyond_the_limit_wait_in_order() {
    let options = Options {
        maximum_processes: 1,
        ..Options::default()
    };
    let lambda = lambda_with(options, echo()).await;
    let numbered = |number| invoke(&lambda, json!({"do": "print", "line": number}));
    let (one, two, three) = tokio::join!(numbered("one"), numbered("two"), numbered("three"));
    assert!(one.is_ok() && two.is_ok() && three.is_ok());
    lambda.stop().await;
    let lines: Vec<_> = lambda
        .logs("echo")
        .into_iter()
        .map(|line| line.line)
        .collect();
    assert_eq!(lines, ["one", "two", "three"]);
}

#[tokio::test]
async fn an_invocation_whose_caller_stopped_waiting_does_not_begin() {
    let options = Options {
        maximum_processes: 1,
        ..Options::default()
    };
    let lambda = lambda_with(options, echo()).await;
    let hanging = tokio::spawn({
        let lambda = lambda.clone();
        async move { invoke(&lambda, json!({"do": "hang"})).await }
    });
    while lambda.running() == 0 {
        tokio::task::yield_now().await;
    }
    let given_up = tokio::time::timeout(
        Duration::from_millis(20),
        invoke(&lambda, json!({"do": "print", "line": "late"})),
    );
    assert!(given_up.await.is_err());
    while lambda.kill("echo") == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(hanging.await.unwrap().unwrap_err().status, Status::Crashed);
    invoke(&lambda, json!({"do": "print", "line": "on time"}))
        .await
        .unwrap();
    lambda.idle().await;
    lambda.stop().await;
    let lines: Vec<_> = lambda
        .logs("echo")
        .into_iter()
        .map(|line| line.line)
        .collect();
    assert_eq!(lines, ["on time"]);
}

#[tokio::test]
async fn an_invocation_that_takes_too_long_fails_and_its_process_is_replaced() {
    let function = FunctionProcess {
        timeout: Duration::from_millis(500),
        ..echo()
    };
    let lambda = lambda_with(Options::default(), function).await;
    let before = process(&lambda).await;
    let failure = invoke(&lambda, json!({"do": "hang"})).await.unwrap_err();
    assert_eq!(
        (failure.status, failure.error_type.as_str()),
        (Status::Timeout, "Sandbox.Timedout")
    );
    assert!(
        failure
            .message
            .ends_with("Task timed out after 0.50 seconds"),
        "{}",
        failure.message
    );
    assert!(!is_alive(before));
    assert_ne!(process(&lambda).await, before);
    assert!(lambda.recent().last().unwrap().init_duration_ms.is_some());
    lambda.stop().await;
}

#[tokio::test]
async fn a_process_that_dies_during_an_invocation_fails_it_and_is_replaced() {
    let lambda = lambda().await;
    let failure = invoke(&lambda, json!({"do": "exit"})).await.unwrap_err();
    assert_eq!(
        (failure.status, failure.error_type.as_str()),
        (Status::Crashed, "Runtime.ExitError")
    );
    assert!(
        failure
            .message
            .ends_with("Runtime exited with error: exit status: 4"),
        "{}",
        failure.message
    );
    let last = lambda.logs("echo").pop().unwrap();
    assert_eq!(last.to_string(), "echo: out of memory");
    assert_eq!(
        last.request_id.as_ref(),
        lambda
            .recent()
            .last()
            .map(|invocation| &invocation.request_id)
    );
    assert_eq!(invoke(&lambda, json!(1)).await, Ok(json!(1)));
    lambda.stop().await;
}

#[tokio::test]
async fn a_process_that_died_while_idle_is_replaced_when_it_is_needed() {
    let lambda = lambda().await;
    invoke(&lambda, json!({"do": "exit-later"})).await.unwrap();
    let mut processes = lambda.shared.processes.subscribe();
    processes.wait_for(|count| *count == 0).await.unwrap();
    assert_eq!(invoke(&lambda, json!(1)).await, Ok(json!(1)));
    lambda.stop().await;
}

#[tokio::test]
async fn kills_only_a_process_that_runs_an_invocation() {
    let lambda = lambda().await;
    let before = process(&lambda).await;
    assert_eq!(lambda.kill("echo"), 0);
    let kill = async {
        while lambda.kill("echo") == 0 {
            tokio::task::yield_now().await;
        }
    };
    let (failure, ()) = tokio::join!(invoke(&lambda, json!({"do": "hang"})), kill);
    let failure = failure.unwrap_err();
    assert!(failure.message.contains("SIGKILL"), "{}", failure.message);
    assert_ne!(process(&lambda).await, before);
    lambda.stop().await;
}

#[tokio::test]
async fn a_function_that_ends_at_its_start_is_reported_with_its_last_words() {
    let lambda = Lambda::open(Options::default()).await.unwrap();
    let error = lambda.start(started("fail")).await.unwrap_err().to_string();
    assert_eq!(
        error,
        "function `echo` did not start: its process ended before it asked for its first event \
         (exit status: 3); \
         it printed last:\n  the table's name is missing"
    );
    lambda.stop().await;
}

#[tokio::test]
async fn a_function_that_never_asks_for_an_event_is_reported() {
    let options = Options {
        init_timeout: Duration::from_millis(200),
        ..Options::default()
    };
    let lambda = Lambda::open(options).await.unwrap();
    let error = lambda.start(started("hang")).await.unwrap_err().to_string();
    assert!(
        error.contains("it did not ask for its first event within 0.2 s"),
        "{error}"
    );
    lambda.stop().await;
}

#[tokio::test]
async fn a_binary_that_is_not_there_is_named() {
    let lambda = Lambda::open(Options::default()).await.unwrap();
    let function = FunctionProcess {
        binary: "/nowhere/echo".into(),
        ..echo()
    };
    let error = lambda.start(function).await.unwrap_err().to_string();
    assert!(
        error.contains("cannot run /nowhere/echo: No such file"),
        "{error}"
    );
    lambda.stop().await;
}

#[tokio::test]
async fn an_answer_above_the_limit_fails_and_the_process_serves_on() {
    let lambda = lambda().await;
    let before = process(&lambda).await;
    let failure = invoke(&lambda, json!({"do": "large"})).await.unwrap_err();
    assert_eq!(failure.error_type, "Function.ResponseSizeTooLarge");
    assert_eq!(process(&lambda).await, before);
    lambda.stop().await;
}

#[tokio::test]
async fn an_event_above_the_limit_is_refused() {
    let lambda = lambda().await;
    let failure = invoke(&lambda, json!("x".repeat(MAXIMUM_PAYLOAD_BYTES)))
        .await
        .unwrap_err();
    assert!(failure.is_event_too_large(), "{failure}");
    lambda.stop().await;
}

#[tokio::test]
async fn passes_on_each_line_that_a_function_prints() {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let options = Options {
        log_output: Some({
            let lines = lines.clone();
            Arc::new(move |line| lines.lock().unwrap().push(line.to_string()))
        }),
        ..Options::default()
    };
    let lambda = lambda_with(options, echo()).await;
    invoke(&lambda, json!({"do": "print", "line": "ERROR one\ntwo"}))
        .await
        .unwrap();
    lambda.stop().await;
    assert_eq!(*lines.lock().unwrap(), ["echo: ERROR one", "echo: two"]);
}

#[tokio::test]
async fn stop_ends_every_process_and_fails_what_runs_or_waits() {
    let options = Options {
        maximum_processes: 1,
        ..Options::default()
    };
    let lambda = lambda_with(options, echo()).await;
    let process = process(&lambda).await;
    let hang = || invoke(&lambda, json!({"do": "hang"}));
    let stop = async {
        while lambda.running() < 2 {
            tokio::task::yield_now().await;
        }
        lambda.stop().await;
    };
    let (running, waiting, ()) = tokio::join!(hang(), hang(), stop);
    assert_eq!(
        (running, waiting),
        (Err(Failure::stopped()), Err(Failure::stopped()))
    );
    assert!(!is_alive(process));
    assert_eq!(lambda.running(), 0);
    assert_eq!(invoke(&lambda, json!(1)).await, Err(Failure::stopped()));
}

#[tokio::test]
async fn a_process_ends_by_itself_when_the_runtime_api_is_gone() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut orphan = tokio::process::Command::new(echo_function())
        .env(
            "AWS_LAMBDA_RUNTIME_API",
            format!("http://{}/echo/1", listener.local_addr().unwrap()),
        )
        .env("AWS_LAMBDA_FUNCTION_NAME", "echo")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
        .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
        .stderr(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let asked = tokio::time::timeout(Duration::from_secs(10), listener.accept()).await;
    let (connection, _) = asked.expect("it asks").unwrap();
    drop(listener);
    drop(connection);
    let status = tokio::time::timeout(Duration::from_secs(10), orphan.wait()).await;
    assert!(!status.expect("it ends").unwrap().success());
}

#[tokio::test]
async fn a_held_value_counts_as_running() {
    let lambda = Lambda::open(Options::default()).await.unwrap();
    let held = lambda.hold();
    let clone = held.clone();
    assert_eq!(lambda.running(), 1);
    drop(held);
    assert_eq!(lambda.running(), 1);
    drop(clone);
    lambda.idle().await;
    lambda.stop().await;
}

#[test]
fn a_request_id_is_a_version_4_uuid() {
    let id = request_id();
    let parts: Vec<_> = id.split('-').map(str::len).collect();
    assert_eq!(parts, [8, 4, 4, 4, 12], "{id}");
    assert_eq!(&id[14..15], "4", "{id}");
    assert!("89ab".contains(&id[19..20]), "{id}");
}
