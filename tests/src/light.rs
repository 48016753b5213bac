//! HTTP/1.1 with as little work as possible, for programs that measure a server on the same
//! machine: an app that answers calls, and a sender of requests that are written once.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Room for a message; it grows where one is longer.
const BUFFER_BYTES: usize = 8 * 1024;

/// A call as it came.
#[derive(Debug)]
pub struct LightCall<'a> {
    /// Method, path and query.
    pub line: &'a str,
    /// All of the head, as it came.
    pub head: &'a str,
    /// The body.
    pub body: &'a str,
}

impl<'a> LightCall<'a> {
    /// Whether it is for that function.
    #[must_use]
    pub fn is_for(&self, function: &str) -> bool {
        let query = self.line.split_once("fnId=");
        query.is_some_and(|(_, rest)| rest.split(['&', ' ']).next() == Some(function))
    }

    /// The value of a header, whose name is in small letters, as servers send it.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'a str> {
        let lines = self.head.split("\r\n");
        let mut values = lines.filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        values.next()
    }

    /// The number of that name in the event's data.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<usize> {
        let (_, rest) = self.body.split_once(&format!("\"{name}\":"))?;
        let end = rest.find(|c: char| !c.is_ascii_digit())?;
        rest[..end].parse().ok()
    }

    /// Whether the result of that step came along.
    #[must_use]
    pub fn has(&self, step: &str) -> bool {
        self.body.contains(step)
    }
}

/// A response of an app, written once and sent often.
///
/// # Panics
/// Never.
#[must_use]
pub fn light_response(status: u16, body: &str) -> Bytes {
    let length = body.len();
    let text = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\nx-inngest-sdk: js:v4.24.0\r\n\
         x-inngest-req-version: 2\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    Bytes::from(text)
}

/// A request that posts JSON, written once and sent often.
#[must_use]
pub fn light_request(path: &str, body: &str) -> Bytes {
    let length = body.len();
    let text = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    );
    Bytes::from(text)
}

/// Starts an app; gives its URL. `respond` tells at once what is to be answered, and when.
///
/// # Panics
/// When no port is free.
pub async fn light_app<F>(respond: impl Fn(LightCall<'_>) -> F + Send + Sync + 'static) -> String
where
    F: Future<Output = Bytes> + Send + 'static,
{
    let address = light_listen(Ipv4Addr::LOCALHOST, respond).await;
    format!("http://{address}/api/inngest")
}

/// Listens at that address of this machine and answers so; tells where.
///
/// # Panics
/// When no port is free.
pub async fn light_listen<F>(
    address: Ipv4Addr,
    respond: impl Fn(LightCall<'_>) -> F + Send + Sync + 'static,
) -> SocketAddr
where
    F: Future<Output = Bytes> + Send + 'static,
{
    let listener = TcpListener::bind((address, 0)).await;
    let listener = listener.expect("a port is free");
    let address = listener.local_addr().expect("it listens");
    let respond = Arc::new(respond);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            let respond = Arc::clone(&respond);
            tokio::spawn(async move { serve(stream, &*respond).await });
        }
    });
    address
}

async fn serve<F>(mut stream: TcpStream, respond: &(impl Fn(LightCall<'_>) -> F + Sync))
where
    F: Future<Output = Bytes> + Send + 'static,
{
    let mut buffer = Vec::with_capacity(BUFFER_BYTES);
    // A connection that ends is the other side's business.
    while let Ok(Some((head, end))) = read_message(&mut stream, &mut buffer).await {
        let line = buffer.split(|byte| *byte == b'\r').next();
        let answer = respond(LightCall {
            line: text(line.unwrap_or_default()),
            head: text(&buffer[..head]),
            body: text(&buffer[head..end]),
        });
        buffer.drain(..end);
        if stream.write_all(&answer.await).await.is_err() {
            return;
        }
    }
}

/// Sends requests one after the other over one connection, and opens it again where it ended.
#[derive(Debug)]
pub struct LightSender {
    address: SocketAddr,
    stream: Option<TcpStream>,
    buffer: Vec<u8>,
}

impl LightSender {
    /// A sender to that port of this machine.
    #[must_use]
    pub fn new(port: u16) -> Self {
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            stream: None,
            buffer: Vec::with_capacity(BUFFER_BYTES),
        }
    }

    /// Sends a request and gives the status of the answer.
    ///
    /// # Errors
    /// When nobody answers, or what comes is no HTTP.
    pub async fn send(&mut self, request: &[u8]) -> io::Result<u16> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect(self.address).await?;
                stream.set_nodelay(true)?;
                stream
            }
        };
        self.buffer.clear();
        stream.write_all(request).await?;
        let gone = || io::Error::from(io::ErrorKind::UnexpectedEof);
        read_message(&mut stream, &mut self.buffer)
            .await?
            .ok_or_else(gone)?;
        self.stream = Some(stream);
        let status = text(&self.buffer).split(' ').nth(1);
        status
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
    }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

/// Reads one message: where its head ends, and where it ends itself. None if nothing more comes.
async fn read_message(
    stream: &mut TcpStream,
    buffer: &mut Vec<u8>,
) -> io::Result<Option<(usize, usize)>> {
    loop {
        let head = buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n");
        if let Some(head) = head.map(|at| at + 4) {
            let end = head + content_length(&buffer[..head]);
            while buffer.len() < end {
                if stream.read_buf(buffer).await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            return Ok(Some((head, end)));
        }
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
}

fn content_length(head: &[u8]) -> usize {
    let lines = text(head).split("\r\n");
    let mut values = lines.filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse().ok())
            .flatten()
    });
    values.next().unwrap_or(0)
}
