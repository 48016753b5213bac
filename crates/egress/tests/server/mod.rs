//! A server on a free port that does to each connection what a script says.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    accepted: Arc<AtomicUsize>,
}

impl Server {
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn connections(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

/// Runs the script for each connection, which it is given with its number.
pub(crate) async fn serve<S, F>(script: S) -> Server
where
    S: Fn(TcpStream, usize) -> F + Send + 'static,
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let accepted = Arc::new(AtomicUsize::new(0));
    let server = Server {
        address: listener.local_addr().unwrap(),
        accepted: accepted.clone(),
    };
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            tcp.set_nodelay(true).unwrap();
            tokio::spawn(script(tcp, accepted.fetch_add(1, Ordering::SeqCst)));
        }
    });
    server
}

/// Answers one request of each connection with those bytes, then closes.
pub(crate) async fn serve_answers(answer: impl Into<Vec<u8>>) -> Server {
    let answer: Arc<[u8]> = answer.into().into();
    serve(move |mut tcp, _| {
        let answer = Arc::clone(&answer);
        async move {
            read_request(&mut tcp).await?;
            tcp.write_all(&answer).await?;
            tcp.shutdown().await?;
            tcp.read_to_end(&mut Vec::new()).await.map(drop)
        }
    })
    .await
}

/// The head and the body of the next request, by its `content-length`.
pub(crate) async fn read_request<T: AsyncRead + Unpin>(
    tcp: &mut T,
) -> io::Result<(String, Vec<u8>)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(tcp.read_u8().await?);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    tcp.read_exact(&mut body).await?;
    Ok((head, body))
}
