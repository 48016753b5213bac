//! `dunlin connect-dodo`: has Dodo Payments send its webhooks here. Registers the source's URL
//! there, fetches the secret, and gives it to the source. Done twice, it changes nothing.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::net::IpAddr;
use std::process::{Command, ExitCode, Stdio};

use dunlin_types::{Code, Secret, SourceMode, limits};
use dunlin_wire::standard_webhooks;
use http::{Method, Uri};
use serde_json::{Value, json};

use crate::cli::ConnectDodoArgs;
use crate::fail::Failure;
use crate::http_client::HttpClient;
use crate::term::{Style, Term};

/// Where Dodo's SDKs look for the key, too.
const KEY_VARIABLE: &str = "DODO_PAYMENTS_API_KEY";
/// Webhooks of one page of Dodo's list.
const PAGE_ITEMS: usize = 100;
/// Pages that are looked through; an account has a handful of webhooks.
const PAGES_MAX: usize = 20;

pub(crate) async fn run(args: ConnectDodoArgs) -> anyhow::Result<ExitCode> {
    let term = Term::stdout();
    let dodo = Dodo::new(&args).await?;
    let server = Server::new(&args);
    let source = server.source().await?;
    let url = source.public_url(args.public_url.as_deref())?;
    let webhook = dodo.webhook(&url, &source).await?;
    let secret = dodo.secret(&webhook.id).await?;
    let changed = server.set_secret(&source, &secret).await?;
    tell(term, &args, &source, &webhook, changed);
    Ok(ExitCode::SUCCESS)
}

fn mode(args: &ConnectDodoArgs) -> SourceMode {
    match args.mode.as_str() {
        "live" => SourceMode::Live,
        _ => SourceMode::Test,
    }
}

/// This server, and the source's name there.
struct Server {
    client: HttpClient,
    base: String,
    name: String,
    mode: SourceMode,
}

/// The source as it was found or made.
struct Source {
    name: String,
    /// Its URL as the server names it, by its id.
    ingest_url: String,
    is_new: bool,
}

impl Server {
    fn new(args: &ConnectDodoArgs) -> Self {
        let mode = mode(args);
        let usual = match mode {
            SourceMode::Test => "dodo",
            SourceMode::Live => "dodo-live",
        };
        Self {
            client: HttpClient::new(args.admin_token.clone().map(Secret::new)),
            base: format!("{}/ingest/api/v1/source", args.server.trim_end_matches('/')),
            name: args.source.clone().unwrap_or_else(|| usual.to_owned()),
            mode,
        }
    }

    fn path(&self, rest: &str) -> String {
        format!("{}/{}{rest}", self.base, self.name)
    }

    /// The source of that name, made if need be: with a secret that nobody has, until Dodo's is
    /// known.
    async fn source(&self) -> Result<Source, Failure> {
        let found = self
            .client
            .request(Method::GET, &self.path(""), None)
            .await?;
        let is_new = found.status == 404 && found.is(Code::SourceUnknown);
        let shown = match is_new {
            true => self.made().await?,
            false => {
                let shown = self.client.accepted(&self.path(""), found)?;
                self.check(&shown)?;
                shown
            }
        };
        Ok(Source {
            name: self.name.clone(),
            ingest_url: text(&shown, "ingestUrl")?,
            is_new,
        })
    }

    async fn made(&self) -> Result<Value, Failure> {
        let random: [u8; limits::WEBHOOK_KEY_BYTES_MIN] = rand::random();
        let secret = standard_webhooks::generate(&random);
        let fields = json!({
            "name": self.name,
            "type": "dodo",
            "config": {"secret": secret.reveal(), "mode": self.mode.as_str()},
        });
        self.client
            .ask(Method::POST, &self.base, Some(fields))
            .await
    }

    /// Test and live must not get mixed up.
    fn check(&self, shown: &Value) -> Result<(), Failure> {
        let (kind, mode) = (&shown["type"], &shown["config"]["mode"]);
        let mine = self.mode.as_str();
        let wrong = if kind != "dodo" {
            format!("is of the type {kind}")
        } else if !mode.is_null() && mode != mine {
            format!("is for the mode {mode}, not {mine}")
        } else {
            return Ok(());
        };
        let detail = format!("the source `{}` {wrong}", self.name);
        Err(Failure::new(Code::Conflict, detail).remedy("name another one: --source"))
    }

