//! The real binary as a user types it: what it prints, where, and how it ends.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::{BufRead, BufReader, Read, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

#[path = "cli/connect_dodo.rs"]
mod connect_dodo;

const BINARY: &str = env!("CARGO_BIN_EXE_dunlin");

/// The binary in a folder of its own, without settings from the environment of the tests.
fn dunlin(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("DUNLIN_") {
            command.env_remove(name);
        }
    }
    command
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null());
    command
}

struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

fn say(folder: &Path, arguments: &[&str]) -> Said {
    dunlin(folder, arguments).output().unwrap().into()
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// A server that ends with the test.
struct Server {
    child: Child,
    url: String,
    said: String,
}

impl Server {
    /// Starts `dunlin dev` on a free port and waits for what it prints.
    fn dev(folder: &Path) -> Self {
        let mut command = dunlin(folder, &["dev", "--port", "0", "--no-discovery"]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let (mut said, mut lines) = (String::new(), BufReader::new(child.stdout.take().unwrap()));
        while !said.contains("/explain") {
            assert_ne!(lines.read_line(&mut said).unwrap(), 0, "it ended: {said}");
        }
        let listens = said
            .lines()
            .find(|line| line.contains("listens on"))
            .unwrap();
        let url = listens.split_whitespace().last().unwrap().to_owned();
        Self { child, url, said }
    }

    /// Exchanges the token in a source's URL; gives what comes behind `/in/` from now on.
    fn new_token(&self, source: &str) -> String {
        let host = self.url.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(host).unwrap();
        let path = format!("/ingest/api/v1/source/{source}/token/rotate");
        let head = format!("POST {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n");
        stream
            .write_all(format!("{head}content-length: 0\r\n\r\n").as_bytes())
            .unwrap();
        let mut told = String::new();
        stream.read_to_string(&mut told).unwrap();
        let way_in = told
            .split("/in/")
            .nth(1)
            .unwrap_or_else(|| panic!("{told}"));
        way_in.split('"').next().unwrap().to_owned()
    }

    fn terminate(&mut self) -> Option<i32> {
        let id = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &id])
                .status()
                .unwrap()
                .success()
        );
        self.child.wait().unwrap().code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn help_names_every_command_and_each_has_its_own() {
    let folder = folder();
    let help = say(folder.path(), &["--help"]);
    assert_eq!(help.code, Some(0));
    for command in [
        "dev",
        "start",
        "demo",
        "trigger",
        "connect-dodo",
        "simulate",
    ] {
        assert!(
            help.out.contains(&format!("\n  {command} ")),
            "{}",
            help.out
        );
        let own = say(folder.path(), &[command, "--help"]);
        assert_eq!(own.code, Some(0));
        assert!(
            own.out.contains(&format!("Usage: dunlin {command}")),
            "{}",
            own.out
        );
    }
    assert!(!help.out.contains("js-worker"), "{}", help.out);
    assert_eq!(say(folder.path(), &["serve"]).code, Some(2));
}

#[test]
fn start_refuses_to_run_open_and_names_what_is_missing() {
    let folder = folder();
    let mut command = dunlin(folder.path(), &["start"]);
    let said: Said = command
        .env("DUNLIN_EVENT_KEY", "abc")
        .output()
        .unwrap()
        .into();
    assert_eq!(said.code, Some(1));
    for text in [
        "E0800",
        "--signing-key",
        "DUNLIN_SIGNING_KEY",
        "--admin-token",
        "E0800.md",
    ] {
        assert!(said.err.contains(text), "{}", said.err);
    }
    assert!(!said.err.contains("--event-key"), "{}", said.err);
    assert!(
        !folder.path().join(".dunlin").exists(),
        "it touched nothing"
    );
}

#[test]
fn a_name_in_the_file_that_is_no_setting_is_refused() {
    let folder = folder();
    std::fs::write(folder.path().join("dunlin.toml"), "prot = 8288\n").unwrap();
    let said = say(folder.path(), &["dev"]);
    assert_eq!(said.code, Some(1));
    assert!(
        said.err.contains("E0801") && said.err.contains("`prot`"),
        "{}",
        said.err
    );
    assert!(said.err.contains("did you mean `port`?"), "{}", said.err);
}

#[test]
fn a_port_that_is_taken_is_told_with_a_way_out() {
    let folder = folder();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let said = say(folder.path(), &["dev", "--port", &port]);
    assert_eq!(said.code, Some(1));
    assert!(
        said.err.contains("E0802") && said.err.contains("--port"),
        "{}",
        said.err
    );
    assert!(
        !folder.path().join(".dunlin").exists(),
        "it touched nothing"
    );
}

#[test]
fn simulate_prints_the_result_and_keeps_logs_apart() {
    let folder = folder();
    let script = "function handler(webhook) {\n  console.log('amount', webhook.env.UNIT);\n  \
                  webhook.payload = { total: webhook.payload.data.total_amount };\n  \
                  return webhook;\n}\n";
    std::fs::write(folder.path().join("a.js"), script).unwrap();
    let arguments = [
        "simulate",
        "a.js",
        "--event",
        "payment.succeeded",
        "--set",
        "data.total_amount=1000",
        "--var",
        "UNIT=cent",
    ];
    let said = say(folder.path(), &arguments);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let result: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(result["payload"], serde_json::json!({ "total": 1000 }));
    assert_eq!(said.err.trim(), "console.log: amount cent");
}

#[test]
fn simulate_takes_a_body_from_a_file() {
    let folder = folder();
    std::fs::write(
        folder.path().join("a.js"),
        "function handler(w) { return w; }\n",
    )
    .unwrap();
    std::fs::write(
        folder.path().join("b.json"),
        "{\"type\": \"x.y\", \"n\": 1}",
    )
    .unwrap();
    let arguments = ["simulate", "a.js", "--payload", "b.json", "--set", "n=2"];
    let said = say(folder.path(), &arguments);
    let result: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(
        result["payload"],
        serde_json::json!({ "type": "x.y", "n": 2 })
    );
}

#[test]
fn simulate_tells_where_a_script_went_wrong() {
    let folder = folder();
    let script = "function handler(webhook) {\n  return webhook.nothing.at.all;\n}\n";
    std::fs::write(folder.path().join("bad.js"), script).unwrap();
    let said = say(
        folder.path(),
        &["simulate", "bad.js", "--event", "payment.succeeded"],
    );
    assert_eq!(said.code, Some(1));
    assert!(
        said.err.contains("E0605") && said.err.contains("bad.js:2:"),
        "{}",
        said.err
    );
    assert_eq!(said.out, "");
    let said = say(
        folder.path(),
        &["simulate", "none.js", "--event", "payment.succeeded"],
    );
    assert!(
        said.err.contains("E0805") && said.err.contains("none.js"),
        "{}",
        said.err
    );
}

#[test]
fn the_development_server_shows_its_way_in_but_no_secret_to_a_file() {
    let folder = folder();
    let mut server = Server::dev(folder.path());
    assert!(
        server.said.contains(&format!("{}/in/dodo", server.url)),
        "{}",
        server.said
    );
    assert!(!server.said.contains("whsec_"), "{}", server.said);
    assert_eq!(server.terminate(), Some(0));
}

#[test]
fn a_server_that_is_told_to_stop_as_soon_as_it_is_ready_stops_in_order() {
    let folder = folder();
    for _ in 0..6 {
        let mut server = Server::dev(folder.path());
        assert_eq!(server.terminate(), Some(0));
    }
}

#[test]
fn two_servers_do_not_share_one_folder() {
    let folder = folder();
    let _server = Server::dev(folder.path());
    let said = say(folder.path(), &["dev", "--port", "0"]);
    assert_eq!(said.code, Some(1));
    assert!(
        said.err.contains("E0705") && said.err.contains("--data-dir"),
        "{}",
        said.err
    );
}

/// The keys in the folder's file.
fn seal_keys(folder: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(folder.join(".dunlin/seal.key")).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(str::to_owned).collect()
}

#[test]
fn the_key_that_seals_is_exchanged_while_the_server_is_stopped() {
    let folder = folder();
    let rotate = ["rotate-seal-key"];
    let nothing = say(folder.path(), &rotate);
    assert_eq!(nothing.code, Some(1));
    assert!(nothing.err.contains("E0805"), "{}", nothing.err);
    let mut server = Server::dev(folder.path());
    let old = seal_keys(folder.path());
    let busy = say(folder.path(), &rotate);
    assert_eq!(busy.code, Some(1));
    assert!(busy.err.contains("E0705"), "{}", busy.err);
    assert_eq!(server.terminate(), Some(0));

    let done = say(folder.path(), &rotate);
    assert_eq!(done.code, Some(0), "{}", done.err);
    let new = seal_keys(folder.path());
    assert!(new.len() == 1 && new != old);
    assert!(done.out.contains("seal.key"), "{}", done.out);
    assert!(done.err.contains("rows"), "{}", done.err);
    for key in old.iter().chain(&new) {
        assert!(!done.out.contains(key) && !done.err.contains(key));
    }
    let mut server = Server::dev(folder.path());
    let sent = say(
        folder.path(),
        &["trigger", "payment.succeeded", "--server", &server.url],
    );
    assert_eq!(sent.code, Some(0), "{}", sent.err);
    assert_eq!(server.terminate(), Some(0));

    std::fs::remove_file(folder.path().join(".dunlin/seal.key")).unwrap();
    let lost = say(folder.path(), &["dev", "--port", "0"]);
    assert_eq!(lost.code, Some(1));
    for text in ["E0706", "DUNLIN_SEAL_KEY", "seal.key"] {
        assert!(lost.err.contains(text), "{}", lost.err);
    }
}

#[test]
fn trigger_sends_a_webhook_that_the_server_takes_once() {
    let folder = folder();
    let server = Server::dev(folder.path());
    let arguments = [
        "trigger",
        "payment.succeeded",
        "--server",
        &server.url,
        "--id",
        "msg_1",
        "--set",
        "data.total_amount=1000",
    ];
    let first = say(folder.path(), &arguments);
    assert_eq!(first.code, Some(0), "{}", first.err);
    assert!(
        first.out.contains("HTTP 20") && first.out.contains("/explain"),
        "{}",
        first.out
    );
    let second = say(folder.path(), &arguments);
    // The body differs, as its ids do, and the first one counts.
    assert_eq!(second.code, Some(0), "{}", second.err);
    assert!(
        second.out.contains("had this webhook already"),
        "{}",
        second.out
    );
}

#[test]
fn trigger_finds_the_way_in_after_the_token_of_the_sources_url_was_exchanged() {
    let folder = folder();
    let server = Server::dev(folder.path());
    let way_in = server.new_token("dodo");
    let arguments = ["trigger", "payment.succeeded", "--server", &server.url];
    let said = say(folder.path(), &arguments);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.out.contains("HTTP 20"), "{}", said.out);
    let (id, token) = way_in.split_once('.').unwrap();
    assert!(said.out.contains(&format!("/in/{id}.…")), "{}", said.out);
    assert!(!said.out.contains(token), "{}", said.out);
}

