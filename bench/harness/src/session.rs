//! One peer's process and its events.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::backend::Backend;
use crate::events;
use crate::names;
use crate::options::{Options, QUEUES};
use crate::peer::{Peer, Spec};
use crate::runtime::{Handed, Note, RuntimeApi};
use crate::tls::{self, Trust};

const SILENT_FOR: Duration = Duration::from_secs(60);

/// The settings that all peers share.
pub struct Setting<'a> {
    pub options: &'a Options,
    pub backend: Backend,
    trust: Option<Trust>,
    /// Whether the stub has AWS's own names.
    named: bool,
}

/// The selected peers, and the stub for them.
pub fn prepare(o: &Options) -> Result<(Vec<Spec>, Setting<'_>), String> {
    let fail = |e: &dyn std::fmt::Display| format!("{}: {e}", o.peers.display());
    let text = fs::read_to_string(&o.peers).map_err(|e| fail(&e))?;
    let mut specs: Vec<Spec> = serde_json::from_str(&text).map_err(|e| fail(&e))?;
    specs.retain(|it| o.only.is_empty() || o.only.contains(&it.name));
    for missing in specs.extract_if(.., |it| !it.is_built(&o.dist)) {
        eprintln!("skipped: {} is not built", missing.name);
    }
    if specs.is_empty() {
        return Err("there is no such peer, or it is not built".into());
    }
    fs::create_dir_all(o.out.join("logs")).map_err(|e| e.to_string())?;
    let (server, trust) = match o.tls {
        true => tls::prepare(&o.out).map(|(server, trust)| (Some(server), Some(trust)))?,
        false => (None, None),
    };
    let mut named = o.tls;
    if named && let Err(error) = names::announce(&o.out) {
        named = false;
        eprintln!("note: without root ({error}) all services share an endpoint for ours");
    }
    let backend = Backend::start(server, named).map_err(|e| e.to_string())?;
    let setting = Setting {
        options: o,
        backend,
        trust,
        named,
    };
    Ok((specs, setting))
}

impl Setting<'_> {
    pub fn package_bytes(&self, spec: &Spec) -> Option<u64> {
        let package = self.options.dist.join(format!("{}.zip", spec.name));
        Some(fs::metadata(package).ok()?.len())
    }

    pub fn log_of(&self, spec: &Spec) -> PathBuf {
        self.options
            .out
            .join("logs")
            .join(format!("{}.log", spec.name))
    }

    /// The queues that get a message for each event.
    pub fn queues_of(&self, spec: &Spec) -> Vec<String> {
        let of_all = || {
            QUEUES[..self.options.queues]
                .iter()
                .map(|it| (*it).to_owned())
        };
        spec.queues.clone().unwrap_or_else(|| of_all().collect())
    }

    pub fn start(&self, spec: &Spec) -> Result<Session, String> {
        let api = RuntimeApi::start().map_err(|e| e.to_string())?;
        let env = self.environment(spec, api.port);
        let started = Instant::now();
        let peer = Peer::spawn(spec, &self.options.dist, &env, &self.log_of(spec))
            .map_err(|e| format!("{}: {e}", spec.command[0]))?;
        Ok(Session {
            peer,
            api,
            asked: None,
            given: 0,
            started,
        })
    }

    fn environment(&self, spec: &Spec, api_port: u16) -> BTreeMap<String, String> {
        let (scheme, host) = match self.trust {
            // With TLS the host is "localhost", because certificates are for names.
            Some(_) => ("https", "localhost"),
            None => ("http", "127.0.0.1"),
        };
        let at = |port: u16| format!("{scheme}://{host}:{port}");
        let sqs = at(self.backend.sqs_port);
        let memory = self.options.memory.unwrap_or(256).to_string();
        let mut env: BTreeMap<String, String> = [
            ("AWS_LAMBDA_RUNTIME_API", format!("127.0.0.1:{api_port}")),
            // The names that CloudFormation would give.
            (
                "AWS_LAMBDA_FUNCTION_NAME",
                "coupons-ZupyCouponRedeemedFunction-0a1b2c3d4e5f".into(),
            ),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".into()),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", memory),
            (
                "AWS_LAMBDA_LOG_GROUP_NAME",
                "/aws/lambda/coupon-webhook".into(),
            ),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "2026/11/21/[$LATEST]0".into()),
            ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand".into()),
            ("AWS_REGION", "eu-west-1".into()),
            ("AWS_DEFAULT_REGION", "eu-west-1".into()),
            ("AWS_ACCESS_KEY_ID", "ASIAEXAMPLEEXAMPLE00".into()),
            (
                "AWS_SECRET_ACCESS_KEY",
                "exampleexampleexampleexampleexampleexamp".into(),
            ),
            ("AWS_SESSION_TOKEN", "IQoJb3JpZ2luX2V4YW1wbGU".repeat(30)),
            ("WEBHOOK_SECRET", events::SECRET.into()),
            ("TABLE_NAME", "idempotency".into()),
            ("QUEUE_COUNT", self.options.queues.to_string()),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
        let mut set = |name: &str, value: String| env.insert(name.to_owned(), value);
        if !spec.one_endpoint {
            set("AWS_ENDPOINT_URL_DYNAMODB", at(self.backend.dynamodb_port));
            set("AWS_ENDPOINT_URL_SQS", sqs.clone());
        } else if !self.named {
            set("AWS_ENDPOINT_URL", at(self.backend.shared_port));
        }
        for queue in QUEUES {
            let name = format!("QUEUE_URL_{}", queue.to_uppercase());
            set(&name, format!("{sqs}/000000000000/coupon-{queue}"));
        }
        if let Some(trust) = &self.trust {
            let bundle = match spec.carries_roots {
                true => &trust.own,
                false => &trust.with_system,
            };
            for name in ["SSL_CERT_FILE", "AWS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"] {
                set(name, bundle.display().to_string());
            }
        }
        env
    }
}

