//! Statistics: what became of deliveries, from counts that are kept by the hour.

use axum::Router;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use axum::routing::{get, post, put};
use dunlin_delivery::{NewTask, TallyRow, TaskFilter, TaskKind, hour_of};
use dunlin_types::{Seq, Timestamp};
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::fields::{Fields, bad_field};
use super::page::{Asked, wrong};
use super::task::{shown, started};
use super::{application, endpoint};
use crate::error::{Refused, Reply};
use crate::state::Api;

/// Longest span of statistics (Svix).
const SPAN_MS_MAX: i64 = 28 * 24 * 60 * 60 * 1000;

pub(super) fn routes() -> Router<Api> {
    let endpoint = "/api/v1/app/{app}/endpoint/{ep}";
    Router::new()
        .route(&format!("{endpoint}/stats"), get(of_endpoint))
        .route(&format!("{endpoint}/attempt-stats"), get(attempts))
        .route(&format!("{endpoint}/rate-limit-status"), get(rate))
        .route("/api/v1/app/{app}/stats/attempts", get(by_hour))
        .route("/api/v1/stats/usage/app", post(usage))
        .route("/api/v1/stats/usage/event-types", put(event_types))
}

/// The hours asked for: the last 28 days where nothing is said.
fn hours(asked: &Asked, now: Timestamp) -> Result<(u32, u32), Refused> {
    let until = asked.instant("until")?.unwrap_or(now);
    let since = asked.instant("since")?;
    let since = since.unwrap_or_else(|| until.plus_ms(-SPAN_MS_MAX));
    if until.since(since) > SPAN_MS_MAX + 60_000 {
        return Err(wrong("since", "lies more than 28 days before `until`"));
    }
    Ok((hour_of(since), hour_of(until) + 1))
}

fn sum(rows: &[TallyRow]) -> TallyRow {
    rows.iter().fold(TallyRow::default(), |all, row| TallyRow {
        succeeded: all.succeeded + row.succeeded,
        failed: all.failed + row.failed,
        cancelled: all.cancelled + row.cancelled,
        attempts_failed: all.attempts_failed + row.attempts_failed,
        ..all
    })
}

async fn all_of(api: &Api, endpoint: Seq, asked: &Asked) -> Result<TallyRow, Refused> {
    let (from, until) = hours(asked, api.node.now())?;
    let rows = api
        .node
        .read(move |reader| reader.tallies(endpoint, from, until));
    Ok(sum(&rows.await?))
}

/// What became of messages.
async fn of_endpoint(
    State(api): State<Api>,
    Path((app, ep)): Path<(String, String)>,
    asked: Asked,
) -> Reply {
    let endpoint = endpoint(&api, &app, &ep)?.1.id;
    let all = all_of(&api, endpoint, &asked).await?;
    let standing = api.node.standing(endpoint).await?;
    let body = json!({
        "success": all.succeeded,
        "fail": all.failed,
        "canceled": all.cancelled,
        "pending": standing.pending.saturating_sub(standing.in_flight),
        "sending": standing.in_flight,
        "attemptsFailed": all.attempts_failed,
    });
    Ok(axum::Json(body).into_response())
}

/// What became of attempts: each try counts.
async fn attempts(
    State(api): State<Api>,
    Path((app, ep)): Path<(String, String)>,
    asked: Asked,
) -> Reply {
    let endpoint = endpoint(&api, &app, &ep)?.1.id;
    let all = all_of(&api, endpoint, &asked).await?;
    let body = json!({
        "success": all.succeeded,
        "fail": all.attempts_failed,
        "canceled": all.cancelled,
    });
    Ok(axum::Json(body).into_response())
}

