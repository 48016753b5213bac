//! The two cores under the turn, in small worlds of which everything follows from a seed.

mod again;
mod deliveries;
mod flow;
mod flow_worlds;
mod interpreter;
mod replies;
mod review;
mod scenarios;
mod syncing;
mod waiting;
mod world;
mod worlds;
