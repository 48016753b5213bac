//! The command line: its commands, their flags, and what becomes of their failures.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use dunlin_types::Code;
use serde::Serialize;

use crate::fail::Failure;
use crate::term::complain;
use crate::{connect_dodo, demo, dev, logging, seal, simulate, start, trigger};

const ABOUT: &str = "Dunlin turns payment webhooks into work that always finishes: a webhook gateway \
and a durable function engine for the Inngest SDKs, in one program.";

const EXAMPLES: &str = "Examples:
  dunlin demo                          see the main job, from webhook to finished function
  dunlin dev                           development server; finds apps on this machine by itself
  dunlin trigger payment.succeeded     send it a signed sample webhook
  dunlin simulate handler.js --event payment.succeeded
                                       try a transformation without a server
  dunlin start --config dunlin.toml    production server
  dunlin rotate-seal-key               exchange the key that seals secrets on disk

Settings come from flags, DUNLIN_* variables and dunlin.toml, the strongest first.
Each error code has a page in docs/errors. Exit codes: 0 done, 1 failed, 2 wrong usage.";

const DEV_EXAMPLES: &str = "Examples:
  dunlin dev
  dunlin dev --sdk-url http://localhost:3000/api/inngest
  dunlin dev --memory --port 8298

Everything is open in development, so keep it on loopback. Settings may also come from
DUNLIN_* variables (DUNLIN_SDK_URL=a,b) or dunlin.toml (sdk_url = [\"a\", \"b\"]).";

const START_EXAMPLES: &str = "Examples:
  DUNLIN_SIGNING_KEY=… DUNLIN_EVENT_KEY=… DUNLIN_ADMIN_TOKEN=… dunlin start --data-dir /var/lib/dunlin
  dunlin start --config /etc/dunlin.toml --host 0.0.0.0 --public-url https://hooks.example.com

dunlin.toml holds the same settings, flags spelled with _ for -:
  signing_key = \"…\"
  event_key = [\"…\"]
  sdk_url = [\"http://10.0.0.7:3000/api/inngest\"]";

const TRIGGER_EXAMPLES: &str = "Examples:
  dunlin trigger payment.succeeded
  dunlin trigger payment.succeeded --set data.total_amount=1000 --set data.customer.email=a@b.example
  dunlin trigger dispute.opened --to https://example.com/hook --secret whsec_…
  dunlin trigger --list";

const CONNECT_DODO_EXAMPLES: &str = "Examples:
  DODO_PAYMENTS_API_KEY=… dunlin connect-dodo --public-url https://hooks.example.com
  dunlin connect-dodo --mode live --server https://hooks.example.com

The key comes from DODO_PAYMENTS_API_KEY, or is asked for. Run again, it changes nothing.";

const SIMULATE_EXAMPLES: &str = "Examples:
  dunlin simulate handler.js --event payment.succeeded
  dunlin simulate handler.js --payload webhook.json --var REGION=eu";

const ROTATE_EXAMPLES: &str = "Examples:
  dunlin rotate-seal-key --data-dir /var/lib/dunlin
                                       a new key in the folder's file seal.key
  DUNLIN_SEAL_KEY=NEW,OLD dunlin rotate-seal-key
                                       the first of these keys, for servers that are given theirs

The server has to be stopped. After a crash, do it again: it goes on where it ended.";

/// Durable functions on payment webhooks.
#[derive(Parser)]
#[command(name = "dunlin", version, about = ABOUT, after_help = EXAMPLES)]
#[command(subcommand_required = true, arg_required_else_help = true)]
struct Cli {
    /// What to log, such as `info` or `warn,dunlin_node=debug`
    #[arg(long, global = true, env = "DUNLIN_LOG", value_name = "FILTER")]
    log: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start the development server: open, on loopback, data in ./.dunlin
    #[command(after_help = DEV_EXAMPLES)]
    Dev(DevArgs),
    /// Start the production server: refuses to run without its keys
    #[command(after_help = START_EXAMPLES)]
    Start(StartArgs),
    /// Show the main job on this terminal: webhooks in, durable functions out
    Demo(DemoArgs),
    /// Send a signed sample webhook of a Dodo Payments event type
    #[command(after_help = TRIGGER_EXAMPLES)]
    Trigger(TriggerArgs),
    /// Have Dodo Payments send its webhooks to a server: registers the URL, fetches the secret
    #[command(after_help = CONNECT_DODO_EXAMPLES)]
    ConnectDodo(ConnectDodoArgs),
    /// Run a transformation on a sample, without a server
    #[command(after_help = SIMULATE_EXAMPLES)]
    Simulate(SimulateArgs),
    /// Seal the secrets on disk with another key, while the server is stopped
    #[command(after_help = ROTATE_EXAMPLES)]
    RotateSealKey(RotateSealKeyArgs),
}

/// Settings of both servers, as flags. Field names are the keys of the file.
#[derive(Args, Default, Serialize)]
pub(crate) struct ServerArgs {
    /// Address to listen on [default: 127.0.0.1]
    #[arg(long, value_name = "ADDRESS", help_heading = "Listening")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) host: Option<String>,
    /// Port to listen on; SDKs look for 8288 by themselves [default: 8288]
    #[arg(long, short, value_name = "PORT", help_heading = "Listening")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) port: Option<u16>,
    /// A further name that requests may have in their Host header (repeatable)
    #[arg(long, value_name = "HOST", help_heading = "Listening")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) allow_host: Vec<String>,
    /// URL under which others reach this server, for the links it shows
    #[arg(long, value_name = "URL", help_heading = "Listening")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) public_url: Option<String>,
    /// Folder of the data [default: ./.dunlin]
    #[arg(long, value_name = "FOLDER", help_heading = "Data")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) data_dir: Option<String>,
    /// Key that seals secrets on disk, 32 bytes in hex or base64; further ones open what they
    /// sealed (repeatable; better DUNLIN_SEAL_KEY, with commas) [default: seal.key in the folder]
    #[arg(long, value_name = "KEY", help_heading = "Data")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) seal_key: Vec<String>,
    /// Serve URL of an app, such as http://localhost:3000/api/inngest (repeatable)
    #[arg(long, short = 'u', value_name = "URL", help_heading = "Apps")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) sdk_url: Vec<String>,
    /// Pause between two looks at the apps [default: 5s]
    #[arg(long, value_name = "DURATION", help_heading = "Apps")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) poll_interval: Option<String>,
    /// How long one call of an app may take [default: 2h]
    #[arg(long, value_name = "DURATION", help_heading = "Apps")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) call_timeout: Option<String>,
    /// Calls in flight at a time, of all apps [default: 4096]
    #[arg(long, value_name = "COUNT", help_heading = "Load")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_calls: Option<u32>,
    /// Calls in flight at a time at one app [default: 256]
    #[arg(long, value_name = "COUNT", help_heading = "Load")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_calls_per_app: Option<u32>,
    /// Runs that have not ended, from which on new events are refused [default: 5000000]
    #[arg(long, value_name = "COUNT", help_heading = "Load")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_live_runs: Option<u64>,
    /// Memory of the process, from which on new events are refused [default: 80 % of what there is]
    #[arg(long, value_name = "MIB", help_heading = "Load")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) memory_max: Option<u64>,
    /// Ticks of cron schedules missed while the server was down: once, replay or skip [default: once]
    #[arg(long, value_name = "WHAT", help_heading = "Apps")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cron_missed: Option<String>,
    /// Retries of functions that name none [default: 4]
    #[arg(long, value_name = "COUNT", help_heading = "Retries")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) default_retries: Option<u8>,
    /// The same pause before every retry, instead of growing ones
    #[arg(long, value_name = "DURATION", help_heading = "Retries")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) retry_interval: Option<String>,
}

/// `dunlin dev`
#[derive(Args, Default, Serialize)]
pub(crate) struct DevArgs {
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) server: ServerArgs,
    /// Keep everything in memory; nothing survives the process
    #[arg(long, help_heading = "Data")]
    #[serde(skip_serializing_if = "is_off")]
    pub(crate) memory: bool,
    /// Do not look for apps on the usual ports
    #[arg(long, help_heading = "Apps")]
    #[serde(skip_serializing_if = "is_off")]
    pub(crate) no_discovery: bool,
    /// Serve /test/…: a clock that tests can move ahead, and a way to wait for idleness
    #[arg(long, help_heading = "Testing")]
    #[serde(skip_serializing_if = "is_off")]
    pub(crate) test_mode: bool,
    /// File with settings [default: ./dunlin.toml if there is one]
    #[arg(long, value_name = "FILE", env = "DUNLIN_CONFIG")]
    #[serde(skip)]
    pub(crate) config: Option<PathBuf>,
}

/// `dunlin start`
#[derive(Args, Default, Serialize)]
pub(crate) struct StartArgs {
    /// Key shared with the apps, an even number of hex digits (better DUNLIN_SIGNING_KEY)
    #[arg(
        long,
        value_name = "KEY",
        help_heading = "Required, as flag, variable or in the file"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) signing_key: Option<String>,
    /// A second key that apps may use while keys are exchanged (better DUNLIN_SIGNING_KEY_FALLBACK)
    #[arg(long, value_name = "KEY", help_heading = "Apps")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) signing_key_fallback: Option<String>,
    /// Key for sending events (repeatable; better DUNLIN_EVENT_KEY, with commas)
    #[arg(
        long,
        value_name = "KEY",
        help_heading = "Required, as flag, variable or in the file"
    )]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) event_key: Vec<String>,
    /// Token of the management API (better DUNLIN_ADMIN_TOKEN)
    #[arg(
        long,
        value_name = "TOKEN",
        help_heading = "Required, as flag, variable or in the file"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) admin_token: Option<String>,
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) server: ServerArgs,
    /// A network that endpoints may lie in though it is not public, such as 10.1.0.0/16 (repeatable)
    #[arg(long, value_name = "CIDR", help_heading = "Endpoints")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) allow_endpoint_range: Vec<String>,
    /// Endpoints must have https
    #[arg(long, help_heading = "Endpoints")]
    #[serde(skip_serializing_if = "is_off")]
    pub(crate) endpoint_https_only: bool,
    /// Let endpoints go without a check of their receiver's certificate, where they say so
    #[arg(long, help_heading = "Endpoints")]
    #[serde(skip_serializing_if = "is_off")]
    pub(crate) allow_insecure_tls: bool,
    /// Proxy for outgoing requests: http:// or socks5://; the usual variables are not looked at
    #[arg(long, value_name = "URL", help_heading = "Endpoints")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) proxy: Option<String>,
    /// What is reached without it: domains, addresses, networks or * (repeatable)
    #[arg(long, value_name = "HOST", help_heading = "Endpoints")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) no_proxy: Vec<String>,
    /// How long every attempt must have failed until an endpoint is disabled; 0 for never
    /// [default: 5d]
    #[arg(long, value_name = "DURATION", help_heading = "Endpoints")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) disable_failing_after: Option<String>,
    /// File with settings [default: ./dunlin.toml if there is one]
    #[arg(long, value_name = "FILE", env = "DUNLIN_CONFIG")]
    #[serde(skip)]
    pub(crate) config: Option<PathBuf>,
}

