//! The server with npm `inngest` 4, as it comes and with checkpointing switched off.

#[macro_use]
mod sdk_scenarios;

all_scenarios!(dunlin_tests::Sdk::V4);

mod calls_only {
    use crate::sdk_scenarios;

    step_scenarios!(dunlin_tests::Sdk::V4_CALLS_ONLY);
}
