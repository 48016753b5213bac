//! The app of `tests/sdk/` as a process, with one of the official SDKs.

use std::fs::File;
use std::path::{Path, PathBuf};

use http::Method;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::client::Client;
use crate::process::Process;
use crate::{files, free_port, until};

/// Which SDK an app uses, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sdk {
    folder: &'static str,
    checkpointing: Option<&'static str>,
}

impl Sdk {
    /// npm `inngest` 3, as it comes: each step is a call.
    pub const V3: Self = Self {
        folder: "v3",
        checkpointing: None,
    };
    /// npm `inngest` 3 with checkpointing switched on.
    pub const V3_CHECKPOINTING: Self = Self {
        folder: "v3",
        checkpointing: Some("on"),
    };
    /// npm `inngest` 4, as it comes: with checkpointing.
    pub const V4: Self = Self {
        folder: "v4",
        checkpointing: None,
    };
    /// npm `inngest` 4 with checkpointing switched off.
    pub const V4_CALLS_ONLY: Self = Self {
        folder: "v4",
        checkpointing: Some("off"),
    };

    /// PyPI `inngest`, over FastAPI.
    pub const PYTHON: Self = Self {
        folder: "python",
        checkpointing: None,
    };

    /// Whether it reports steps while a call goes on, so that one call does for many steps.
    #[must_use]
    pub fn checkpoints(self) -> bool {
        self.checkpointing
            .map_or(self.folder == "v4", |set| set == "on")
    }

    /// What starts the app, with the packages that it needs in place.
    async fn command(self) -> Command {
        let folder = files::workspace().join("tests/sdk").join(self.folder);
        if self == Self::PYTHON {
            let mut command = Command::new(python("sdk-python", "DUNLIN_SDK_PYTHON"));
            command.arg("app.py").current_dir(folder);
            command.env("PYTHONDONTWRITEBYTECODE", "1");
            return command;
        }
        tokio::task::spawn_blocking({
            let folder = folder.clone();
            move || install(&folder)
        })
        .await
        .expect("the packages can be installed");
        let mut command = Command::new("node");
        command.arg("../app.mjs").current_dir(folder);
        command
    }
}

/// A running app. It ends with the test.
#[derive(Debug)]
pub struct SdkApp {
    process: Option<Process>,
    sdk: Sdk,
    id: &'static str,
    port: u16,
    variables: Vec<(String, String)>,
}

/// What an app counted.
#[derive(Clone, Debug)]
pub struct Counts(Value);

impl Counts {
    /// How often the body of that step ran in that run.
    #[must_use]
    pub fn step(&self, run: &str, step: &str) -> u64 {
        self.0["runs"][run]["steps"][step].as_u64().unwrap_or(0)
    }

    /// The steps of that run whose body ran, with how often.
    #[must_use]
    pub fn steps(&self, run: &str) -> Value {
        self.0["runs"][run]["steps"].clone()
    }

    /// How many calls that run made.
    #[must_use]
    pub fn calls(&self, run: &str) -> u64 {
        self.0["runs"][run]["calls"].as_u64().unwrap_or(0)
    }

    /// How many of that run's calls left the state to be fetched.
    #[must_use]
    pub fn uses_of_api(&self, run: &str) -> u64 {
        self.0["runs"][run]["usesApi"].as_u64().unwrap_or(0)
    }

    /// How often a function was entered with that `data.tag`.
    #[must_use]
    pub fn tag(&self, tag: &str) -> u64 {
        self.0["tags"][tag].as_u64().unwrap_or(0)
    }

    /// How many steps were held.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.0["held"].as_u64().unwrap_or(0)
    }

    /// How many calls were answered by 429.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.0["refused"].as_u64().unwrap_or(0)
    }

    /// How many steps work at that place now.
    #[must_use]
    pub fn now_at(&self, place: &str) -> u64 {
        self.0["flow"]["now"][place].as_u64().unwrap_or(0)
    }

    /// How many steps worked at that place at a time, at most.
    #[must_use]
    pub fn most_at(&self, place: &str) -> u64 {
        self.0["flow"]["most"][place].as_u64().unwrap_or(0)
    }

    /// The `data.n` of the steps that worked at that place, in the order in which they began.
    #[must_use]
    pub fn log_of(&self, place: &str) -> &[Value] {
        let log = self.0["flow"]["log"][place].as_array();
        log.map_or(&[], Vec::as_slice)
    }

    /// What the failure handler was told.
    #[must_use]
    pub fn failures(&self) -> &[Value] {
        self.0["failures"].as_array().map_or(&[], Vec::as_slice)
    }
}

impl SdkApp {
    /// Starts the app for a development server at that URL, with those variables besides.
    pub async fn dev(sdk: Sdk, id: &'static str, server: &str, more: &[(&str, &str)]) -> Self {
        let usual = [("INNGEST_DEV", "1"), ("INNGEST_BASE_URL", server)];
        Self::start(sdk, id, &[&usual, more].concat()).await
    }