/// `dunlin demo`
#[derive(Args, Debug)]
pub(crate) struct DemoArgs {
    /// Go on serving after the show, until Ctrl-C
    #[arg(long)]
    pub(crate) keep: bool,
}

/// `dunlin trigger`
#[derive(Args)]
pub(crate) struct TriggerArgs {
    /// Event type, such as payment.succeeded
    #[arg(required_unless_present = "list")]
    pub(crate) event_type: Option<String>,
    /// List the event types there are samples of
    #[arg(long)]
    pub(crate) list: bool,
    /// Change a value of the sample, such as data.total_amount=1000 (repeatable)
    #[arg(long, value_name = "PATH=VALUE")]
    pub(crate) set: Vec<String>,
    /// Webhook id, for sending the same webhook again [default: a new one]
    #[arg(long)]
    pub(crate) id: Option<String>,
    /// Source to send to
    #[arg(
        long,
        value_name = "NAME",
        default_value = "dodo",
        help_heading = "Where to"
    )]
    pub(crate) source: String,
    /// Server that has the source
    #[arg(
        long,
        value_name = "URL",
        default_value = "http://127.0.0.1:8288",
        env = "DUNLIN_SERVER"
    )]
    #[arg(help_heading = "Where to")]
    pub(crate) server: String,
    /// The server's admin token, which `dunlin start` asks for
    #[arg(
        long,
        value_name = "TOKEN",
        env = "DUNLIN_ADMIN_TOKEN",
        hide_env_values = true
    )]
    #[arg(help_heading = "Where to")]
    pub(crate) admin_token: Option<String>,
    /// Send to this URL instead of a source
    #[arg(
        long,
        value_name = "URL",
        requires = "secret",
        conflicts_with = "source"
    )]
    #[arg(help_heading = "Where to")]
    pub(crate) to: Option<String>,
    /// What to sign with, for --to
    #[arg(
        long,
        value_name = "SECRET",
        requires = "to",
        help_heading = "Where to"
    )]
    pub(crate) secret: Option<String>,
}

