//! Sans-IO core for messages and endpoint deliveries.