    /// Starts the app with that id and those environment variables.
    ///
    /// # Panics
    /// When it does not become ready.
    pub async fn start(sdk: Sdk, id: &'static str, variables: &[(&str, &str)]) -> Self {
        let variables = variables
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()));
        let (port, variables) = (free_port(), variables.collect());
        let mut app = Self {
            process: None,
            sdk,
            id,
            port,
            variables,
        };
        app.run().await;
        app
    }

    /// Starts it again where it was.
    ///
    /// # Panics
    /// When it does not become ready.
    pub async fn run(&mut self) {
        let mut command = self.sdk.command().await;
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("INNGEST_")) {
            command.env_remove(name);
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
            .env("APP_ID", self.id)
            .env("APP_PORT", self.port.to_string());
        if let Some(checkpointing) = self.sdk.checkpointing {
            command.env("APP_CHECKPOINTING", checkpointing);
        }
        let mut process = Process::start("app", &mut command);
        until("app that is ready", async || {
            assert!(!process.has_ended(), "the app ended: {:#?}", process.said());
            process
                .said()
                .iter()
                .any(|line| line.starts_with("listening"))
                .then_some(())
        })
        .await;
        self.process = Some(process);
    }

    /// Kills it; its port answers nobody until it runs again.
    pub async fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            process.kill().await;
        }
    }

    /// Starts it again where it was, with that variable besides.
    pub async fn run_with(&mut self, name: &str, value: &str) {
        self.kill().await;
        self.variables.push((name.into(), value.into()));
        self.run().await;
    }

    /// Has it sync itself with its server.
    pub async fn sync(&self) {
        let reply = self
            .client()
            .send(Method::PUT, "/api/inngest", &[], "")
            .await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }

    /// Lets the steps go on that wait for it.
    pub async fn release(&self) {
        self.client().get("/release").await;
    }

    async fn tell(&self, path: &str, what: &str) {
        let client = self.client();
        let reply = client.send(Method::POST, path, &[], what.to_owned()).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
    }

    /// Lets on so many of the steps that work until they are told, the first ones first.
    pub async fn let_on(&self, count: usize) {
        self.tell("/let-on", &count.to_string()).await;
    }

    /// Lets on all of them, and later ones.
    pub async fn let_all_on(&self) {
        self.tell("/let-on", "all").await;
    }

    /// Gives its function `at-a-time` another limit, which the next sync tells.
    pub async fn limit(&self, most: u32) {
        self.tell("/limit", &most.to_string()).await;
    }

    /// Has it answer calls by 429 and ask for so many seconds; none takes that back.
    pub async fn be_busy(&self, seconds: u32) {
        self.tell("/busy", &seconds.to_string()).await;
    }

    /// Has its client send a signal; gives what the client answers.
    pub async fn send_signal(&self, signal: &str, data: Value) -> Value {
        let body = json!({ "signal": signal, "data": data });
        self.client().post("/signal", &body).await.json()
    }

    /// Has it refuse every later sync.
    pub async fn refuse_syncs(&self) {
        self.client().get("/refuse-syncs").await;
    }

    /// Its serve URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/api/inngest", self.port)
    }

    /// The port that it listens on.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// A client of it.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::new(&format!("http://127.0.0.1:{}", self.port))
    }

    /// What it counted since it was started.
    pub async fn counts(&self) -> Counts {
        Counts(self.client().get("/counts").await.json())
    }
}

/// Installs the packages of the lock file unless they are there. One process at a time does.
pub(crate) fn install(folder: &Path) {
    let lock = File::create(folder.join("install.lock")).expect("the SDK folder can be written");
    lock.lock().expect("files can be locked");
    if is_installed(folder) {
        return;
    }
    let mut npm = std::process::Command::new("npm");
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
        .current_dir(folder);
    let output = npm.output().expect("npm runs");
    assert!(
        output.status.success(),
        "npm ci: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The Python of an environment that holds the packages of an SDK: the one that the variable names,
/// else the one that the last full test left.
pub(crate) fn python(environment: &str, variable: &str) -> PathBuf {
    let left = || files::workspace().join(format!("target/{environment}/bin/python"));
    let python = std::env::var_os(variable).map_or_else(left, PathBuf::from);
    assert!(
        python.exists(),
        "{} is not there: `cargo run -p xtask -- test` makes it",
        python.display()
    );
    python
}

fn is_installed(folder: &Path) -> bool {
    let modified = |path: &str| {
        folder
            .join(path)
            .metadata()
            .and_then(|file| file.modified())
            .ok()
    };
    modified("node_modules/.package-lock.json") >= modified("package-lock.json")
}
