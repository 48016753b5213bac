//! S19: a connection is used again only by what may share it.

use std::sync::Arc;

use dunlin_egress::{AddressPolicy, Request, parse_tls};
use tokio::io::AsyncWriteExt as _;

use crate::certs::Authority;
use crate::server::{read_request, serve};
use crate::{client, open, post, text, with_body};

#[tokio::test]
async fn connections_are_shared_within_a_tenant_and_its_settings_only() {
    let server = serve(|mut tcp, number| async move {
        loop {
            read_request(&mut tcp).await?;
            tcp.write_all(&with_body(number.to_string().as_bytes()))
                .await?;
        }
    })
    .await;
    let client = client();
    let url = format!("http://hooks.example:{}/", server.address.port());
    let [one, two] = ["one", "two"].map(|name| Authority::new(name).pem());
    let tls = |pem: &str| Some(Arc::new(parse_tls(Some(pem), None, None).unwrap()));
    let wide = AddressPolicy::public_only().allow_cidr("127.0.0.0/8");
    let wide = Arc::new(wide.unwrap());
    let base = || post(&url, &open());
    let moved = url.replace("hooks.example", "other.example");
    // A request, and the connection that it uses.
    let table: Vec<(Request, &str)> = vec![
        (base(), "0"),
        (base(), "0"),
        (
            Request {
                tenant: 2,
                ..base()
            },
            "1",
        ),
        (
            Request {
                tenant: 0,
                ..base()
            },
            "2",
        ),
        (base(), "0"),
        (
            Request {
                tenant: 2,
                ..base()
            },
            "1",
        ),
        (
            Request {
                policy: Arc::clone(&wide),
                ..base()
            },
            "3",
        ),
        (
            Request {
                tls: tls(&one),
                ..base()
            },
            "4",
        ),
        (
            Request {
                tls: tls(&two),
                ..base()
            },
            "5",
        ),
        // Parsed anew, it is the same.
        (
            Request {
                tls: tls(&one),
                ..base()
            },
            "4",
        ),
        (
            Request {
                tls: tls(&one),
                tenant: 2,
                ..base()
            },
            "6",
        ),
        (post(&moved, &open()), "7"),
        (base(), "0"),
        (
            Request {
                tenant: 0,
                ..base()
            },
            "2",
        ),
    ];
    for (row, (request, connection)) in table.into_iter().enumerate() {
        let used = text(client.send(request).await);
        assert_eq!(used, connection, "row {row}");
    }
}

/// A server that says more than it was asked leaves nothing for the next request, whosever it is.
#[tokio::test]
async fn what_a_server_says_unasked_is_never_taken_for_an_answer() {
    let poisoned = [with_body(b"first"), with_body(b"poisoned")].concat();
    let parts = [
        vec![poisoned.clone()],
        vec![with_body(b"first"), with_body(b"poisoned")],
        vec![
            with_body(b"first"),
            b"HTTP/1.1 408 Request Timeout\r\n\r\n".to_vec(),
        ],
    ];
    for parts in parts {
        let said = Arc::new(tokio::sync::Notify::new());
        let (told, script) = (Arc::clone(&said), parts.clone());
        let server = serve(move |mut tcp, number| {
            let (told, script) = (Arc::clone(&told), script.clone());
            async move {
                loop {
                    read_request(&mut tcp).await?;
                    if number > 0 {
                        tcp.write_all(&with_body(b"good")).await?;
                        continue;
                    }
                    for part in &script {
                        tcp.write_all(part).await?;
                        tokio::task::yield_now().await;
                    }
                    told.notify_one();
                }
            }
        })
        .await;
        let client = client();
        let first = client.send(post(&server.url("/"), &open())).await;
        assert_eq!(text(first), "first");
        said.notified().await;
        for _ in 0..2 {
            let next = client.send(post(&server.url("/"), &open())).await;
            assert_eq!(text(next), "good", "{parts:?}");
        }
        assert_eq!(server.connections(), 2);
    }
}
