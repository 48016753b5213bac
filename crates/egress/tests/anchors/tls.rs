//! S17: whoever cannot prove who it is is refused, in words that name what is wrong.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use dunlin_egress::{
    AddressPolicy, Client, ClientOptions, Request, RootCertStore, SendErrorKind, TlsIdentity,
    parse_tls,
};
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose,
    date_time_ymd,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::certs::{Authority, Issued, serve_tls};
use crate::server::{Server, serve};
use crate::{Script, open, post, text};

const HOST: &str = "hooks.example";

fn trusting(authority: &Authority) -> Client {
    let mut roots = RootCertStore::empty();
    roots.add(authority.der()).unwrap();
    Client::new(ClientOptions {
        resolver: Script::new(&[&["127.0.0.1"]]),
        roots,
        ..ClientOptions::default()
    })
}

fn to(server: &Server) -> Request {
    to_host(HOST, server)
}

fn to_host(host: &str, server: &Server) -> Request {
    post(
        &format!("https://{host}:{}/", server.address.port()),
        &open(),
    )
}

fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    CertificateParams::new(names).unwrap()
}

#[tokio::test]
async fn each_certificate_that_does_not_hold_is_refused_by_name() {
    let ours = Authority::new("ours");
    let theirs = Authority::new("theirs");
    let ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let table: Vec<(Issued, &str)> = vec![
        (
            Issued::alone(&params(&[HOST])),
            "signed by an unknown authority, or by itself",
        ),
        (theirs.issue(&[HOST]), "signed by an unknown authority"),
        (ours.issue(&["other.example"]), "is not for this host"),
        (ours.issue(&["*.hooks.example"]), "is not for this host"),
        (ours.issue(&["127.0.0.1"]), "is not for this host"),
        (ours.issue(&[]), "is not for this host"),
        (
            ours.issue_with(&[HOST], |p| p.not_after = date_time_ymd(2020, 1, 1)),
            "the certificate has expired",
        ),
        (
            ours.issue_with(&[HOST], |p| p.not_before = date_time_ymd(4000, 1, 1)),
            "the certificate is not valid yet",
        ),
        (
            ours.issue_with(&[HOST], |p| {
                p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            }),
            "the certificate is not one for servers",
        ),
        (
            ours.issue_with(&[HOST], |p| {
                p.is_ca = ca;
                p.key_usages = vec![KeyUsagePurpose::KeyCertSign];
            }),
            "one of an authority, not of a server",
        ),
    ];
    let client = trusting(&ours);
    for (issued, detail) in table {
        let server = serve_tls(&issued, None, rustls::ALL_VERSIONS).await;
        let error = client.send(to(&server)).await.unwrap_err();
        assert_eq!(error.kind, SendErrorKind::Tls, "{detail}: {error}");
        assert!(error.detail.contains(detail), "{detail}: {error}");
        let place = format!("TLS with https://{HOST}:{}", server.address.port());
        assert!(error.detail.starts_with(&place), "{error}");
        assert_eq!(error.bytes_read, 0, "nothing was sent or read");
    }
    let good = serve_tls(&ours.issue(&[HOST]), None, rustls::ALL_VERSIONS).await;
    assert_eq!(text(client.send(to(&good)).await), "sealed");
    let other = client.send(to_host("other.example", &good)).await;
    assert!(text(other).contains("is not for this host"));
}

/// The answer of a server that knows nothing newer than TLS 1.0.
async fn tls_1_0(mut tcp: TcpStream, _: usize) -> io::Result<()> {
    let mut hello = [0; 5];
    tcp.read_exact(&mut hello).await?;
    let mut body = vec![3, 1];
    body.extend([7; 32]);
    body.extend([0, 0x00, 0x2f, 0]);
    let length = u8::try_from(body.len()).unwrap();
    let head = [0x16, 3, 1, 0, length + 4, 2, 0, 0, length];
    tcp.write_all(&[&head[..], &body].concat()).await?;
    tcp.read_to_end(&mut Vec::new()).await.map(drop)
}

async fn says(mut tcp: TcpStream, bytes: &'static [u8]) -> io::Result<()> {
    let mut hello = [0; 5];
    tcp.read_exact(&mut hello).await?;
    tcp.write_all(bytes).await?;
    tcp.shutdown().await?;
    tcp.read_to_end(&mut Vec::new()).await.map(drop)
}

