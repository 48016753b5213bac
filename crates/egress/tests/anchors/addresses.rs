//! S10: what may not be connected to is refused at each send, not only when it is saved. S11: what
//! a name means is judged where it is connected to, and not asked a second time.

use std::sync::Arc;

use dunlin_egress::{AddressPolicy, SendErrorKind, check_url};

use crate::server::serve_answers;
use crate::{Script, client, client_of, open, post, public, rows, text, with_body};

#[tokio::test]
async fn each_url_that_saving_refuses_is_refused_by_sending() {
    let mut seen = 0;
    for row in rows(include_str!("../urls.txt")) {
        let (url, outcome) = row.split_once(char::is_whitespace).unwrap();
        if outcome.trim() != "blocked" {
            continue;
        }
        let error = client().send(post(url, &public())).await.unwrap_err();
        assert_eq!(error.kind, SendErrorKind::Blocked, "{url} {error}");
        let saved = check_url(url, &public()).unwrap_err();
        assert!(error.detail.ends_with(&saved.detail), "{url} {error}");
        seen += 1;
    }
    assert!(seen > 30);
}

#[tokio::test]
async fn each_address_that_is_blocked_is_blocked_behind_a_name() {
    let mut seen = 0;
    for row in rows(include_str!("../guard.txt")) {
        let columns: Vec<&str> = row.split_whitespace().collect();
        let ip = columns[0];
        if columns[1] != "no" {
            continue;
        }
        let named = client_of(&Script::new(&[&[ip]]));
        let sent = named.send(post("http://hooks.example/", &public())).await;
        assert_eq!(sent.unwrap_err().kind, SendErrorKind::Blocked, "{ip}");
        seen += 1;
    }
    assert!(seen > 40);
}

#[tokio::test]
async fn plain_http_is_refused_where_only_https_is_allowed() {
    let policy = AddressPolicy::public_only().require_https();
    assert!(check_url("https://hooks.example/", &policy).is_ok());
    for url in ["http://hooks.example/", "http://8.8.8.8/", "HTTP://a.b/"] {
        let refused = check_url(url, &policy).unwrap_err();
        assert!(refused.detail.contains("only https"), "{refused}");
        let sent = client().send(post(url, &Arc::new(policy.clone()))).await;
        assert_eq!(sent.unwrap_err().kind, SendErrorKind::Blocked, "{url}");
    }
}

/// What the name gives at the first and the second connection, and what becomes of each.
const REBINDINGS: [(&[&[&str]], &str, &str); 6] = [
    (&[&["127.0.0.1"], &["169.254.169.254"]], "in", "blocked"),
    (&[&["127.0.0.1"], &["10.0.0.1"]], "in", "blocked"),
    (&[&["169.254.169.254"], &["127.0.0.1"]], "blocked", "in"),
    (
        &[&["169.254.169.254", "127.0.0.1"], &["::ffff:10.0.0.1"]],
        "in",
        "blocked",
    ),
    (
        &[&["10.0.0.1", "fe80::1", "127.0.0.1", "0.0.0.0"], &["::"]],
        "in",
        "blocked",
    ),
    (
        &[&["64:ff9b::7f00:1", "2002:7f00:1::"], &["127.0.0.1"]],
        "blocked",
        "in",
    ),
];

#[tokio::test]
async fn only_the_addresses_that_were_checked_are_connected_to() {
    for (answers, first, second) in REBINDINGS {
        let server = serve_answers(with_body(b"in")).await;
        let resolver = Script::new(answers);
        let client = client_of(&resolver);
        let url = format!("http://rebound.example:{}/", server.address.port());
        let mut reached = 0;
        for (nth, expected) in [first, second].into_iter().enumerate() {
            let sent = client.send(post(&url, &open())).await;
            let shown = match &sent {
                Err(error) if error.kind == SendErrorKind::Blocked => "blocked".to_owned(),
                _ => text(sent),
            };
            assert_eq!(shown, expected, "{answers:?}");
            reached += usize::from(expected == "in");
            assert_eq!(resolver.asked(), nth + 1, "one look-up a connection");
            assert_eq!(server.connections(), reached, "{answers:?}");
        }
    }
}
