//! Settings of the two servers: read from the file, the environment and the flags, the later the
//! stronger, and checked. A name that is no setting is refused, and so is a value that cannot be.

mod layers;
mod words;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use dunlin_egress::{AddressPolicy, Proxy};
use dunlin_engine::{CallLimits, Missed};
use dunlin_store::SealKey;
use dunlin_types::{Code, Secret, limits};
use dunlin_wire::duration::parse_duration;
use dunlin_wire::sign::SigningKey;
use figment::Figment;
use figment::providers::Serialized;
use serde::{Deserialize, Serialize};

use crate::fail::Failure;
use layers::{EnvLayer, file_layer, refused};
use words::{Word, Words};

/// Which server the settings are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// `dunlin dev`
    Dev,
    /// `dunlin start`
    Start,
}

/// Everything that can be set, by name, as it was written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    host: Option<Word>,
    port: Option<Word>,
    allow_host: Option<Words>,
    public_url: Option<Word>,
    data_dir: Option<Word>,
    seal_key: Option<Words>,
    memory: Option<Word>,
    sdk_url: Option<Words>,
    no_discovery: Option<Word>,
    poll_interval: Option<Word>,
    call_timeout: Option<Word>,
    cron_missed: Option<Word>,
    default_retries: Option<Word>,
    max_calls: Option<Word>,
    max_calls_per_app: Option<Word>,
    max_live_runs: Option<Word>,
    memory_max: Option<Word>,
    retry_interval: Option<Word>,
    test_mode: Option<Word>,
    signing_key: Option<Word>,
    signing_key_fallback: Option<Word>,
    event_key: Option<Words>,
    admin_token: Option<Word>,
    allow_endpoint_range: Option<Words>,
    endpoint_https_only: Option<Word>,
    allow_insecure_tls: Option<Word>,
    proxy: Option<Word>,
    no_proxy: Option<Words>,
    disable_failing_after: Option<Word>,
}

/// The names of [`Raw`].
const NAMES: [&str; 29] = [
    "host",
    "port",
    "allow_host",
    "public_url",
    "data_dir",
    "seal_key",
    "memory",
    "sdk_url",
    "no_discovery",
    "poll_interval",
    "call_timeout",
    "cron_missed",
    "default_retries",
    "max_calls",
    "max_calls_per_app",
    "max_live_runs",
    "memory_max",
    "retry_interval",
    "test_mode",
    "signing_key",
    "signing_key_fallback",
    "event_key",
    "admin_token",
    "allow_endpoint_range",
    "endpoint_https_only",
    "allow_insecure_tls",
    "proxy",
    "no_proxy",
    "disable_failing_after",
];

/// Where they are read from.
#[derive(Debug)]
pub(crate) struct Sources<'a> {
    /// The file that was named; `dunlin.toml` is optional otherwise.
    pub(crate) file: Option<&'a Path>,
    /// The process's environment.
    pub(crate) env: Vec<(String, String)>,
}

impl<'a> Sources<'a> {
    pub(crate) fn of_process(file: Option<&'a Path>) -> Self {
        let pair = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self {
            file,
            env: std::env::vars_os().filter_map(pair).collect(),
        }
    }
}

/// Settings that can be used.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) host: IpAddr,
    pub(crate) port: u16,
    pub(crate) allow_hosts: Vec<String>,
    pub(crate) public_url: Option<String>,
    pub(crate) data_dir: PathBuf,
    /// The first seals; none where the data folder has a file for them.
    pub(crate) seal_keys: Vec<SealKey>,
    pub(crate) memory: bool,
    pub(crate) sdk_urls: Vec<String>,
    pub(crate) discover: bool,
    pub(crate) poll_interval: Duration,
    pub(crate) call_timeout: Duration,
    pub(crate) cron_missed: Missed,
    pub(crate) default_retries: u8,
    pub(crate) calls: CallLimits,
    pub(crate) max_live_runs: usize,
    pub(crate) memory_bytes_max: Option<u64>,
    pub(crate) retry_interval_ms: Option<i64>,
    pub(crate) test_mode: bool,
    pub(crate) signing_key: Option<Arc<SigningKey>>,
    pub(crate) event_keys: Vec<Secret>,
    pub(crate) admin_token: Option<Secret>,
    pub(crate) endpoint_policy: AddressPolicy,
    pub(crate) proxy: Option<Proxy>,
    /// 0 for never.
    pub(crate) disable_failing_after_ms: i64,
}

