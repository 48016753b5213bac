//! S13: the only proxy is the operator's, and it is told checked addresses.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use dunlin_egress::{
    AddressPolicy, Client, ClientOptions, OutboundRules, Proxy, RootCertStore, SendErrorKind,
};
use http::HeaderValue;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::certs::{Authority, serve_tls};
use crate::server::{Server, read_request, serve, serve_answers};
use crate::{Script, client, open, post, public, text, with_body};

const PUBLIC_IP: &str = "93.184.216.34";

fn proxied(proxy: &str, exempt: &[&str], addresses: &[&str]) -> Client {
    let exempt: Vec<String> = exempt.iter().map(|&text| text.to_owned()).collect();
    Client::new(ClientOptions {
        resolver: Script::new(&[addresses]),
        proxy: Some(Proxy::parse(proxy, &exempt).unwrap()),
        ..ClientOptions::default()
    })
}

/// A proxy that notes what it is asked for and leads to the same server each time.
async fn connect_proxy(to: SocketAddr) -> (Server, mpsc::Receiver<String>) {
    let (sender, asked) = mpsc::channel(16);
    let server = serve(move |mut tcp, _| {
        let sender = sender.clone();
        async move {
            let (head, _) = read_request(&mut tcp).await?;
            sender.send(head).await.unwrap();
            tcp.write_all(b"HTTP/1.1 200 Connection established\r\nvia: x\r\n\r\n")
                .await?;
            let mut target = TcpStream::connect(to).await?;
            copy_bidirectional(&mut tcp, &mut target).await.map(drop)
        }
    })
    .await;
    (server, asked)
}

#[tokio::test]
async fn a_proxy_is_told_the_address_that_was_checked_and_not_the_name() {
    let target = serve_answers(with_body(b"in")).await;
    let (proxy, mut asked) = connect_proxy(target.address).await;
    let url = format!("http://us%65r:p@{}", proxy.address);
    let client = proxied(&url, &[], &[PUBLIC_IP]);
    let sent = client.send(post("http://hooks.example:8000/", &public()));
    assert_eq!(text(sent.await), "in");
    let head = asked.recv().await.unwrap();
    let place = format!("CONNECT {PUBLIC_IP}:8000 HTTP/1.1\r\nhost: {PUBLIC_IP}:8000\r\n");
    assert!(head.starts_with(&place), "{head}");
    assert!(
        head.contains("proxy-authorization: Basic dXNlcjpw\r\n"),
        "{head}"
    );
    assert!(!head.contains("hooks.example"), "{head}");
}

#[tokio::test]
async fn tls_goes_through_the_proxy_to_the_host_itself() {
    let authority = Authority::new("ours");
    let target = serve_tls(
        &authority.issue(&["hooks.example"]),
        None,
        rustls::ALL_VERSIONS,
    )
    .await;
    let (proxy, _asked) = connect_proxy(target.address).await;
    let mut roots = RootCertStore::empty();
    roots.add(authority.der()).unwrap();
    let client = Client::new(ClientOptions {
        resolver: Script::new(&[&[PUBLIC_IP]]),
        proxy: Some(Proxy::parse(&format!("http://{}", proxy.address), &[]).unwrap()),
        roots,
        ..ClientOptions::default()
    });
    let sent = client.send(post("https://hooks.example/", &public())).await;
    assert_eq!(text(sent), "sealed");
    let sent = client.send(post("https://other.example/", &public())).await;
    assert_eq!(sent.unwrap_err().kind, SendErrorKind::Tls);
}

async fn socks(mut tcp: TcpStream, to: SocketAddr, asked: mpsc::Sender<Vec<u8>>) -> io::Result<()> {
    let mut greeting = [0; 3];
    tcp.read_exact(&mut greeting).await?;
    tcp.write_all(&[5, greeting[2]]).await?;
    if greeting[2] == 2 {
        let mut login = [0; 7];
        tcp.read_exact(&mut login).await?;
        tcp.write_all(&[1, u8::from(&login != b"\x01\x01u\x03pw1")])
            .await?;
    }
    let mut head = [0; 4];
    tcp.read_exact(&mut head).await?;
    let mut place = vec![0; if head[3] == 1 { 6 } else { 18 }];
    tcp.read_exact(&mut place).await?;
    asked.send([&head[..], &place].concat()).await.unwrap();
    tcp.write_all(b"\x05\x00\x00\x03\x03abc\x00\x50").await?;
    let mut target = TcpStream::connect(to).await?;
    copy_bidirectional(&mut tcp, &mut target).await.map(drop)
}

#[tokio::test]
async fn socks_is_told_the_address_that_was_checked() {
    let target = serve_answers(with_body(b"in")).await;
    let (sender, mut asked) = mpsc::channel(16);
    let proxy = serve(move |tcp, _| socks(tcp, target.address, sender.clone())).await;
    let v6 = "2606:4700::1111";
    let of_v6 = [
        &[5, 1, 0, 4, 0x26, 6, 0x47][..],
        &[0; 11],
        &[0x11, 0x11, 0, 80],
    ]
    .concat();
    for (login, ip, ask) in [
        ("", PUBLIC_IP, vec![5, 1, 0, 1, 93, 184, 216, 34, 0, 80]),
        ("u:pw1@", v6, of_v6),
    ] {
        let client = proxied(&format!("socks5://{login}{}", proxy.address), &[], &[ip]);
        let sent = client.send(post("http://hooks.example/", &public())).await;
        assert_eq!(text(sent), "in");
        assert_eq!(asked.recv().await.unwrap(), ask);
    }
    let wrong = proxied(&format!("socks5://u:pw2@{}", proxy.address), &[], &[v6]);
    let error = wrong.send(post("http://hooks.example/", &public())).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind, SendErrorKind::Connect);
    assert!(
        error.detail.contains("the user or password is wrong"),
        "{error}"
    );
}

