//! A receiver of deliveries on a port of its own, which keeps what it was sent.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// A request that came.
#[derive(Clone, Debug)]
pub(crate) struct Came {
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

pub(crate) struct Receiver {
    pub(crate) url: String,
    came: Arc<Mutex<Vec<Came>>>,
    /// One for each answer that may be given.
    answers: Arc<Semaphore>,
}

/// What it answers.
#[derive(Clone, Copy)]
enum How {
    Status(u16),
    AsAsked,
}

impl Receiver {
    /// One that answers nothing until it is told to.
    pub(crate) async fn hanging() -> Self {
        Self::new(How::Status(200), 0).await
    }

    /// One that answers everything with that status.
    pub(crate) async fn answering(status: u16) -> Self {
        Self::new(How::Status(status), Semaphore::MAX_PERMITS).await
    }

    /// One that answers with the status that the body names as its `answer`.
    pub(crate) async fn answering_as_asked() -> Self {
        Self::new(How::AsAsked, Semaphore::MAX_PERMITS).await
    }

    async fn new(how: How, answers: usize) -> Self {
        let answers = Arc::new(Semaphore::new(answers));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let came = Arc::new(Mutex::new(Vec::new()));
        let (kept, may) = (Arc::clone(&came), Arc::clone(&answers));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (kept, may) = (Arc::clone(&kept), Arc::clone(&may));
                tokio::spawn(async move { answer(stream, how, &kept, &may).await });
            }
        });
        Self { url, came, answers }
    }

    /// Has one that hangs answer so many requests, those that came first before the others.
    pub(crate) fn let_go(&self, answers: usize) {
        self.answers.add_permits(answers);
    }

    /// The bodies of what came, once there are so many.
    pub(crate) async fn bodies(&self, number: usize) -> Vec<String> {
        while self.came().len() < number {
            tokio::task::yield_now().await;
        }
        self.came().into_iter().map(|came| came.body).collect()
    }

    /// All that came.
    pub(crate) fn came(&self) -> Vec<Came> {
        self.came.lock().unwrap().clone()
    }
}

async fn answer(mut stream: TcpStream, how: How, kept: &Mutex<Vec<Came>>, may: &Semaphore) {
    let mut bytes = Vec::new();
    while let Ok(1..) = stream.read_buf(&mut bytes).await {
        let Some(came) = whole(&bytes) else { continue };
        let status = how.status(&came.body);
        kept.lock().unwrap().push(came);
        may.acquire().await.unwrap().forget();
        let head =
            format!("HTTP/1.1 {status} X\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok");
        let _ = stream.write_all(head.as_bytes()).await;
        return;
    }
}

impl How {
    fn status(self, body: &str) -> u16 {
        match self {
            Self::Status(status) => status,
            Self::AsAsked => {
                let body: serde_json::Value = serde_json::from_str(body).unwrap();
                body["answer"].as_u64().unwrap().try_into().unwrap()
            }
        }
    }
}

fn whole(bytes: &[u8]) -> Option<Came> {
    let text = str::from_utf8(bytes).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let fields = head
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(": "));
    let headers: BTreeMap<String, String> = fields
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let length: usize = headers.get("content-length")?.parse().ok()?;
    (body.len() == length).then(|| Came {
        headers,
        body: body.to_owned(),
    })
}