/// Where SDKs look for a server by themselves.
pub(crate) const PORT: u16 = 8288;
const DATA_DIR: &str = "./.dunlin";
const POLL_INTERVAL: Duration = Duration::from_secs(5);

/// Reads and checks the settings.
///
/// # Errors
/// Names the setting that is missing, unknown or unusable, and where it came from.
pub(crate) fn load(
    mode: Mode,
    flags: impl Serialize,
    sources: &Sources<'_>,
) -> Result<Settings, Failure> {
    let file = file_layer(sources.file)?;
    let layers = Figment::new()
        .merge(file)
        .merge(EnvLayer::of(&sources.env)?)
        .merge(Serialized::from(flags, figment::Profile::Default));
    let raw: Raw = layers.extract().map_err(|error| refused(&error))?;
    let named = Named { layers: &layers };
    let settings = named.settings(raw)?;
    match mode {
        Mode::Dev => Ok(settings),
        Mode::Start => guarded(settings),
    }
}

/// Turns words into values, and says which setting could not be.
struct Named<'a> {
    layers: &'a Figment,
}

impl Named<'_> {
    fn settings(&self, raw: Raw) -> Result<Settings, Failure> {
        let retry_interval = self.duration("retry_interval", raw.retry_interval)?;
        let ranges = raw.allow_endpoint_range.unwrap_or_default().0;
        Ok(Settings {
            host: self.host(raw.host)?,
            port: self
                .parsed("port", raw.port, "a port, 0 to 65535")?
                .unwrap_or(PORT),
            allow_hosts: raw.allow_host.unwrap_or_default().0,
            public_url: self.public_url(raw.public_url)?,
            data_dir: raw
                .data_dir
                .map_or_else(|| DATA_DIR.into(), |dir| dir.0.into()),
            seal_keys: self.seal_keys(raw.seal_key.unwrap_or_default().0)?,
            memory: self.flag("memory", raw.memory)?,
            sdk_urls: self.sdk_urls(raw.sdk_url.unwrap_or_default().0)?,
            discover: !self.flag("no_discovery", raw.no_discovery)?,
            poll_interval: self
                .duration("poll_interval", raw.poll_interval)?
                .filter(|interval| !interval.is_zero())
                .unwrap_or(POLL_INTERVAL),
            call_timeout: self
                .duration("call_timeout", raw.call_timeout)?
                .unwrap_or(Duration::from_millis(limits::CALL_TIMEOUT_MS_DEFAULT)),
            cron_missed: self.cron_missed(raw.cron_missed)?,
            default_retries: self.retries(raw.default_retries)?,
            calls: self.calls(raw.max_calls, raw.max_calls_per_app)?,
            max_live_runs: self
                .count("max_live_runs", raw.max_live_runs)?
                .map_or(limits::LIVE_RUNS_MAX_DEFAULT, |count| count as usize),
            memory_bytes_max: self
                .count("memory_max", raw.memory_max)?
                .map(|mib| u64::from(mib) * 1024 * 1024),
            retry_interval_ms: retry_interval
                .and_then(|interval| i64::try_from(interval.as_millis()).ok())
                .filter(|ms| *ms > 0),
            test_mode: self.flag("test_mode", raw.test_mode)?,
            signing_key: self.signing_keys(raw.signing_key, raw.signing_key_fallback)?,
            event_keys: raw
                .event_key
                .unwrap_or_default()
                .0
                .into_iter()
                .map(Secret::new)
                .collect(),
            admin_token: raw.admin_token.and_then(Word::filled).map(Secret::new),
            endpoint_policy: self.endpoint_policy(
                &ranges,
                self.flag("endpoint_https_only", raw.endpoint_https_only)?,
                self.flag("allow_insecure_tls", raw.allow_insecure_tls)?,
            )?,
            proxy: self.proxy(raw.proxy, raw.no_proxy.unwrap_or_default().0)?,
            disable_failing_after_ms: self
                .duration("disable_failing_after", raw.disable_failing_after)?
                .map_or(limits::ENDPOINT_DISABLED_AFTER_MS, |span| {
                    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
                }),
        })
    }

    /// Never shows the value: it may be a secret in the wrong place.
    fn bad(&self, name: &str, what: &str) -> Failure {
        let from = self.layers.find_metadata(name).map(layers::place);
        let from = from
            .map(|place| format!(" (from {place})"))
            .unwrap_or_default();
        Failure::new(
            Code::ConfigBad,
            format!("the setting `{name}`{from} is not {what}"),
        )
    }

    fn parsed<T: std::str::FromStr>(
        &self,
        name: &str,
        word: Option<Word>,
        what: &str,
    ) -> Result<Option<T>, Failure> {
        let Some(text) = word.and_then(Word::filled) else {
            return Ok(None);
        };
        text.parse().map(Some).map_err(|_| self.bad(name, what))
    }

    /// How many there may be; none of something is no limit that anybody means.
    fn count(&self, name: &str, word: Option<Word>) -> Result<Option<u32>, Failure> {
        let what = "a number, 1 or more";
        match self.parsed(name, word, what)? {
            Some(0) => Err(self.bad(name, what)),
            count => Ok(count),
        }
    }

    fn calls(&self, all: Option<Word>, per_app: Option<Word>) -> Result<CallLimits, Failure> {
        let mut calls = CallLimits::default();
        if let Some(count) = self.count("max_calls", all)? {
            calls.calls_max = count as usize;
        }
        if let Some(count) = self.count("max_calls_per_app", per_app)? {
            calls.calls_per_app_max = count;
        }
        Ok(calls)
    }

    fn flag(&self, name: &str, word: Option<Word>) -> Result<bool, Failure> {
        match word.and_then(Word::filled).as_deref() {
            None | Some("false" | "0") => Ok(false),
            Some("true" | "1") => Ok(true),
            Some(_) => Err(self.bad(name, "true or false")),
        }
    }

    fn duration(&self, name: &str, word: Option<Word>) -> Result<Option<Duration>, Failure> {
        let Some(text) = word.and_then(Word::filled) else {
            return Ok(None);
        };
        let ms = parse_duration(&text).and_then(|ms| u64::try_from(ms).ok());
        ms.map(|ms| Some(Duration::from_millis(ms)))
            .ok_or_else(|| self.bad(name, "a duration such as 500ms, 5s or 2h"))
    }

    fn host(&self, word: Option<Word>) -> Result<IpAddr, Failure> {
        const LOCAL: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
        match word.and_then(Word::filled).as_deref() {
            None | Some("localhost") => Ok(LOCAL),
            Some(text) => text
                .trim_matches(['[', ']'])
                .parse()
                .map_err(|_| self.bad("host", "an IP address of this machine")),
        }
    }

    fn public_url(&self, word: Option<Word>) -> Result<Option<String>, Failure> {
        let Some(text) = word.and_then(Word::filled) else {
            return Ok(None);
        };
        let is_url = text.starts_with("http://") || text.starts_with("https://");
        let host = text.split("//").nth(1).unwrap_or_default();
        if !is_url || host.is_empty() || text.contains(['?', '#']) {
            return Err(self.bad("public_url", "a URL such as https://hooks.example.com"));
        }
        Ok(Some(text.trim_end_matches('/').to_owned()))
    }

    /// As the SDKs' own server takes them: without a scheme they are `http`.
    fn sdk_urls(&self, urls: Vec<String>) -> Result<Vec<String>, Failure> {
        let full = |url: String| match url.contains("://") {
            true => url,
            false => format!("http://{url}"),
        };
        let urls: Vec<String> = urls.into_iter().map(full).collect();
        let is_http = |url: &String| url.starts_with("http://") || url.starts_with("https://");
        if urls
            .iter()
            .all(|url| is_http(url) && url_host(url).is_some())
        {
            return Ok(urls);
        }
        Err(self.bad("sdk_url", "a URL such as http://localhost:3000/api/inngest"))
    }

    fn retries(&self, word: Option<Word>) -> Result<u8, Failure> {
        let what = format!("a number of retries, 0 to {}", limits::RETRIES_MAX);
        let retries = self.parsed("default_retries", word, &what)?;
        match retries.unwrap_or(limits::RETRIES_DEFAULT) {
            retries if retries <= limits::RETRIES_MAX => Ok(retries),
            _ => Err(self.bad("default_retries", &what)),
        }
    }

    /// The key to sign with, beside which the fallback counts where apps use it.
    fn signing_keys(
        &self,
        key: Option<Word>,
        fallback: Option<Word>,
    ) -> Result<Option<Arc<SigningKey>>, Failure> {
        let key = self.signing_key("signing_key", key)?;
        let fallback = self.signing_key("signing_key_fallback", fallback)?;
        let key = match (key, fallback) {
            (Some(key), Some(fallback)) => Some(key.with_fallback(fallback)),
            (None, Some(_)) => {
                let what = "of use without `signing_key`, the key that this server signs with";
                return Err(self.bad("signing_key_fallback", what));
            }
            (key, None) => key,
        };
        Ok(key.map(Arc::new))
    }

    fn signing_key(&self, name: &str, word: Option<Word>) -> Result<Option<SigningKey>, Failure> {
        let Some(text) = word.and_then(Word::filled) else {
            return Ok(None);
        };
        let hint = "make one: openssl rand -hex 32";
        SigningKey::parse(&text)
            .map(Some)
            .map_err(|_| self.bad(name, "an even number of hex digits").remedy(hint))
    }

    fn seal_keys(&self, texts: Vec<String>) -> Result<Vec<SealKey>, Failure> {
        if texts.len() > limits::SEAL_KEYS_MAX {
            return Err(self.bad("seal_key", "a list that short: it has too many keys"));
        }
        let keys = texts.iter().map(|text| SealKey::parse(text));
        let what = "a key of 32 bytes in hex or base64, or several with commas";
        let hint = "make one: openssl rand -hex 32";
        keys.collect::<Option<_>>()
            .ok_or_else(|| self.bad("seal_key", what).remedy(hint))
    }

    fn cron_missed(&self, word: Option<Word>) -> Result<Missed, Failure> {
        match word.and_then(Word::filled).as_deref() {
            None | Some("once") => Ok(Missed::Once),
            Some("replay") => Ok(Missed::Replay),
            Some("skip") => Ok(Missed::Skip),
            Some(_) => Err(self.bad("cron_missed", "once, replay or skip")),
        }
    }

    fn proxy(&self, url: Option<Word>, exempt: Vec<String>) -> Result<Option<Proxy>, Failure> {
        let url = url.and_then(Word::filled);
        let parse = |url: String| {
            Proxy::parse(&url, &exempt)
                .map_err(|_| self.bad("proxy", "a URL such as http://proxy.internal:3128"))
        };
        url.map(parse).transpose()
    }

    fn endpoint_policy(
        &self,
        ranges: &[String],
        https_only: bool,
        insecure_tls: bool,
    ) -> Result<AddressPolicy, Failure> {
        let mut policy = AddressPolicy::public_only();
        if https_only {
            policy = policy.require_https();
        }
        if insecure_tls {
            policy = policy.allow_insecure_tls();
        }
        for range in ranges {
            policy = policy
                .allow_cidr(range)
                .map_err(|_| self.bad("allow_endpoint_range", "a network such as 10.1.0.0/16"))?;
        }
        Ok(policy)
    }
}