pub struct Session {
    pub peer: Peer,
    pub started: Instant,
    api: RuntimeApi,
    asked: Option<Sender<Handed>>,
    given: u64,
}

impl Session {
    fn note(&mut self) -> Result<Note, String> {
        let until = Instant::now() + SILENT_FOR;
        loop {
            if let Ok(note) = self.api.notes.recv_timeout(Duration::from_millis(500)) {
                return Ok(note);
            }
            if let Some(status) = self.peer.ended() {
                return Err(format!("the peer ended: {status}"));
            }
            if Instant::now() > until {
                return Err("the peer went silent for 60 s".into());
            }
        }
    }

    pub fn wait_for_next(&mut self) -> Result<Instant, String> {
        match self.note()? {
            Note::Next(at, reply) => {
                self.asked = Some(reply);
                Ok(at)
            }
            Note::Answer(..) => Err("an answer without an event".into()),
            Note::Failed(text) => Err(text),
        }
    }

    /// One invocation: the time to the answer, and to the next request for an event.
    pub fn invoke(
        &mut self,
        event: &Arc<[u8]>,
        expect: u16,
    ) -> Result<(Duration, Duration), String> {
        self.given += 1;
        let id = format!("8476a536-e9f4-11e8-9739-{:012x}", self.given);
        let reply = self.asked.take().ok_or("not asked")?;
        let event = event.clone();
        reply
            .send(Handed { id, event })
            .map_err(|_| "connection gone")?;
        let (answered, body) = match self.note()? {
            Note::Answer(at, body) => (at, body),
            Note::Next(..) => return Err("asked for the next event without an answer".into()),
            Note::Failed(text) => return Err(text),
        };
        let again = self.wait_for_next()?;
        let handed = self.api.handed_at().ok_or("not handed")?;
        let answer: Value = serde_json::from_slice(&body).map_err(|e| format!("answer: {e}"))?;
        let status = answer["statusCode"].as_u64().unwrap_or(0);
        if status != u64::from(expect) {
            return Err(format!("status {status}, not {expect}: {answer}"));
        }
        Ok((answered - handed, again - handed))
    }
}
