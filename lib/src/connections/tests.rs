use std::sync::atomic::AtomicU32;

use aws_sdk_sqs::Client;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::config::{Aws, CallLimits, Environment};

/// What a server does with a connection after it has read a request.
#[derive(Debug, Clone, Copy)]
enum Manner {
    /// Answers each request.
    Patient,
    /// Answers the first request, and closes the connection without a notice.
    Closing,
    /// Closes the connection instead of an answer.
    Mute,
    /// Never answers.
    Deaf,
    /// Answers with a server error.
    Faulty,
}

/// A server on this machine.
#[derive(Debug, Clone)]
struct Server {
    url: String,
    connections: Arc<AtomicU32>,
    requests: Arc<AtomicU32>,
}

impl Server {
    async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            connections: Arc::default(),
            requests: Arc::default(),
        };
        let own = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                own.connections.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(own.clone().serve(stream, manner));
            }
        });
        server
    }

    async fn serve(self, mut stream: TcpStream, manner: Manner) {
        let mut request = vec![0; 64 * 1024];
        // Each request of these tests comes in one piece.
        while stream.read(&mut request).await.is_ok_and(|read| read > 0) {
            self.requests.fetch_add(1, Ordering::Relaxed);
            match manner {
                Manner::Patient | Manner::Closing => {
                    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
                    stream.write_all(answer).await.unwrap();
                }
                Manner::Faulty => {
                    let answer = b"HTTP/1.1 500 X\r\nContent-Length: 2\r\n\r\n{}";
                    stream.write_all(answer).await.unwrap();
                }
                Manner::Mute => return,
                Manner::Deaf => std::future::pending().await,
            }
            if matches!(manner, Manner::Closing) {
                return;
            }
        }
    }

    /// How many connections were opened, and how many requests were made.
    fn counts(&self) -> (u32, u32) {
        let count = |it: &AtomicU32| it.load(Ordering::Relaxed);
        (count(&self.connections), count(&self.requests))
    }
}

async fn call(connections: &Connections, url: &str) -> Result<u16, ConnectorError> {
    let mut request = HttpRequest::new(SdkBody::from("{}"));
    request.set_method("POST").unwrap();
    request.set_uri(url).unwrap();
    let answer = connections.send(request, CONNECT_WITHIN).await?;
    let status = answer.status().as_u16();
    let mut body = answer.into_body();
    while let Some(read) = std::future::poll_fn(|it| poll(&mut body, it)).await {
        read.unwrap();
    }
    Ok(status)
}

/// Reads the next part of a body.
fn poll(
    body: &mut SdkBody,
    context: &mut std::task::Context<'_>,
) -> std::task::Poll<Option<Result<(), BoxError>>> {
    let frame = hyper::body::Body::poll_frame(std::pin::Pin::new(body), context);
    frame.map(|frame| frame.map(|frame| frame.map(drop)))
}

#[tokio::test]
async fn a_connection_that_was_opened_ahead_serves_every_call() {
    let server = Server::start(Manner::Patient).await;
    let connections = Connections::default();
    connections.open(&server.url).await.unwrap();
    for _ in 0..10 {
        assert_eq!(call(&connections, &server.url).await.unwrap(), 200);
    }
    assert_eq!(server.counts(), (1, 10));
}

#[tokio::test]
async fn a_connection_that_was_closed_between_calls_is_replaced() {
    let server = Server::start(Manner::Closing).await;
    let connections = Connections::default();
    connections.open(&server.url).await.unwrap();
    for _ in 0..10 {
        assert_eq!(call(&connections, &server.url).await.unwrap(), 200);
    }
    assert_eq!(server.counts(), (10, 10));
}

/// Like a function's client that makes each call once, so nothing repeats a failed call.
#[tokio::test]
async fn a_client_without_retries_never_sees_the_replacement() {
    let server = Server::start(Manner::Closing).await;
    let client = Client::new(&Aws::local(&server.url).sdk_config(CallLimits::ONCE));
    for _ in 0..10 {
        let sent = client.send_message().queue_url("q").message_body("m");
        sent.send().await.unwrap();
    }
    assert_eq!(server.counts(), (10, 10));
}

#[tokio::test]
async fn a_function_finds_its_connections_open() {
    let server = Server::start(Manner::Patient).await;
    let mut environment = Environment::of([
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ACCESS_KEY_ID", "key"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_ENDPOINT_URL", &server.url),
    ]);
    let aws = Aws::read(&mut environment);
    aws.connect().await;
    tokio::task::yield_now().await;
    assert_eq!(server.counts(), (2, 0));
    let client = Client::new(&aws.sdk_config(CallLimits::WEBHOOK));
    let sent = client.send_message().queue_url("q").message_body("m");
    sent.send().await.unwrap();
    assert_eq!(server.counts(), (2, 1));
}

/// If a connection cannot be opened ahead, the start succeeds and the first call opens it.
#[tokio::test]
async fn a_function_starts_without_connections() {
    Aws::local("http://127.0.0.1:9").connect().await;
}

/// Another connection may lead to a healthy server.
#[tokio::test]
async fn a_connection_that_brought_a_fault_is_not_used_again() {
    let server = Server::start(Manner::Faulty).await;
    let client = Client::new(&Aws::local(&server.url).sdk_config(CallLimits::ONCE));
    for calls in 1..=3 {
        let sent = client.send_message().queue_url("q").message_body("m");
        assert!(sent.send().await.is_err());
        assert_eq!(server.counts(), (calls, calls));
    }
}

/// An effect outside may have been made although its answer is lost.
#[tokio::test]
async fn a_written_request_is_never_written_again() {
    let server = Server::start(Manner::Mute).await;
    let connections = Connections::default();
    connections.open(&server.url).await.unwrap();
    assert!(call(&connections, &server.url).await.is_err());
    assert_eq!(server.counts().1, 1);
}

#[tokio::test]
async fn a_connection_whose_answer_is_late_serves_no_other_call() {
    let server = Server::start(Manner::Deaf).await;
    let connections = Connections::default();
    connections.open(&server.url).await.unwrap();
    for calls in 1..=3 {
        let late = call(&connections, &server.url);
        let late = tokio::time::timeout(Duration::from_millis(50), late).await;
        assert!(late.is_err());
        assert_eq!(server.counts(), (calls, calls));
    }
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_is_an_error_that_may_pass() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let connections = Connections::default();
    assert!(connections.open(&url).await.is_err());
    assert!(call(&connections, &url).await.unwrap_err().is_io());
}

#[tokio::test]
async fn the_number_of_unused_connections_is_limited() {
    let server = Server::start(Manner::Patient).await;
    let connections = Connections::default();
    for _ in 0..KEPT_MAX + 3 {
        connections.open(&server.url).await.unwrap();
    }
    let kept = connections.0.kept.lock().unwrap();
    assert_eq!(kept.values().map(Vec::len).sum::<usize>(), KEPT_MAX);
}
