//! The core against a small world: scenarios as text, and a property over random histories.

mod bounds;
mod model;
mod reasons;
mod scenarios;
mod world;
mod worlds;
