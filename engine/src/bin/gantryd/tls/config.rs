//! From dockerd's options (`--tlscacert`, `--tlscert`, `--tlskey`) to what a TLS server needs.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    RootCertStore, ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{NoServerSessionStorage, WebPkiClientVerifier},
};

/// Where keys and certificates are; all in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    /// Our certificate, followed by those that lead to its CA.
    pub(crate) cert: PathBuf,
    /// Its key.
    pub(crate) key: PathBuf,
    /// The only CA whose clients are let in. `None` lets in everyone.
    pub(crate) client_ca: Option<PathBuf>,
}

/// Reads the files. TLS 1.2 and 1.3; no resumption, so that each connection's certificate is verified anew.
///
/// # Errors
///
/// A sentence that names the file.
pub(crate) fn server_config(files: &TlsFiles) -> Result<Arc<ServerConfig>, String> {
    let provider: Arc<CryptoProvider> = Arc::new(ring::default_provider());
    let chain = certificates(&files.cert)?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| of(&files.key, &error))?;
    let versions = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS: {error}"))?;
    let clients = match &files.client_ca {
        None => versions.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path)? {
                roots.add(certificate).map_err(|error| of(path, &error))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            versions.with_client_cert_verifier(verifier.build().map_err(|error| of(path, &error))?)
        }
    };
    let mut config = clients
        .with_single_cert(chain, key)
        .map_err(|error| format!("{} and {}: {error}", files.cert.display(), files.key.display()))?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// The certificates in a file; at least one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let found = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match found {
        Ok(none) if none.is_empty() => Err(of(path, &"no certificate in it")),
        Ok(some) => Ok(some),
        Err(error) => Err(of(path, &error)),
    }
}

fn of(path: &Path, error: &dyn std::fmt::Display) -> String {
    format!("TLS: {}: {error}", path.display())
}
