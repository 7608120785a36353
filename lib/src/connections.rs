//! Connections to AWS and to a game's server: opened ahead, kept between calls, and replaced when
//! stale. `docs/adr/0026-connections-of-our-own.md` says why these are not the SDK's.
//!
//! Invariant: a request is written to one connection at most. Its caller decides whether to repeat
//! a request that was written, because some effects must not be made twice.

mod origin;
mod tls;

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::Context;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::connection::{CaptureSmithyConnection, ConnectionMetadata};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::retry::ErrorKind;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use origin::Origin;

/// The longest time to open a connection, if its caller names none.
const CONNECT_WITHIN: Duration = Duration::from_secs(1);

/// How long a connection may stay unused. After that, the server has likely closed it. A function
/// that was frozen meanwhile has not seen that.
const UNUSED_FOR: Duration = Duration::from_secs(60);

/// How many unused connections to one server are kept.
const KEPT_MAX: usize = 128;

/// All connections of a process.
#[derive(Debug, Clone)]
pub struct Connections(Arc<Shared>);

struct Shared {
    tls: TlsConnector,
    kept: Mutex<HashMap<Origin, Vec<Kept>>>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shared")
    }
}

/// A connection between two calls.
struct Kept {
    connection: SendRequest<SdkBody>,
    /// Wall-clock time, because that clock runs while a function is frozen.
    unused_since: SystemTime,
    /// The SDK found that the last answer was a fault that may pass. Another connection may lead to
    /// a healthy server.
    is_at_fault: Arc<AtomicBool>,
}

impl Kept {
    fn is_usable(&self) -> bool {
        !self.connection.is_closed()
            && self.unused_for() < UNUSED_FOR
            && !self.is_at_fault.load(Ordering::Relaxed)
    }

    fn unused_for(&self) -> Duration {
        // After somebody set the clock back, the age is unknown.
        self.unused_since.elapsed().unwrap_or(UNUSED_FOR)
    }
}

impl Default for Connections {
    /// Trusts Mozilla's certificate authorities.
    fn default() -> Self {
        Self::new(None).expect("ring speaks TLS 1.2 and 1.3")
    }
}

impl Connections {
    /// Trusts the authorities in the file `roots`, or Mozilla's without a file.
    ///
    /// # Errors
    /// The file cannot be read, or holds no certificate.
    pub fn new(roots: Option<&Path>) -> anyhow::Result<Self> {
        Ok(Self(Arc::new(Shared {
            tls: TlsConnector::from(Arc::new(tls::config(roots)?)),
            kept: Mutex::default(),
        })))
    }

    /// Opens a connection to a server before the first request. This only makes TCP and TLS
    /// handshakes: it needs no permission and costs nothing.
    ///
    /// # Errors
    /// The connection cannot be opened. The first call will try again.
    pub async fn open(&self, url: &str) -> anyhow::Result<()> {
        let origin = Origin::of(&url.parse()?)?;
        let connection = self.connect(&origin, CONNECT_WITHIN).await;
        let connection = connection.with_context(|| format!("connecting to {origin}"))?;
        self.keep(origin, connection, Arc::default());
        Ok(())
    }

    async fn send(
        &self,
        request: HttpRequest,
        connect_within: Duration,
    ) -> Result<HttpResponse, ConnectorError> {
        let user = |error: BoxError| ConnectorError::user(error);
        let mut request = request.try_into_http1x().map_err(|it| user(it.into()))?;
        let origin = origin::take(&mut request).map_err(|error| user(error.into()))?;
        let is_at_fault = Arc::<AtomicBool>::default();
        if let Some(capture) = request.extensions().get::<CaptureSmithyConnection>() {
            let is_at_fault = Arc::clone(&is_at_fault);
            capture.set_connection_retriever(move || Some(metadata(&is_at_fault)));
        }
        loop {
            let (mut connection, is_new) = match self.kept(&origin).await {
                Some(connection) => (connection, false),
                None => {
                    let connected = self.connect(&origin, connect_within).await;
                    (connected.map_err(unconnected)?, true)
                }
            };
            match connection.try_send_request(request).await {
                Ok(answer) => {
                    self.keep(origin, connection, is_at_fault);
                    let answer = answer.map(SdkBody::from_body_1_x);
                    return HttpResponse::try_from(answer)
                        .map_err(|error| ConnectorError::other(error.into(), None));
                }
                Err(mut failed) => match failed.take_message() {
                    // The connection closed before anything was written to it.
                    Some(unsent) if !is_new => request = unsent,
                    _ => return Err(unanswered(failed.into_error())),
                },
            }
        }
    }

