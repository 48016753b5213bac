//! `dunlin trigger`: sends one signed sample webhook and tells what was answered.

use std::borrow::Cow;
use std::process::ExitCode;

use dunlin_api::samples;
use dunlin_node::Clock;
use dunlin_types::{Code, Secret};
use dunlin_wire::standard_webhooks::WebhookKey;
use http::Method;

use crate::cli::TriggerArgs;
use crate::fail::Failure;
use crate::http_client::{HttpClient, Reply, webhook_headers};
use crate::sample;
use crate::term::{Style, Term};

/// A webhook that is ready to go.
pub(crate) struct Webhook {
    /// Where to.
    pub(crate) url: String,
    /// What it is signed with.
    pub(crate) secret: Secret,
    /// Its id, which makes it the same webhook when it is sent again.
    pub(crate) id: String,
    /// Its body.
    pub(crate) body: String,
}

impl Webhook {
    /// Signs and sends it. Any answer is an answer.
    pub(crate) async fn send(&self, client: &HttpClient) -> Result<Reply, Failure> {
        let now = Clock::new().now();
        let key = WebhookKey::parse(self.secret.reveal())?;
        let signature = key
            .sign(&self.id, now, self.body.as_bytes())
            .ok_or_else(|| {
                Failure::new(
                    Code::SecretWeak,
                    "a public key can only verify; name the signing one",
                )
            })?;
        let headers = webhook_headers(&self.id, now.secs(), &signature)?;
        client
            .send(Method::POST, &self.url, headers, self.body.clone())
            .await
    }
}

pub(crate) async fn run(args: TriggerArgs) -> anyhow::Result<ExitCode> {
    let term = Term::stdout();
    let event_type = match &args.event_type {
        Some(event_type) if !args.list => event_type,
        _ => {
            samples::all().for_each(|(event_type, _)| term.line(event_type));
            return Ok(ExitCode::SUCCESS);
        }
    };
    let body = sample::body(event_type, Clock::new().now(), &args.set)?;
    let client = HttpClient::new(args.admin_token.clone().map(Secret::new));
    let id = args.id.clone().unwrap_or_else(sample::webhook_id);
    let (url, secret) = destination(&args, &client).await?;
    let webhook = Webhook {
        url,
        secret,
        id,
        body,
    };
    let reply = webhook.send(&client).await?;
    if !reply.is_success() {
        let detail = format!("{}: {}", bare(&webhook.url), reply.refusal());
        return Err(Failure::new(Code::RequestRefused, detail).into());
    }
    tell(term, event_type, &args, &webhook, &reply);
    Ok(ExitCode::SUCCESS)
}

/// The URL and the secret: as named, or of the source, which the server knows.
async fn destination(args: &TriggerArgs, client: &HttpClient) -> Result<(String, Secret), Failure> {
    if let (Some(url), Some(secret)) = (&args.to, &args.secret) {
        return Ok((url.clone(), Secret::new(secret.as_str())));
    }
    let server = args.server.trim_end_matches('/');
    let source = format!("{server}/ingest/api/v1/source/{}", args.source);
    let shown = client.ask(Method::GET, &source, None).await?;
    let missing = |path: &str, what: &str| {
        let detail = format!("{path}: the answer holds no {what}");
        Failure::new(Code::RequestRefused, detail)
    };
    // The server may be told another base than the one it is reached by here.
    let ingest_url = shown["ingestUrl"]
        .as_str()
        .and_then(|url| url.split_once("/in/"));
    let (_, way_in) = ingest_url.ok_or_else(|| missing(&source, "ingestUrl"))?;
    let path = format!("{source}/secret");
    let answer = client.ask(Method::GET, &path, None).await?;
    let secret = answer["key"]
        .as_str()
        .ok_or_else(|| missing(&path, "secret"))?;
    Ok((format!("{server}/in/{way_in}"), Secret::new(secret)))
}

/// A URL without the token that it may end with, to be shown.
fn bare(url: &str) -> Cow<'_, str> {
    match url.rsplit_once("/in/") {
        Some((base, way_in)) => match way_in.rsplit_once('.') {
            Some((name, _)) => Cow::Owned(format!("{base}/in/{name}.…")),
            None => Cow::Borrowed(url),
        },
        None => Cow::Borrowed(url),
    }
}

fn tell(term: Term, event_type: &str, args: &TriggerArgs, webhook: &Webhook, reply: &Reply) {
    let sent = format!("{event_type} sent to {}", bare(&webhook.url));
    term.line(format_args!("{} {sent}", term.paint(Style::Good, "✓")));
    let took = reply.took.as_secs_f64() * 1000.0;
    term.pair(
        "answered",
        format_args!("HTTP {} in {took:.1} ms", reply.status),
    );
    term.pair("webhook-id", &webhook.id);
    let Some(message) = reply.json["id"].as_str() else {
        return;
    };
    term.pair("message", message);
    if reply.json["duplicate"] == true {
        term.pair(
            "note",
            "the server had this webhook already, so nothing new happens",
        );
    }
    // With `--to`, the server that answered is the one before the path of that URL.
    let server = match &args.to {
        Some(url) => url.split("/in/").next().unwrap_or(url),
        None => args.server.trim_end_matches('/'),
    };
    term.pair("trace", format_args!("{server}/api/trace/{message}"));
    term.pair(
        "explain",
        format_args!("{server}/api/events/{message}/explain"),
    );
}
