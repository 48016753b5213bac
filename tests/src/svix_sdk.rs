//! The official webhook SDKs, each behind the driver of `tests/sdk/svix/` for its language.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::files;
use crate::sdk_app::{install, python};

/// How long one call may take: far over what it takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Which of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SvixSdk {
    folder: &'static str,
    /// The environment with its packages, and the variable that names another Python.
    python: Option<(&'static str, &'static str)>,
}

impl SvixSdk {
    /// npm `svix` 2, with `dodopayments` and `standardwebhooks`.
    pub const JS: Self = Self {
        folder: "v2",
        python: None,
    };
    /// npm `svix`, the last 1.x.
    pub const JS_1X: Self = Self {
        folder: "v1",
        python: None,
    };
    /// PyPI `svix` 2, with `standardwebhooks`.
    pub const PYTHON: Self = Self {
        folder: "python-v2",
        python: Some(("sdk-svix-v2", "DUNLIN_SVIX_PYTHON_V2")),
    };
    /// PyPI `svix`, the last 1.x.
    pub const PYTHON_1X: Self = Self {
        folder: "python-v1",
        python: Some(("sdk-svix-v1", "DUNLIN_SVIX_PYTHON_V1")),
    };

    /// What starts its driver, with the packages that it needs in place.
    async fn command(self) -> Command {
        let folder = files::workspace().join("tests/sdk/svix").join(self.folder);
        if let Some((environment, variable)) = self.python {
            let mut command = Command::new(python(environment, variable));
            command.arg("../driver.py").current_dir(folder);
            command.env("PYTHONDONTWRITEBYTECODE", "1");
            return command;
        }
        let installed = folder.clone();
        tokio::task::spawn_blocking(move || install(&installed))
            .await
            .expect("the packages can be installed");
        let mut command = Command::new("node");
        command.arg("../driver.mjs").current_dir(folder);
        command
    }
}

/// What a call of an SDK threw.
#[derive(Clone, Debug)]
pub struct Thrown {
    /// The name of the error's class.
    pub kind: String,
    /// The HTTP status that it carries, if it does.
    pub status: Option<u64>,
    /// The body of the response as the SDK hands it on.
    pub body: Value,
    /// Its text.
    pub message: String,
}

/// A driver at work. It ends with the test.
#[derive(Debug)]
pub struct SvixDriver {
    _child: Child,
    requests: ChildStdin,
    replies: Lines<BufReader<ChildStdout>>,
}

impl SvixDriver {
    /// Starts one.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start(sdk: SvixSdk) -> Self {
        let mut command = sdk.command().await;
        let piped = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        let mut child = piped.spawn().expect("the driver starts");
        let requests = child.stdin.take().expect("it is piped");
        let replies = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        Self {
            _child: child,
            requests,
            replies,
        }
    }

    /// Has it do what the request says.
    ///
    /// # Errors
    /// What the SDK threw.
    ///
    /// # Panics
    /// When the driver itself does not answer.
    pub async fn ask(&mut self, request: &Value) -> Result<Value, Thrown> {
        let line = format!("{request}\n");
        let sent = self.requests.write_all(line.as_bytes()).await;
        sent.unwrap_or_else(|error| panic!("the driver does not listen: {error}: {request}"));
        let reply = tokio::time::timeout(PATIENCE, self.replies.next_line()).await;
        let reply = reply.unwrap_or_else(|_| panic!("in {PATIENCE:?} no answer to {request}"));
        let line = reply.expect("text").unwrap_or_else(|| {
            panic!("the driver ended at {request}");
        });
        let mut reply: Value = serde_json::from_str(&line).expect("an answer is JSON");
        let error = reply["error"].take();
        if error.is_null() {
            return Ok(reply["answer"].take());
        }
        let word = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
        Err(Thrown {
            kind: word("kind"),
            status: error["status"].as_u64(),
            body: error["body"].clone(),
            message: word("message"),
        })
    }

    /// The calls that a resource of the SDK has, or all its resources where none is named.
    ///
    /// # Panics
    /// When the SDK does not tell.
    pub async fn methods(&mut self, resource: &str) -> Vec<String> {
        let found = self.ask(&json!({ "methods": resource })).await;
        let found = found.unwrap_or_else(|error| panic!("{resource}: {error:?}"));
        let names = found.as_array().cloned().unwrap_or_default();
        let names = names.iter().filter_map(Value::as_str);
        let prefix = match resource {
            "" => String::new(),
            resource => format!("{resource}."),
        };
        names.map(|name| format!("{prefix}{name}")).collect()
    }
}
