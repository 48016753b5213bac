//! The real server as a process, and what tests ask it.

use http::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use crate::client::Client;
use crate::process::Process;
use crate::{files, free_port, text, until};

/// The arguments behind `--port`, one by one.
pub type Flags = Vec<String>;

/// A running server. It ends with the test.
#[derive(Debug)]
pub struct Server {
    process: Option<Process>,
    command: &'static str,
    flags: Flags,
    variables: Vec<(&'static str, String)>,
    port: u16,
    folder: TempDir,
    client: Client,
}

impl Server {
    /// Starts `dunlin dev` with those flags on a free port; its data lie in a temporary folder.
    pub async fn dev<T: AsRef<str>>(flags: impl IntoIterator<Item = T>) -> Self {
        Self::start("dev", free_port(), flags).await
    }

    /// Starts `dunlin <command>` with those flags on that port.
    ///
    /// # Panics
    /// When it does not become ready.
    pub async fn start<T: AsRef<str>>(
        command: &'static str,
        port: u16,
        flags: impl IntoIterator<Item = T>,
    ) -> Self {
        Self::start_in(command, port, flags, &[]).await
    }

    /// The same with these variables in its environment.
    ///
    /// # Panics
    /// When it does not become ready.
    pub async fn start_in<T: AsRef<str>>(
        command: &'static str,
        port: u16,
        flags: impl IntoIterator<Item = T>,
        variables: &[(&'static str, &str)],
    ) -> Self {
        let mut server = Self {
            variables: variables
                .iter()
                .map(|(name, value)| (*name, (*value).to_owned()))
                .collect(),
            process: None,
            command,
            flags: flags
                .into_iter()
                .map(|flag| flag.as_ref().to_owned())
                .collect(),
            port,
            folder: tempfile::tempdir().expect("there is room for a temporary folder"),
            client: Client::new(&base_url(port)),
        };
        server.run().await;
        server
    }

    async fn run(&mut self) {
        let mut command = Command::new(files::binary());
        let data = self.folder.path().join("data");
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("DUNLIN_")) {
            command.env_remove(name);
        }
        command
            .arg(self.command)
            .args(["--port", &self.port.to_string()]);
        command
            .arg("--data-dir")
            .arg(&data)
            .args(&self.flags)
            .envs(self.variables.iter().cloned())
            .current_dir(self.folder.path());
        let mut process = Process::start("dunlin", &mut command);
        until("server that is ready", async || {
            assert!(
                !process.has_ended(),
                "the server ended: {:#?}",
                process.said()
            );
            let health = self
                .client
                .try_send(Method::GET, "/health", &[], "")
                .await?;
            (health.status == 200).then_some(())
        })
        .await;
        self.process = Some(process);
    }

    /// Kills it as `kill -9` does and starts it on the same data with those flags.
    pub async fn restart<T: AsRef<str>>(&mut self, flags: impl IntoIterator<Item = T>) {
        if let Some(process) = self.process.take() {
            process.kill().await;
        }
        self.flags = flags
            .into_iter()
            .map(|flag| flag.as_ref().to_owned())
            .collect();
        self.client = Client::new(&base_url(self.port));
        self.run().await;
    }

    /// Where it listens, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        base_url(self.port)
    }

    /// A client of it.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Has every request of this handle carry that bearer token.
    #[must_use]
    pub fn with_bearer(mut self, token: &str) -> Self {
        self.client = self.client.with_bearer(token);
        self
    }

    /// What it printed and logged.
    #[must_use]
    pub fn said(&self) -> String {
        self.process
            .as_ref()
            .map(Process::said)
            .unwrap_or_default()
            .join("\n")
    }

    /// The files that hold its data, with what is in them.
    ///
    /// # Panics
    /// When one cannot be read.
    #[must_use]
    pub fn data_files(&self) -> Vec<(String, Vec<u8>)> {
        files::all_below(&self.folder.path().join("data"))
    }

    /// Sends an event and gives its internal id.
    ///
    /// # Panics
    /// When the server does not take it.
    pub async fn send_event(&self, name: &str, data: Value) -> String {
        self.send_raw(&json!({ "name": name, "data": data })).await
    }

    /// Sends an event as it is and gives its internal id.
    ///
    /// # Panics
    /// When the server does not take it.
    pub async fn send_raw(&self, event: &Value) -> String {
        let reply = self.client.post("/e/test", event).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        text(&reply.json()["ids"][0])
    }

    /// The runs that an event started so far.
    pub async fn runs_of(&self, event: &str) -> Vec<Value> {
        let reply = self.client.get(&format!("/v1/events/{event}/runs")).await;
        reply.json()["data"].as_array().cloned().unwrap_or_default()
    }

    /// The id of the one run that an event starts, when there is one.
    pub async fn run_of(&self, event: &str) -> String {
        let run = until("run of the event", async || self.runs_of(event).await.pop()).await;
        text(&run["run_id"])
    }

