//! What a TLS failure means, in words for whoever owns the endpoint.

use std::io;

use rustls::{AlertDescription, CertificateError, Error, PeerIncompatible};

/// Why a handshake, or a connection after it, failed. None when TLS is not what failed.
pub(crate) fn explain(error: &io::Error) -> Option<String> {
    let error = error.get_ref()?.downcast_ref::<Error>()?;
    Some(match error {
        Error::InvalidCertificate(why) => certificate(why),
        Error::AlertReceived(alert) => alerted(*alert),
        Error::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
        ) => TOO_OLD.to_owned(),
        Error::PeerIncompatible(_) => NOTHING_IN_COMMON.to_owned(),
        Error::InvalidMessage(_) => "what answers there does not speak TLS".to_owned(),
        Error::NoCertificatesPresented => "the server has no certificate".to_owned(),
        other => other.to_string(),
    })
}

/// Why connecting failed when it was to be encrypted.
pub(crate) fn explain_handshake(error: &io::Error) -> String {
    match explain(error) {
        Some(text) => text,
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            "the server closed the connection during the handshake".to_owned()
        }
        None => error.to_string(),
    }
}

const TOO_OLD: &str = "the server speaks neither TLS 1.2 nor TLS 1.3";
const NOTHING_IN_COMMON: &str = "the server has no cipher in common with this side";

fn certificate(why: &CertificateError) -> String {
    use CertificateError as C;
    let text = match why {
        C::Expired | C::ExpiredContext { .. } => "the certificate has expired",
        C::NotValidYet | C::NotValidYetContext { .. } => "the certificate is not valid yet",
        C::NotValidForName | C::NotValidForNameContext { .. } => {
            "the certificate is not for this host"
        }
        C::UnknownIssuer => "the certificate is signed by an unknown authority, or by itself",
        C::Revoked => "the certificate was revoked",
        C::BadSignature => "the certificate's signature is wrong",
        C::BadEncoding => "the certificate cannot be read",
        C::InvalidPurpose | C::InvalidPurposeContext { .. } => {
            "the certificate is not one for servers"
        }
        C::UnsupportedSignatureAlgorithmContext { .. }
        | C::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "the certificate's signature is of a kind that is not trusted"
        }
        C::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
            "the certificate is one of an authority, not of a server"
        }
        other => return format!("the certificate is not valid: {other}"),
    };
    text.to_owned()
}

fn alerted(alert: AlertDescription) -> String {
    use AlertDescription as A;
    let text = match alert {
        A::CertificateRequired | A::NoCertificate => "the server asks for a client certificate",
        A::BadCertificate
        | A::UnsupportedCertificate
        | A::CertificateRevoked
        | A::CertificateExpired
        | A::CertificateUnknown
        | A::UnknownCA
        | A::DecryptError
        | A::AccessDenied => "the server refuses the client certificate",
        A::ProtocolVersion => TOO_OLD,
        A::HandshakeFailure | A::InsufficientSecurity => NOTHING_IN_COMMON,
        A::UnrecognisedName => "the server does not know this host",
        other => return format!("the server ended it with the alert {other:?}"),
    };
    text.to_owned()
}
