//! Exchanges with servers that behave and with those that do not.
#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test fails the test by panicking"
)]

mod server;

use std::io;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use dunlin_egress::{
    AddressPolicy, Body, Client, ClientOptions, Request, Resolve, Response, RootCertStore,
    SendError, SendErrorKind, check_url,
};
use http::{HeaderMap, HeaderValue, Method};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use server::{Server, read_request, serve, serve_answers};

const CAP: usize = 1000;

fn client() -> Client {
    Client::new(ClientOptions::default())
}

fn open() -> Arc<AddressPolicy> {
    Arc::new(AddressPolicy::public_only().allow_loopback())
}

fn post(url: &str, policy: &Arc<AddressPolicy>) -> Request {
    let anything = AddressPolicy::public_only()
        .allow_cidr("0.0.0.0/0")
        .unwrap();
    let anything = anything.allow_host("localhost");
    Request {
        method: Method::POST,
        target: check_url(url, &anything).unwrap(),
        headers: HeaderMap::new(),
        body: Body::from(Bytes::from_static(b"hello")),
        policy: Arc::clone(policy),
        connect_timeout: Duration::from_secs(5),
        deadline: Duration::from_secs(10),
        response_bytes_max: CAP,
        truncate: false,
        tenant: 0,
        tls: None,
        is_idempotent: false,
    }
}

fn brief(mut request: Request) -> Request {
    request.deadline = Duration::from_millis(200);
    request
}

fn cut(mut request: Request) -> Request {
    request.truncate = true;
    request
}

async fn fails(server: &Server, change: fn(Request) -> Request) -> SendError {
    let started = Instant::now();
    let request = change(post(&server.url("/"), &open()));
    let error = client().send(request).await.unwrap_err();
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "the deadline holds"
    );
    error
}

async fn answers(answer: impl Into<Vec<u8>>, change: fn(Request) -> Request) -> Response {
    let server = serve_answers(answer).await;
    client()
        .send(change(post(&server.url("/"), &open())))
        .await
        .unwrap()
}