    /// A run as the first version of the reading API has it.
    ///
    /// # Panics
    /// When there is none of that id.
    pub async fn read_run(&self, run: &str) -> Value {
        let reply = self.client.get(&format!("/v1/runs/{run}")).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()["data"].clone()
    }

    /// A run when it has ended.
    pub async fn ended(&self, run: &str) -> Value {
        until(&format!("end of run {run}"), async || {
            let read = self.read_run(run).await;
            (read["status"] != "Running" && read["status"] != "Scheduled").then_some(read)
        })
        .await
    }

    /// The one run that an event starts, when it has ended.
    pub async fn ended_run_of(&self, event: &str) -> Value {
        self.ended(&self.run_of(event).await).await
    }

    /// What the run's page shows: its spans as JSON.
    pub async fn trace(&self, run: &str) -> Value {
        let path = format!("/v2/runs/{run}/trace?includeOutput=true");
        self.client.get(&path).await.json()["data"].clone()
    }

    /// Waits until nothing is queued or in flight.
    ///
    /// # Panics
    /// When the server is not in test mode.
    pub async fn idle(&self) {
        let reply = self.client.get("/test/idle").await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }

    /// What the server's clock shows, in the form of RFC 3339.
    ///
    /// # Panics
    /// When the server is not in test mode.
    pub async fn now(&self) -> String {
        text(&self.client.get("/test/idle").await.json()["now"])
    }

    /// Moves the server's clock ahead, such as by `1h`, and waits until what became due is done.
    ///
    /// # Panics
    /// When the server is not in test mode.
    pub async fn advance(&self, by: &str) {
        let reply = self
            .client
            .post("/test/clock/advance", &json!({ "by": by }))
            .await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        self.idle().await;
    }

    /// Moves the clock ahead and does not wait: calls may be in flight.
    ///
    /// # Panics
    /// When the server is not in test mode.
    pub async fn advance_meanwhile(&self, by: &str) {
        let body = json!({ "by": by });
        let reply = self.client.post("/test/clock/advance", &body).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }

    /// Why a run waits.
    pub async fn waiting(&self, run: &str) -> Value {
        self.client
            .get(&format!("/api/runs/{run}/waiting"))
            .await
            .json()
    }

    /// What is queued of a function.
    pub async fn queues(&self, function: &str) -> Value {
        let path = format!("/api/functions/{function}/queues");
        self.client.get(&path).await.json()
    }

    /// The events that a function's rules dropped, from the newest on.
    ///
    /// # Panics
    /// When they cannot be read.
    pub async fn dropped(&self, function: &str) -> Vec<Value> {
        let path = format!("/api/functions/{function}/dropped");
        let reply = self.client.get(&path).await;
        let dropped = reply.json()["data"].as_array().cloned();
        dropped.unwrap_or_else(|| panic!("{path}: {}", reply.text()))
    }

    /// What became of an event at the one function that knows it.
    pub async fn verdict(&self, event: &str) -> Value {
        let path = format!("/api/events/{event}/explain");
        self.client.get(&path).await.json()["verdicts"][0].clone()
    }

    /// Puts a limit of an operator.
    ///
    /// # Panics
    /// When the server does not take it.
    pub async fn put_limit(&self, name: &str, limit: &Value) {
        let path = format!("/api/limits/{name}");
        let headers = [("content-type", "application/json")];
        let reply = self
            .client
            .send(Method::PUT, &path, &headers, limit.to_string())
            .await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }

    /// Waits until that app has functions here.
    pub async fn synced(&self, app: &str) {
        until(&format!("sync of {app}"), async || {
            let reply = self.client.get(&format!("/v1/apps/{app}/functions")).await;
            let functions = reply.json().as_array().map_or(0, Vec::len);
            (reply.status == 200 && functions > 0).then_some(())
        })
        .await;
    }

    /// Registers functions at a URL by hand: pairs of function id and retries. Each is triggered
    /// by the event `<app>/<function>`.
    ///
    /// # Panics
    /// When the server refuses it.
    pub async fn register(&self, app: &str, url: &str, functions: &[(&str, u8)]) {
        let functions: Vec<Value> = functions
            .iter()
            .map(|(function, retries)| config(app, url, function, *retries))
            .collect();
        let body = json!({
            "url": url, "deployType": "ping", "framework": "nodejs", "appName": app,
            "sdk": "js:v4.24.0", "v": "0.1", "functions": functions,
        });
        let reply = self.client.post("/fn/register", &body).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
}

fn config(app: &str, url: &str, function: &str, retries: u8) -> Value {
    let id = format!("{app}-{function}");
    json!({
        "id": id, "name": function, "triggers": [{ "event": format!("{app}/{function}") }],
        "steps": { "step": {
            "id": "step", "name": "step", "retries": { "attempts": retries },
            "runtime": { "type": "http", "url": format!("{url}?fnId={id}&stepId=step") },
        } },
    })
}

fn base_url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}
