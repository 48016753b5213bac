//! The server with PyPI `svix` 2 and `standardwebhooks`.

#[macro_use]
mod svix_scenarios;

use dunlin_tests::SvixSdk;

svix_scenarios!(SvixSdk::PYTHON);
