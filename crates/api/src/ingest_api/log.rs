//! What a source did not take as a new message: what it refused, and what came again.

use axum::extract::{Path, State};
use dunlin_delivery::{Message, RefusalRow, RepeatRow};
use dunlin_store::{Page, Reader, StoreResult};
use dunlin_types::{Ksuid, KsuidKind, Seq, Timestamp};
use serde::Serialize;
use serde_json::{Value, json};

use super::refusals::RefusalOut;
use super::source;
use crate::error::Reply;
use crate::state::Api;
use crate::svix::page::Asked;

/// A line of the log.
#[derive(Clone, Debug)]
enum Line {
    Refused(RefusalRow),
    /// With what its message tells of it, and which source that came through.
    Again {
        row: RepeatRow,
        message: String,
        webhook_id: String,
        source: Option<Seq>,
        bytes: usize,
    },
}

#[derive(Debug, Serialize)]
struct LineOut {
    id: String,
    kind: &'static str,
    #[serde(flatten)]
    more: Value,
}

impl Line {
    fn again(row: RepeatRow, message: Option<&Message>) -> Self {
        Self::Again {
            row,
            message: message.map_or_else(String::new, |one| one.id().to_string()),
            webhook_id: message.map_or_else(String::new, |one| one.provider_id.clone()),
            source: message.and_then(|one| one.source),
            bytes: message.map_or(1, Message::bytes),
        }
    }

    fn place(&self) -> (Seq, Timestamp) {
        match self {
            Self::Refused(row) => (row.seq, row.at),
            Self::Again { row, .. } => (row.seq, row.at),
        }
    }

    fn is_of(&self, source: Seq) -> bool {
        match self {
            Self::Refused(row) => row.source == source,
            Self::Again { source: of, .. } => *of == Some(source),
        }
    }

    /// What reading it took.
    fn bytes(&self) -> usize {
        match self {
            Self::Refused(_) => 1,
            Self::Again { bytes, .. } => *bytes,
        }
    }

    fn id(&self) -> String {
        let (seq, at) = self.place();
        Ksuid::new(KsuidKind::LogLine, at, seq).to_string()
    }

    fn show(self) -> LineOut {
        let id = self.id();
        let (kind, more) = match self {
            Self::Refused(row) => ("refused", RefusalOut::from(row).without_id()),
            Self::Again {
                row,
                message,
                webhook_id,
                ..
            } => {
                let more = json!({
                    "timestamp": row.at.rfc3339(),
                    "msgId": message,
                    "webhookId": webhook_id,
                });
                let kind = match row.conflict {
                    true => "conflict",
                    false => "repeat",
                };
                (kind, more)
            }
        };
        LineOut { id, kind, more }
    }
}

/// Lines of that source and others among them, as far as a page goes.
fn lines(reader: &mut dyn Reader, source: Seq, page: Page) -> StoreResult<Vec<Line>> {
    let refused = reader.refusals(source, page)?;
    let mut lines: Vec<Line> = refused.into_iter().map(Line::Refused).collect();
    for row in reader.newest_repeats(page)? {
        let message = reader.message(row.message)?;
        lines.push(Line::again(row, message.as_deref()));
    }
    lines.sort_unstable_by_key(|line| line.place().0);
    if !page.ascending {
        lines.reverse();
    }
    lines.truncate(page.items);
    Ok(lines)
}

pub(super) async fn list(State(api): State<Api>, Path(id): Path<String>, asked: Asked) -> Reply {
    let source = source(&api, &id)?.id;
    let window = asked.window(KsuidKind::LogLine, false)?;
    let read = api.node.read(move |reader| {
        window.read(
            |page| lines(reader, source, page),
            |line| line.place().0,
            |line| line.is_of(source),
            Line::bytes,
        )
    });
    read.await?.reply(Line::id, Line::show)
}
