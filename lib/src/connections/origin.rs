//! The server that a connection leads to.

use std::fmt;

use anyhow::{Context, bail};
use aws_smithy_types::body::SdkBody;
use hyper::header::{HOST, HeaderValue};
use hyper::{Request, Uri};
use rustls::pki_types::ServerName;

/// Scheme, host and port of a URL.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Origin {
    pub(super) host: String,
    pub(super) port: u16,
    /// The name that the server's certificate must have; `None` without TLS.
    pub(super) tls_name: Option<ServerName<'static>>,
}

impl Origin {
    /// Reads the origin of a URL.
    ///
    /// # Errors
    /// The URL's scheme is neither `http` nor `https`, or the URL names no host.
    pub(super) fn of(url: &Uri) -> anyhow::Result<Self> {
        let host = url.host().context("the URL names no host")?;
        // An IPv6 address stands in brackets.
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let (port, tls_name) = match url.scheme_str() {
            Some("http") => (80, None),
            Some("https") => {
                let name = ServerName::try_from(host.to_owned());
                (443, Some(name.context("the URL names no valid host")?))
            }
            _ => bail!("the URL must begin with https:// or http://"),
        };
        Ok(Self {
            host: host.to_owned(),
            port: url.port_u16().unwrap_or(port),
            tls_name,
        })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Takes the origin out of a request, which then names only a path, as HTTP/1.1 wants it.
///
/// # Errors
/// The request's URL names no server.
pub(super) fn take(request: &mut Request<SdkBody>) -> anyhow::Result<Origin> {
    let origin = Origin::of(request.uri())?;
    let url = std::mem::take(request.uri_mut()).into_parts();
    if !request.headers().contains_key(HOST) {
        let authority = url.authority.context("the URL names no host")?;
        let host = authority.as_str().rsplit('@').next().unwrap_or_default();
        request
            .headers_mut()
            .insert(HOST, HeaderValue::from_str(host)?);
    }
    if let Some(path) = url.path_and_query {
        *request.uri_mut() = path.into();
    }
    Ok(origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(url: &str, host: &str, port: u16, is_tls: bool) {
        let origin = Origin::of(&url.parse().unwrap()).unwrap();
        assert_eq!((origin.host.as_str(), origin.port), (host, port));
        assert_eq!(origin.tls_name.is_some(), is_tls);
    }

    #[test]
    fn a_url_leads_to_a_host_and_a_port() {
        check(
            "https://sqs.eu-west-1.amazonaws.com/",
            "sqs.eu-west-1.amazonaws.com",
            443,
            true,
        );
        check("http://localhost:4566/a?b=c", "localhost", 4566, false);
        check("http://127.0.0.1", "127.0.0.1", 80, false);
        check("https://[::1]:8443/", "::1", 8443, true);
        for wrong in ["ftp://example.com", "/path", "https://a..b/"] {
            assert!(Origin::of(&wrong.parse().unwrap()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_request_names_its_host_and_only_a_path() {
        let request = Request::builder().uri("http://localhost:4566/queue?x=1");
        let mut request = request.body(SdkBody::empty()).unwrap();
        take(&mut request).unwrap();
        assert_eq!(request.uri(), "/queue?x=1");
        assert_eq!(request.headers()[HOST], "localhost:4566");
    }
}