#[test]
fn trigger_tells_why_it_could_not() {
    let folder = folder();
    let server = Server::dev(folder.path());
    let refused = |arguments: &[&str], texts: &[&str]| {
        let said = say(folder.path(), &[&["trigger"], arguments].concat());
        assert_eq!(said.code, Some(1), "{}", said.out);
        for text in texts {
            assert!(said.err.contains(text), "{text} is not in {}", said.err);
        }
    };
    let url = server.url.as_str();
    refused(&["payment.suceeded"], &["E0804", "payment.succeeded"]);
    refused(
        &["payment.failed", "--server", url, "--source", "stripe"],
        &["E0806", "E0207"],
    );
    refused(
        &["payment.failed", "--server", "http://127.0.0.1:9"],
        &["E0803", "dunlin dev"],
    );
    refused(
        &["payment.failed", "--server", url, "--set", "data"],
        &["E0801", "--set"],
    );
    let to = format!("{url}/in/dodo");
    let secret = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz";
    refused(
        &["payment.failed", "--to", &to, "--secret", secret],
        &["E0806", "E0201"],
    );
    refused(
        &["payment.failed", "--to", &to, "--secret", "short"],
        &["E0206"],
    );
}

#[test]
fn trigger_lists_what_there_is() {
    let folder = folder();
    let said = say(folder.path(), &["trigger", "--list"]);
    assert_eq!((said.code, said.out.lines().count()), (Some(0), 48));
}

