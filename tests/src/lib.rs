//! Helpers of the black-box tests: start the real binary and real SDK apps, and talk to them over
//! loopback HTTP. They must never reach into the server's crates: what a test knows, a user could.
//!
//! They panic where something does not work, with what the processes last said: that is a test's
//! way to fail.

mod app;
mod client;
mod figures;
mod files;
mod floor;
mod hook;
mod lab;
mod light;
mod measured;
mod port;
mod process;
mod program;
mod receiver;
mod sdk_app;
mod server;
mod stand_in;
mod stub;
mod svix_sdk;
mod wait;
mod webhook;

pub use app::{
    Book, CountingApp, Function, StepOf, listen, registration, sdk_response, step_id, step_name,
};
pub use client::{Client, Reply, text};
pub use figures::{Aim, Figures};
pub use floor::Floor;
pub use hook::{Delivered, Hook};
pub use lab::{Flaw, LabReceiver, Manner};
pub use light::{LightCall, LightSender, light_app, light_listen, light_request, light_response};
pub use measured::{Measured, Memory, folder_bytes, function_of, quantile, reach};
pub use port::free_port;
pub use program::{Told, program, say, verdict};
pub use receiver::{NUMBERED, Receiver};
pub use sdk_app::{Counts, Sdk, SdkApp};
pub use server::{Flags, Server};
pub use stand_in::{Answer, Call, StandIn};
pub use stub::{Heard, Stub, StubAnswer};
pub use svix_sdk::{SvixDriver, SvixSdk, Thrown};
pub use wait::until;
pub use webhook::{Payment, WebhookSigner};
