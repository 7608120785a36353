//! A temporary CA, and its certificate for every name of the stub.

use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;

use crate::names::NAMED;

/// Files with the authorities that a client trusts.
pub struct Trust {
    /// The CA alone, for peers with their own roots in the binary.
    pub own: PathBuf,
    /// The CA after the machine's roots, so that loading them takes as long as on a real machine.
    pub with_system: PathBuf,
}

pub fn prepare(out: &Path) -> Result<(Arc<ServerConfig>, Trust), String> {
    // A CA and a leaf, because clients do not accept a CA certificate as a server's own.
    let mut params = rcgen::CertificateParams::new(vec![]).map_err(fail)?;
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let name = rcgen::DnType::CommonName;
    params
        .distinguished_name
        .push(name, "side-by-side throwaway CA");
    let ca_key = rcgen::KeyPair::generate().map_err(fail)?;
    let ca = params.self_signed(&ca_key).map_err(fail)?;
    let issuer = rcgen::Issuer::new(params, ca_key);
    let leaf_key = rcgen::KeyPair::generate().map_err(fail)?;
    let names = ["localhost", "127.0.0.1"]
        .into_iter()
        .chain(NAMED.map(|it| it.2));
    let names: Vec<_> = names.map(str::to_owned).collect();
    let leaf = rcgen::CertificateParams::new(names)
        .and_then(|params| params.signed_by(&leaf_key, &issuer))
        .map_err(fail)?;
    let key = rustls::pki_types::PrivateKeyDer::try_from(leaf_key.serialize_der()).map_err(fail)?;
    let provider = rustls::crypto::ring::default_provider();
    let mut config = ServerConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .and_then(|builder| {
            builder
                .with_no_client_auth()
                .with_single_cert(vec![leaf.der().clone()], key)
        })
        .map_err(fail)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let system = fs::read_to_string("/etc/ssl/certs/ca-certificates.crt").unwrap_or_default();
    let write = |name: &str, text: String| {
        let file = out.join(name);
        fs::write(&file, text)
            .and_then(|()| file.canonicalize())
            .map_err(fail)
    };
    let trust = Trust {
        own: write("ca.pem", ca.pem())?,
        with_system: write("ca-bundle.pem", system + &ca.pem())?,
    };
    Ok((Arc::new(config), trust))
}

fn fail(error: impl Display) -> String {
    format!("tls: {error}")
}