/// Whether messages wait there because the endpoint, or its receiver, takes no more for now.
async fn rate(State(api): State<Api>, Path((app, ep)): Path<(String, String)>) -> Reply {
    let endpoint = endpoint(&api, &app, &ep)?.1.id;
    let body = match api.node.standing(endpoint).await?.held {
        None => json!({"status": "Ok"}),
        Some(held) => json!({
            "status": "RateLimited",
            "throttledSince": held.since.rfc3339(),
            "nextAttempt": held.until.rfc3339(),
        }),
    };
    Ok(axum::Json(body).into_response())
}

/// Attempts of an application by hour, for charts.
async fn by_hour(State(api): State<Api>, Path(app): Path<String>, asked: Asked) -> Reply {
    let app = application(&api, &app)?;
    let (from, until) = hours(&asked, api.node.now())?;
    let config = api.node.config();
    let endpoints: Vec<Seq> = config.endpoints_of(app.id).map(|one| one.id).collect();
    let rows = api.node.read(move |reader| {
        let mut hours = std::collections::BTreeMap::<u32, TallyRow>::new();
        for endpoint in endpoints {
            for row in reader.tallies(endpoint, from, until)? {
                let hour = hours.entry(row.hour).or_default();
                *hour = sum(&[*hour, row]);
            }
        }
        Ok(hours)
    });
    let rows = rows.await?;
    let hours: Vec<_> = rows
        .into_iter()
        .map(|(hour, row)| {
            let at = Timestamp::from_ms(i64::from(hour) * 3_600_000);
            json!({"hour": at.rfc3339(), "success": row.succeeded, "fail": row.failed,
                "canceled": row.cancelled, "attemptsFailed": row.attempts_failed})
        })
        .collect();
    Ok(axum::Json(json!({"data": hours})).into_response())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct UsageIn {
    since: String,
    until: String,
    app_ids: Option<Vec<String>>,
}

impl UsageIn {
    fn span(&self) -> Result<(Timestamp, Timestamp), Refused> {
        let instant = |name, text: &str| {
            Timestamp::parse_rfc3339(text)
                .ok_or_else(|| bad_field(name, "it must be an RFC 3339 time"))
        };
        let since = instant("since", &self.since)?;
        let until = instant("until", &self.until)?;
        match until.since(since) {
            ..=0 => Err(bad_field("until", "it must be later than `since`")),
            1..=SPAN_MS_MAX => Ok((since, until)),
            _ => Err(bad_field("since", "the span is longer than 28 days")),
        }
    }
}

/// A task that looks at these applications, one after the other.
async fn looking(
    api: &Api,
    kind: TaskKind,
    span: Option<(Timestamp, Timestamp)>,
    applications: Vec<Seq>,
) -> Result<serde_json::Value, Refused> {
    let new = NewTask {
        kind,
        app: Seq(0),
        endpoint: None,
        filter: TaskFilter {
            since: span.map(|(since, _)| since),
            until: span.map(|(_, until)| until),
            applications,
            ..TaskFilter::default()
        },
    };
    Ok(shown(started(api, new).await?.as_ref()))
}

async fn usage(State(api): State<Api>, Fields(fields): Fields<UsageIn>) -> Reply {
    let span = fields.span()?;
    let config = api.node.config();
    let mut unresolved = Vec::new();
    let applications = match fields.app_ids {
        None => config.applications().map(|app| app.id).collect(),
        Some(ids) => {
            let mut found = Vec::new();
            for id in ids {
                match config.find_application(&id) {
                    Some(app) => found.push(app.id),
                    None => unresolved.push(id),
                }
            }
            found
        }
    };
    let mut body = looking(&api, TaskKind::Statistics, Some(span), applications).await?;
    body["unresolvedAppIds"] = unresolved.into();
    Ok((StatusCode::ACCEPTED, axum::Json(body)).into_response())
}

/// Which event types the endpoints of each application ask for.
async fn event_types(State(api): State<Api>) -> Reply {
    let config = api.node.config();
    let applications = config.applications().map(|app| app.id).collect();
    let body = looking(&api, TaskKind::EventTypes, None, applications).await?;
    Ok((StatusCode::ACCEPTED, axum::Json(body)).into_response())
}