    /// An open connection that no call uses.
    async fn kept(&self, origin: &Origin) -> Option<SendRequest<SdkBody>> {
        // Lets the runtime look at its sockets. It then knows which connections closed while the
        // function was frozen, and which are ready for a request.
        tokio::task::yield_now().await;
        let mut kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = kept.get_mut(origin)?;
        kept.retain(Kept::is_usable);
        let ready = kept.iter().rposition(|it| it.connection.is_ready())?;
        Some(kept.swap_remove(ready).connection)
    }

    fn keep(&self, origin: Origin, connection: SendRequest<SdkBody>, is_at_fault: Arc<AtomicBool>) {
        let mut kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = kept.entry(origin).or_default();
        if kept.len() < KEPT_MAX {
            kept.push(Kept {
                connection,
                unused_since: SystemTime::now(),
                is_at_fault,
            });
        }
    }

    async fn connect(&self, origin: &Origin, within: Duration) -> io::Result<SendRequest<SdkBody>> {
        let connecting = async {
            let stream = TcpStream::connect((origin.host.as_str(), origin.port)).await?;
            stream.set_nodelay(true)?;
            match &origin.tls_name {
                None => shake_hands(stream).await,
                Some(name) => {
                    let stream = self.0.tls.connect(name.clone(), stream).await?;
                    shake_hands(stream).await
                }
            }
        };
        match tokio::time::timeout(within, connecting).await {
            Ok(connected) => connected,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

/// Lets the SDK mark a connection that must not be used again.
fn metadata(is_at_fault: &Arc<AtomicBool>) -> ConnectionMetadata {
    let is_at_fault = Arc::clone(is_at_fault);
    ConnectionMetadata::builder()
        .proxied(false)
        .poison_fn(move || is_at_fault.store(true, Ordering::Relaxed))
        .build()
}

/// Begins to speak HTTP over a stream.
async fn shake_hands(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
) -> io::Result<SendRequest<SdkBody>> {
    let shaken = http1::handshake(TokioIo::new(stream)).await;
    let (connection, driver) = shaken.map_err(io::Error::other)?;
    // The task ends with the connection. Each sender of a request gets its error.
    tokio::spawn(driver);
    Ok(connection)
}

fn unconnected(error: io::Error) -> ConnectorError {
    match error.kind() {
        io::ErrorKind::TimedOut => ConnectorError::timeout(error.into()),
        _ => ConnectorError::io(error.into()),
    }
}

/// The error for a request that may have been written and got no answer.
fn unanswered(error: hyper::Error) -> ConnectorError {
    if error.is_user() {
        return ConnectorError::user(error.into());
    }
    if error.is_incomplete_message() {
        return ConnectorError::other(error.into(), Some(ErrorKind::TransientError));
    }
    if error.is_parse() {
        return ConnectorError::other(error.into(), None);
    }
    ConnectorError::io(error.into())
}

/// The connections, with one client's own limit for connecting.
#[derive(Debug)]
struct Connector {
    connections: Connections,
    connect_within: Duration,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (connections, within) = (self.connections.clone(), self.connect_within);
        HttpConnectorFuture::new(async move { connections.send(request, within).await })
    }
}

impl HttpClient for Connections {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(Connector {
            connections: self.clone(),
            connect_within: settings.connect_timeout().unwrap_or(CONNECT_WITHIN),
        })
    }
}

#[cfg(test)]
mod tests;
