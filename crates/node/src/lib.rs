//! Carries out what turn commands over a store and the network.
