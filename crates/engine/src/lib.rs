//! Sans-IO core for runs.