    /// Whether the source had another secret.
    async fn set_secret(&self, source: &Source, secret: &Secret) -> Result<bool, Failure> {
        let path = self.path("/secret");
        let current = self.client.ask(Method::GET, &path, None).await?;
        if current["key"]
            .as_str()
            .is_some_and(|key| secret.matches(key))
        {
            return Ok(false);
        }
        let grace_secs = match source.is_new {
            true => 0,
            false => limits::SECRET_GRACE_MS_DEFAULT / 1000,
        };
        let body = json!({"key": secret.reveal(), "gracePeriodSeconds": grace_secs});
        let path = self.path("/secret/rotate");
        self.client.ask(Method::POST, &path, Some(body)).await?;
        Ok(true)
    }
}

impl Source {
    /// The URL that Dodo is given: by the source's name, which outlives its id.
    fn public_url(&self, base: Option<&str>) -> Result<String, Failure> {
        let split = self.ingest_url.split_once("/in/");
        let (own, id) = split.ok_or_else(|| unexpected("ingestUrl"))?;
        let base = base.unwrap_or(own).trim_end_matches('/');
        if !is_public(base) {
            let detail = format!("Dodo cannot reach {base}");
            return Err(Failure::new(Code::ConfigBad, detail).remedy(
                "name the URL under which it reaches this server, such as a tunnel's: --public-url \
                 https://…",
            ));
        }
        Ok(match id.split_once('.') {
            Some((_, token)) => format!("{base}/in/{}.{token}", self.name),
            None => format!("{base}/in/{}", self.name),
        })
    }

    /// How a webhook at Dodo relates to this source, of which `url` is the one to be registered.
    fn lead_of(&self, known: &str, url: &str) -> Lead {
        let here = url.split_once("/in/");
        let (Some((base, own)), Some((_, by_id))) = (here, self.ingest_url.split_once("/in/"))
        else {
            return Lead::Elsewhere;
        };
        let known = known.trim_end_matches('/').strip_prefix(base);
        let Some(known) = known.and_then(|path| path.strip_prefix("/in/")) else {
            return Lead::Elsewhere;
        };
        if known == own || known == by_id {
            return Lead::Here;
        }
        let id = by_id.split_once('.').map_or(by_id, |(id, _)| id);
        let is_with_token = |name: &str| {
            let rest = known.strip_prefix(name);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        match is_with_token(&self.name) || is_with_token(id) {
            true => Lead::Before,
            false => Lead::Elsewhere,
        }
    }
}

/// Where a webhook at Dodo leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lead {
    /// To the source.
    Here,
    /// To a URL that the source had before, with another token or with none.
    Before,
    /// Somewhere else.
    Elsewhere,
}

/// Whether somebody elsewhere could reach that URL.
fn is_public(url: &str) -> bool {
    let Ok(uri) = url.parse::<Uri>() else {
        return false;
    };
    let Some(host) = uri.host() else {
        return false;
    };
    match host.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(IpAddr::V4(ip)) => !(ip.is_loopback() || ip.is_private() || ip.is_unspecified()),
        Ok(IpAddr::V6(ip)) => !(ip.is_loopback() || ip.is_unspecified()),
        Err(_) => host.contains('.') && !host.ends_with(".local"),
    }
}

/// Dodo's API.
struct Dodo {
    client: HttpClient,
    base: String,
}

/// A webhook at Dodo.
struct Webhook {
    id: String,
    url: String,
    done: Done,
}

/// What was done about it.
enum Done {
    Registered,
    Enabled,
    Moved,
    Nothing,
}

impl Dodo {
    async fn new(args: &ConnectDodoArgs) -> Result<Self, Failure> {
        let base = match (&args.dodo_url, mode(args)) {
            (Some(url), _) => url.trim_end_matches('/'),
            (None, SourceMode::Test) => "https://test.dodopayments.com",
            (None, SourceMode::Live) => "https://live.dodopayments.com",
        };
        let key = match std::env::var(KEY_VARIABLE) {
            Ok(key) if !key.trim().is_empty() => Secret::new(key.trim()),
            _ => prompted(mode(args)).await?,
        };
        Ok(Self {
            client: HttpClient::new(Some(key)),
            base: format!("{base}/webhooks"),
        })
    }

    async fn ask(&self, method: Method, url: &str, body: Option<Value>) -> Result<Value, Failure> {
        let asked = self.client.ask(method, url, body).await;
        asked.map_err(|failure| {
            let remedy = match failure.error.code {
                Code::ServerUnreachable => "see whether this machine reaches Dodo",
                _ => {
                    "look at the key: those of test and live mode differ (DODO_PAYMENTS_API_KEY, \
                     --mode)"
                }
            };
            Failure {
                remedy: Some(remedy.to_owned()),
                ..failure
            }
        })
    }

