//! What the demo sends, and what must come of it.

use super::story::{Expected, Story};
use super::unexpected;
use crate::fail::Failure;

struct Scene {
    event_type: &'static str,
    about: &'static str,
    expected: Expected,
}

const SCENES: [Scene; 6] = [
    Scene {
        event_type: "payment.succeeded",
        about: "three steps, one of which fails once and is retried",
        expected: Expected::Run("send-confirmation"),
    },
    Scene {
        event_type: "dispute.opened",
        about: "its transformation marks it urgent, which the function's expression asks for",
        expected: Expected::Run("handle-dispute"),
    },
    Scene {
        event_type: "subscription.active",
        about: "renamed by its transformation; the function sleeps for two seconds",
        expected: Expected::Run("welcome-subscriber"),
    },
    Scene {
        event_type: "dispute.won",
        about: "the same trigger, but not urgent",
        expected: Expected::Nothing("expressionFalse"),
    },
    Scene {
        event_type: "payment.processing",
        about: "an endpoint takes it, no function does",
        expected: Expected::Nothing("noTrigger"),
    },
    Scene {
        event_type: "payout.success",
        about: "nobody handles it",
        expected: Expected::Nothing("filtered"),
    },
];

/// Plays them all.
///
/// # Errors
/// When one does not go as expected.
pub(super) async fn play(story: &Story) -> Result<(), Failure> {
    let mut first = None;
    for (index, scene) in SCENES.iter().enumerate() {
        story.title(index + 1, scene.event_type, scene.about);
        let webhook = story.webhook(scene.event_type)?;
        let message = story.accepted(&webhook).await?;
        story.follow(&message, scene.expected).await?;
        first.get_or_insert((webhook, message));
    }
    let (webhook, message) = first.ok_or_else(|| unexpected("nothing was sent"))?;
    story.title(
        SCENES.len() + 1,
        "payment.succeeded, again",
        "the provider repeats itself",
    );
    story.repeated(&webhook, &message).await?;
    story.title(
        SCENES.len() + 2,
        "payment.succeeded, forged",
        "signed with another secret",
    );
    story.forged().await
}
