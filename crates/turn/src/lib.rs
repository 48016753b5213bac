//! Sans-IO: queues, batching, loading, pins and calls in flight; drives the two cores.
