//! How long connections last.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::routing::get;
use hyper::body::Frame;
use tokio::io::{AsyncRead as _, AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, ReadBuf};
use tokio::sync::{Notify, oneshot};
use tokio::time::{sleep, timeout};

use super::*;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const NO_SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
const BRIEF: Patience = Patience {
    idle: Duration::from_millis(40),
    drain: Duration::from_millis(40),
};
/// Nothing here takes this long but what never ends.
const EVER: Duration = Duration::from_secs(10);

async fn a_server(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let door = Door::new(router, BRIEF);
    tokio::spawn(serve_at(door, listener, std::future::pending()));
    address
}

#[tokio::test]
async fn a_request_in_flight_is_answered_though_the_server_was_told_to_stop() {
    let (arrived, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let notes = (Arc::clone(&arrived), Arc::clone(&go_on));
    let slow = move || async move {
        notes.0.notify_one();
        notes.1.notified().await;
        "done"
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let door = Door::new(Router::new().route("/", get(slow)), Patience::LIMITS);
    let server = tokio::spawn(serve_at(door, listener, async {
        let _ = stopped.await;
    }));
    let mut client = TcpStream::connect(address).await.unwrap();
    client
        .write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .await
        .unwrap();
    arrived.notified().await;
    stop.send(()).unwrap();
    tokio::task::yield_now().await;
    go_on.notify_one();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with("done"),
        "{answer}"
    );
    server.await.unwrap().unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn who_sends_no_request_does_not_keep_a_place() {
    let address = a_server(Router::new()).await;
    for sent in [&b""[..], b"P", &PREFACE[..20], b"GET / HTTP/1.1\r\nho"] {
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(sent).await.unwrap();
        let ended = timeout(EVER, client.read_to_end(&mut Vec::new())).await;
        assert!(ended.is_ok(), "{sent:?}");
    }
}

#[tokio::test]
async fn a_client_that_answers_pings_and_asks_nothing_does_not_keep_a_place() {
    let mut client = Client::new(a_server(Router::new()).await).await;
    let until_the_end = async { while client.next().await.is_some() {} };
    assert!(timeout(EVER, until_the_end).await.is_ok());
}

#[tokio::test]
async fn who_was_answered_is_told_that_the_connection_ends() {
    let router = Router::new().route("/", get(|| async { "done" }));
    let mut client = Client::new(a_server(router).await).await;
    client.ask().await;
    let mut frames = Vec::new();
    let until_the_end = async {
        while let Some((kind, payload)) = client.next().await {
            frames.push((kind, payload));
        }
    };
    assert!(timeout(EVER, until_the_end).await.is_ok());
    let (data, go_away) = ((0, b"done".to_vec()), 7);
    let answered = frames.iter().position(|frame| *frame == data);
    let told = frames.iter().position(|frame| frame.0 == go_away);
    assert!(answered.is_some() && told > answered, "{frames:?}");
}

#[tokio::test]
async fn who_does_not_end_what_it_was_told_to_end_is_cut() {
    let router = Router::new().route("/", get(|| async { "done" }));
    let mut client = Client::new(a_server(router).await).await;
    client.pongs = false;
    client.ask().await;
    let until_the_end = async { while client.next().await.is_some() {} };
    assert!(timeout(EVER, until_the_end).await.is_ok());
}

/// The body of an answer that takes much longer than a connection may be idle.
async fn slow() -> Body {
    sleep(BRIEF.idle * 4).await;
    let (mut write, read) = tokio::io::duplex(8);
    tokio::spawn(async move {
        for piece in ["do", "ne"] {
            sleep(BRIEF.idle * 4).await;
            write.write_all(piece.as_bytes()).await.unwrap();
        }
    });
    Body::new(Piecewise(read))
}

struct Piecewise(DuplexStream);

impl hyper::body::Body for Piecewise {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let mut piece = [0; 8];
        let mut piece = ReadBuf::new(&mut piece);
        let read = Pin::new(&mut self.0).poll_read(cx, &mut piece);
        read.map(|read| match (read, piece.filled()) {
            (Err(error), _) => Some(Err(error)),
            (Ok(()), []) => None,
            (Ok(()), read) => Some(Ok(Frame::data(read.to_vec().into()))),
        })
    }
}

#[tokio::test]
async fn an_answer_may_take_its_time() {
    let address = a_server(Router::new().route("/", get(slow))).await;
    let mut first = TcpStream::connect(address).await.unwrap();
    let mut second = Client::new(address).await;
    let request = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";
    first.write_all(request).await.unwrap();
    second.ask().await;
    let mut answer = String::new();
    first.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains("do\r\n2\r\nne\r\n0\r\n"), "{answer}");
    let mut data = Vec::new();
    while let Some((kind, payload)) = second.next().await {
        if kind == 0 {
            data.extend(payload);
        }
    }
    assert_eq!(data, b"done");
}

/// A client of HTTP/2 by hand.
struct Client {
    stream: TcpStream,
    pongs: bool,
}

impl Client {
    async fn new(address: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(PREFACE).await.unwrap();
        stream.write_all(NO_SETTINGS).await.unwrap();
        Self {
            stream,
            pongs: true,
        }
    }

    async fn ask(&mut self) {
        self.frame(1, 5, 1, b"\x82\x84\x86\x41\x01x").await;
    }

    async fn frame(&mut self, kind: u8, flags: u8, stream: u8, payload: &[u8]) {
        let length = u8::try_from(payload.len()).unwrap();
        let head = [0, 0, length, kind, flags, 0, 0, 0, stream];
        let _ = self.stream.write_all(&[&head, payload].concat()).await;
    }

    /// The next frame but pings; nothing at the end.
    async fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            let mut head = [0; 9];
            self.stream.read_exact(&mut head).await.ok()?;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; length as usize];
            self.stream.read_exact(&mut payload).await.ok()?;
            match (head[3], head[4]) {
                (6, 0) if self.pongs => self.frame(6, 1, 0, &payload).await,
                (6, 0) => {}
                (kind, _) => return Some((kind, payload)),
            }
        }
    }
}
