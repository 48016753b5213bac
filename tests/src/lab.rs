//! A receiver of webhooks that behaves in every way that receivers do when something is wrong with
//! them: it speaks raw TCP, so that it can break off where no library would.

use std::io::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use flate2::Compression;
use flate2::write::GzEncoder;
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    date_time_ymd,
};
use rustls::ServerConfig;
use rustls::pki_types::PrivatePkcs8KeyDer;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// What it does with a request.
#[derive(Clone, Debug)]
pub enum Manner {
    /// Answers with that status.
    Answers(u16),
    /// Answers with these statuses in turn, again and again.
    Flaps(Vec<u16>),
    /// Answers with that status and these lines of a head, each with its end.
    Says(u16, String),
    /// Answers with success after that time.
    Slow(Duration),
    /// Reads, and says nothing.
    Hangs,
    /// Sends a body that does not end.
    Endless,
    /// Breaks the connection off before it has said anything.
    ResetsAtOnce,
    /// Breaks the connection off within the head of the answer.
    ResetsInHead,
    /// Breaks the connection off within the body of the answer.
    ResetsInBody,
    /// Sends a small body that becomes many megabytes.
    GzipBomb,
}

/// What is wrong with the certificate of a receiver that speaks TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Nothing.
    None,
    /// It is signed by itself.
    SelfSigned,
    /// It was valid once.
    Expired,
    /// It is for another host.
    OtherHost,
}

/// Bytes that a bomb becomes.
const BOMB_BYTES: usize = 64 * 1024 * 1024;

#[derive(Debug)]
struct State {
    manner: Manner,
    /// The bodies that came.
    bodies: Vec<String>,
    connections: usize,
}

/// The receiver, until it is dropped.
#[derive(Debug)]
pub struct LabReceiver {
    port: u16,
    ca: Option<String>,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

impl LabReceiver {
    /// Starts one without TLS.
    pub async fn start(manner: Manner) -> Self {
        Self::listen(manner, None).await
    }

    /// Starts one with TLS that would always say yes.
    pub async fn with_tls(flaw: Flaw) -> Self {
        Self::listen(Manner::Answers(200), Some(certificate(flaw))).await
    }

    async fn listen(manner: Manner, tls: Option<(TlsAcceptor, String)>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await;
        let listener = listener.expect("a port is free");
        let port = listener.local_addr().expect("it listens").port();
        let state = Arc::new(Mutex::new(State {
            manner,
            bodies: Vec::new(),
            connections: 0,
        }));
        let (acceptor, ca) = tls.unzip();
        let kept = Arc::clone(&state);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                lock(&kept).connections += 1;
                tokio::spawn(serve(stream, acceptor.clone(), Arc::clone(&kept)));
            }
        });
        Self {
            port,
            ca,
            state,
            task,
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> String {
        let (scheme, host) = match self.ca {
            Some(_) => ("https", "localhost"),
            None => ("http", "127.0.0.1"),
        };
        format!("{scheme}://{host}:{}/hook", self.port)
    }

    /// Who signed its certificate, as PEM.
    #[must_use]
    pub fn ca(&self) -> Option<&str> {
        self.ca.as_deref()
    }

    /// Has it behave otherwise from now on.
    pub fn behave(&self, manner: Manner) {
        lock(&self.state).manner = manner;
    }

    /// The bodies that came so far.
    #[must_use]
    pub fn bodies(&self) -> Vec<String> {
        lock(&self.state).bodies.clone()
    }

    /// How many connections were made to it.
    #[must_use]
    pub fn connections(&self) -> usize {
        lock(&self.state).connections
    }
}

impl Drop for LabReceiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(stream: TcpStream, acceptor: Option<TlsAcceptor>, state: Arc<Mutex<State>>) {
    let _ = match acceptor {
        // Who does not like the certificate says so and goes.
        Some(acceptor) => match acceptor.accept(stream).await {
            Ok(stream) => converse(stream, &state).await,
            Err(_) => None,
        },
        None => converse(stream, &state).await,
    };
}

