//! TLS: the listener's certificate, and the authorities of APIs.

use restow::{Error, ErrorKind, Result};
use rustls::{
    RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::WebPkiClientVerifier,
};
use std::{path::Path, sync::Arc};

/// Reads a certificate and its key; `client_authority` signs the certificates by which clients name their principal.
///
/// # Errors
/// [`ErrorKind::Config`] naming the file that cannot be read, or holds no such thing.
pub(crate) fn server(
    certificate: &Path,
    key: &Path,
    client_authority: Option<&Path>,
) -> Result<Arc<ServerConfig>> {
    let wrong = |what: String| Error::new(ErrorKind::Config, what);
    let chain = certificates(certificate)?;
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|e| {
        wrong(format!(
            "the private key {} cannot be read as PEM",
            key.display()
        ))
        .with_source(e)
    })?;
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|e| wrong("TLS cannot be set up".to_owned()).with_source(e))?;
    let builder = match client_authority {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(certificates(path)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .map_err(|e| {
                    wrong(format!(
                        "the client authority {} cannot be used",
                        path.display()
                    ))
                    .with_source(e)
                })?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder.with_single_cert(chain, secret).map_err(|e| {
        wrong(format!(
            "the certificate {} and the key {} do not belong together",
            certificate.display(),
            key.display()
        ))
        .with_source(e)
    })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Who vouches for the certificate of an API, where it is not whom the system trusts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ca(Arc<[CertificateDer<'static>]>);

impl Ca {
    /// Reads the certificates of a PEM file.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] naming the file that cannot be read, or holds no such thing.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let all = Self(certificates(path)?.into());
        // What cannot vouch for anybody is found out now, not with the first request.
        all.roots().map_err(|e| {
            let message = format!(
                "the certificate {} is none that can vouch for an API",
                path.display()
            );
            Error::new(ErrorKind::Config, message).with_source(e)
        })?;
        Ok(all)
    }

    /// The certificates that are trusted.
    pub(crate) fn roots(&self) -> std::result::Result<RootCertStore, rustls::Error> {
        let mut roots = RootCertStore::empty();
        for certificate in &*self.0 {
            roots.add(certificate.clone())?;
        }
        Ok(roots)
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let wrong = || {
        Error::new(
            ErrorKind::Config,
            format!("the certificate {} cannot be read as PEM", path.display()),
        )
    };
    let all: Vec<_> = CertificateDer::pem_file_iter(path)
        .map_err(|e| wrong().with_source(e))?
        .collect::<std::result::Result<_, _>>()
        .map_err(|e| wrong().with_source(e))?;
    if all.is_empty() {
        Err(wrong())
    } else {
        Ok(all)
    }
}