#[tokio::test]
async fn what_speaks_no_tls_of_today_is_refused_by_name() {
    let client = trusting(&Authority::new("ours"));
    let old = "the server speaks neither TLS 1.2 nor TLS 1.3";
    let error = client.send(to(&serve(tls_1_0).await)).await.unwrap_err();
    assert_eq!(error.kind, SendErrorKind::Tls);
    assert!(error.detail.contains(old), "{error}");
    let table: [(&'static [u8], &str); 6] = [
        (b"\x15\x03\x01\x00\x02\x02\x46", old),
        (b"\x15\x03\x03\x00\x02\x02\x28", "no cipher in common"),
        (b"\x15\x03\x03\x00\x02\x02\x70", "does not know this host"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not speak TLS"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "does not speak TLS"),
        (b"", "closed the connection during the handshake"),
    ];
    for (bytes, detail) in table {
        let server = serve(move |tcp, _| says(tcp, bytes)).await;
        let error = client.send(to(&server)).await.unwrap_err();
        assert_eq!(error.kind, SendErrorKind::Tls, "{detail}: {error}");
        assert!(error.detail.contains(detail), "{detail}: {error}");
    }
    let silent = serve(|tcp, _| async move {
        std::future::pending::<()>().await;
        drop(tcp);
        Ok(())
    })
    .await;
    let mut request = to(&silent);
    request.connect_timeout = Duration::from_millis(100);
    let error = client.send(request).await.unwrap_err();
    assert_eq!(error.kind, SendErrorKind::Tls);
    assert!(error.detail.contains("no answer in time"), "{error}");
}

fn with(request: Request, identity: &Arc<TlsIdentity>) -> Request {
    Request {
        tls: Some(Arc::clone(identity)),
        ..request
    }
}

#[tokio::test]
async fn an_endpoints_authorities_are_trusted_besides_the_usual_ones_and_by_it_alone() {
    let (usual, own) = (Authority::new("usual"), Authority::new("own"));
    let client = trusting(&usual);
    let of_usual = serve_tls(&usual.issue(&[HOST]), None, rustls::ALL_VERSIONS).await;
    let of_own = serve_tls(&own.issue(&[HOST]), None, rustls::ALL_VERSIONS).await;
    let identity = Arc::new(parse_tls(Some(&own.pem()), None, None).unwrap());
    for server in [&of_usual, &of_own] {
        let sent = client.send(with(to(server), &identity)).await;
        assert_eq!(text(sent), "sealed");
    }
    let error = client.send(to(&of_own)).await.unwrap_err();
    assert!(error.detail.contains("unknown authority"), "{error}");
    let elsewhere = with(to_host("other.example", &of_own), &identity);
    let error = client.send(elsewhere).await.unwrap_err();
    assert!(error.detail.contains("is not for this host"), "{error}");
}

#[tokio::test]
async fn a_server_that_asks_for_a_client_certificate_gets_the_endpoints_own() {
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let client = trusting(&servers);
    let identity = |authority: &Authority| {
        let issued = authority.issue(&["us.example"]);
        let parsed = parse_tls(None, Some(&issued.cert_pem()), Some(&issued.key_pem()));
        Arc::new(parsed.unwrap())
    };
    let (right, wrong) = (identity(&clients), identity(&Authority::new("clients")));
    for version in rustls::ALL_VERSIONS {
        let issued = servers.issue(&[HOST]);
        let server = serve_tls(&issued, Some(&clients), &[version]).await;
        for _ in 0..2 {
            let sent = client.send(with(to(&server), &right)).await;
            assert_eq!(text(sent), "sealed", "{version:?}");
        }
        assert_eq!(server.connections(), 1);
        for (request, detail) in [
            (to(&server), "the server asks for a client certificate"),
            (
                with(to(&server), &wrong),
                "the server refuses the client certificate",
            ),
        ] {
            let request = Request {
                is_idempotent: true,
                ..request
            };
            let error = client.send(request).await.unwrap_err();
            assert_eq!(error.kind, SendErrorKind::Tls, "{version:?} {error}");
            assert!(error.detail.contains(detail), "{version:?} {error}");
        }
    }
}

#[tokio::test]
async fn a_check_is_skipped_only_where_the_operator_lets_it_be() {
    let alone = Issued::alone(&params(&["another.example"]));
    let server = serve_tls(&alone, None, rustls::ALL_VERSIONS).await;
    let client = trusting(&Authority::new("ours"));
    let identity = Arc::new(parse_tls(None, None, None).unwrap().insecure());
    let error = client.send(with(to(&server), &identity)).await.unwrap_err();
    assert_eq!(error.kind, SendErrorKind::Blocked);
    assert!(error.detail.contains("certificates must be checked"));
    assert_eq!(server.connections(), 0);
    let lenient = AddressPolicy::public_only().allow_loopback();
    let lenient = Arc::new(lenient.allow_insecure_tls());
    for (tls, outcome) in [(Some(identity), "sealed"), (None, "Tls: ")] {
        let request = Request {
            policy: Arc::clone(&lenient),
            tls,
            ..to(&server)
        };
        let sent = text(client.send(request).await);
        assert!(sent.starts_with(outcome), "{sent}");
    }
}
