//! `dunlin dev`: the development server, and what it says on the terminal.

use std::process::ExitCode;

use crate::cli::DevArgs;
use crate::config::{self, Mode, PORT, Settings, Sources};
use crate::serving::Serving;
use crate::term::{Style, Term, complain, program};
use crate::watch::Note;
use crate::{watch, wiring};

pub(crate) async fn run(args: DevArgs) -> anyhow::Result<ExitCode> {
    let file = args.config.clone();
    let settings = config::load(Mode::Dev, &args, &Sources::of_process(file.as_deref()))?;
    let term = Term::stdout();
    if !settings.host.is_loopback() {
        complain("warning: this server is open to everybody who reaches its address");
    }
    let serving = wiring::serve(&settings, Mode::Dev).await?;
    welcome(term, &settings, &serving);
    let watching = tokio::spawn(watch::apps(serving.node(), move |note| show(term, note)));
    let ended = serving.until_stopped().await;
    watching.abort();
    Ok(ended?)
}

fn welcome(term: Term, settings: &Settings, serving: &Serving) {
    let url = &serving.base_url;
    let title = format!("Dunlin {} · development server", env!("CARGO_PKG_VERSION"));
    term.line(term.paint(Style::Bold, title));
    term.pair("listens on", format_args!("http://{}", serving.address));
    match settings.memory {
        true => term.pair("data", "in memory, gone when this ends"),
        false => term.pair("data", settings.data_dir.display()),
    }
    if let Some(secret) = wiring::dodo_secret(&serving.node()) {
        term.pair("webhooks", format_args!("{url}/in/{}", wiring::DODO));
        match term.has_reader() {
            true => term.pair("secret", secret.reveal()),
            // Whatever stands in for a terminal may be kept.
            false => term.pair("secret", "shown on a terminal only"),
        }
    }
    term.pair("apps", apps_hint(settings));
    term.pair("try it", try_it(serving));
    term.pair(
        "look",
        format_args!("{url}/v1/events, {url}/api/trace/ID and {url}/api/events/ID/explain"),
    );
    if settings.signing_key.is_some() || !settings.event_keys.is_empty() {
        complain("note: keys are set, but a development server is open; see `dunlin start`");
    }
}

fn apps_hint(settings: &Settings) -> String {
    match (settings.sdk_urls.as_slice(), settings.discover) {
        ([], true) => "looked for on the usual ports of this machine".to_owned(),
        ([], false) => "none named; they may register themselves, or use --sdk-url".to_owned(),
        (urls, _) => urls.join(", "),
    }
}

fn try_it(serving: &Serving) -> String {
    let command = format!("{} trigger payment.succeeded", program());
    match serving.address.port() {
        PORT => command,
        _ => format!("{command} --server {}", serving.base_url),
    }
}

fn show(term: Term, note: &Note) {
    let mark = match note {
        Note::Synced { .. } => term.paint(Style::Good, "✓"),
        Note::Failed { .. } => term.paint(Style::Bad, "✗"),
        Note::Ignored { .. } => term.paint(Style::Note, "!"),
    };
    term.line(format_args!("{mark} {note}"));
}