/// `dunlin connect-dodo`
#[derive(Args)]
pub(crate) struct ConnectDodoArgs {
    /// Which of Dodo's two worlds: test or live, each with keys of its own
    #[arg(long, value_name = "MODE", default_value = "test", value_parser = ["test", "live"])]
    pub(crate) mode: String,
    /// URL under which Dodo reaches the server [default: what the server says of itself]
    #[arg(long, value_name = "URL")]
    pub(crate) public_url: Option<String>,
    /// Source to use, made if there is none [default: dodo, or dodo-live]
    #[arg(long, value_name = "NAME")]
    pub(crate) source: Option<String>,
    /// Server that has the source
    #[arg(
        long,
        value_name = "URL",
        default_value = "http://127.0.0.1:8288",
        env = "DUNLIN_SERVER"
    )]
    pub(crate) server: String,
    /// The server's admin token, which `dunlin start` asks for
    #[arg(
        long,
        value_name = "TOKEN",
        env = "DUNLIN_ADMIN_TOKEN",
        hide_env_values = true
    )]
    pub(crate) admin_token: Option<String>,
    /// Another address of Dodo's API, for tests
    #[arg(long, value_name = "URL", hide = true)]
    pub(crate) dodo_url: Option<String>,
}

/// `dunlin simulate`
#[derive(Args, Debug)]
pub(crate) struct SimulateArgs {
    /// The script, which declares function handler(webhook)
    pub(crate) file: PathBuf,
    /// Event type whose sample goes in
    #[arg(long, value_name = "TYPE", required_unless_present = "payload")]
    pub(crate) event: Option<String>,
    /// File with the webhook's body instead of a sample
    #[arg(long, value_name = "FILE")]
    pub(crate) payload: Option<PathBuf>,
    /// Change a value of the body, such as data.total_amount=1000 (repeatable)
    #[arg(long, value_name = "PATH=VALUE")]
    pub(crate) set: Vec<String>,
    /// A variable of the endpoint, webhook.env in the script (repeatable)
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) var: Vec<String>,
}

