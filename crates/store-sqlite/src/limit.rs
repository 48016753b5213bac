//! The JSON in which a limit of an operator is kept, beside its name.

use dunlin_engine::config::{Limit, LimitTarget, Rate};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum TargetJson {
    Step { function: String, step: String },
    Host(String),
}

#[derive(Serialize, Deserialize)]
struct RateJson {
    limit: u32,
    period_ms: i64,
    burst: u32,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct LimitJson {
    target: TargetJson,
    concurrency: Option<u32>,
    rate: Option<RateJson>,
}

impl From<&Limit> for LimitJson {
    fn from(limit: &Limit) -> Self {
        let target = match limit.target.clone() {
            LimitTarget::Step { function, step } => TargetJson::Step { function, step },
            LimitTarget::Host(host) => TargetJson::Host(host),
        };
        let rate = limit.rate.map(|rate| RateJson {
            limit: rate.limit,
            period_ms: rate.period_ms,
            burst: rate.burst,
        });
        Self {
            target,
            concurrency: limit.concurrency,
            rate,
        }
    }
}

impl LimitJson {
    /// The limit of that name.
    pub(crate) fn row(self, name: String) -> Limit {
        let target = match self.target {
            TargetJson::Step { function, step } => LimitTarget::Step { function, step },
            TargetJson::Host(host) => LimitTarget::Host(host),
        };
        let rate = self.rate.map(|rate| Rate {
            limit: rate.limit,
            period_ms: rate.period_ms,
            burst: rate.burst,
        });
        Limit {
            name,
            target,
            concurrency: self.concurrency,
            rate,
        }
    }
}
