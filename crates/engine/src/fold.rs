//! Images: from time to time the live runs that are older than the tail of the log are pictured,
//! in slices, so that a restart reads the images and the tail and nothing else.

use dunlin_types::Seq;

use crate::core::Engine;
use crate::write::{Image, Write};

/// Rows after which pictures are taken again: about a fifth of a second of reading at a restart.
pub(crate) const ROWS_PER_FOLD_DEFAULT: u64 = 100_000;

#[derive(Debug, Default)]
pub(crate) struct Fold {
    rows: u64,
    /// The place that the round will reach, and the run up to which it has come.
    round: Option<(Seq, Seq)>,
}

impl Fold {
    pub(crate) fn appended(&mut self) {
        self.rows += 1;
    }
}

impl Engine {
    /// The next slice of pictures, at most `max`; nothing while the tail is short. `next` is the
    /// place that the next row will have.
    pub fn picture(&mut self, next: Seq, max: usize) -> Vec<Write> {
        if self.fold.round.is_none() {
            if self.fold.rows < self.options.rows_per_fold {
                return Vec::new();
            }
            self.fold.rows = 0;
            self.fold.round = Some((next, Seq(0)));
        }
        let Some((target, from)) = self.fold.round else {
            return Vec::new();
        };
        let mut writes: Vec<Image> = Vec::new();
        let mut reached = None;
        let older = self
            .live
            .iter_mut_from(from)
            .take_while(|(run, _)| **run < target);
        // A look is cheap beside a row, so a slice looks at more runs than it pictures.
        for (looks, (run, live)) in older.enumerate() {
            if writes.len() >= max || looks >= 64 * max {
                reached = Some(*run);
                break;
            }
            if live.imaged != live.last {
                live.imaged = live.last;
                let items = live.picture();
                writes.push(Image {
                    run: *run,
                    function: live.function,
                    last: live.last,
                    items,
                    flow: Vec::new(),
                });
            }
        }
        let lanes: Vec<u32> = writes
            .iter()
            .map(|image| self.live.get(&image.run).map_or(0, |live| live.lane))
            .collect();
        let mut writes: Vec<Write> = writes
            .into_iter()
            .zip(lanes)
            .map(|(mut image, lane)| {
                image.flow = self.keys_of(image.run, lane).encode();
                Write::Image(image)
            })
            .collect();
        self.fold.round = reached.map(|run| (target, run));
        if reached.is_none() {
            writes.push(Write::FoldFrom(target));
        }
        writes
    }
}
