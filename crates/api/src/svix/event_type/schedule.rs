//! The delays between attempts of deliveries of one event type.

use axum::extract::{Path, State};
use axum::response::IntoResponse;
use dunlin_delivery::EventTypeFields;
use dunlin_types::limits::{DELIVERY_DELAY_MS_MAX, DELIVERY_DELAYS_MAX};
use serde::Deserialize;
use serde_json::json;

use super::{changing, existing, fields_of, put_one};
use crate::error::{Refused, Reply};
use crate::state::Api;
use crate::svix::fields::{Fields, bad_field};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ScheduleIn {
    /// Seconds; none or null for those of the server.
    retry_schedule: Option<Vec<i64>>,
}

impl ScheduleIn {
    fn checked(self) -> Result<Option<Vec<i64>>, Refused> {
        let Some(secs) = self.retry_schedule else {
            return Ok(None);
        };
        let fits = |secs: &i64| (0..=DELIVERY_DELAY_MS_MAX / 1000).contains(secs);
        if secs.len() <= DELIVERY_DELAYS_MAX && secs.iter().all(fits) {
            return Ok(Some(secs.iter().map(|secs| secs * 1000).collect()));
        }
        let most = DELIVERY_DELAY_MS_MAX / 1000;
        let why = format!("has at most {DELIVERY_DELAYS_MAX} delays of 0 to {most} seconds");
        Err(bad_field("retrySchedule", why))
    }
}

fn shown(api: &Api, name: &str) -> Reply {
    let event_type = existing(api, name)?;
    let fields = event_type.fields.as_ref();
    let delays = fields.and_then(|fields| fields.retry_schedule_ms.as_ref());
    let secs: Option<Vec<i64>> = delays.map(|delays| delays.iter().map(|ms| ms / 1000).collect());
    Ok(axum::Json(json!({"retrySchedule": secs})).into_response())
}

pub(super) async fn read(State(api): State<Api>, Path(name): Path<String>) -> Reply {
    shown(&api, &name)
}

pub(super) async fn replace(
    State(api): State<Api>,
    Path(name): Path<String>,
    Fields(fields): Fields<ScheduleIn>,
) -> Reply {
    let schedule = fields.checked()?;
    let _alone = changing().await;
    let fields = EventTypeFields {
        retry_schedule_ms: schedule,
        ..fields_of(&api, &name)?
    };
    put_one(&api, &name, fields).await?;
    shown(&api, &name)
}
