//! Secrets of sources and endpoints, newest first, the older ones with an end.

use dunlin_types::{Code, Coded, Secret, Timestamp, limits};

/// One secret and how long it is valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretVersion {
    /// The secret.
    pub secret: Secret,
    /// When it came in.
    pub created: Timestamp,
    /// From when on it is not valid; none for the current one.
    pub expires: Option<Timestamp>,
}

impl SecretVersion {
    /// Whether it is valid at `now`.
    #[must_use]
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.expires.is_none_or(|end| now < end)
    }
}

pub(crate) fn first(secret: Secret, now: Timestamp) -> Vec<SecretVersion> {
    vec![SecretVersion {
        secret,
        created: now,
        expires: None,
    }]
}

/// The secrets after `secret` has become the current one. One that had an end keeps it.
///
/// # Errors
/// [`Code::SecretsTooMany`] when more than [`limits::OLD_SECRETS_MAX`] would still be valid: whoever
/// was promised that theirs is must not find it gone.
pub(crate) fn rotated(
    old: &[SecretVersion],
    secret: Secret,
    grace_ms: i64,
    now: Timestamp,
) -> Result<Vec<SecretVersion>, Coded> {
    let end = now.plus_ms(grace_ms.clamp(0, limits::SECRET_GRACE_MS_MAX));
    let kept = old
        .iter()
        .filter(|one| !one.secret.matches(secret.reveal()));
    let kept = kept.map(|one| {
        let expires = Some(one.expires.map_or(end, |sooner| sooner.min(end)));
        SecretVersion {
            expires,
            ..one.clone()
        }
    });
    let mut all = first(secret.clone(), now);
    all.extend(kept.filter(|one| one.is_valid(now)));
    match all.len() - 1 > limits::OLD_SECRETS_MAX {
        true => Err(Coded::plain(Code::SecretsTooMany)),
        false => Ok(all),
    }
}
