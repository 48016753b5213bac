//! A server that is measured: started with flags, killed, started again over the same data, and
//! looked at from outside.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use http::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::client::{Client, Reply};
use crate::port::free_port;

/// Nothing may stand still longer than this.
const PATIENCE: Duration = Duration::from_secs(180);

/// What a program was told: the binary, and numbers by name.
#[derive(Debug)]
pub struct Told {
    /// The server's binary.
    pub binary: PathBuf,
    numbers: BTreeMap<&'static str, usize>,
}

impl Told {
    /// Reads the command line: `--binary PATH`, and numbers that have defaults.
    ///
    /// # Errors
    /// With the usage, when there is something else.
    pub fn read(program: &str, numbers: &[(&'static str, usize)]) -> Result<Self, String> {
        let usage = numbers.iter().fold(
            format!("{program} --binary PATH"),
            |usage, (name, default)| format!("{usage} [--{name} {default}]"),
        );
        let mut told = Self {
            binary: PathBuf::from("target/release/dunlin"),
            numbers: numbers.iter().copied().collect(),
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(name) = arguments.next() {
            let value = arguments.next();
            let value = value.ok_or_else(|| format!("{name} needs a value\n{usage}"))?;
            let known = numbers.iter().find(|(one, _)| name == format!("--{one}"));
            match known {
                None if name == "--binary" => told.binary = PathBuf::from(&value),
                None => return Err(format!("{name} is unknown\n{usage}")),
                Some((name, _)) => {
                    let number = value.replace('_', "").parse();
                    let number = number.map_err(|_| format!("{value}: no number\n{usage}"))?;
                    told.numbers.insert(name, number);
                }
            }
        }
        let path = told.binary.canonicalize();
        told.binary = path.map_err(|e| format!("{}: {e}\n{usage}", told.binary.display()))?;
        Ok(told)
    }

    /// The number of that name.
    ///
    /// # Panics
    /// When there is none of that name.
    #[must_use]
    pub fn number(&self, name: &str) -> usize {
        self.numbers[name]
    }
}

/// Memory of a process, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    /// Its own.
    pub anonymous: u64,
    /// Pages of files.
    pub file: u64,
    /// The most that both were.
    pub peak: u64,
}

/// A running server with a folder of its own.
#[derive(Debug)]
pub struct Measured {
    binary: PathBuf,
    flags: Vec<String>,
    folder: TempDir,
    child: Child,
    /// Where it listens.
    pub port: u16,
    /// Who asks it.
    pub client: Client,
}

impl Measured {
    /// Starts one and waits until it answers.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start(binary: &Path, flags: &[String]) -> Self {
        let folder = tempfile::tempdir().expect("there is room");
        let port = free_port();
        let mut started = Self {
            binary: binary.to_owned(),
            flags: flags.to_vec(),
            child: spawn(binary, flags, &folder, port),
            folder,
            port,
            client: Client::new(&format!("http://127.0.0.1:{port}")),
        };
        started.ready().await;
        started
    }

    async fn ready(&mut self) {
        let began = Instant::now();
        loop {
            let reply = self.client.try_send(Method::GET, "/health", &[], "").await;
            if reply.is_some_and(|reply| reply.status == 200) {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "the server is not ready");
            let ended = !matches!(self.child.try_wait(), Ok(None));
            assert!(!ended, "the server ended");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Kills it as `kill -9` does, and starts it again; tells when that was, once it answers.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn restart(&mut self) -> Instant {
        self.kill().await;
        let began = Instant::now();
        self.child = spawn(&self.binary, &self.flags, &self.folder, self.port);
        self.ready().await;
        began
    }

    /// Kills it as `kill -9` does.
    ///
    /// # Panics
    /// When it cannot be killed.
    pub async fn kill(&mut self) {
        self.child.kill().await.expect("the server can be killed");
    }

    /// What memory it holds.
    ///
    /// # Panics
    /// When it has ended.
    #[must_use]
    pub fn memory(&self) -> Memory {
        let pid = self.child.id().expect("the server is alive");
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let bytes = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key));
            let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
            kib.unwrap_or_default() * 1024
        };
        Memory {
            anonymous: bytes("RssAnon:"),
            file: bytes("RssFile:"),
            peak: bytes("VmHWM:"),
        }
    }

    /// Posts JSON that must be taken.
    ///
    /// # Panics
    /// When it is not.
    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        let reply = self.client.post(path, body).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        reply
    }

    /// Waits until what was sent is committed and copied into the file: until the store has not
    /// changed for a while.
    pub async fn settle(&self) {
        let (mut last, mut since) = (0, Instant::now());
        while since.elapsed() < Duration::from_secs(3) {
            let now = self.disk_bytes();
            if now != last {
                (last, since) = (now, Instant::now());
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// What its data takes on disk.
    #[must_use]
    pub fn disk_bytes(&self) -> u64 {
        folder_bytes(self.folder.path())
    }
}

fn spawn(binary: &Path, flags: &[String], folder: &TempDir, port: u16) -> Child {
    let port = port.to_string();
    let mut command = Command::new(binary);
    command.args(["dev", "--no-discovery", "--port", &port, "--data-dir"]);
    command.arg(folder.path().join("data")).args(flags);
    command
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .kill_on_drop(true);
    command.spawn().expect("the server can be started")
}

fn folder_bytes(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => folder_bytes(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    });
    sizes.sum()
}

/// A function as it is registered: triggered by the event of its id, with rules.
#[must_use]
pub fn function_of(app: &str, url: &str, name: &str, rules: &Value) -> Value {
    let id = format!("{app}-{name}");
    let mut function = json!({
        "id": id, "name": name, "triggers": [{ "event": format!("{app}/{name}") }],
        "steps": { "step": {
            "id": "step", "name": "step", "retries": { "attempts": 4 },
            "runtime": { "type": "http", "url": format!("{url}?fnId={id}&stepId=step") },
        } },
    });
    for (rule, value) in rules.as_object().into_iter().flatten() {
        function[rule] = value.clone();
    }
    function
}

/// Waits until the number is there, as long as it moves.
///
/// # Panics
/// When it stands still.
pub async fn reach(what: &str, target: usize, now: impl Fn() -> usize) {
    let (mut last, mut moved) = (0, Instant::now());
    while now() < target {
        let seen = now();
        if seen > last {
            (last, moved) = (seen, Instant::now());
        }
        assert!(moved.elapsed() < PATIENCE, "{what}: {seen} of {target}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// The value below which that share of the values lies; zero of none.
#[must_use]
pub fn quantile(values: &[Duration], share: f64) -> Duration {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let at = (sorted.len().saturating_sub(1) as f64 * share).round() as usize;
    sorted.get(at).copied().unwrap_or_default()
}