/// The host of a URL, without port and brackets.
pub(crate) fn url_host(url: &str) -> Option<&str> {
    let authority = url.split_once("://")?.1.split(['/', '?', '#']).next()?;
    let authority = authority.rsplit('@').next()?;
    let host = match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next()?,
        None => authority.split(':').next()?,
    };
    (!host.is_empty()).then_some(host)
}

/// What production needs, and what it must not have.
fn guarded(settings: Settings) -> Result<Settings, Failure> {
    let needed = [
        ("signing key", "signing_key", settings.signing_key.is_none()),
        ("event key", "event_key", settings.event_keys.is_empty()),
        ("admin token", "admin_token", settings.admin_token.is_none()),
    ];
    let missing: Vec<String> = needed
        .iter()
        .filter(|(_, _, missing)| *missing)
        .map(|(title, name, _)| how_to_set(title, name))
        .collect();
    if !missing.is_empty() {
        let detail = format!(
            "`dunlin start` does not run open; missing: {}",
            missing.join("; ")
        );
        let remedy =
            "make a key: openssl rand -hex 32. On your own machine, `dunlin dev` needs none";
        return Err(Failure::new(Code::ConfigMissing, detail).remedy(remedy));
    }
    let only_dev = [
        ("memory", settings.memory),
        ("test_mode", settings.test_mode),
    ];
    if let Some((name, _)) = only_dev.iter().find(|(_, set)| *set) {
        let detail = format!("the setting `{name}` is for `dunlin dev` only");
        return Err(Failure::new(Code::ConfigBad, detail));
    }
    Ok(settings)
}

fn how_to_set(title: &str, name: &str) -> String {
    let flag = name.replace('_', "-");
    let variable = name.to_uppercase();
    format!("the {title} (--{flag}, DUNLIN_{variable}, or {name} in dunlin.toml)")
}

#[cfg(test)]
mod tests;
