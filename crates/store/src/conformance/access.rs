//! Stories of tokens and integrations.

use std::sync::Arc;

use dunlin_delivery::{
    AccessKey, Capabilities, Integration, IntegrationFields, PortalToken, Write,
};
use dunlin_types::{Secret, Seq};

use super::opened::Opened;
use super::{Harness, rows, show};
use crate::port::Restored;

fn flags(n: u64) -> Vec<String> {
    (0..n % 3).map(|k| format!("flag \"{k}\" {n}")).collect()
}

pub(super) fn portal_token(n: u64, id: Seq) -> Arc<PortalToken> {
    Arc::new(PortalToken {
        id,
        hash: [n as u8; 32],
        app: Seq(n % 4),
        capabilities: Capabilities::from_bits(n as u8),
        feature_flags: flags(n),
        session: rows::maybe(n, format!("session {n}")),
        created: rows::at(id.0),
        expires: rows::at(n + 100),
    })
}

pub(super) fn integration(n: u64, id: Seq) -> Arc<Integration> {
    Arc::new(Integration {
        id,
        app: Seq(n % 4),
        created: rows::at(id.0),
        updated: rows::at(n),
        fields: IntegrationFields {
            name: format!("integration {n}"),
            feature_flags: flags(n + 1),
        },
        key: AccessKey {
            secret: Secret::new(format!("integsk_{n}")),
            hash: [(n + 1) as u8; 32],
        },
    })
}

/// Makes, changes or removes one of either.
pub(super) fn some_change(n: u64, id: Seq) -> Write {
    match n % 6 {
        0 => Write::PortalTokenGone(id),
        1 => Write::IntegrationGone(id),
        2 | 3 => Write::PortalToken(portal_token(n, id)),
        _ => Write::Integration(integration(n, id)),
    }
}

pub(super) fn shown(row: &Integration) -> String {
    format!("{row:?} {}", row.key.secret.reveal())
}

/// They come back as they were last written; those that were ended do not.
pub fn tokens_and_integrations_are_kept_until_they_end(make: &dyn Fn() -> Box<dyn Harness>) {
    let harness = make();
    let mut opened = Opened::new(&*harness);
    opened.delivery(vec![
        Write::PortalToken(portal_token(3, Seq(3))),
        Write::PortalToken(portal_token(4, Seq(4))),
        Write::Integration(integration(5, Seq(5))),
        Write::Integration(integration(6, Seq(6))),
    ]);
    let mut opened = opened.restart(&*harness, false);
    opened.delivery(vec![
        Write::PortalTokenGone(Seq(3)),
        Write::PortalToken(portal_token(9, Seq(4))),
        Write::PortalToken(portal_token(7, Seq(7))),
        Write::Integration(integration(8, Seq(5))),
        Write::IntegrationGone(Seq(6)),
    ]);
    let opened = opened.restart(&*harness, true);
    let mut read = Vec::new();
    opened
        .reader()
        .restore(&mut |row| read.push(show::restored(&row)))
        .unwrap();
    let expected = [
        Restored::PortalToken(portal_token(9, Seq(4))),
        Restored::PortalToken(portal_token(7, Seq(7))),
        Restored::Integration(integration(8, Seq(5))),
    ];
    assert_eq!(read, expected.map(|row| show::restored(&row)));
}
