//! An endpoint's certificates by the paths of the foreign API: the same as its field `tls`.

use axum::Router;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use axum::routing::get;
use dunlin_delivery::{EndpointConfig, EndpointTls};
use dunlin_egress::parse_tls;
use dunlin_types::{Code, Coded, Secret};
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::endpoint;
use super::endpoint::{changing, updated};
use super::fields::{Fields, bad, given};
use crate::error::{Refused, Reply};
use crate::state::Api;

pub(super) fn routes() -> Router<Api> {
    let endpoint = "/api/v1/app/{app}/endpoint/{ep}";
    Router::new()
        .route(
            &format!("{endpoint}/mtls"),
            get(client).put(put_client).delete(forget_all),
        )
        .route(
            &format!("{endpoint}/ca"),
            get(authority).put(put_authority).delete(forget_authority),
        )
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClientIn {
    /// A private key and its certificates, in PEM.
    identity: String,
    #[serde(default, deserialize_with = "given")]
    server_ca_cert: Option<Option<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct AuthorityIn {
    ca_cert: String,
}

/// What is set, without the key.
async fn client(State(api): State<Api>, Path((app, ep)): Path<(String, String)>) -> Reply {
    let (_, endpoint) = endpoint(&api, &app, &ep)?;
    let tls = endpoint.config.tls.clone().unwrap_or_default();
    let shown = json!({
        "serverCaCert": tls.ca_pem,
        "clientCertificate": tls.client_cert_pem,
        "hasClientKey": tls.client_key_pem.is_some(),
    });
    Ok(axum::Json(shown).into_response())
}

async fn authority(State(api): State<Api>, Path((app, ep)): Path<(String, String)>) -> Reply {
    let (_, endpoint) = endpoint(&api, &app, &ep)?;
    let tls = endpoint.config.tls.clone().unwrap_or_default();
    Ok(axum::Json(json!({"caCert": tls.ca_pem})).into_response())
}

async fn put_client(
    State(api): State<Api>,
    Path(path): Path<(String, String)>,
    Fields(fields): Fields<ClientIn>,
) -> Reply {
    let (certificates, key) = parts(&fields.identity);
    if certificates.is_empty() || key.is_empty() {
        let why = "it must be PEM with a private key and its certificate";
        return Err(bad(&["body", "identity"], Coded::new(Code::TlsBad, why)));
    }
    changed(&api, path, "identity", |tls| {
        tls.client_cert_pem = Some(certificates);
        tls.client_key_pem = Some(Secret::new(key));
        if let Some(authority) = fields.server_ca_cert {
            tls.ca_pem = authority.filter(|pem| !pem.trim().is_empty());
        }
    })
    .await
}

async fn put_authority(
    State(api): State<Api>,
    Path(path): Path<(String, String)>,
    Fields(fields): Fields<AuthorityIn>,
) -> Reply {
    if fields.ca_cert.trim().is_empty() {
        let why = "it must be PEM with at least one certificate";
        return Err(bad(&["body", "caCert"], Coded::new(Code::TlsBad, why)));
    }
    let authority = Some(fields.ca_cert);
    changed(&api, path, "caCert", |tls| tls.ca_pem = authority).await
}

async fn forget_all(State(api): State<Api>, Path(path): Path<(String, String)>) -> Reply {
    changed(&api, path, "identity", |tls| {
        *tls = EndpointTls {
            insecure: tls.insecure,
            ..EndpointTls::default()
        };
    })
    .await
}

async fn forget_authority(State(api): State<Api>, Path(path): Path<(String, String)>) -> Reply {
    changed(&api, path, "caCert", |tls| tls.ca_pem = None).await
}

/// Changes what an endpoint has of its own for TLS.
async fn changed(
    api: &Api,
    (app, ep): (String, String),
    field: &str,
    change: impl FnOnce(&mut EndpointTls),
) -> Reply {
    let _alone = changing().await;
    let (_, old) = endpoint(api, &app, &ep)?;
    let mut config = EndpointConfig::clone(&old.config);
    let mut tls = config.tls.take().unwrap_or_default();
    change(&mut tls);
    config.tls = checked(tls, field)?;
    updated(api, &old, config).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// What can be used, or nothing where nothing is set.
fn checked(tls: EndpointTls, field: &str) -> Result<Option<EndpointTls>, Refused> {
    let key = tls.client_key_pem.as_ref().map(Secret::reveal);
    parse_tls(tls.ca_pem.as_deref(), tls.client_cert_pem.as_deref(), key)
        .map_err(|error| bad(&["body", field], error))?;
    Ok(Some(tls).filter(|tls| *tls != EndpointTls::default()))
}

/// The certificates and the key of a text that holds both, so that what is shown later is without
/// the key. Whatever else it holds is left out.
fn parts(pem: &str) -> (String, String) {
    let (mut certificates, mut key) = (String::new(), String::new());
    let mut open: Option<&mut String> = None;
    for line in pem.lines() {
        let line = line.trim();
        if let Some(label) = line.strip_prefix("-----BEGIN ") {
            open = if label.starts_with("CERTIFICATE") {
                Some(&mut certificates)
            } else if label.contains("PRIVATE KEY") {
                Some(&mut key)
            } else {
                None
            };
        }
        if let Some(part) = open.as_deref_mut() {
            part.push_str(line);
            part.push('\n');
        }
        if line.starts_with("-----END ") {
            open = None;
        }
    }
    (certificates, key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_never_stays_among_the_certificates() {
        let pem = "Bag\n-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----\r\n\
                   -----BEGIN EC PARAMETERS-----\nXX\n-----END EC PARAMETERS-----\n\
                   -----BEGIN EC PRIVATE KEY-----\nBB\n-----END EC PRIVATE KEY-----\n\
                   -----BEGIN CERTIFICATE-----\nCC\n-----END CERTIFICATE-----";
        let (certificates, key) = parts(pem);
        let one = |name: &str, text: &str| {
            format!("-----BEGIN {name}-----\n{text}\n-----END {name}-----\n")
        };
        let chain = one("CERTIFICATE", "AA") + &one("CERTIFICATE", "CC");
        assert_eq!(certificates, chain);
        assert_eq!(key, one("EC PRIVATE KEY", "BB"));
        assert_eq!(parts("no PEM"), (String::new(), String::new()));
    }
}
