//! What a provider asks with GET when a webhook is registered: that its text comes back.

use axum::extract::{Path, State};
use axum::response::IntoResponse;
use dunlin_types::limits::SOURCE_CHALLENGE_BYTES_MAX;
use dunlin_types::{Challenge, Code, Coded, constant_time_eq};
use http::HeaderMap;

use super::door::{self, Peer};
use super::refusal::Visit;
use crate::error::{Refused, Reply};
use crate::state::Api;
use crate::svix::page::Asked;

pub(super) async fn answer(
    State(api): State<Api>,
    Path(path): Path<String>,
    Peer(ip): Peer,
    headers: HeaderMap,
    asked: Asked,
) -> Reply {
    let source = door::find(&api.node.config(), &path)?;
    let Some(challenge) = &source.config.challenge else {
        return Err(Refused::plain(Code::MethodRefused));
    };
    let echo = door::lets_in(&source, ip).and_then(|()| {
        let echo = echo(challenge, &asked);
        echo.ok_or_else(|| Coded::plain(Code::ChallengeRefused))
    });
    match echo {
        Ok(text) => Ok(text.to_owned().into_response()),
        Err(error) => {
            let visit = Visit {
                api: &api,
                source: &source,
                ip,
                headers: &headers,
            };
            visit.refuse(error, 0).await
        }
    }
}

fn echo<'q>(challenge: &Challenge, asked: &'q Asked) -> Option<&'q str> {
    let text = match challenge {
        Challenge::Token(right) => {
            let given = Challenge::hash(asked.text("hub.verify_token")?);
            constant_time_eq(given.as_ref(), right.as_ref())
                .then(|| asked.text("hub.challenge"))
                .flatten()
        }
        Challenge::Echo(name) => asked.text(name),
    };
    text.filter(|text| text.len() <= SOURCE_CHALLENGE_BYTES_MAX)
}