    /// The webhook that leads to the source: found, or registered.
    async fn webhook(&self, url: &str, source: &Source) -> Result<Webhook, Failure> {
        let Some(found) = self.find(url, source).await? else {
            let body = json!({
                "url": url,
                "description": format!("Dunlin, source {}", source.name),
            });
            let made = self.ask(Method::POST, &self.base, Some(body)).await?;
            return Webhook::of(&made, Done::Registered);
        };
        let is_before = source.lead_of(&text(&found, "url")?, url) == Lead::Before;
        let (done, body) = match (is_before, found["disabled"] == true) {
            (true, _) => (Done::Moved, json!({"url": url, "disabled": false})),
            (false, true) => (Done::Enabled, json!({"disabled": false})),
            (false, false) => return Webhook::of(&found, Done::Nothing),
        };
        let path = format!("{}/{}", self.base, text(&found, "id")?);
        let changed = self.ask(Method::PATCH, &path, Some(body)).await?;
        Webhook::of(&changed, done)
    }

    /// The webhook that leads to the source, else one that did before its URL was exchanged.
    async fn find(&self, url: &str, source: &Source) -> Result<Option<Value>, Failure> {
        let mut path = format!("{}?limit={PAGE_ITEMS}", self.base);
        let mut before = None;
        for _ in 0..PAGES_MAX {
            let mut page = self.ask(Method::GET, &path, None).await?;
            let Value::Array(webhooks) = page["data"].take() else {
                return Err(unexpected("data"));
            };
            let is_last = webhooks.is_empty() || page["done"] == true;
            for one in webhooks {
                match source.lead_of(one["url"].as_str().unwrap_or_default(), url) {
                    Lead::Here => return Ok(Some(one)),
                    Lead::Before => before = before.or(Some(one)),
                    Lead::Elsewhere => {}
                }
            }
            match page["iterator"].as_str() {
                Some(next) if !next.is_empty() && !is_last => {
                    path = format!("{}?limit={PAGE_ITEMS}&iterator={next}", self.base);
                }
                _ => break,
            }
        }
        Ok(before)
    }

    async fn secret(&self, webhook: &str) -> Result<Secret, Failure> {
        let path = format!("{}/{webhook}/secret", self.base);
        let answer = self.ask(Method::GET, &path, None).await?;
        text(&answer, "secret").map(Secret::new)
    }
}

impl Webhook {
    fn of(shown: &Value, done: Done) -> Result<Self, Failure> {
        Ok(Self {
            id: text(shown, "id")?,
            url: text(shown, "url")?,
            done,
        })
    }
}

fn text(answer: &Value, field: &str) -> Result<String, Failure> {
    let found = answer[field].as_str();
    found.map(str::to_owned).ok_or_else(|| unexpected(field))
}

fn unexpected(field: &str) -> Failure {
    let detail = format!("the answer has no `{field}`");
    Failure::new(Code::RequestRefused, detail)
}

/// Asks for the key, unless nobody is there.
async fn prompted(mode: SourceMode) -> Result<Secret, Failure> {
    let missing = || {
        let detail = format!("Dodo's API key is missing: {KEY_VARIABLE}");
        Failure::new(Code::ConfigMissing, detail)
            .remedy("make one in Dodo's dashboard, under Developer, API keys")
    };
    if !std::io::stdin().is_terminal() {
        return Err(missing());
    }
    let quiet = Quiet::start();
    let _ = write!(
        std::io::stderr(),
        "Dodo API key ({} mode; it is not shown): ",
        mode.as_str()
    );
    let read = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        let read = std::io::stdin().lock().read_line(&mut line);
        read.map(|_| Secret::new(line.trim()))
    });
    let key = tokio::select! {
        read = read => read.ok().and_then(Result::ok),
        _ = tokio::signal::ctrl_c() => None,
    };
    drop(quiet);
    let _ = writeln!(std::io::stderr());
    key.filter(|key| !key.reveal().is_empty())
        .ok_or_else(missing)
}

/// A terminal that does not show what is typed, until it is dropped.
struct Quiet;

impl Quiet {
    fn start() -> Self {
        stty("-echo");
        Self
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        stty("echo");
    }
}

