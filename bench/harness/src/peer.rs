//! The peer's process: its environment, its clock, its memory, its CPU allowance.
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde::Deserialize;

/// Lambda gives a function with this much memory in MB a whole core, and others a proportional
/// share.
const FULL_CORE_MB: u64 = 1769;
const PERIOD_US: u64 = 20_000;

#[derive(Deserialize, Clone)]
pub struct Spec {
    pub name: String,
    pub label: String,
    /// Program and arguments. A program with a slash is relative to the peer's folder.
    pub command: Vec<String>,
    #[serde(default)]
    pub handler: String,
    /// The peer answers 200 to everything and calls nothing: skip the checks of its behaviour.
    #[serde(default)]
    pub answers_only: bool,
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// The peer gets a third of the events, so that a round ends in time.
    #[serde(default)]
    pub slow: bool,
    /// The peer trusts the authorities in its binary, not those of the system.
    #[serde(default)]
    pub carries_roots: bool,
    /// The peer uses one endpoint for every service: `AWS_ENDPOINT_URL` without TLS. With TLS the
    /// peer gets no endpoint, and finds the stub under AWS's own names.
    #[serde(default)]
    pub one_endpoint: bool,
    /// The queues that get a message for each event, if they differ from `--queues`.
    #[serde(default)]
    pub queues: Option<Vec<String>>,
}

impl Spec {
    /// Whether the peer's program exists.
    pub fn is_built(&self, dist: &Path) -> bool {
        let dir = dist.join(&self.name);
        let program = &self.command[0];
        dir.exists() && (!program.contains('/') || dir.join(program).exists())
    }
}

/// Why the harness cannot limit a process to a share of a core here.
pub fn no_cpu_share() -> Option<String> {
    let (group, _) = cpu_group("probe", 20_000);
    let made = fs::create_dir(&group);
    let limited = made.and_then(|()| fs::metadata(group.join(quota_file())).map(drop));
    let _ = fs::remove_dir(&group);
    limited
        .err()
        .map(|error| format!("{}: {error}", group.display()))
}

fn is_unified() -> bool {
    Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}

fn quota_file() -> &'static str {
    if is_unified() {
        "cpu.max"
    } else {
        "cpu.cfs_quota_us"
    }
}

/// A control group, and the values of its files for a share of a core, in microseconds of each 20
/// ms.
fn cpu_group(name: &str, quota: u64) -> (PathBuf, Vec<(&'static str, String)>) {
    let name = format!("side-by-side-{name}");
    if is_unified() {
        let limit = format!("{quota} {PERIOD_US}");
        return (
            Path::new("/sys/fs/cgroup").join(name),
            vec![(quota_file(), limit)],
        );
    }
    let limits = vec![
        ("cpu.cfs_period_us", PERIOD_US.to_string()),
        (quota_file(), quota.to_string()),
    ];
    (Path::new("/sys/fs/cgroup/cpu").join(name), limits)
}

pub struct Peer {
    child: Child,
    group: Option<PathBuf>,
}

impl Peer {
    pub fn spawn(
        spec: &Spec,
        dist: &Path,
        env: &BTreeMap<String, String>,
        log: &Path,
    ) -> io::Result<Peer> {
        let dir = dist.join(&spec.name).canonicalize()?;
        let program = if spec.command[0].contains('/') {
            dir.join(&spec.command[0])
        } else {
            PathBuf::from(&spec.command[0])
        };
        let out = File::create(log)?;
        let mut command = Command::new(program);
        command
            .args(&spec.command[1..])
            .current_dir(&dir)
            .env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command
            .env("HOME", "/tmp")
            .env("LANG", "en_US.UTF-8")
            .env("TZ", ":UTC");
        command
            .env("LAMBDA_TASK_ROOT", &dir)
            .env("_HANDLER", &spec.handler);
        command.envs(env).envs(&spec.env);
        command
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out);
        Ok(Peer {
            child: command.spawn()?,
            group: None,
        })
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }

    /// User and system time of the whole process so far, including threads that have ended.
    pub fn cpu(&self) -> Duration {
        let mut clock: libc::clockid_t = 0;
        let mut time = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: both pointers are to live locals.
        let ok = unsafe {
            libc::clock_getcpuclockid(self.pid() as libc::pid_t, &mut clock) == 0
                && libc::clock_gettime(clock, &mut time) == 0
        };
        if ok {
            Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
        } else {
            Duration::ZERO
        }
    }

    fn status_kib(&self, field: &str) -> u64 {
        fs::read_to_string(format!("/proc/{}/status", self.pid()))
            .ok()
            .and_then(|s| {
                s.lines()
                    .find(|l| l.starts_with(field))
                    .and_then(|l| l.split_whitespace().nth(1).and_then(|v| v.parse().ok()))
            })
            .unwrap_or(0)
    }

    pub fn peak_rss_kib(&self) -> u64 {
        self.status_kib("VmHWM:")
    }

    pub fn ended(&mut self) -> Option<String> {
        self.child.try_wait().ok().flatten().map(|s| s.to_string())
    }

    /// Gives the process the CPU share that Lambda gives a function with this memory: 1 vCPU at
    /// 1,769 MB, in periods of 20 ms. Call this after init, which Lambda does not throttle.
    pub fn throttle(&mut self, memory_mb: u64) -> io::Result<()> {
        let quota = (PERIOD_US * memory_mb / FULL_CORE_MB).max(1000);
        let (group, writes) = cpu_group(&self.pid().to_string(), quota);
        fs::create_dir(&group)?;
        self.group = Some(group.clone());
        for (file, value) in writes {
            fs::write(group.join(file), value)?;
        }
        fs::write(group.join("cgroup.procs"), self.pid().to_string())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(group) = &self.group {
            for _ in 0..50 {
                if fs::remove_dir(group).is_ok() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }
}
