//! TLS: the platform's roots, and those of `ca_file` beside them.

use std::path::Path;
use std::sync::Arc;

use e2bridge_core::request::quote;
use e2bridge_core::{Code, Error, Result};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// Settings of every TLS connection of a client.
///
/// # Errors
/// `INVALID_ARGUMENT` about `config.ca_file`; `UNAVAILABLE` when neither the platform nor the file has a root.
pub(crate) fn settings(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    let platform = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(platform.certs);
    if let Some(path) = ca_file {
        add_file(&mut roots, path)?;
    }
    if roots.is_empty() {
        return Err(Error::new(
            Code::Unavailable,
            "no root certificate: install the platform's (package ca-certificates) or set config.ca_file",
        ));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut settings = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::internal(format!("TLS settings: {error}")))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    // Said aloud, so that a server which prefers HTTP/2 does not speak it.
    settings.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(settings))
}

fn add_file(roots: &mut RootCertStore, path: &Path) -> Result<()> {
    let wrong = |rule: String| {
        Error::invalid("config.ca_file", format!("{rule}: {}", quote(&path.to_string_lossy())))
    };
    let certificates = CertificateDer::pem_file_iter(path)
        .map_err(|error| wrong(format!("must be a readable file of PEM certificates ({error})")))?;
    let mut count = 0;
    for certificate in certificates {
        let certificate =
            certificate.map_err(|error| wrong(format!("must be a file of PEM certificates ({error})")))?;
        roots.add(certificate).map_err(|error| wrong(format!("has a certificate that is none ({error})")))?;
        count += 1;
    }
    if count == 0 { Err(wrong("has no PEM certificate".to_owned())) } else { Ok(()) }
}
