//! Registrations that an app gives as its answer to our asking, because it cannot reach this
//! server.

use bytes::Bytes;
use dunlin_types::Coded;
use http::HeaderMap;

use super::{App, Registration, members_of};
use crate::json::Members;

/// The header by which we ask for a registration in the answer (`in_band`), and by which the app
/// says that this is one.
pub const SYNC_KIND_HEADER: &str = "x-inngest-sync-kind";

/// Reads an app's answer of success to our asking; `None` when the app chose to register by a
/// request of its own. The signature is checked before, with
/// [`crate::sign::SigningKey::verify_response`].
///
/// # Errors
/// As [`super::parse_registration`].
pub fn from_in_band(body: &Bytes, headers: &HeaderMap) -> Result<Option<Registration>, Coded> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if header(SYNC_KIND_HEADER).map(str::trim) != Some("in_band") {
        return Ok(None);
    }
    let members = members_of(body)?;
    let either = |key: &str, name: &str| {
        let said = members.string(key);
        if said.is_empty() {
            header(name).unwrap_or_default().to_owned()
        } else {
            said
        }
    };
    let app = App {
        name: members.string("app_id"),
        url: members.string("url"),
        sdk: sdk(&members, header("x-inngest-sdk").unwrap_or_default()),
        deploy_type: "ping".to_owned(),
        framework: either("framework", "x-inngest-framework"),
        platform: either("platform", "x-inngest-platform"),
    };
    app.register(&members).map(Some)
}

/// `js:v4.24.0`, as a registration by request says it.
fn sdk(members: &Members<'_>, header: &str) -> String {
    let [language, version] = ["sdk_language", "sdk_version"].map(|key| members.string(key));
    if language.is_empty() {
        return header.strip_prefix("inngest-").unwrap_or(header).to_owned();
    }
    format!(
        "{language}:v{}",
        version.strip_prefix('v').unwrap_or(&version)
    )
}
