//! The GraphQL reads that tools and test suites of the reference dev server use.
