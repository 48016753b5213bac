//! The store port in the domain's words, the in-memory store and the conformance suite.