/// One request, and what it leads to; then the connection ends.
async fn converse(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    state: &Mutex<State>,
) -> Option<()> {
    let early = match lock(state).manner {
        Manner::ResetsAtOnce => Some(""),
        Manner::ResetsInHead => Some("HTTP/1.1 200 OK\r\ncontent-le"),
        _ => None,
    };
    if let Some(early) = early {
        // What is unread when a connection is closed makes it a reset.
        stream.read_u8().await.ok()?;
        return send(&mut stream, early.as_bytes()).await;
    }
    let body = read_request(&mut stream).await?;
    let manner = {
        let mut state = lock(state);
        state.bodies.push(body);
        state.manner.clone()
    };
    match manner {
        Manner::Answers(status) => answer(&mut stream, status, "").await,
        Manner::Flaps(statuses) => {
            let count = lock(state).bodies.len();
            answer(&mut stream, statuses[(count - 1) % statuses.len()], "").await
        }
        Manner::Says(status, lines) => answer(&mut stream, status, &lines).await,
        Manner::Slow(time) => {
            tokio::time::sleep(time).await;
            answer(&mut stream, 200, "").await
        }
        Manner::Hangs => std::future::pending().await,
        Manner::Endless => {
            send(&mut stream, b"HTTP/1.1 200 OK\r\n\r\n").await?;
            loop {
                send(&mut stream, &[b'.'; 4096]).await?;
            }
        }
        Manner::ResetsAtOnce | Manner::ResetsInHead => None,
        Manner::ResetsInBody => {
            send(
                &mut stream,
                b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nhalf",
            )
            .await
        }
        Manner::GzipBomb => {
            let bomb = bomb();
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n",
                bomb.len()
            );
            send(&mut stream, head.as_bytes()).await?;
            send(&mut stream, &bomb).await
        }
    }
}

async fn answer(stream: &mut (impl AsyncWrite + Unpin), status: u16, lines: &str) -> Option<()> {
    let text = format!("HTTP/1.1 {status} X\r\n{lines}content-length: 4\r\n\r\nlab!");
    send(stream, text.as_bytes()).await
}

async fn send(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> Option<()> {
    stream.write_all(bytes).await.ok()?;
    stream.flush().await.ok()
}

/// The body of the request; `None` when it does not come.
async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let mut more = [0; 4096];
        let count = stream
            .read(&mut more)
            .await
            .ok()
            .filter(|count| *count > 0)?;
        bytes.extend_from_slice(&more[..count]);
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let mut lines = head.lines().map(str::to_ascii_lowercase);
            let length = lines.find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return Some(body.to_owned());
            }
        }
    }
}

fn bomb() -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let zeros = vec![0; 1024 * 1024];
    for _ in 0..BOMB_BYTES / zeros.len() {
        encoder.write_all(&zeros).expect("memory takes it");
    }
    encoder.finish().expect("memory takes it")
}

/// A certificate for `localhost` with that flaw, and who signed it.
fn certificate(flaw: Flaw) -> (TlsAcceptor, String) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_key = KeyPair::generate().expect("a key");
    let ca = params.self_signed(&ca_key).expect("a certificate");
    let issuer = Issuer::new(params, ca_key);
    let host = match flaw {
        Flaw::OtherHost => "elsewhere.example",
        _ => "localhost",
    };
    let mut params = CertificateParams::new(vec![host.to_owned()]).expect("a host");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    if flaw == Flaw::Expired {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
    }
    let key = KeyPair::generate().expect("a key");
    let certificate = match flaw {
        Flaw::SelfSigned => params.self_signed(&key),
        _ => params.signed_by(&key, &issuer),
    };
    let certificate = certificate.expect("a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("there are some")
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        )
        .expect("the key fits");
    (TlsAcceptor::from(Arc::new(config)), pem(ca.der()))
}

fn pem(certificate: &[u8]) -> String {
    let text = BASE64.encode(certificate);
    let lines = text.as_bytes().chunks(64).map(String::from_utf8_lossy);
    let lines: Vec<_> = lines.collect();
    let body = lines.join("\n");
    format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n")
}