fn stty(argument: &str) {
    // Where there is no such program, the key is seen as it is typed.
    let _ = Command::new("stty")
        .arg(argument)
        .stderr(Stdio::null())
        .status();
}

fn tell(term: Term, args: &ConnectDodoArgs, source: &Source, webhook: &Webhook, changed: bool) {
    let mode = mode(args).as_str();
    let title = format!(
        "Dodo Payments ({mode} mode) sends to the source `{}`",
        source.name
    );
    term.line(format_args!("{} {title}", term.paint(Style::Good, "✓")));
    let done = match webhook.done {
        Done::Registered => "registered at Dodo",
        Done::Enabled => "was disabled at Dodo, now enabled",
        Done::Moved => "led to the source's URL of before, now to this one",
        Done::Nothing => "was registered at Dodo already",
    };
    term.pair("webhook", format_args!("{} {done}", webhook.id));
    term.pair("url", &webhook.url);
    let secret = match (source.is_new, changed) {
        (true, _) => "fetched from Dodo and given to the new source",
        (false, true) => "fetched from Dodo; the one before stays valid for 24 hours",
        (false, false) => "the source had it already",
    };
    term.pair("secret", secret);
    let server = args.server.trim_end_matches('/');
    term.pair(
        "next",
        "send a test event from Dodo's dashboard, then look at",
    );
    term.pair("", format_args!("{server}/api/v1/app/default/msg"));
    term.pair(
        "",
        format_args!("{server}/ingest/api/v1/source/{}/errors", source.name),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dodo_is_given_no_url_that_leads_to_its_own_machine() {
        for (url, public) in [
            ("https://hooks.example.com", true),
            ("https://hooks.example.com:8443/base", true),
            ("https://203.0.113.7", true),
            ("http://localhost:8288", false),
            ("http://127.0.0.1:8288", false),
            ("http://[::1]:8288", false),
            ("http://10.0.0.7", false),
            ("http://0.0.0.0:8288", false),
            ("https://box.local", false),
            ("hooks", false),
            ("", false),
        ] {
            assert_eq!(is_public(url), public, "{url}");
        }
    }

    #[test]
    fn the_url_goes_by_the_name_and_carries_the_token() {
        let source = |ingest_url: &str| Source {
            name: "dodo".to_owned(),
            ingest_url: ingest_url.to_owned(),
            is_new: false,
        };
        let plain = source("http://127.0.0.1:8288/in/src_1");
        let url = plain.public_url(Some("https://a.example/")).unwrap();
        assert_eq!(url, "https://a.example/in/dodo");
        assert!(plain.public_url(None).is_err());
        let token = source("https://a.example/in/src_1.tok");
        assert_eq!(
            token.public_url(None).unwrap(),
            "https://a.example/in/dodo.tok"
        );
    }

    #[test]
    fn a_webhook_is_known_again_after_the_token_of_its_url_was_exchanged() {
        let source = |ingest_url: &str| Source {
            name: "dodo".to_owned(),
            ingest_url: ingest_url.to_owned(),
            is_new: false,
        };
        let base = "https://a.example/base";
        for (own, known, lead) in [
            ("src_1", "base/in/dodo", Lead::Here),
            ("src_1", "base/in/dodo/", Lead::Here),
            ("src_1", "base/in/src_1", Lead::Here),
            ("src_1.new", "base/in/src_1.new", Lead::Here),
            ("src_1.new", "base/in/dodo", Lead::Before),
            ("src_1.new", "base/in/dodo.old", Lead::Before),
            ("src_1.new", "base/in/src_1", Lead::Before),
            ("src_1.new", "base/in/src_1.old", Lead::Before),
            ("src_1", "base/in/dodo.old", Lead::Before),
            ("src_1", "base/in/dodo-live", Lead::Elsewhere),
            ("src_1", "base/in/src_12", Lead::Elsewhere),
            ("src_1", "in/dodo", Lead::Elsewhere),
            ("src_1", "", Lead::Elsewhere),
        ] {
            let source = source(&format!("http://127.0.0.1:8288/in/{own}"));
            let url = source.public_url(Some(base)).unwrap();
            let known = format!("https://a.example/{known}");
            assert_eq!(source.lead_of(&known, &url), lead, "{own} {known}");
        }
        let own = source("http://127.0.0.1:8288/in/src_1");
        let url = own.public_url(Some(base)).unwrap();
        let other = "https://b.example/base/in/dodo";
        assert_eq!(own.lead_of(other, &url), Lead::Elsewhere);
    }
}
