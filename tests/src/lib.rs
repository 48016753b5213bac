//! Helpers of the black-box tests: start the real binary and real SDK apps, and talk to them over
//! loopback HTTP. They must never reach into the server's crates: what a test knows, a user could.
//!
//! They panic where something does not work, with what the processes last said: that is a test's
//! way to fail.

mod app;
mod client;
mod files;
mod light;
mod measured;
mod port;
mod process;
mod sdk_app;
mod server;
mod stand_in;
mod stub;
mod wait;

pub use app::{
    Book, CountingApp, Function, StepOf, listen, registration, sdk_response, step_id, step_name,
};
pub use client::{Client, Reply, text};
pub use light::{LightCall, LightSender, light_app, light_request, light_response};
pub use measured::{Measured, Memory, Told, function_of, quantile, reach};
pub use port::free_port;
pub use sdk_app::{Counts, Sdk, SdkApp};
pub use server::{Flags, Server};
pub use stand_in::{Answer, Call, StandIn};
pub use stub::{Heard, Stub, StubAnswer};
pub use wait::until;
