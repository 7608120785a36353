//! Builds the functions' binaries with cargo.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal};
use serde::Deserialize;
use tokio::process::Command;

/// Builds the packages of `selection` (cargo's own arguments) in a workspace, and returns the path
/// of each function's binary. Cargo shows its progress on stderr; with `quiet`, only if it fails.
/// Dropping the future ends cargo.
///
/// # Errors
///
/// Cargo is not installed or fails, or a function has no binary with the function's name.
pub async fn build(
    workspace: &Path,
    functions: &[String],
    selection: &[String],
    quiet: bool,
) -> anyhow::Result<BTreeMap<String, PathBuf>> {
    // Cargo passes its own path to the programs that it runs. The same toolchain must build.
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    build_with(&cargo, workspace, functions, selection, quiet).await
}

async fn build_with(
    cargo: &OsStr,
    workspace: &Path,
    functions: &[String],
    selection: &[String],
    quiet: bool,
) -> anyhow::Result<BTreeMap<String, PathBuf>> {
    let mut command = Command::new(cargo);
    command
        .current_dir(workspace)
        .args(["build", "--message-format=json-render-diagnostics"])
        .args(selection)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(if quiet {
            Stdio::piped()
        } else {
            Stdio::inherit()
        })
        // A process group lets us also end the compilers that cargo starts.
        .process_group(0)
        .kill_on_drop(true);
    // `cargo run` sets these variables. Build scripts depend on them, and would run again after
    // each change.
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(is_of_the_running_package) {
            command.env_remove(name);
        }
    }
    let output = output(&mut command).await.map_err(|error| match error.kind() {
        ErrorKind::NotFound => anyhow::anyhow!(
            "cannot run {} in {}: install Rust from https://rustup.rs, or check that the folder \
             exists",
            cargo.display(),
            workspace.display()
        ),
        _ => anyhow::Error::new(error).context(format!("running {}", cargo.display())),
    })?;
    if !output.status.success() {
        // If stderr is closed, the error below still says the same in short.
        let _ = std::io::stderr().write_all(&output.stderr);
        bail!(
            "cargo could not build the functions ({}); its messages are above",
            output.status
        );
    }
    let built = executables(&String::from_utf8_lossy(&output.stdout));
    functions
        .iter()
        .map(|function| {
            let binary = built.get(function).with_context(|| {
                format!(
                    "no package has a binary named `{function}`; a function's package and \
                     binary must have its name"
                )
            })?;
            Ok((function.clone(), binary.clone()))
        })
        .collect()
}

fn is_of_the_running_package(variable: &str) -> bool {
    let of_package = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"];
    of_package.iter().any(|prefix| variable.starts_with(prefix))
        || ["CARGO_CRATE_NAME", "CARGO_PRIMARY_PACKAGE"].contains(&variable)
}

async fn output(command: &mut Command) -> std::io::Result<Output> {
    let process = command.spawn()?;
    let mut group = Group(process.id().and_then(|id| Pid::from_raw(id.cast_signed())));
    let output = process.wait_with_output().await;
    // The process has ended by itself, and another process may have its number now.
    group.0 = None;
    output
}

/// A process with all its descendants; dropping this value kills them.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            // Killing can only fail if no process is left.
            let _ = rustix::process::kill_process_group(pid, Signal::KILL);
        }
    }
}

/// Finds existing binaries; each has its function's name.
pub fn in_directory(
    directory: &Path,
    functions: &[String],
) -> anyhow::Result<BTreeMap<String, PathBuf>> {
    functions
        .iter()
        .map(|function| {
            let binary = directory
                .join(function)
                .canonicalize()
                .with_context(|| format!("{} holds no binary {function}", directory.display()))?;
            Ok((function.clone(), binary))
        })
        .collect()
}

