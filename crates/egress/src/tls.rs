//! What an endpoint's TLS has of its own: authorities to trust besides the usual ones, a client
//! certificate, or no check at all where the operator lets endpoints do without.

use std::fmt;
use std::sync::{Arc, OnceLock};

use dunlin_types::limits::{TLS_CERTIFICATES_MAX, TLS_PEM_BYTES_MAX};
use dunlin_types::{Code, Coded};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::{PemObject as _, SectionKind};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, InconsistentKeys, RootCertStore, SignatureScheme,
};
use tokio_rustls::TlsConnector;

use crate::guard::AddressPolicy;

/// The TLS settings of one endpoint, checked. Two that hold the same are equal, and a request with
/// either may use the other's connection, within one tenant.
pub struct TlsIdentity {
    authorities: Vec<CertificateDer<'static>>,
    client: Option<Client>,
    is_insecure: bool,
    /// Made for the authorities that a client trusts anyway, which are beside it.
    made: OnceLock<(Arc<RootCertStore>, TlsConnector)>,
}

struct Client {
    key: PrivateKeyDer<'static>,
    certified: Arc<CertifiedKey>,
}

impl PartialEq for TlsIdentity {
    fn eq(&self, other: &Self) -> bool {
        self.authorities == other.authorities
            && self.client == other.client
            && self.is_insecure == other.is_insecure
    }
}

impl Eq for TlsIdentity {}

impl PartialEq for Client {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key && self.certified.cert == other.certified.cert
    }
}

impl fmt::Debug for TlsIdentity {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsIdentity")
            .field("authorities", &self.authorities.len())
            .field("has_client_certificate", &self.client.is_some())
            .field("is_insecure", &self.is_insecure)
            .finish_non_exhaustive()
    }
}

/// Checks the TLS settings of an endpoint, each in PEM; what is absent or blank is not set. The
/// certificate is a chain with the client's own first.
///
/// # Errors
/// [`Code::TlsBad`], which says what is wrong with which of them and never repeats any.
pub fn parse_tls(
    ca_pem: Option<&str>,
    cert_pem: Option<&str>,
    key_pem: Option<&str>,
) -> Result<TlsIdentity, Coded> {
    let set = |pem: Option<&'_ str>| pem.is_some_and(|pem| !pem.trim().is_empty());
    let authorities = match ca_pem.filter(|pem| set(Some(pem))) {
        Some(pem) => authorities(pem)?,
        None => Vec::new(),
    };
    let client = match (
        cert_pem.filter(|_| set(cert_pem)),
        key_pem.filter(|_| set(key_pem)),
    ) {
        (Some(cert), Some(key)) => Some(client(cert, key)?),
        (Some(_), None) => return Err(bad("the client certificate lacks its private key")),
        (None, Some(_)) => return Err(bad("the private key lacks its client certificate")),
        (None, None) => None,
    };
    Ok(TlsIdentity {
        authorities,
        client,
        is_insecure: false,
        made: OnceLock::new(),
    })
}

impl TlsIdentity {
    /// Without a check of the server's certificate. Only a policy that allows it lets it be used.
    #[must_use]
    pub fn insecure(self) -> Self {
        Self {
            is_insecure: true,
            made: OnceLock::new(),
            ..self
        }
    }

    /// Whether it sets anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.authorities.is_empty() && self.client.is_none() && !self.is_insecure
    }

    /// Whether an endpoint under that policy may have it.
    ///
    /// # Errors
    /// [`Code::TlsBad`].
    pub fn check(&self, policy: &AddressPolicy) -> Result<(), Coded> {
        if self.is_insecure && !policy.allows_insecure_tls() {
            return Err(bad(
                "certificates must be checked: this server's operator allows no exception",
            ));
        }
        Ok(())
    }

    /// What makes connections with it; made once for each set of roots that is used with it in turn.
    pub(crate) fn connector(&self, roots: &Arc<RootCertStore>) -> Result<TlsConnector, Coded> {
        if let Some((made_for, connector)) = self.made.get()
            && Arc::ptr_eq(made_for, roots)
        {
            return Ok(connector.clone());
        }
        let connector = self.connect_with(roots)?;
        let _ = self.made.set((Arc::clone(roots), connector.clone()));
        Ok(connector)
    }

    fn connect_with(&self, roots: &Arc<RootCertStore>) -> Result<TlsConnector, Coded> {
        let config = config();
        let config = if self.is_insecure {
            let provider = Arc::new(ring::default_provider());
            let unchecked = Arc::new(Unchecked(provider));
            config
                .dangerous()
                .with_custom_certificate_verifier(unchecked)
        } else {
            config.with_root_certificates(self.roots_with(roots)?)
        };
        Ok(connector(match &self.client {
            Some(client) => {
                let certified = CertifiedKey::clone(&client.certified);
                config.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certified)))
            }
            None => config.with_no_client_auth(),
        }))
    }

    fn roots_with(&self, usual: &Arc<RootCertStore>) -> Result<Arc<RootCertStore>, Coded> {
        if self.authorities.is_empty() {
            return Ok(Arc::clone(usual));
        }
        let mut roots = RootCertStore::clone(usual);
        for authority in &self.authorities {
            roots
                .add(authority.clone())
                .map_err(|_| bad("a CA certificate cannot be used"))?;
        }
        Ok(Arc::new(roots))
    }
}

