//! Ports for processes that must know each other's before they start.

use std::net::TcpListener;

/// Below the range that the system hands out by itself, so that no client socket takes the port
/// between here and the process that is to listen on it.
const PORTS: std::ops::Range<u16> = 12_000..32_000;

/// Random tries before giving up.
const TRIES_MAX: usize = 200;

/// A loopback port on which nobody listens.
///
/// # Panics
/// When no port of the range is free.
#[must_use]
pub fn free_port() -> u16 {
    let mut tries = (0..TRIES_MAX).map(|_| rand::random_range(PORTS));
    tries
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a port is free")
}