#[tokio::test]
async fn the_guard_holds_before_a_proxy_is_asked() {
    let (proxy, _asked) = connect_proxy("127.0.0.1:1".parse().unwrap()).await;
    let url = format!("http://{}", proxy.address);
    for ip in [
        "10.0.0.1",
        "169.254.169.254",
        "127.0.0.1",
        "::ffff:10.0.0.1",
    ] {
        let client = proxied(&url, &[], &[ip]);
        let error = client.send(post("http://hooks.example/", &public())).await;
        assert_eq!(error.unwrap_err().kind, SendErrorKind::Blocked, "{ip}");
    }
    assert_eq!(proxy.connections(), 0);
}

#[tokio::test]
async fn what_is_exempt_and_loopback_do_without_the_proxy() {
    let target = serve_answers(with_body(b"in")).await;
    let (proxy, _asked) = connect_proxy(target.address).await;
    let client = proxied(
        &format!("http://{}", proxy.address),
        &["10.0.0.0/8"],
        &["127.0.0.1"],
    );
    let url = format!("http://hooks.example:{}/", target.address.port());
    assert_eq!(text(client.send(post(&url, &open())).await), "in");
    assert_eq!(proxy.connections(), 0);
}

#[tokio::test]
async fn a_proxy_that_refuses_says_so() {
    for (answer, said) in [
        ("HTTP/1.1 407 Who\r\n\r\n", "the proxy refused: status 407"),
        ("HTTP/1.0 503 No\r\n\r\n", "the proxy refused: status 503"),
        (
            "SSH-2.0-x\r\n\r\n\r\n",
            "the proxy refused: it does not speak HTTP",
        ),
        ("", "connecting to http://hooks.example:80 failed"),
    ] {
        let proxy = serve_answers(answer).await;
        let client = proxied(&format!("http://{}", proxy.address), &[], &[PUBLIC_IP]);
        let sent = client.send(post("http://hooks.example/", &public())).await;
        let error = sent.unwrap_err();
        assert_eq!(error.kind, SendErrorKind::Connect);
        assert!(error.detail.contains(said), "{error}");
    }
}

/// The variables that other clients obey.
const VARIABLES: [&str; 6] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
];
const TARGET: &str = "DUNLIN_TEST_TARGET";

#[tokio::test]
async fn proxies_of_the_environment_and_of_headers_are_ignored() {
    if let Ok(url) = std::env::var(TARGET) {
        let mut request = post(&url, &open());
        let named = HeaderValue::from_str(&std::env::var(VARIABLES[0]).unwrap()).unwrap();
        request.headers.insert("proxy", named);
        assert_eq!(text(client().send(request).await), "in");
        return;
    }
    let target = serve_answers(with_body(b"in")).await;
    let proxy = serve_answers(with_body(b"by way of the proxy")).await;
    let url = proxy.url("");
    let variables = VARIABLES.iter().map(|&name| (name, url.clone()));
    let status = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "proxies::proxies_of_the_environment_and_of_headers_are_ignored",
        ])
        .envs(variables.collect::<BTreeMap<_, _>>())
        .env(TARGET, target.url("/"))
        .status()
        .await;
    assert!(status.unwrap().success());
    assert_eq!((target.connections(), proxy.connections()), (1, 0));
}

#[test]
fn an_operators_rules_are_read_or_refused_whole() {
    let rules = |open: &[&str]| OutboundRules {
        open: open.iter().map(|&text| text.to_owned()).collect(),
        ..OutboundRules::default()
    };
    let policy = |open: &[&str]| rules(open).policy(AddressPolicy::public_only());
    let opened = policy(&["10.0.0.0/8", "fd00::/8", "192.168.1.7", "app.corp"]).unwrap();
    for (host, ip, is_open) in [
        ("a.b", "10.1.2.3", true),
        ("a.b", "fd00::1", true),
        ("a.b", "192.168.1.7", true),
        ("a.b", "192.168.1.8", false),
        ("app.corp", "192.168.1.8", true),
        ("app.corp", "169.254.169.254", false),
        ("a.b", "fd00:ec2::254", false),
        ("a.b", "127.0.0.1", false),
    ] {
        let judged = opened.check_host_ip(host, ip.parse().unwrap());
        assert_eq!(judged.is_ok(), is_open, "{host} {ip}");
    }
    let named = policy(&["169.254.169.254/32"]).unwrap();
    assert!(named.check_ip("169.254.169.254".parse().unwrap()).is_ok());
    for wrong in ["10.0.0.0/33", "", "10.0/8", "a b"] {
        assert!(policy(&[wrong]).is_err(), "{wrong}");
    }
    assert!(rules(&[]).proxy().unwrap().is_none());
    let closed = OutboundRules {
        https_only: true,
        insecure_tls: true,
        proxy: Some("socks5://proxy.corp".to_owned()),
        ..rules(&[])
    };
    let policy = Arc::new(closed.policy(AddressPolicy::public_only()).unwrap());
    assert!(policy.check_scheme(false).is_err() && policy.allows_insecure_tls());
    assert!(closed.proxy().unwrap().is_some());
}
