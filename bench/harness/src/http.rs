//! Just enough blocking HTTP/1.1 for a loopback server. Each connection serves one request at a
//! time. The server reads Content-Length and chunked bodies, and writes each response at once, with
//! Content-Length.
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

pub trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

pub struct Conn {
    inner: BufReader<Box<dyn Stream>>,
}

pub struct Request {
    pub method: String,
    pub path: String,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.as_str())
    }
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

impl Conn {
    pub fn new(tcp: TcpStream, tls: Option<Arc<ServerConfig>>) -> io::Result<Self> {
        tcp.set_nodelay(true)?;
        let stream: Box<dyn Stream> = match tls {
            None => Box::new(tcp),
            Some(config) => {
                let session = ServerConnection::new(config).map_err(io::Error::other)?;
                Box::new(StreamOwned::new(session, tcp))
            }
        };
        Ok(Conn {
            inner: BufReader::with_capacity(16 * 1024, stream),
        })
    }

    fn line(&mut self) -> io::Result<Option<String>> {
        let mut line = String::new();
        if self.inner.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        Ok(Some(line.trim_end_matches(['\r', '\n']).to_owned()))
    }

    /// The next request, or `None` if the peer closed the connection between requests.
    pub fn request(&mut self) -> io::Result<Option<Request>> {
        let Some(first) = self.line()? else {
            return Ok(None);
        };
        let mut parts = first.split(' ');
        let (Some(method), Some(path)) = (parts.next(), parts.next()) else {
            return Err(bad("request line"));
        };
        let mut request = Request {
            method: method.to_owned(),
            path: path.to_owned(),
            headers: Vec::with_capacity(16),
            body: Vec::new(),
        };
        loop {
            let line = self.line()?.ok_or_else(|| bad("headers cut short"))?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').ok_or_else(|| bad("header"))?;
            request
                .headers
                .push((name.to_owned(), value.trim().to_owned()));
        }
        if request
            .header("expect")
            .is_some_and(|v| v.eq_ignore_ascii_case("100-continue"))
        {
            self.inner
                .get_mut()
                .write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
            self.inner.get_mut().flush()?;
        }
        if let Some(length) = request.header("content-length") {
            let length: usize = length.parse().map_err(|_| bad("content-length"))?;
            request.body = vec![0; length];
            self.inner.read_exact(&mut request.body)?;
        } else if request.header("transfer-encoding").is_some() {
            loop {
                let size = self.line()?.ok_or_else(|| bad("chunk"))?;
                let size = size.split(';').next().unwrap_or("").trim();
                let size = usize::from_str_radix(size, 16).map_err(|_| bad("chunk size"))?;
                let at = request.body.len();
                request.body.resize(at + size, 0);
                self.inner.read_exact(&mut request.body[at..])?;
                if size == 0 {
                    while self.line()?.is_some_and(|l| !l.is_empty()) {}
                    break;
                }
                self.line()?;
            }
        }
        Ok(Some(request))
    }

    pub fn respond(
        &mut self,
        status: u16,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<()> {
        let mut out = Vec::with_capacity(256 + body.len());
        write!(out, "HTTP/1.1 {status} X\r\n")?;
        for (name, value) in headers {
            write!(out, "{name}: {value}\r\n")?;
        }
        write!(out, "Content-Length: {}\r\n\r\n", body.len())?;
        out.extend_from_slice(body);
        self.inner.get_mut().write_all(&out)?;
        self.inner.get_mut().flush()
    }
}