#[derive(Deserialize)]
struct Message {
    reason: String,
    target: Option<Target>,
    profile: Option<Profile>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Profile {
    /// Whether the binary is the crate's unit tests.
    test: bool,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

/// The binaries in cargo's messages, by name.
fn executables(messages: &str) -> BTreeMap<String, PathBuf> {
    let artifacts = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Message>(line).ok())
        .filter(|message| message.reason == "compiler-artifact")
        .filter(|message| !message.profile.as_ref().is_some_and(|profile| profile.test));
    let binaries = artifacts.filter_map(|artifact| {
        let target = artifact
            .target
            .filter(|target| target.kind.iter().any(|kind| kind == "bin"))?;
        Some((target.name, artifact.executable?))
    });
    binaries.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cargo() -> std::ffi::OsString {
        std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
    }

    fn package(main: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let manifest = "[package]\nname = \"delivery\"\nedition = \"2024\"\n[workspace]\n";
        std::fs::write(folder.path().join("Cargo.toml"), manifest).unwrap();
        std::fs::create_dir(folder.path().join("src")).unwrap();
        std::fs::write(folder.path().join("src/main.rs"), main).unwrap();
        folder
    }

    fn packages(names: &[&str]) -> (Vec<String>, Vec<String>) {
        let functions = names.iter().map(|&name| name.to_owned()).collect();
        let selection = names.iter().map(|name| format!("--package={name}"));
        (functions, selection.collect())
    }

    async fn check_error(cargo: &OsStr, folder: &Path, package: &str, expected: &str) {
        let (functions, selection) = packages(&[package]);
        let error = build_with(cargo, folder, &functions, &selection, true)
            .await
            .unwrap_err();
        assert!(format!("{error:#}").contains(expected), "{error:#}");
    }

    #[tokio::test]
    async fn builds_a_package_and_returns_the_path_of_its_binary() {
        let folder = package("fn main() {}");
        let (functions, selection) = packages(&["delivery"]);
        let built = build_with(&cargo(), folder.path(), &functions, &selection, true)
            .await
            .unwrap();
        let run = Command::new(&built["delivery"]).status().await.unwrap();
        assert!(run.success());
    }

    #[tokio::test]
    async fn a_build_that_fails_is_an_error() {
        let folder = package("fn main() {");
        let expected = "cargo could not build the functions";
        check_error(&cargo(), folder.path(), "delivery", expected).await;
    }

    #[tokio::test]
    async fn a_package_that_is_not_there_is_an_error() {
        let folder = package("fn main() {}");
        let expected = "cargo could not build the functions";
        check_error(&cargo(), folder.path(), "surveys", expected).await;
    }

    #[tokio::test]
    async fn a_function_without_a_binary_is_an_error() {
        let folder = package("fn main() {}");
        let functions = ["surveys".to_owned()];
        let error = build_with(&cargo(), folder.path(), &functions, &[], true).await;
        let error = format!("{:#}", error.unwrap_err());
        assert!(
            error.contains("no package has a binary named `surveys`"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_missing_cargo_is_named() {
        let cargo = OsStr::new("/nowhere/cargo");
        check_error(
            cargo,
            Path::new("/"),
            "delivery",
            "cannot run /nowhere/cargo",
        )
        .await;
    }

    #[test]
    fn reads_binaries_from_cargos_messages() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","target":{"kind":["lib"],"name":"webhooks"},"executable":null}"#,
            "\nnot JSON\n",
            r#"{"reason":"compiler-artifact","target":{"kind":["example"],"name":"zupy"},"executable":"/t/examples/zupy"}"#,
            "\n",
            r#"{"reason":"compiler-artifact","target":{"kind":["bin"],"name":"zupy"},"profile":{"test":false},"executable":"/t/zupy"}"#,
            "\n",
            r#"{"reason":"compiler-artifact","target":{"kind":["bin"],"name":"zupy"},"profile":{"test":true},"executable":"/t/deps/zupy-1"}"#,
            "\n",
            r#"{"reason":"build-finished","success":true}"#,
        );
        let expected = BTreeMap::from([("zupy".to_owned(), PathBuf::from("/t/zupy"))]);
        assert_eq!(executables(messages), expected);
    }
}
