//! The two cores under the turn, in small worlds of which everything follows from a seed.

mod scenarios;
mod world;
mod worlds;
