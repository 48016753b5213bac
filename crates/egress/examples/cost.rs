//! Prints what one POST over a kept connection costs: CPU time of the thread that sends, against a
//! server in the same process on another thread. Run it with `--release`.
#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use dunlin_egress::{AddressPolicy, Body, Client, ClientOptions, Request, check_url};
use http::{HeaderMap, HeaderValue, Method};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;

const SENDERS: u32 = 64;
const POSTS_EACH: u32 = 5_000;

async fn answer(
    request: http::Request<Incoming>,
) -> Result<http::Response<Full<Bytes>>, Infallible> {
    let _ = request.into_body().collect().await;
    let mut response = http::Response::new(Full::new(Bytes::from_static(&[b'x'; 200])));
    response.headers_mut().insert(
        "x-inngest-sdk",
        HeaderValue::from_static("inngest-js:v4.0.0"),
    );
    Ok(response)
}

async fn serve(address: mpsc::SyncSender<SocketAddr>) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let _ = address.send(listener.local_addr()?);
    loop {
        let (tcp, _) = listener.accept().await?;
        tcp.set_nodelay(true)?;
        let io = TokioIo::new(tcp);
        let serving = hyper::server::conn::http1::Builder::new();
        tokio::spawn(serving.serve_connection(io, service_fn(answer)));
    }
}

/// CPU time of this thread so far.
fn cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = text
        .split(' ')
        .next()
        .and_then(|n| n.parse().ok())
        .unwrap_or(0);
    Duration::from_nanos(nanos)
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
}

async fn load(address: SocketAddr, posts_each: u32) -> u32 {
    let policy = Arc::new(AddressPolicy::public_only().allow_loopback());
    let url = format!("http://{address}/api/inngest?fnId=app-fn&stepId=step");
    let Ok(target) = check_url(&url, &policy) else {
        return 0;
    };
    let client = Client::new(ClientOptions::default());
    let body = Bytes::from(vec![b'x'; 2048]);
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("content-type", "application/json"),
        ("user-agent", "dunlin/0.1"),
        (
            "x-inngest-signature",
            "t=1700000000&s=0123456789abcdef0123456789abcdef",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let mut senders = tokio::task::JoinSet::new();
    for _ in 0..SENDERS {
        let request = Request {
            method: Method::POST,
            target: target.clone(),
            headers: headers.clone(),
            body: Body::from(body.clone()),
            policy: Arc::clone(&policy),
            connect_timeout: Duration::from_secs(5),
            deadline: Duration::from_secs(7200),
            response_bytes_max: 8 << 20,
            truncate: false,
            tenant: 0,
            tls: None,
            is_idempotent: false,
        };
        let client = client.clone();
        senders.spawn(async move {
            let mut good = 0;
            for _ in 0..posts_each {
                good += u32::from(client.send(request.clone()).await.is_ok());
            }
            good
        });
    }
    senders.join_all().await.into_iter().sum()
}

fn main() -> std::io::Result<()> {
    let (sender, receiver) = mpsc::sync_channel(1);
    let server = std::thread::Builder::new().name("server".to_owned());
    server.spawn(move || runtime().and_then(|runtime| runtime.block_on(serve(sender))))?;
    let address = receiver.recv().map_err(std::io::Error::other)?;
    let runtime = runtime()?;
    runtime.block_on(load(address, 100));
    let (wall_before, cpu_before) = (Instant::now(), cpu());
    let good = runtime.block_on(load(address, POSTS_EACH));
    let (wall, cpu) = (wall_before.elapsed(), cpu().saturating_sub(cpu_before));
    let posts = SENDERS * POSTS_EACH;
    println!(
        "{good} of {posts} posts answered: {:.2} us CPU each, {:.0} posts/s",
        cpu.as_secs_f64() * 1e6 / f64::from(posts),
        f64::from(posts) / wall.as_secs_f64(),
    );
    Ok(())
}
