//! One function process: its environment variables, its output, its end.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use super::pool::Function;
use super::{FunctionProcess, LogLine, LogOutput, Options, REGION, lock, session_token};
use crate::clock::Clock;

/// A longer line becomes several; CloudWatch Logs has the same limit.
const MAXIMUM_LINE_BYTES: u64 = 256 * 1024;

/// Variables that the process inherits: those that a program needs for running and for
/// measurements.
///
/// `HOME` is absent, so that a function does not find a person's AWS configuration.
/// `RUST_BACKTRACE` is absent because Lambda does not set it, and a backtrace would bury the error
/// that ends a function.
const INHERITED: [&str; 4] = ["PATH", "TMPDIR", "LD_LIBRARY_PATH", "LLVM_PROFILE_FILE"];

/// How long to read on after a process has ended. Its pipes close then, unless the process left
/// children behind.
const LAST_WORDS_TIMEOUT: Duration = Duration::from_secs(1);

pub(super) struct Process {
    pub(super) child: Child,
    /// The latest invocation of the process, which marks the lines that it prints.
    request_id: Arc<Mutex<Option<String>>>,
    readers: Vec<JoinHandle<()>>,
}

impl Process {
    pub(super) fn start(
        function: &Arc<Function>,
        instance: u64,
        runtime_api: &str,
        options: &Options,
        now: Timestamp,
    ) -> Result<Process, String> {
        let configuration = &function.process;
        let cannot_start =
            |error| format!("cannot run {}: {error}", configuration.binary.display());
        // The child has another working directory, in which a relative path would be wrong.
        let binary = std::path::absolute(&configuration.binary).map_err(cannot_start)?;
        let task_root = binary.parent().unwrap_or(Path::new("/"));
        let mut command = Command::new(&binary);
        command.env_clear();
        command.envs(
            INHERITED
                .iter()
                .filter_map(|name| Some((name, std::env::var_os(name)?))),
        );
        command.envs(variables(configuration, runtime_api, now));
        let ahead_ms = options.clock.ahead().as_millis();
        if let Some(variable) = options.ahead_variable
            && ahead_ms > 0
        {
            command.env(variable, ahead_ms.to_string());
        }
        let token = &configuration.credentials.session_token;
        command
            .env("AWS_SESSION_TOKEN", session_token(token, instance))
            .env("LAMBDA_TASK_ROOT", task_root)
            .current_dir(task_root);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // In a process group of its own, a function does not get the terminal's Ctrl-C. The system
        // ends the functions in order.
        command.process_group(0).kill_on_drop(true);
        let mut child = command.spawn().map_err(cannot_start)?;

        let request_id = Arc::<Mutex<Option<String>>>::default();
        let reader = || LineReader {
            function: function.clone(),
            instance,
            request_id: request_id.clone(),
            output: options.log_output.clone(),
            clock: options.clock.clone(),
        };
        let stdout = child
            .stdout
            .take()
            .map(|pipe| tokio::spawn(reader().read(pipe)));
        let stderr = child
            .stderr
            .take()
            .map(|pipe| tokio::spawn(reader().read(pipe)));
        Ok(Process {
            child,
            readers: stdout.into_iter().chain(stderr).collect(),
            request_id,
        })
    }

    pub(super) fn is_given(&self, request_id: &str) {
        *lock(&self.request_id) = Some(request_id.to_owned());
    }

    /// Kills the process, unless it has ended, and reads the rest of its output.
    pub(super) async fn end(&mut self) -> Option<ExitStatus> {
        // The kill only fails if the process has ended.
        let _ = self.child.start_kill();
        let status = self.child.wait().await;
        for mut reader in self.readers.drain(..) {
            if tokio::time::timeout(LAST_WORDS_TIMEOUT, &mut reader)
                .await
                .is_err()
            {
                reader.abort();
            }
        }
        status.ok()
    }
}

