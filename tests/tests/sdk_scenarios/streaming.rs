//! Apps that answer at once and send what they have to say later.

use dunlin_tests::Sdk;

use super::{World, failures, steps};

pub(crate) async fn streamed_answers_are_read(sdk: Sdk) {
    let world = World::of(sdk, World::HASTY, &[("APP_STREAMING", "on")]).await;
    steps::assert_results(&world, sdk).await;
    failures::assert_reasons(&world).await;
}
