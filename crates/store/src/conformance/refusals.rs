//! Stories of what sources refused.

use dunlin_delivery::Write;
use dunlin_types::{Seq, limits};

use super::opened::Opened;
use super::{Harness, rows};
use crate::view::{Page, RefusalCounts};

/// The newest stay, all are counted, and a source that is gone takes its own with it.
pub fn refusals_are_kept_up_to_a_bound_and_counted(make: &dyn Fn() -> Box<dyn Harness>) {
    let harness = make();
    let mut opened = Opened::new(&*harness);
    let (noisy, quiet) = (Seq(3), Seq(5));
    let most = limits::REFUSALS_KEPT_PER_SOURCE_MAX;
    let row = |n: u64, source: Seq| Write::Refusal(Box::new(rows::refusal(10 + n, source)));
    opened.delivery(vec![row(0, quiet)]);
    for first in (1..=most + 50).step_by(250) {
        let batch = first..(first + 250).min(most + 51);
        opened.delivery(batch.map(|n| row(n, noisy)).collect());
    }
    let opened = opened.restart(&*harness, true);
    let mut reader = opened.reader();
    let newest = reader.refusals(noisy, Page::newest(2)).unwrap();
    let expected = [most + 50, most + 49].map(|n| rows::refusal(10 + n, noisy));
    assert_eq!(newest, expected);
    let oldest = reader.refusals(noisy, Page::oldest(1)).unwrap();
    assert_eq!(oldest, [rows::refusal(10 + 51, noisy)]);
    let unlisted = |n: u64| rows::refusal(10 + n, noisy).unlisted;
    let counts = RefusalCounts {
        listed: most + 50,
        unlisted: (1..=most + 50).map(unlisted).sum(),
    };
    assert_eq!(reader.refusal_counts(noisy).unwrap(), counts);
    assert_eq!(
        reader.refusals(quiet, Page::newest(9)).unwrap(),
        [rows::refusal(10, quiet)]
    );

    drop(reader);
    let mut opened = opened;
    opened.delivery(vec![Write::SourceDeleted(noisy)]);
    let mut reader = opened.reader();
    assert!(reader.refusals(noisy, Page::newest(9)).unwrap().is_empty());
    assert_eq!(
        reader.refusal_counts(noisy).unwrap(),
        RefusalCounts::default()
    );
    assert_eq!(reader.refusals(quiet, Page::newest(9)).unwrap().len(), 1);
}