/// What makes connections that have nothing of their own.
pub(crate) fn plain_connector(roots: &Arc<RootCertStore>) -> TlsConnector {
    let roots = Arc::clone(roots);
    connector(config().with_root_certificates(roots).with_no_client_auth())
}

fn config() -> rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier> {
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring supports the default versions")
}

fn connector(mut config: ClientConfig) -> TlsConnector {
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    TlsConnector::from(Arc::new(config))
}

fn bad(detail: impl Into<String>) -> Coded {
    Coded::new(Code::TlsBad, detail)
}

fn authorities(pem: &str) -> Result<Vec<CertificateDer<'static>>, Coded> {
    let authorities = certificates(pem, "the CA certificates")?;
    let mut roots = RootCertStore::empty();
    for (index, authority) in authorities.iter().enumerate() {
        roots
            .add(authority.clone())
            .map_err(|_| bad(format!("CA certificate {} is not valid", index + 1)))?;
    }
    Ok(authorities)
}

fn client(cert_pem: &str, key_pem: &str) -> Result<Client, Coded> {
    let chain = certificates(cert_pem, "the client certificate")?;
    for (index, certificate) in chain.iter().enumerate() {
        rustls::server::ParsedCertificate::try_from(certificate).map_err(|_| {
            let nth = index + 1;
            bad(format!(
                "certificate {nth} of the client certificate is not valid"
            ))
        })?;
    }
    let key = private_key(key_pem)?;
    let certified = CertifiedKey::from_der(chain, key.clone_key(), &ring::default_provider());
    let certified = certified.map_err(|error| match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            bad("the private key does not belong to the client certificate")
        }
        _ => bad("the private key is not valid, or neither RSA, ECDSA nor Ed25519"),
    })?;
    Ok(Client {
        key,
        certified: Arc::new(certified),
    })
}

fn certificates(pem: &str, what: &str) -> Result<Vec<CertificateDer<'static>>, Coded> {
    let mut certificates = Vec::new();
    for section in sections(pem, what)? {
        match section {
            (SectionKind::Certificate, der) => certificates.push(CertificateDer::from(der)),
            (kind, _) if is_key(kind) => {
                return Err(bad(format!(
                    "{what} must not hold a private key: it has a field of its own"
                )));
            }
            _ => {}
        }
    }
    if certificates.is_empty() {
        return Err(bad(format!(
            "{what} must be PEM with `BEGIN CERTIFICATE`; there is none"
        )));
    }
    if certificates.len() > TLS_CERTIFICATES_MAX {
        return Err(bad(format!(
            "{what} may be at most {TLS_CERTIFICATES_MAX} certificates"
        )));
    }
    Ok(certificates)
}

fn private_key(pem: &str) -> Result<PrivateKeyDer<'static>, Coded> {
    let what = "the private key";
    let mut keys = sections(pem, what)?;
    keys.retain(|(kind, _)| is_key(*kind));
    let key = keys.pop();
    match key.and_then(|(kind, der)| PrivateKeyDer::from_pem(kind, der)) {
        Some(key) if keys.is_empty() => Ok(key),
        Some(_) => Err(bad("there is more than one private key")),
        None if pem.contains("ENCRYPTED") => Err(bad(
            "the private key is encrypted; give it without a passphrase",
        )),
        None => Err(bad(
            "the private key must be PEM with `BEGIN PRIVATE KEY`; there is none",
        )),
    }
}

fn is_key(kind: SectionKind) -> bool {
    use SectionKind::{EcPrivateKey, PrivateKey, RsaPrivateKey};
    matches!(kind, EcPrivateKey | PrivateKey | RsaPrivateKey)
}

fn sections(pem: &str, what: &str) -> Result<Vec<(SectionKind, Vec<u8>)>, Coded> {
    if pem.len() > TLS_PEM_BYTES_MAX {
        return Err(bad(format!("{what} may have {TLS_PEM_BYTES_MAX} bytes")));
    }
    <(SectionKind, Vec<u8>)>::pem_slice_iter(pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|_| bad(format!("{what} cannot be read as PEM")))
}

/// Takes any certificate, but only from a server that has its key.
#[derive(Debug)]
struct Unchecked(Arc<CryptoProvider>);

impl ServerCertVerifier for Unchecked {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(
            message,
            cert,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            cert,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
