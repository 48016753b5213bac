//! The JSON of an integration.

use dunlin_delivery::{AccessKey, Integration, IntegrationFields, KeyHash};
use dunlin_types::{Secret, Seq, Timestamp};
use rusqlite::Result;
use serde::{Deserialize, Serialize};

use crate::seal::{Secrets, Visit};

/// An integration's row.
#[derive(Serialize, Deserialize)]
pub(crate) struct IntegrationJson {
    app: u64,
    created: i64,
    updated: i64,
    name: String,
    feature_flags: Vec<String>,
    key: String,
}

impl From<&Integration> for IntegrationJson {
    fn from(row: &Integration) -> Self {
        Self {
            app: row.app.0,
            created: row.created.ms(),
            updated: row.updated.ms(),
            name: row.fields.name.clone(),
            feature_flags: row.fields.feature_flags.clone(),
            key: row.key.secret.reveal().to_owned(),
        }
    }
}

impl IntegrationJson {
    pub(crate) fn row(self, id: Seq, hash: KeyHash) -> Integration {
        Integration {
            id,
            app: Seq(self.app),
            created: Timestamp::from_ms(self.created),
            updated: Timestamp::from_ms(self.updated),
            fields: IntegrationFields {
                name: self.name,
                feature_flags: self.feature_flags,
            },
            key: AccessKey {
                secret: Secret::new(self.key),
                hash,
            },
        }
    }
}

impl Secrets for IntegrationJson {
    fn each_secret(&mut self, visit: &mut Visit<'_>) -> Result<()> {
        visit("integration", "", &mut self.key)
    }
}