/// Lambda's variables and the function's own. A function may replace some of Lambda's variables,
/// but not the reserved ones.
fn variables(
    function: &FunctionProcess,
    runtime_api: &str,
    now: Timestamp,
) -> BTreeMap<String, String> {
    let name = function.name.as_str();
    let log_group = format!("/aws/lambda/{name}");
    let log_stream = format!(
        "{}/[$LATEST]{:032x}",
        now.strftime("%Y/%m/%d"),
        fastrand::u128(..)
    );
    let memory_mb = function.memory_mb.to_string();
    let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let replaceable = [
        ("AWS_LAMBDA_LOG_FORMAT", "Text"),
        ("LANG", "en_US.UTF-8"),
        ("TZ", ":UTC"),
    ];
    let reserved = [
        ("_HANDLER", "bootstrap"),
        ("AWS_ACCESS_KEY_ID", &function.credentials.access_key_id),
        ("AWS_DEFAULT_REGION", REGION),
        ("AWS_EXECUTION_ENV", "AWS_Lambda_provided.al2023"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", &memory_mb),
        ("AWS_LAMBDA_FUNCTION_NAME", name),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", &log_group),
        ("AWS_LAMBDA_LOG_STREAM_NAME", &log_stream),
        ("AWS_LAMBDA_RUNTIME_API", runtime_api),
        ("AWS_REGION", REGION),
        (
            "AWS_SECRET_ACCESS_KEY",
            &function.credentials.secret_access_key,
        ),
    ];
    let mut variables: BTreeMap<_, _> = replaceable.into_iter().map(own).collect();
    variables.extend(function.environment.clone());
    variables.extend(reserved.into_iter().map(own));
    variables
}

struct LineReader {
    function: Arc<Function>,
    instance: u64,
    request_id: Arc<Mutex<Option<String>>>,
    output: Option<LogOutput>,
    clock: Clock,
}

impl LineReader {
    async fn read(self, pipe: impl AsyncRead + Unpin) {
        let mut pipe = BufReader::new(pipe);
        let mut bytes = Vec::new();
        loop {
            bytes.clear();
            let read = (&mut pipe)
                .take(MAXIMUM_LINE_BYTES)
                .read_until(b'\n', &mut bytes)
                .await;
            if !read.is_ok_and(|count| count > 0) {
                return;
            }
            let line = LogLine {
                function: self.function.process.name.clone(),
                at: format!("{:.3}", self.clock.now()),
                request_id: lock(&self.request_id).clone(),
                line: String::from_utf8_lossy(&bytes)
                    .trim_end_matches(['\r', '\n'])
                    .to_owned(),
                instance: self.instance,
            };
            if let Some(output) = &self.output {
                output(&line);
            }
            self.function.log(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lambda::Credentials;

    fn function(environment: &[(&str, &str)]) -> FunctionProcess {
        FunctionProcess {
            name: "delivery".to_owned(),
            binary: "delivery".into(),
            timeout: Duration::from_secs(3),
            memory_mb: 256,
            environment: environment
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_string()))
                .collect(),
            credentials: Credentials {
                access_key_id: "AKIDELIVERY".to_owned(),
                secret_access_key: "secret".to_owned(),
                session_token: "token".to_owned(),
            },
        }
    }

    fn check(environment: &[(&str, &str)], name: &str, expected: &str) {
        let now: Timestamp = "2026-11-05T10:00:00Z".parse().unwrap();
        let variables = variables(
            &function(environment),
            "http://127.0.0.1:9001/delivery/1",
            now,
        );
        assert_eq!(
            variables.get(name).map(String::as_str),
            Some(expected),
            "{name}"
        );
    }

    #[test]
    fn sets_what_lambda_sets() {
        check(&[], "AWS_LAMBDA_FUNCTION_NAME", "delivery");
        check(&[], "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256");
        check(
            &[],
            "AWS_LAMBDA_RUNTIME_API",
            "http://127.0.0.1:9001/delivery/1",
        );
        check(&[], "AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/delivery");
        check(&[], "AWS_ACCESS_KEY_ID", "AKIDELIVERY");
        check(&[], "TZ", ":UTC");
    }

    #[test]
    fn the_template_sets_its_own_variables_and_may_change_the_log_format() {
        check(&[("EVENTS_TABLE", "events")], "EVENTS_TABLE", "events");
        check(
            &[("AWS_LAMBDA_LOG_FORMAT", "JSON")],
            "AWS_LAMBDA_LOG_FORMAT",
            "JSON",
        );
    }

    #[test]
    fn the_template_cannot_replace_a_reserved_variable() {
        check(
            &[("AWS_LAMBDA_FUNCTION_NAME", "other")],
            "AWS_LAMBDA_FUNCTION_NAME",
            "delivery",
        );
    }
}
