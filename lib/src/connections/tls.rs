//! The one TLS configuration of a process.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, ensure};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{CipherSuite, ClientConfig, RootCertStore};

/// TLS 1.3 and 1.2 by ring.
///
/// Mozilla's authorities are compiled in, already parsed: to read the system's file took each
/// client milliseconds. A file of other authorities replaces them.
///
/// # Errors
/// The file cannot be read, or holds no certificate.
pub(super) fn config(roots: Option<&Path>) -> anyhow::Result<ClientConfig> {
    let roots = match roots {
        Some(file) => read(file)?,
        None => RootCertStore {
            roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
        },
    };
    let mut provider = ring::default_provider();
    // AWS's servers choose AES-128 anyway, and it costs less than AES-256.
    let suites = &mut provider.cipher_suites;
    suites.sort_by_key(|it| it.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
    let mut config = ClientConfig::builder_with_provider(Arc::<CryptoProvider>::new(provider))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn read(file: &Path) -> anyhow::Result<RootCertStore> {
    let certificates = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .context("it cannot be read as certificates in PEM")?;
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates);
    ensure!(!roots.is_empty(), "it holds no certificate of an authority");
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_authorities_of_amazon_are_known() {
        let known = |name: &str| {
            let mut roots = webpki_roots::TLS_SERVER_ROOTS.iter();
            roots.any(|root| {
                let subject = root.subject.as_ref();
                subject.windows(name.len()).any(|it| it == name.as_bytes())
            })
        };
        for name in [
            "Amazon Root CA 1",
            "Amazon Root CA 4",
            "Starfield Services Root",
        ] {
            assert!(known(name), "{name}");
        }
        assert!(config(None).is_ok());
    }

    #[test]
    fn a_file_without_certificates_is_refused() {
        let error = |file: &str| config(Some(Path::new(file))).unwrap_err().to_string();
        assert!(error("/nowhere.pem").contains("cannot be read"));
        assert!(error("Cargo.toml").contains("no certificate"));
    }
}
