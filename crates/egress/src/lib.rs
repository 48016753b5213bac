//! The only crate that opens outbound connections: it judges URLs and addresses, resolves names,
//! connects to no address but a checked one, and bounds each exchange in time and size.
//!
//! It must never follow a redirect, read a proxy from the environment, look a name up a second
//! time after checking it, or write credentials or queries of URLs into errors.

mod client;
mod dial;
mod guard;
mod gzip;
mod header;
mod link;
mod lookup;
mod message;
mod outbound;
mod pool;
mod proxy;
mod target;
mod tls;
mod tls_error;

pub use client::{Client, ClientOptions};
pub use dial::{Resolve, SystemResolver};
pub use guard::AddressPolicy;
pub use header::{check_header, is_secret_header};
pub use message::{Body, Request, Response, SendError, SendErrorKind};
pub use outbound::OutboundRules;
pub use proxy::Proxy;
pub use rustls::RootCertStore;
pub use target::{Target, check_url, without_query, without_userinfo};
pub use tls::{TlsIdentity, parse_tls};
