//! The security cases of outgoing requests (S10 to S13 and S16 to S19 of the design), each a table
//! over the one code path that saving, testing, simulating and delivering share: `check_url`, then
//! `Client::send`.
#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test fails the test by panicking"
)]

mod addresses;
mod bounds;
mod certs;
mod headers;
mod pools;
mod proxies;
mod reconnect;
mod redirects;
#[path = "../server/mod.rs"]
mod server;
mod tls;
mod tls_settings;

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use dunlin_egress::{
    AddressPolicy, Body, Client, ClientOptions, Request, Resolve, Response, SendError, check_url,
};
use http::{HeaderMap, Method};

const CAP: usize = 1000;

/// Lets each URL be asked for, so that what refuses it is the sending.
fn anything() -> AddressPolicy {
    ["0.0.0.0/0", "::/0", "169.254.169.254", "168.63.129.16"]
        .iter()
        .fold(AddressPolicy::public_only(), |policy, network| {
            policy.allow_cidr(network).unwrap()
        })
        .allow_host("example.com")
        .allow_host("localhost")
}

fn public() -> Arc<AddressPolicy> {
    Arc::new(AddressPolicy::public_only())
}

fn open() -> Arc<AddressPolicy> {
    Arc::new(AddressPolicy::public_only().allow_loopback())
}

fn post(url: &str, policy: &Arc<AddressPolicy>) -> Request {
    Request {
        method: Method::POST,
        target: check_url(url, &anything()).unwrap(),
        headers: HeaderMap::new(),
        body: Body::from(Bytes::from_static(b"hello")),
        policy: Arc::clone(policy),
        connect_timeout: Duration::from_secs(5),
        deadline: Duration::from_secs(10),
        response_bytes_max: CAP,
        truncate: true,
        tenant: 1,
        tls: None,
        is_idempotent: false,
    }
}

fn with_body(body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn text(outcome: Result<Response, SendError>) -> String {
    match outcome {
        Ok(response) => String::from_utf8(response.body.to_vec()).unwrap(),
        Err(error) => format!("{:?}: {}", error.kind, error.detail),
    }
}

fn rows(table: &str) -> impl Iterator<Item = &str> {
    let lines = table.lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// Answers each look-up with the next list; the last one stays.
struct Script {
    answers: Mutex<VecDeque<Vec<IpAddr>>>,
    asked: AtomicUsize,
}

impl Script {
    fn new(answers: &[&[&str]]) -> Arc<Self> {
        let parse = |list: &&[&str]| list.iter().map(|ip| ip.parse().unwrap()).collect();
        Arc::new(Self {
            answers: Mutex::new(answers.iter().map(parse).collect()),
            asked: AtomicUsize::new(0),
        })
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Resolve for Script {
    fn resolve(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let mut answers = self.answers.lock().unwrap();
        if answers.len() > 1 {
            return Ok(answers.pop_front().unwrap());
        }
        Ok(answers.front().cloned().unwrap_or_default())
    }
}

fn client_of(resolver: &Arc<Script>) -> Client {
    let resolver: Arc<Script> = Arc::clone(resolver);
    Client::new(ClientOptions {
        resolver,
        ..ClientOptions::default()
    })
}

fn client() -> Client {
    client_of(&Script::new(&[&["127.0.0.1"]]))
}
