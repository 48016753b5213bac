//! The one repetition of requests that may be repeated.

use std::io;
use std::time::Duration;

use dunlin_egress::{Client, ClientOptions, SendErrorKind};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::server::{read_request, serve};
use crate::{Script, client, open, post, text, with_body};

#[derive(Clone, Copy, Debug, PartialEq)]
enum First {
    Dies,
    DiesAfterSayingSome,
    DiesAmidTheBody,
    DiesAgain,
    Fails,
}

async fn serving(mut tcp: TcpStream, number: usize, first: First) -> io::Result<()> {
    read_request(&mut tcp).await?;
    if number > 0 && first != First::DiesAgain {
        return tcp.write_all(&with_body(b"again")).await;
    }
    match first {
        First::Dies | First::DiesAgain => Ok(()),
        First::DiesAfterSayingSome => tcp.write_all(b"H").await,
        First::DiesAmidTheBody => tcp.write_all(&with_body(b"half")[..40]).await,
        First::Fails => {
            tcp.write_all(b"HTTP/1.1 500 No\r\ncontent-length: 2\r\n\r\nno")
                .await
        }
    }
}

/// What the first connection does, whether the request may be repeated, what comes of it, and how
/// many connections there were.
const TABLE: [(First, bool, &str, usize); 8] = [
    (First::Dies, true, "again", 2),
    (First::Dies, false, "Aborted", 1),
    (First::DiesAgain, true, "Aborted", 2),
    (First::DiesAfterSayingSome, true, "Aborted", 1),
    (First::DiesAmidTheBody, true, "Aborted", 1),
    (First::Fails, true, "no", 1),
    (First::DiesAmidTheBody, false, "Aborted", 1),
    (First::DiesAgain, false, "Aborted", 1),
];

#[tokio::test]
async fn a_request_is_repeated_once_if_it_may_be_and_nothing_was_answered_within_a_second() {
    for (first, is_idempotent, outcome, connections) in TABLE {
        let server = serve(move |tcp, number| serving(tcp, number, first)).await;
        let mut request = post(&server.url("/"), &open());
        request.is_idempotent = is_idempotent;
        let shown = text(client().send(request).await);
        assert!(
            shown.starts_with(outcome),
            "{first:?} {is_idempotent}: {shown}"
        );
        assert_eq!(
            server.connections(),
            connections,
            "{first:?} {is_idempotent}"
        );
    }
}

#[tokio::test]
async fn a_request_whose_connection_dies_later_than_that_is_not_repeated() {
    for (reconnect_within, outcome, connections) in [
        // However soon it dies, that is too late.
        (Duration::ZERO, "Aborted", 1),
        (Duration::from_secs(3600), "again", 2),
    ] {
        let server = serve(move |tcp, number| serving(tcp, number, First::Dies)).await;
        let client = Client::new(ClientOptions {
            resolver: Script::new(&[&["127.0.0.1"]]),
            reconnect_within,
            ..ClientOptions::default()
        });
        let mut request = post(&server.url("/"), &open());
        request.is_idempotent = true;
        let shown = text(client.send(request).await);
        assert!(shown.starts_with(outcome), "{reconnect_within:?}: {shown}");
        assert_eq!(server.connections(), connections, "{reconnect_within:?}");
    }
    let usual = ClientOptions::default().reconnect_within;
    assert_eq!(usual, Duration::from_secs(1));
}

#[tokio::test]
async fn a_kept_connection_that_dies_under_a_repeatable_request_goes_unnoticed() {
    let server = serve(|mut tcp, number| async move {
        loop {
            let (_, body) = read_request(&mut tcp).await?;
            tcp.write_all(&with_body(&body)).await?;
            if number == 0 {
                return read_request(&mut tcp).await.map(drop);
            }
        }
    })
    .await;
    let client = client();
    for _ in 0..3 {
        let mut request = post(&server.url("/"), &open());
        request.is_idempotent = true;
        assert_eq!(text(client.send(request).await), "hello");
    }
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn the_repetition_lies_within_the_one_deadline() {
    let server = serve(|mut tcp, number| async move {
        read_request(&mut tcp).await?;
        if number > 0 {
            std::future::pending::<()>().await;
        }
        Ok(())
    })
    .await;
    let mut request = post(&server.url("/"), &open());
    request.is_idempotent = true;
    request.deadline = Duration::from_millis(200);
    let error = client().send(request).await.unwrap_err();
    assert_eq!(error.kind, SendErrorKind::Timeout);
    assert_eq!(server.connections(), 2);
}
