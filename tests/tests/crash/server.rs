//! One life of the server that has crash points.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::OnceLock;
use std::time::Duration;

use dunlin_tests::Client;
use http::Method;
use tokio::process::{Child, Command};
use tokio::time::Instant;

/// How long a server may take until it serves.
const READY_MAX: Duration = Duration::from_secs(20);

/// A running server. It is killed when it is dropped.
pub(crate) struct Life {
    child: Child,
}

impl Life {
    /// Starts a server on that folder and port, with `DUNLIN_CRASH` set to that. Gives it once it
    /// serves or has ended.
    pub(crate) async fn start(folder: &Path, port: u16, crash: Option<&str>) -> Self {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(log_file(folder));
        let log = log.expect("a log can be written");
        let mut command = Command::new(binary());
        let port = port.to_string();
        command.args([
            "dev",
            "--no-discovery",
            "--retry-interval",
            "50ms",
            "--port",
            &port,
        ]);
        command
            .arg("--data-dir")
            .arg(folder.join("data"))
            .current_dir(folder);
        command
            .stdin(Stdio::null())
            .stdout(copy(&log))
            .stderr(log)
            .kill_on_drop(true);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("DUNLIN_")) {
            command.env_remove(name);
        }
        if let Some(crash) = crash {
            command.env("DUNLIN_CRASH", crash);
        }
        let mut life = Self {
            child: command.spawn().expect("the server can be started"),
        };
        let client = Client::new(&format!("http://127.0.0.1:{port}"));
        let deadline = Instant::now() + READY_MAX;
        while !life.has_ended() {
            let health = client.try_send(Method::GET, "/health", &[], "").await;
            if health.is_some_and(|reply| reply.status == 200) {
                break;
            }
            assert!(
                Instant::now() < deadline,
                "not ready: {}",
                last_words(folder)
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        life
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    /// Kills it as `kill -9` does and waits until it is gone.
    pub(crate) async fn kill(mut self) {
        // One that has killed itself just now needs no kill.
        let _ = self.child.kill().await;
        let _ = self.child.wait().await;
    }
}

fn copy(log: &File) -> File {
    log.try_clone().expect("a file can be shared")
}

fn log_file(folder: &Path) -> PathBuf {
    folder.join("server.log")
}

/// The end of what the servers of that folder said.
pub(crate) fn last_words(folder: &Path) -> String {
    let text = std::fs::read_to_string(log_file(folder)).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}

/// The binary that `DUNLIN_FAILPOINTS_BIN` names; else one built apart, so that the plain one of
/// the other tests stays in its place.
fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(named) = std::env::var_os("DUNLIN_FAILPOINTS_BIN") {
            return PathBuf::from(named);
        }
        let test = std::env::current_exe().expect("a test has a path");
        let target = test
            .ancestors()
            .nth(3)
            .expect("tests lie in <target>/<profile>/deps");
        let target = target.join("failpoints");
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = std::process::Command::new(cargo);
        build.args(["build", "--quiet", "--locked", "--package", "dunlin"]);
        build
            .args(["--features", "failpoints", "--target-dir"])
            .arg(&target);
        let status = build
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status()
            .expect("cargo runs");
        assert!(status.success(), "the binary does not build");
        target
            .join("debug")
            .join(format!("dunlin{}", std::env::consts::EXE_SUFFIX))
    })
}
