//! S18: which headers an endpoint's owner may have sent.

use dunlin_egress::check_header;
use dunlin_types::Code;
use http::HeaderValue;

use crate::server::{read_request, serve};
use crate::{client, open, post, rows, with_body};

/// The value as it is meant: with the control characters that a table cannot hold.
fn spelled(value: &str) -> String {
    value
        .replace("\\r", "\r")
        .replace("\\n", "\n")
        .replace("\\0", "\0")
        .replace("\\x7f", "\x7f")
}

#[test]
fn each_header_is_judged_as_the_table_says() {
    let mut seen = 0;
    for row in rows(include_str!("headers.txt")) {
        let (verdict, header) = row.split_once(' ').unwrap();
        let (name, value) = header.trim().split_once(':').unwrap();
        let value = spelled(value.trim_start());
        for name in [name.to_owned(), name.to_ascii_uppercase()] {
            let judged = check_header(&name, &value);
            assert_eq!(judged.is_ok(), verdict == "ok", "{row}");
            if let Err(error) = judged {
                assert_eq!(error.code, Code::HeaderRefused);
                let repeats = value.len() > 3 && error.detail.contains(&value);
                assert!(!repeats, "the value is not repeated: {row}");
            }
        }
        seen += 1;
    }
    assert!(seen > 50);
}

#[test]
fn a_value_has_at_most_4096_bytes() {
    for (length, fits) in [(0, true), (4096, true), (4097, false), (1 << 20, false)] {
        let judged = check_header("x-team", &"a".repeat(length));
        assert_eq!(judged.is_ok(), fits, "{length}");
    }
}

#[tokio::test]
async fn host_and_framing_are_the_clients_own_whatever_is_asked_for() {
    let server = serve(|mut tcp, _| async move {
        let (head, _) = read_request(&mut tcp).await?;
        tokio::io::AsyncWriteExt::write_all(&mut tcp, &with_body(head.as_bytes())).await
    })
    .await;
    let mut request = post(&server.url("/"), &open());
    for (name, value) in [
        ("host", "elsewhere.example"),
        ("content-length", "1"),
        ("transfer-encoding", "chunked"),
        ("connection", "upgrade"),
        ("accept-encoding", "gzip"),
    ] {
        let value = HeaderValue::from_static(value);
        request.headers.append(name, value.clone());
        request.headers.append(name, value);
    }
    let head = client().send(request).await.unwrap().body;
    let head = std::str::from_utf8(&head).unwrap();
    for wrong in ["elsewhere", "length: 1\r", "chunked", "upgrade", "gzip"] {
        assert!(!head.contains(wrong), "{wrong} in {head}");
    }
    assert_eq!(head.matches("\r\ncontent-length: 5\r\n").count(), 1);
}
