//! The shared part of the floor programs: one blocking keep-alive HTTP/1.1 connection.
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::pki_types::{pem::PemObject, CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

pub struct Http {
    stream: Box<dyn Stream>,
    buffer: Vec<u8>,
}

/// TLS 1.3 alone, with the roots compiled in, or with the CA in the file that `SSL_CERT_FILE`
/// names.
pub fn tls() -> io::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    if let Some(path) = std::env::var_os("SSL_CERT_FILE") {
        roots = RootCertStore::empty();
        let ca = CertificateDer::from_pem_file(path).map_err(io::Error::other)?;
        roots.add(ca).map_err(io::Error::other)?;
    }
    let config =
        ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(io::Error::other)?
            .with_root_certificates(roots)
            .with_no_client_auth();
    Ok(Arc::new(config))
}

pub struct Response {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Http {
    /// Connects to `host:port`. With a configuration, this function returns after the handshake.
    pub fn connect(address: &str, tls: Option<&Arc<ClientConfig>>) -> io::Result<Http> {
        let mut tcp = TcpStream::connect(address)?;
        tcp.set_nodelay(true)?;
        let stream: Box<dyn Stream> = match tls {
            None => Box::new(tcp),
            Some(config) => {
                let host = address.split(':').next().unwrap_or(address).to_owned();
                let name = ServerName::try_from(host).map_err(io::Error::other)?;
                let mut session =
                    ClientConnection::new(config.clone(), name).map_err(io::Error::other)?;
                while session.is_handshaking() {
                    session.complete_io(&mut tcp)?;
                }
                Box::new(StreamOwned::new(session, tcp))
            }
        };
        Ok(Http {
            stream,
            buffer: Vec::with_capacity(16 * 1024),
        })
    }

    pub fn send(&mut self, request: &[u8]) -> io::Result<()> {
        self.stream.write_all(request)?;
        self.stream.flush()
    }

    pub fn receive(&mut self) -> io::Result<Response> {
        self.buffer.clear();
        let mut chunk = [0u8; 8192];
        let (mut head_end, mut length) = (None, 0);
        loop {
            if head_end.is_none() {
                if let Some(at) = self.buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                    let head = String::from_utf8_lossy(&self.buffer[..at]);
                    length = header(&head, "content-length")
                        .and_then(|v| v.parse().ok())
                        .unwrap_or(0);
                    head_end = Some(at);
                }
            }
            if let Some(at) = head_end {
                if self.buffer.len() >= at + 4 + length {
                    let head = String::from_utf8_lossy(&self.buffer[..at]).into_owned();
                    let status = head.get(9..12).and_then(|s| s.parse().ok()).unwrap_or(0);
                    return Ok(Response {
                        status,
                        head,
                        body: self.buffer[at + 4..at + 4 + length].to_vec(),
                    });
                }
            }
            let n = self.stream.read(&mut chunk)?;
            if n == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.buffer.extend_from_slice(&chunk[..n]);
        }
    }
}

pub fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|l| {
        let (n, v) = l.split_once(':')?;
        n.eq_ignore_ascii_case(name).then(|| v.trim())
    })
}

pub struct Runtime {
    http: Http,
    host: String,
}

impl Runtime {
    pub fn connect() -> io::Result<Runtime> {
        let host = std::env::var("AWS_LAMBDA_RUNTIME_API").map_err(io::Error::other)?;
        Ok(Runtime {
            http: Http::connect(&host, None)?,
            host,
        })
    }

    pub fn next(&mut self) -> io::Result<(String, Vec<u8>)> {
        let request = format!(
            "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: {}\r\n\r\n",
            self.host
        );
        self.http.send(request.as_bytes())?;
        let response = self.http.receive()?;
        let id = header(&response.head, "lambda-runtime-aws-request-id")
            .unwrap_or("")
            .to_owned();
        Ok((id, response.body))
    }

    pub fn answer(&mut self, id: &str, status: u16, text: &str) -> io::Result<()> {
        let text = text.replace('"', "\\\"");
        let body = format!(
            "{{\"statusCode\":{status},\"headers\":{{\"content-type\":\"application/json\"}},\"body\":\"{text}\"}}"
        );
        let request = format!(
            "POST /2018-06-01/runtime/invocation/{id}/response HTTP/1.1\r\nHost: \
             {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.host,
            body.len()
        );
        self.http.send(request.as_bytes())?;
        self.http.receive()?;
        Ok(())
    }
}