/// `dunlin rotate-seal-key`
#[derive(Args, Default, Serialize)]
pub(crate) struct RotateSealKeyArgs {
    /// Folder of the data [default: ./.dunlin]
    #[arg(long, value_name = "FOLDER")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) data_dir: Option<String>,
    /// The key to seal with, and behind it those that sealed so far (repeatable; better
    /// DUNLIN_SEAL_KEY, with commas) [default: a new one, kept in seal.key in the folder]
    #[arg(long, value_name = "KEY")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) seal_key: Vec<String>,
    /// File with settings [default: ./dunlin.toml if there is one]
    #[arg(long, value_name = "FILE", env = "DUNLIN_CONFIG")]
    #[serde(skip)]
    pub(crate) config: Option<PathBuf>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
fn is_off(flag: &bool) -> bool {
    !flag
}

/// Does what the command line says.
pub(crate) fn run() -> ExitCode {
    let cli = Cli::parse();
    let done = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| {
            let done = runtime.block_on(command(cli));
            // Blocking reads that nobody waits for any more must not hold up the end.
            runtime.shutdown_background();
            done
        });
    match done {
        Ok(code) => code,
        Err(error) => {
            report(&error);
            ExitCode::FAILURE
        }
    }
}

async fn command(cli: Cli) -> anyhow::Result<ExitCode> {
    // What the node logs of apps is told in full by `watch`.
    let quiet = match &cli.command {
        Command::Start(_) => "info,dunlin_node::apps=error",
        Command::Demo(_) => "off",
        _ => "warn,dunlin_node::apps=error",
    };
    logging::start(cli.log.as_deref().unwrap_or(quiet))?;
    match cli.command {
        Command::Dev(args) => dev::run(args).await,
        Command::Start(args) => start::run(args).await,
        Command::Demo(args) => demo::run(args).await,
        Command::Trigger(args) => trigger::run(args).await,
        Command::ConnectDodo(args) => connect_dodo::run(args).await,
        Command::Simulate(args) => simulate::run(args).await,
        Command::RotateSealKey(args) => seal::run(args),
    }
}

fn report(error: &anyhow::Error) {
    let Some(failure) = error.downcast_ref::<Failure>() else {
        complain(format_args!("error: {error:#}"));
        return;
    };
    complain(format_args!("error {}", failure.error));
    if let Some(remedy) = &failure.remedy {
        complain(format_args!("  {remedy}"));
    }
    let page: Code = failure.error.code;
    complain(format_args!("  more: docs/errors/{page}.md"));
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_url_needs_a_secret_and_no_source() {
        let parse = |line: &str| Cli::try_parse_from(line.split(' ')).is_ok();
        assert!(parse(
            "dunlin trigger payment.failed --to http://a --secret whsec_x"
        ));
        assert!(!parse("dunlin trigger payment.failed --to http://a"));
        assert!(!parse(
            "dunlin trigger payment.failed --to http://a --secret s --source dodo"
        ));
        assert!(!parse("dunlin trigger"));
        assert!(parse("dunlin trigger --list"));
    }

    #[test]
    fn simulating_needs_a_sample_or_a_payload() {
        let parse = |line: &str| Cli::try_parse_from(line.split(' ')).is_ok();
        assert!(!parse("dunlin simulate a.js"));
        assert!(parse("dunlin simulate a.js --payload b.json"));
    }
}
