//! A server that is measured: started with flags, killed, started again over the same data, and
//! looked at from outside.

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
/// The kernel's unit of processor's time, as it shows it to everybody.
const MS_PER_TICK: u64 = 10;

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
    folder: PathBuf,
    /// Removes the folder in the end, if it is the server's own.
    _own: Option<TempDir>,
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
        let own = tempfile::tempdir().expect("there is room");
        let folder = own.path().to_owned();
        Self::start_in(binary, flags, folder, Some(own)).await
    }

    /// Starts one over what is there: its data is the folder's `data`.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start_over(binary: &Path, flags: &[String], folder: &Path) -> Self {
        Self::start_in(binary, flags, folder.to_owned(), None).await
    }

    async fn start_in(
        binary: &Path,
        flags: &[String],
        folder: PathBuf,
        own: Option<TempDir>,
    ) -> Self {
        let port = free_port();
        let mut started = Self {
            binary: binary.to_owned(),
            flags: flags.to_vec(),
            child: spawn(binary, flags, &folder, port),
            folder,
            _own: own,
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

    /// Makes something by a post; what it is then.
    ///
    /// # Panics
    /// When it is not made.
    pub async fn make(&self, path: &str, body: &Value) -> Value {
        let reply = self.client.post(path, body).await;
        let made = (200..300).contains(&reply.status);
        assert!(made, "{path}: {} {}", reply.status, reply.text());
        reply.json()
    }

    /// The processor's time that it and its workers took so far.
    ///
    /// # Panics
    /// When it has ended.
    #[must_use]
    pub fn cpu(&self) -> Duration {
        let pid = self.child.id().expect("the server is alive");
        let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let ticks = numbers.filter_map(|one: u32| {
            let (parent, ticks) = parent_and_ticks(one)?;
            (one == pid || parent == pid).then_some(ticks)
        });
        Duration::from_millis(ticks.sum::<u64>() * MS_PER_TICK)
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
        folder_bytes(&self.folder)
    }
}

/// The parent of a process, and the ticks of processor's time that it took.
fn parent_and_ticks(pid: u32) -> Option<(u32, u64)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before may hold anything, even spaces and brackets.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    let parent = u32::try_from(number(1)?).ok()?;
    Some((parent, number(11)? + number(12)?))
}

fn spawn(binary: &Path, flags: &[String], folder: &Path, port: u16) -> Child {
    let port = port.to_string();
    let mut command = Command::new(binary);
    command.args(["dev", "--no-discovery", "--port", &port, "--data-dir"]);
    command.arg(folder.join("data")).args(flags);
    command
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .kill_on_drop(true);
    command.spawn().expect("the server can be started")
}

/// What the files of a folder and of those in it take.
#[must_use]
pub fn folder_bytes(folder: &Path) -> u64 {
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
