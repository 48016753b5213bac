//! The server with the last npm `inngest` 3, as it comes and with checkpointing switched on.

#[macro_use]
mod sdk_scenarios;

javascript_scenarios!(dunlin_tests::Sdk::V3);

mod checkpointing {
    use crate::sdk_scenarios;

    step_scenarios!(dunlin_tests::Sdk::V3_CHECKPOINTING);
    racing_scenarios!(dunlin_tests::Sdk::V3_CHECKPOINTING);
}
