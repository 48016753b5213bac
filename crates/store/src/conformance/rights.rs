//! Stories of commits that are refused and of who may write.

use dunlin_engine as engine;
use dunlin_types::Seq;

use super::opened::Opened;
use super::{Harness, rows};
use crate::port::{CommitOutcome, Start};

/// A row that exists already, or an end of a run that is not live, undoes all of its batch.
pub fn nothing_of_a_refused_batch_is_seen(make: &dyn Fn() -> Box<dyn Harness>) {
    let harness = make();
    let mut opened = Opened::new(&*harness);
    let first = opened.world.everything();
    opened.commit(&first);
    let before = opened.all();
    let known = opened.world.clone();
    let taken = first
        .engine
        .iter()
        .find(|write| matches!(write, engine::Write::Event(_)));
    let not_live = rows::run_end(1, Seq(999_999), Seq(999_999), false);
    for wrong in [taken.unwrap().clone(), engine::Write::RunEnd(not_live)] {
        let mut batch = opened.world.everything();
        batch.engine.push(wrong);
        assert!(matches!(
            opened.writer.commit(&batch),
            CommitOutcome::Refused(_)
        ));
        opened.world = known.clone();
        assert_eq!(opened.all(), before);
    }
    let next = opened.world.everything();
    opened.commit(&next);
    assert_ne!(opened.all(), before);
}

/// Who was granted the right to write before another cannot use it any more.
pub fn an_older_right_to_write_is_fenced(make: &dyn Fn() -> Box<dyn Harness>) {
    let harness = make();
    let mut opened = Opened::new(&*harness);
    let first = opened.world.everything();
    opened.commit(&first);
    let mut old = opened.world.clone();
    let mut opened = opened.restart(&*harness, false);
    let before = opened.all();
    assert_eq!(
        opened.writer.commit(&old.everything()),
        CommitOutcome::Fenced
    );
    assert_eq!(opened.all(), before);
    let next = opened.world.everything();
    opened.commit(&next);
}

/// Each start has its number, knows the last commit and whether the one before ended in order.
pub fn starts_are_counted_and_an_unclean_end_is_told(make: &dyn Fn() -> Box<dyn Harness>) {
    let harness = make();
    let mut opened = Opened::new(&*harness);
    let Start {
        boot,
        clean,
        next_seq,
        commit_no,
        epoch,
    } = opened.start;
    assert_eq!((boot, clean, next_seq, commit_no), (1, true, Seq(1), 0));
    let batch = opened.world.everything();
    opened.commit(&batch);
    let free = Seq(batch.last_seq().unwrap().0 + 1);
    let opened = opened.restart(&*harness, false);
    assert!(opened.start.epoch > epoch);
    let found = (opened.start.boot, opened.start.clean, opened.start.next_seq);
    assert_eq!(
        (found, opened.start.commit_no),
        ((2, false, free), batch.commit_no)
    );
    let opened = opened.restart(&*harness, true);
    assert_eq!((opened.start.boot, opened.start.clean), (3, true));
    let opened = opened.restart(&*harness, false);
    assert_eq!((opened.start.boot, opened.start.clean), (4, false));
}

/// A second writer is refused while the first lives.
pub fn there_is_one_writer_at_a_time(make: &dyn Fn() -> Box<dyn Harness>) {
    let harness = make();
    let opened = Opened::new(&*harness);
    let refused = harness.open().writer(rows::at(1)).err().unwrap();
    assert_eq!(refused.code, dunlin_types::Code::StoreLocked);
    assert!(
        refused.detail.contains("writer") || refused.detail.contains("stop"),
        "{refused}"
    );
    drop(opened.writer);
    harness.open().writer(rows::at(1)).unwrap();
}
