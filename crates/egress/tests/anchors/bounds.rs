//! S16: whatever a server answers costs one deadline and a bounded number of bytes.

use std::io;
use std::io::Write as _;
use std::time::{Duration, Instant};

use dunlin_egress::SendErrorKind::{Protocol, Timeout, TooLarge};
use dunlin_egress::{Request, Response, SendError, SendErrorKind};
use dunlin_types::limits::RESPONSE_HEAD_BYTES_MAX;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::server::{read_request, serve};
use crate::{CAP, client, open, post};

/// What is sent once, what is then repeated until the client goes away, and how often in a second.
#[derive(Clone)]
struct Answer {
    first: Vec<u8>,
    then: Vec<u8>,
    pause: Option<Duration>,
}

fn endless(first: &str, then: &[u8]) -> Answer {
    Answer {
        first: first.as_bytes().to_vec(),
        then: then.to_vec(),
        pause: None,
    }
}

fn slow(first: &str, then: &[u8]) -> Answer {
    Answer {
        pause: Some(Duration::from_millis(10)),
        ..endless(first, then)
    }
}

fn bomb() -> Answer {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(&vec![0; 20 << 20]).unwrap();
    let body = encoder.finish().unwrap();
    let head = "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: ";
    Answer {
        first: [format!("{head}{}\r\n\r\n", body.len()).as_bytes(), &body].concat(),
        then: Vec::new(),
        pause: None,
    }
}

async fn say(mut tcp: TcpStream, answer: Answer) -> io::Result<()> {
    read_request(&mut tcp).await?;
    tcp.write_all(&answer.first).await?;
    if answer.then.is_empty() {
        return tcp.read_to_end(&mut Vec::new()).await.map(drop);
    }
    let mut beat = answer.pause.map(tokio::time::interval);
    loop {
        if let Some(beat) = &mut beat {
            beat.tick().await;
        }
        tcp.write_all(&answer.then).await?;
    }
}

async fn hear(answer: Answer, change: impl Fn(&mut Request)) -> Result<Response, SendError> {
    let server = serve(move |tcp, _| say(tcp, answer.clone())).await;
    let mut request = post(&server.url("/"), &open());
    request.deadline = Duration::from_millis(400);
    change(&mut request);
    let started = Instant::now();
    let heard = client().send(request).await;
    assert!(started.elapsed() < Duration::from_secs(5), "one deadline");
    assert_eq!(server.connections(), 1);
    heard
}

/// The answer; what it is when it must be whole, and whether it is one when it may be cut.
fn answers() -> Vec<(&'static str, Answer, SendErrorKind, bool)> {
    let ok = "HTTP/1.1 200 OK\r\n";
    let x = vec![b'x'; 64 << 10];
    let chunked = format!("{ok}transfer-encoding: chunked\r\n\r\n");
    let sized = format!("{ok}content-length: 10000000000\r\n\r\n");
    let chunk = [b"10000\r\n", &x[..], b"\r\n"].concat();
    vec![
        (
            "a body without end",
            endless("HTTP/1.1 200 OK\r\n\r\n", &x),
            TooLarge,
            true,
        ),
        (
            "chunks without end",
            endless(&chunked, &chunk),
            TooLarge,
            true,
        ),
        (
            "10 GB announced and sent",
            endless(&sized, &x),
            TooLarge,
            true,
        ),
        ("10 GB announced only", slow(&sized, b"x"), TooLarge, false),
        (
            "one huge chunk",
            endless(&format!("{chunked}ffffffff\r\n"), &x),
            TooLarge,
            true,
        ),
        ("a gzip bomb", bomb(), TooLarge, true),
        (
            "a body byte by byte",
            slow(&format!("{ok}content-length: 900\r\n\r\n"), b"x"),
            Timeout,
            false,
        ),
        ("a head byte by byte", slow(ok, b"x"), Timeout, false),
        ("no answer", slow("", b""), Timeout, false),
        (
            "10,000 headers",
            endless(&format!("{ok}{}", "x-a: b\r\n".repeat(10_000)), b"\r\n"),
            Protocol,
            false,
        ),
        (
            "headers without end",
            endless(ok, b"x-a: b\r\n"),
            Protocol,
            false,
        ),
        (
            "one header without end",
            endless("HTTP/1.1 200 OK\r\nx-a: ", &x),
            Protocol,
            false,
        ),
        (
            "a status line without end",
            endless("HTTP/1.1 200 ", &x),
            Protocol,
            false,
        ),
        (
            "a chunk extension without end",
            endless(&format!("{chunked}1;"), &x),
            Protocol,
            false,
        ),
        (
            "trailers without end",
            endless(&format!("{chunked}0\r\n"), b"x-a: b\r\n"),
            Protocol,
            false,
        ),
    ]
}

#[tokio::test]
async fn no_answer_costs_more_than_one_deadline_and_the_cap() {
    for (name, answer, whole, is_cut) in answers() {
        let error = hear(answer.clone(), |request| request.truncate = false)
            .await
            .unwrap_err();
        assert_eq!(error.kind, whole, "{name}: {error}");
        let mut read = error.bytes_read;
        match hear(answer, |_| {}).await {
            Ok(response) => {
                assert!(is_cut, "{name}");
                assert_eq!(
                    (response.body.len(), response.truncated),
                    (CAP, true),
                    "{name}"
                );
                read = read.max(response.bytes_read);
            }
            Err(error) => {
                assert!(!is_cut, "{name}: {error}");
                read = read.max(error.bytes_read);
            }
        }
        // What is read is what is buffered at most: one buffer, and what is kept.
        let most = CAP + 2 * RESPONSE_HEAD_BYTES_MAX;
        assert!(read <= most as u64, "{name}: {read} bytes were read");
    }
}

/// Nothing of these is kept, so that time is their only bound.
#[tokio::test]
async fn framing_without_end_costs_one_deadline() {
    let interim = b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n";
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    for answer in [
        slow("", interim),
        endless("", interim),
        endless(chunked, b"0000000000000000"),
    ] {
        let error = hear(answer, |_| {}).await.unwrap_err();
        assert_eq!(error.kind, Timeout);
    }
}

#[tokio::test]
async fn a_response_tells_what_was_read_for_it_alone() {
    let server = serve(|mut tcp, _| async move {
        loop {
            read_request(&mut tcp).await?;
            tcp.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi")
                .await?;
        }
    })
    .await;
    let client = client();
    for _ in 0..2 {
        let response = client.send(post(&server.url("/"), &open())).await.unwrap();
        assert_eq!(response.bytes_read, 40);
    }
    assert_eq!(server.connections(), 1);
}
