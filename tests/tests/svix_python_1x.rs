//! The server with PyPI `svix`, the last 1.x.

#[macro_use]
mod svix_scenarios;

use dunlin_tests::SvixSdk;

svix_scenarios!(SvixSdk::PYTHON_1X);
