//! The Lambda Runtime API: passes one event at a time to the peer and times it.
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::http::Conn;

pub enum Note {
    /// The peer requested an event; the answer goes through the sender.
    Next(Instant, Sender<Handed>),
    /// The peer answered its event.
    Answer(Instant, Vec<u8>),
    /// The peer reported an invocation error or an init error.
    Failed(String),
}

pub struct Handed {
    pub id: String,
    pub event: Arc<[u8]>,
}

pub struct RuntimeApi {
    pub port: u16,
    pub notes: Receiver<Note>,
    handed_at: Arc<Mutex<Option<Instant>>>,
}

impl RuntimeApi {
    pub fn start() -> std::io::Result<RuntimeApi> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let (tx, notes) = channel();
        let handed_at = Arc::new(Mutex::new(None));
        let shared = handed_at.clone();
        thread::spawn(move || {
            for tcp in listener.incoming().flatten() {
                let (tx, shared) = (tx.clone(), shared.clone());
                thread::spawn(move || {
                    if let Ok(conn) = Conn::new(tcp, None) {
                        let _ = connection(conn, &tx, &shared);
                    }
                });
            }
        });
        Ok(RuntimeApi {
            port,
            notes,
            handed_at,
        })
    }

    /// When the peer got the last event.
    pub fn handed_at(&self) -> Option<Instant> {
        *self.handed_at.lock().unwrap()
    }
}

fn connection(
    mut conn: Conn,
    tx: &Sender<Note>,
    handed_at: &Mutex<Option<Instant>>,
) -> std::io::Result<()> {
    while let Some(request) = conn.request()? {
        let now = Instant::now();
        let path = request
            .path
            .strip_prefix("/2018-06-01/runtime/")
            .unwrap_or("");
        let accepted: &[u8] = br#"{"status":"OK"}"#;
        match (request.method.as_str(), path) {
            ("GET", "invocation/next") => {
                let (reply, handed) = channel();
                if tx.send(Note::Next(now, reply)).is_err() {
                    return Ok(());
                }
                let Ok(handed) = handed.recv() else {
                    return Ok(());
                };
                let deadline = SystemTime::now() + Duration::from_secs(30);
                let deadline = deadline
                    .duration_since(UNIX_EPOCH)
                    .unwrap_or_default()
                    .as_millis()
                    .to_string();
                let headers = [
                    ("Lambda-Runtime-Aws-Request-Id", handed.id.as_str()),
                    ("Lambda-Runtime-Deadline-Ms", deadline.as_str()),
                    (
                        "Lambda-Runtime-Invoked-Function-Arn",
                        "arn:aws:lambda:eu-west-1:000000000000:function:coupon-webhook",
                    ),
                    (
                        "Lambda-Runtime-Trace-Id",
                        "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=0",
                    ),
                    ("Content-Type", "application/json"),
                ];
                *handed_at.lock().unwrap() = Some(Instant::now());
                conn.respond(200, &headers, &handed.event)?;
            }
            ("POST", p) if p.ends_with("/response") => {
                let _ = tx.send(Note::Answer(now, request.body));
                conn.respond(202, &[("Content-Type", "application/json")], accepted)?;
            }
            ("POST", p) if p.ends_with("/error") => {
                let text = format!("{p}: {}", String::from_utf8_lossy(&request.body));
                let _ = tx.send(Note::Failed(text));
                conn.respond(202, &[("Content-Type", "application/json")], accepted)?;
            }
            _ => conn.respond(404, &[], b"{}")?,
        }
    }
    Ok(())
}
