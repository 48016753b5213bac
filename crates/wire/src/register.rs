//! What an app registers: itself and its functions. Keys are read whatever their letter case, for
//! one SDK depends on it; what is not known is left alone.

mod flow;
mod function;
mod in_band;
mod rules;
mod url;

use bytes::Bytes;
use dunlin_types::limits::{FUNCTIONS_PER_APP_MAX, REGISTER_BODY_BYTES_MAX};
use dunlin_types::{Code, Coded};
use sha2::{Digest as _, Sha256};

use crate::json::{self, Members};

pub use flow::{
    BatchRule, ConcurrencyRule, DebounceRule, FlowRules, RateRule, Scope, SingletonMode,
    SingletonRule,
};
pub use function::{FunctionConfig, Trigger};
pub use in_band::{SYNC_KIND_HEADER, from_in_band};
pub use rules::{CancelRule, Timeouts};
pub use url::app_identity_url;

/// An app's registration.
#[derive(Clone, Debug)]
pub struct Registration {
    /// The app's name, which is its identity.
    pub app_name: String,
    /// Its own version, empty when not given.
    pub app_version: String,
    /// Its serve URL, as it is to be dialled.
    pub url: String,
    /// Such as `js:v4.24.0`; empty when not given.
    pub sdk: String,
    /// Such as `nextjs`; empty when not given.
    pub framework: String,
    /// Such as `vercel`; empty when not given.
    pub platform: String,
    /// `ping` or `connect`; empty when not given.
    pub deploy_type: String,
    /// The same as before means: nothing has changed. It does not tell how the app was registered.
    pub checksum: [u8; 32],
    /// Its functions.
    pub functions: Vec<FunctionConfig>,
}

impl Registration {
    /// The SDK's language, such as `js`.
    #[must_use]
    pub fn sdk_language(&self) -> &str {
        let language = self.sdk.split(':').next().unwrap_or_default();
        language.strip_prefix("inngest-").unwrap_or(language)
    }

    /// The SDK's version without a leading `v`; empty when not given.
    #[must_use]
    pub fn sdk_version(&self) -> &str {
        let version = self.sdk.split_once(':').map_or("", |(_, version)| version);
        version.strip_prefix('v').unwrap_or(version)
    }
}

/// Reads the body of a registration.
///
/// # Errors
/// [`Code::RegisterBad`] when the body or the app is not valid, [`Code::FunctionBad`] with all the
/// reasons when functions are not.
pub fn parse_registration(body: &Bytes) -> Result<Registration, Coded> {
    let members = members_of(body)?;
    let app = App {
        name: members.string("appName"),
        url: members.string("url"),
        sdk: members.string("sdk"),
        deploy_type: first_of(&members, ["deployType", "deploy_type"]),
        framework: members.string("framework"),
        platform: platform(&members),
    };
    app.register(&members)
}

fn bad(detail: &str) -> Coded {
    Coded::new(Code::RegisterBad, detail)
}

fn members_of(body: &[u8]) -> Result<Members<'_>, Coded> {
    if body.len() > REGISTER_BODY_BYTES_MAX {
        return Err(bad("Invalid request: the body is too large"));
    }
    let text =
        std::str::from_utf8(body).map_err(|_| bad("Invalid request: the body is not UTF-8"))?;
    serde_json::from_str(text).map_err(|e| bad(&format!("Invalid request: {e}")))
}

/// Counts up when more is read of registrations: then what was kept of the same one is other than
/// before.
const READING: &[u8] = b"2";

/// What the two ways of registering say with different words.
struct App {
    name: String,
    url: String,
    sdk: String,
    deploy_type: String,
    framework: String,
    platform: String,
}

impl App {
    fn register(self, members: &Members<'_>) -> Result<Registration, Coded> {
        if self.name.trim().is_empty() {
            return Err(bad("App ID required"));
        }
        if !url::has_known_scheme(&self.url) {
            return Err(bad("Invalid request: url must be an http or https URL"));
        }
        let app_version = members.string("appVersion");
        let functions = members.get("functions").unwrap_or("[]");
        Ok(Registration {
            checksum: self.checksum(&app_version, functions),
            functions: read_functions(functions)?,
            app_name: self.name,
            app_version,
            url: self.url,
            sdk: self.sdk,
            framework: self.framework,
            platform: self.platform,
            deploy_type: self.deploy_type,
        })
    }

    /// Over what is kept and nothing else: telemetry and the like change by themselves, the platform
    /// is told in one way of registering only, and SDKs put blanks in one and none in the other.
    fn checksum(&self, app_version: &str, functions: &str) -> [u8; 32] {
        let canonical = serde_json::from_str::<serde_json::Value>(functions)
            .ok()
            .and_then(|value| serde_json_canonicalizer::to_vec(&value).ok());
        let functions = canonical.unwrap_or_else(|| functions.as_bytes().to_vec());
        let mut hash = Sha256::new();
        for part in [
            READING,
            self.name.as_bytes(),
            self.url.as_bytes(),
            self.sdk.as_bytes(),
            self.deploy_type.as_bytes(),
            self.framework.as_bytes(),
            app_version.as_bytes(),
            &functions,
        ] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hash.finalize().into()
    }
}

fn first_of(members: &Members<'_>, keys: [&str; 2]) -> String {
    let [first, second] = keys.map(|key| members.string(key));
    if first.is_empty() { second } else { first }
}

fn platform(members: &Members<'_>) -> String {
    let direct = members.string("platform");
    if !direct.is_empty() {
        return direct;
    }
    let headers = members.get("headers").and_then(Members::of);
    headers.map_or_else(String::new, |headers| headers.string("platform"))
}

fn read_functions(list: &str) -> Result<Vec<FunctionConfig>, Coded> {
    let list =
        json::elements(list).ok_or_else(|| bad("Invalid request: functions must be a list"))?;
    if list.len() > FUNCTIONS_PER_APP_MAX {
        return Err(bad(&format!(
            "Invalid request: at most {FUNCTIONS_PER_APP_MAX} functions are allowed"
        )));
    }
    let (mut functions, mut reasons) = (Vec::<FunctionConfig>::new(), Vec::new());
    let mut slugs = std::collections::HashSet::new();
    for (index, raw) in list.iter().enumerate() {
        match function::parse(raw.get()) {
            Ok(config) if !slugs.insert(config.slug.clone()) => {
                reasons.push(format!("{}: the id occurs twice", config.slug));
            }
            Ok(config) => functions.push(config),
            Err((slug, why)) if slug.is_empty() => {
                reasons.push(format!("function {}: {}", index + 1, why.join(", ")));
            }
            Err((slug, why)) => reasons.push(format!("{slug}: {}", why.join(", "))),
        }
    }
    if reasons.is_empty() {
        return Ok(functions);
    }
    let detail = format!("At least one function is invalid: {}", reasons.join("; "));
    Err(Coded::new(Code::FunctionBad, detail))
}