fn with_body(body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

async fn endless(mut tcp: TcpStream, _: usize) -> io::Result<()> {
    read_request(&mut tcp).await?;
    tcp.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
    loop {
        tcp.write_all(&[b'x'; 8192]).await?;
    }
}

async fn trickle(mut tcp: TcpStream, _: usize) -> io::Result<()> {
    read_request(&mut tcp).await?;
    tcp.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n")
        .await?;
    let mut beat = tokio::time::interval(Duration::from_millis(20));
    loop {
        beat.tick().await;
        tcp.write_all(b"x").await?;
    }
}

async fn silence(mut tcp: TcpStream, _: usize) -> io::Result<()> {
    read_request(&mut tcp).await?;
    std::future::pending().await
}

#[tokio::test]
async fn the_request_arrives_with_its_headers_and_all_pieces_of_its_body() {
    let (sender, mut heads) = mpsc::channel(8);
    let server = serve(move |mut tcp, _| {
        let sender = sender.clone();
        async move {
            sender.send(read_request(&mut tcp).await?).await.unwrap();
            tcp.write_all(&with_body(b"done")).await
        }
    })
    .await;
    let url = server
        .url("/a%20b?c=d#e")
        .replace("http://", "http://us%65r:p@");
    let mut request = post(&url, &open());
    let pieces: Vec<Bytes> = (0..100).map(|n| Bytes::from(format!("{n},"))).collect();
    request.body = Body::from([vec![Bytes::new()], pieces.clone(), vec![Bytes::new()]].concat());
    request
        .headers
        .insert("x-mine", HeaderValue::from_static("1"));
    request
        .headers
        .insert("content-length", HeaderValue::from_static("3"));
    request
        .headers
        .insert("host", HeaderValue::from_static("elsewhere"));
    let response = client().send(request).await.unwrap();
    assert_eq!(
        (response.status.as_u16(), &response.body[..]),
        (200, &b"done"[..])
    );
    assert!(!response.truncated);

    let (head, body) = heads.recv().await.unwrap();
    assert_eq!(body, pieces.concat());
    assert!(head.starts_with("POST /a%20b?c=d HTTP/1.1\r\n"), "{head}");
    let host = format!("\r\nhost: {}\r\n", server.address);
    let length = format!("\r\ncontent-length: {}\r\n", body.len());
    for line in [
        &*host,
        &*length,
        "\r\nx-mine: 1\r\n",
        "\r\naccept-encoding: identity\r\n",
        "\r\nauthorization: Basic dXNlcjpw\r\n",
    ] {
        assert_eq!(head.matches(line).count(), 1, "{line} in {head}");
    }
    assert!(!head.contains("elsewhere"));
}

#[tokio::test]
async fn an_authorization_header_outranks_the_user_of_the_url() {
    let server = serve(|mut tcp, _| async move {
        let (head, _) = read_request(&mut tcp).await?;
        tcp.write_all(&with_body(head.as_bytes())).await
    })
    .await;
    let mut request = post(
        &server.url("/").replace("http://", "http://user:p@"),
        &open(),
    );
    request
        .headers
        .insert("authorization", HeaderValue::from_static("Bearer mine"));
    request.body = Body::default();
    let head = client().send(request).await.unwrap().body;
    let head = std::str::from_utf8(&head).unwrap();
    assert!(
        head.contains("Bearer mine") && !head.contains("Basic"),
        "{head}"
    );
    assert!(head.contains("content-length: 0"), "{head}");
}

#[tokio::test]
async fn connections_are_used_again_and_not_by_other_policies() {
    let server = serve(|mut tcp, number| async move {
        loop {
            read_request(&mut tcp).await?;
            tcp.write_all(&with_body(number.to_string().as_bytes()))
                .await?;
        }
    })
    .await;
    let client = client();
    let url = server.url("/");
    let mut seen = Vec::new();
    let other = Arc::new(
        AddressPolicy::public_only()
            .allow_cidr("127.0.0.0/8")
            .unwrap(),
    );
    for policy in [open(), open(), other.clone(), open(), other] {
        let response = client.send(post(&url, &policy)).await.unwrap();
        seen.push(String::from_utf8(response.body.to_vec()).unwrap());
    }
    assert_eq!(seen, ["0", "0", "1", "0", "1"]);
}

#[tokio::test]
async fn an_idle_connection_that_the_server_closed_is_replaced_unnoticed() {
    let (sender, mut closed) = mpsc::channel(8);
    let server = serve(move |mut tcp, number| {
        let sender = sender.clone();
        async move {
            read_request(&mut tcp).await?;
            tcp.write_all(&with_body(number.to_string().as_bytes()))
                .await?;
            tcp.shutdown().await?;
            drop(tcp);
            sender.send(()).await.unwrap();
            Ok(())
        }
    })
    .await;
    let client = client();
    for number in 0..3 {
        let response = client.send(post(&server.url("/"), &open())).await.unwrap();
        assert_eq!(response.body, number.to_string());
        closed.recv().await.unwrap();
        // Lets the runtime see the close, as it would between two calls.
        tokio::task::yield_now().await;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// An app with many calls in flight restarts: looking through its dead connections must not use up
/// the task's budget and take one of them for open.
#[tokio::test]
async fn hundreds_of_connections_that_a_restart_closed_are_replaced_unnoticed() {
    const CALLS: usize = 400;
    let (ready, mut readied) = mpsc::channel(CALLS);
    let restart = Arc::new(tokio::sync::Semaphore::new(0));
    let gate = Arc::clone(&restart);
    let server = serve(move |mut tcp, number| {
        let (ready, gate) = (ready.clone(), Arc::clone(&gate));
        async move {
            read_request(&mut tcp).await?;
            if number < CALLS {
                ready.send(()).await.unwrap();
                gate.acquire().await.unwrap().forget();
            }
            tcp.write_all(&with_body(b"hello")).await?;
            if number < CALLS {
                gate.acquire().await.unwrap().forget();
            }
            Ok(())
        }
    })
    .await;
    let client = client();
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..CALLS {
        let (client, request) = (client.clone(), post(&server.url("/"), &open()));
        calls.spawn(async move { client.send(request).await.unwrap() });
    }
    for _ in 0..CALLS {
        readied.recv().await.unwrap();
    }
    restart.add_permits(CALLS);
    assert_eq!(calls.join_all().await.len(), CALLS);
    restart.add_permits(CALLS);
    // The ends have arrived once a listener that was asked after them has answered.
    let probe = Client::new(ClientOptions::default());
    for _ in 0..3 {
        probe.send(post(&server.url("/"), &open())).await.unwrap();
    }
    client.send(post(&server.url("/"), &open())).await.unwrap();
}

#[tokio::test]
async fn a_request_that_may_have_been_seen_is_not_sent_again() {
    let server = serve(|mut tcp, number| async move {
        assert_eq!(number, 0, "nothing is sent again");
        read_request(&mut tcp).await?;
        tcp.write_all(&with_body(b"first")).await?;
        read_request(&mut tcp).await.map(drop)
    })
    .await;
    let client = client();
    client.send(post(&server.url("/"), &open())).await.unwrap();
    let error = client
        .send(post(&server.url("/"), &open()))
        .await
        .unwrap_err();
    assert_eq!(error.kind, SendErrorKind::Aborted);
    assert!(error.connection_age_ms.is_some());
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_connection_is_not_kept_for_as_long_as_its_server_closes_it_after() {
    let server = serve(|mut tcp, _| async move {
        loop {
            read_request(&mut tcp).await?;
            tcp.write_all(b"HTTP/1.1 200 OK\r\nkeep-alive: timeout=1\r\ncontent-length: 0\r\n\r\n")
                .await?;
        }
    })
    .await;
    let client = client();
    for _ in 0..2 {
        client.send(post(&server.url("/"), &open())).await.unwrap();
    }
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn a_redirect_is_returned_and_not_followed() {
    let elsewhere = serve_answers(with_body(b"")).await;
    let url = elsewhere.url("/");
    let server = serve_answers(format!(
        "HTTP/1.1 302 Found\r\nlocation: {url}\r\ncontent-length: 0\r\n\r\n"
    ))
    .await;
    let response = client()
        .send(post(&server.url("/"), &open()))
        .await
        .unwrap();
    assert_eq!(response.status.as_u16(), 302);
    assert_eq!(response.headers["location"], url.as_str());
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test]
async fn a_server_that_never_answers_costs_one_deadline() {
    let server = serve(silence).await;
    let error = fails(&server, brief).await;
    assert_eq!(error.kind, SendErrorKind::Timeout);
    assert!(error.connection_age_ms.is_some());
}

#[tokio::test]
async fn a_body_that_trickles_in_costs_one_deadline() {
    let server = serve(trickle).await;
    assert_eq!(fails(&server, brief).await.kind, SendErrorKind::Timeout);
    assert_eq!(
        fails(&server, |r| cut(brief(r))).await.kind,
        SendErrorKind::Timeout
    );
}

#[tokio::test]
async fn a_later_deadline_holds_on_a_connection_whose_first_one_passed() {
    let server = serve(|mut tcp, _| async move {
        read_request(&mut tcp).await?;
        tcp.write_all(&with_body(b"")).await?;
        read_request(&mut tcp).await?;
        tokio::time::sleep(Duration::from_millis(120)).await;
        tcp.write_all(&with_body(b"late")).await?;
        silence(tcp, 0).await
    })
    .await;
    let client = client();
    let with_deadline = |millis| {
        let mut request = post(&server.url("/"), &open());
        request.deadline = Duration::from_millis(millis);
        request
    };
    client.send(with_deadline(60)).await.unwrap();
    assert_eq!(
        client.send(with_deadline(10_000)).await.unwrap().body,
        "late"
    );
    let error = client.send(with_deadline(100)).await.unwrap_err();
    assert_eq!(error.kind, SendErrorKind::Timeout);
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn an_endless_body_is_an_error_or_is_cut() {
    let server = serve(endless).await;
    assert_eq!(fails(&server, |r| r).await.kind, SendErrorKind::TooLarge);
    let response = client()
        .send(cut(post(&server.url("/"), &open())))
        .await
        .unwrap();
    assert!(response.truncated);
    assert_eq!(response.body, vec![b'x'; CAP]);
}

#[tokio::test]
async fn the_cap_is_exact() {
    for (length, kept, truncated) in [(0, 0, false), (CAP, CAP, false), (CAP + 1, CAP, true)] {
        let response = answers(with_body(&vec![b'x'; length]), cut).await;
        assert_eq!((response.body.len(), response.truncated), (kept, truncated));
    }
    assert_eq!(
        answers(with_body(&[b'x'; CAP]), |r| r).await.body.len(),
        CAP
    );
    let server = serve_answers(with_body(&[b'x'; CAP + 1])).await;
    assert_eq!(fails(&server, |r| r).await.kind, SendErrorKind::TooLarge);
    let announced = serve_answers("HTTP/1.1 200 OK\r\ncontent-length: 10000000000\r\n\r\n").await;
    assert_eq!(fails(&announced, |r| r).await.kind, SendErrorKind::TooLarge);
}

#[tokio::test]
async fn a_large_body_in_chunks_is_joined() {
    let mut answer = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    let mut expected = Vec::new();
    for n in 0..2000_usize {
        let chunk = n.to_string().repeat(1 + n % 100);
        write!(answer, "{:x}\r\n{chunk}\r\n", chunk.len()).unwrap();
        expected.extend_from_slice(chunk.as_bytes());
    }
    answer.extend_from_slice(b"0\r\nx-trailer: 1\r\n\r\n");
    let response = answers(answer, |mut request| {
        request.response_bytes_max = 8 << 20;
        request
    })
    .await;
    assert!(response.body == expected);
}

#[tokio::test]
async fn a_body_that_ends_early_is_aborted() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "HTTP/1.1 200",
        "",
    ] {
        let error = fails(&serve_answers(answer).await, |r| r).await;
        assert_eq!(error.kind, SendErrorKind::Aborted, "{answer:?} {error}");
        assert!(error.connection_age_ms.is_some());
    }
}

#[tokio::test]
async fn what_is_not_http_is_a_protocol_error() {
    for answer in [
        "SSH-2.0-OpenSSH_9.2\r\n",
        "HTTP/1.1 xx\r\n\r\n",
        "HTTP/1.1 200 OK\r\nn o: 1\r\n\r\n",
    ] {
        let error = fails(&serve_answers(answer).await, |r| r).await;
        assert_eq!(error.kind, SendErrorKind::Protocol, "{answer:?} {error}");
    }
}

#[tokio::test]
async fn headers_are_bounded_in_number_and_size() {
    let many = "x-a: b\r\n".repeat(10_000);
    let long = format!("x-a: {}\r\n", "b".repeat(1 << 20));
    for headers in [many, long] {
        let answer = format!("HTTP/1.1 200 OK\r\n{headers}content-length: 0\r\n\r\n");
        let error = fails(&serve_answers(answer).await, |r| r).await;
        assert_eq!(error.kind, SendErrorKind::Protocol, "{error}");
    }
}

fn gzipped(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(plain).unwrap();
    let body = encoder.finish().unwrap();
    let head = "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length:";
    [format!("{head} {}\r\n\r\n", body.len()).as_bytes(), &body].concat()
}

#[tokio::test]
async fn gzip_that_nobody_asked_for_is_decoded_within_the_cap() {
    let response = answers(gzipped(b"plain"), |r| r).await;
    assert_eq!(response.body, "plain");
    assert!(!response.headers.contains_key("content-encoding"));
    let bomb = gzipped(&[0; 500_000]);
    let response = answers(bomb.clone(), cut).await;
    assert_eq!((response.body.len(), response.truncated), (CAP, true));
    assert_eq!(
        fails(&serve_answers(bomb).await, |r| r).await.kind,
        SendErrorKind::TooLarge
    );
    let broken = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 3\r\n\r\nabc";
    let error = fails(&serve_answers(&broken[..]).await, |r| r).await;
    assert_eq!(error.kind, SendErrorKind::Protocol);
}

/// Gives the same addresses for each name.
struct Fixed(Vec<IpAddr>);

impl Resolve for Fixed {
    fn resolve(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        Ok(self.0.clone())
    }
}

fn resolving_to(addresses: &[&str]) -> Client {
    let addresses = addresses.iter().map(|ip| ip.parse().unwrap()).collect();
    Client::new(ClientOptions {
        resolver: Arc::new(Fixed(addresses)),
        ..ClientOptions::default()
    })
}

#[tokio::test]
async fn a_name_is_judged_by_what_it_resolves_to_when_it_is_connected_to() {
    let server = serve_answers(with_body(b"in")).await;
    let url = format!("http://rebound.example:{}/", server.address.port());
    let public = Arc::new(AddressPolicy::public_only());
    let inside = resolving_to(&["127.0.0.1"]);
    let error = inside.send(post(&url, &public)).await.unwrap_err();
    assert_eq!(error.kind, SendErrorKind::Blocked);
    assert!(
        error
            .detail
            .contains("requests to this IP range are blocked"),
        "{error}"
    );
    assert_eq!(server.connections(), 0);
    assert_eq!(inside.send(post(&url, &open())).await.unwrap().body, "in");
    let metadata = resolving_to(&["169.254.169.254"]);
    let error = metadata.send(post(&url, &open())).await.unwrap_err();
    assert_eq!(error.kind, SendErrorKind::Blocked);
}

#[tokio::test]
async fn of_mixed_addresses_only_those_allowed_are_connected_to() {
    let server = serve_answers(with_body(b"in")).await;
    let url = format!("http://mixed.example:{}/", server.address.port());
    let client = resolving_to(&["169.254.169.254", "10.0.0.1", "127.0.0.1", "192.168.0.1"]);
    assert_eq!(client.send(post(&url, &open())).await.unwrap().body, "in");
}

#[tokio::test]
async fn localhost_and_literal_addresses_are_refused_without_being_connected_to() {
    let server = serve_answers(with_body(b"in")).await;
    let public = Arc::new(AddressPolicy::public_only());
    for host in ["localhost", "127.0.0.1"] {
        let url = format!("http://{host}:{}/", server.address.port());
        let error = client().send(post(&url, &public)).await.unwrap_err();
        assert_eq!(error.kind, SendErrorKind::Blocked);
    }
    assert_eq!(server.connections(), 0);
    let url = format!("http://localhost:{}/", server.address.port());
    assert_eq!(client().send(post(&url, &open())).await.unwrap().body, "in");
}

#[tokio::test]
async fn what_cannot_be_reached_says_why() {
    let refused = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let error = client()
        .send(post(&format!("http://{refused}/"), &open()))
        .await
        .unwrap_err();
    assert_eq!(error.kind, SendErrorKind::Connect);
    assert!(error.detail.contains(&refused.to_string()), "{error}");
    assert_eq!(error.connection_age_ms, None);
    let nowhere = resolving_to(&[]);
    let error = nowhere
        .send(post("http://nowhere.example/", &open()))
        .await
        .unwrap_err();
    assert_eq!(error.kind, SendErrorKind::Dns);
}

async fn serve_tls() -> Server {
    let certificate = CertificateDer::from(&include_bytes!("tls/localhost.crt.der")[..]);
    let key = PrivateKeyDer::try_from(&include_bytes!("tls/localhost.key.der")[..]).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(
        rustls::crypto::ring::default_provider(),
    ))
    .with_safe_default_protocol_versions()
    .unwrap()
    .with_no_client_auth()
    .with_single_cert(vec![certificate], key)
    .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    serve(move |tcp, _| {
        let acceptor = acceptor.clone();
        async move {
            let mut tls = acceptor.accept(tcp).await?;
            loop {
                read_request(&mut tls).await?;
                tls.write_all(&with_body(b"sealed")).await?;
                tls.flush().await?;
            }
        }
    })
    .await
}

#[tokio::test]
async fn tls_takes_only_a_trusted_certificate_of_that_host() {
    let server = serve_tls().await;
    let url = |host: &str| format!("https://{host}:{}/", server.address.port());
    let error = client()
        .send(post(&url("localhost"), &open()))
        .await
        .unwrap_err();
    assert_eq!(error.kind, SendErrorKind::Tls);
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from(
            &include_bytes!("tls/localhost.crt.der")[..],
        ))
        .unwrap();
    let trusting = Client::new(ClientOptions {
        roots,
        ..ClientOptions::default()
    });
    for _ in 0..2 {
        let response = trusting
            .send(post(&url("localhost"), &open()))
            .await
            .unwrap();
        assert_eq!(response.body, "sealed");
    }
    assert_eq!(
        server.connections(),
        2,
        "the second request used the first's connection"
    );
    let error = trusting
        .send(post(&url("127.0.0.1"), &open()))
        .await
        .unwrap_err();
    assert_eq!(error.kind, SendErrorKind::Tls);
    let plain = serve(|mut tcp, _| async move { tcp.write_all(&with_body(b"")).await }).await;
    let error = trusting
        .send(post(&plain.url("/").replace("http:", "https:"), &open()))
        .await;
    assert_eq!(error.unwrap_err().kind, SendErrorKind::Tls);
}

#[tokio::test]
async fn many_requests_at_once_all_come_back() {
    let server = serve(|mut tcp, _| async move {
        loop {
            let (_, body) = read_request(&mut tcp).await?;
            tcp.write_all(&with_body(&body)).await?;
        }
    })
    .await;
    let client = client();
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..32 {
        let mut request = post(&server.url("/"), &open());
        let client = client.clone();
        tasks.spawn(async move {
            for round in 0..50 {
                let body = Bytes::from(format!("{task}-{round}"));
                request.body = Body::from(body.clone());
                assert_eq!(client.send(request.clone()).await.unwrap().body, body);
            }
        });
    }
    tasks.join_all().await;
    assert!(server.connections() <= 32);
}

#[test]
fn an_address_is_shown_with_its_port() {
    let address: SocketAddr = "[::1]:8080".parse().unwrap();
    let target = check_url(&format!("http://{address}/x"), &open()).unwrap();
    assert_eq!(
        (target.host(), target.port(), target.is_https()),
        ("::1", 8080, false)
    );
    assert_eq!(target.to_string(), "http://[::1]:8080");
}