#[test]
fn the_production_server_asks_for_its_admin_token() {
    let folder = folder();
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port().to_string()
    };
    let mut command = dunlin(folder.path(), &["start", "--port", &port]);
    let keys = [
        ("SIGNING", "0123456789abcdef"),
        ("EVENT", "e-key-1,e-key-2"),
    ];
    for (name, key) in keys {
        command.env(format!("DUNLIN_{name}_KEY"), key);
    }
    command.env("DUNLIN_ADMIN_TOKEN", "s3cret-token");
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let (mut logs, mut lines) = (String::new(), BufReader::new(child.stderr.take().unwrap()));
    while !logs.contains("dunlin is up") {
        assert_ne!(lines.read_line(&mut logs).unwrap(), 0, "it ended: {logs}");
    }
    let mut server = Server {
        child,
        url: format!("http://127.0.0.1:{port}"),
        said: logs,
    };
    let open = say(
        folder.path(),
        &["trigger", "payment.failed", "--server", &server.url],
    );
    assert!(
        open.err.contains("E0101") && open.err.contains("--admin-token"),
        "{}",
        open.err
    );
    let arguments = [
        "trigger",
        "payment.failed",
        "--server",
        &server.url,
        "--admin-token",
        "s3cret-token",
    ];
    let known = say(folder.path(), &arguments);
    assert!(
        known.err.contains("E0207"),
        "there is no source yet: {}",
        known.err
    );
    assert_eq!(server.terminate(), Some(0));
    lines.read_to_string(&mut server.said).unwrap();
    for secret in ["0123456789abcdef", "e-key-1", "s3cret-token"] {
        assert!(!server.said.contains(secret), "{}", server.said);
    }
    assert!(
        server.said.lines().all(|line| line.starts_with('{')),
        "{}",
        server.said
    );
}

#[test]
fn the_demo_shows_the_main_job_and_ends_by_itself() {
    let folder = folder();
    let said = say(folder.path(), &["demo"]);
    assert_eq!(said.code, Some(0), "{}\n{}", said.out, said.err);
    for text in [
        "done at attempt 2",
        "woke",
        "is false: event.data.urgent = false",
        "near:",
        "does not want `payout.success`",
        "nothing runs",
        "E0201",
    ] {
        assert!(said.out.contains(text), "{text} is not in {}", said.out);
    }
}
