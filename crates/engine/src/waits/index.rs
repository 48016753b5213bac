//! Waits for events, found by name, then by the values that an event must have.
//!
//! Waits whose expressions ask for equality at the same paths share a *shape*. For each shape of
//! the event's name the values at those paths make one key, under which the candidates lie; only
//! they are evaluated. So what a match costs does not grow with the number of waits.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dunlin_expr::{Path, Program, Scope, Value, equality_key, parse_json};
use dunlin_types::{Event, Seq, Timestamp};

/// Parsed expressions that are kept; the texts of most come from a few places in an app's code.
const PROGRAMS_KEPT_MAX: usize = 1024;

/// Where a wait is entered, and what is left to ask of a candidate.
#[derive(Debug)]
pub(crate) struct Entry {
    name: Arc<str>,
    shape: u32,
    key: u64,
    /// The expression, and what it reads of the run's event, as JSON.
    condition: Option<(Arc<str>, Box<[u8]>)>,
}

impl Entry {
    /// Of a wait that no event matches; events have names.
    fn never() -> Self {
        Self {
            name: Arc::from(""),
            shape: 0,
            key: 0,
            condition: None,
        }
    }
}

#[derive(Debug)]
struct Shape {
    paths: Vec<Path>,
    entries: BTreeSet<(u64, Seq)>,
}

#[derive(Debug, Default)]
struct Named {
    shapes: Vec<Shape>,
    waits: usize,
}

/// Waits that may match an event.
pub(crate) struct Candidates {
    pub(crate) items: Vec<Seq>,
    pub(crate) json: Value,
}

/// The waits for events.
#[derive(Debug, Default)]
pub(crate) struct Index {
    names: BTreeMap<Arc<str>, Named>,
    programs: BTreeMap<Arc<str>, Program>,
}

impl Index {
    /// Enters a wait as its row describes it; none if that cannot be read.
    pub(crate) fn enter(&mut self, item: Seq, spec: &Value) -> Option<Entry> {
        let name = spec.get("event")?.as_str()?;
        if spec.get("never").is_some() {
            return Some(Entry::never());
        }
        let mut paths = Vec::new();
        let mut values = Vec::new();
        let mut condition = None;
        if let Some(text) = spec.get("if").and_then(Value::as_str) {
            let program = self.program(text)?;
            let event = spec.get("with").cloned().unwrap_or(Value::Null);
            for (path, value) in program.index_terms(&event) {
                paths.push(path);
                values.push(equality_key(Some(&value)));
            }
            let (text, _) = self.programs.get_key_value(text)?;
            let read = event.to_string().into_bytes().into_boxed_slice();
            condition = Some((Arc::clone(text), read));
        }
        let key = combined(&values);
        let (name, named) = self.named(name);
        let shape = named.shape(paths);
        named.shapes[shape].entries.insert((key, item));
        named.waits += 1;
        Some(Entry {
            name,
            shape: shape as u32,
            key,
            condition,
        })
    }

    /// Takes a wait out again.
    pub(crate) fn leave(&mut self, item: Seq, entry: &Entry) {
        if entry.name.is_empty() {
            return;
        }
        let Some(named) = self.names.get_mut(&entry.name) else {
            return;
        };
        if let Some(shape) = named.shapes.get_mut(entry.shape as usize) {
            shape.entries.remove(&(entry.key, item));
        }
        named.waits -= 1;
        if named.waits == 0 {
            self.names.remove(&entry.name);
        }
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.names.contains_key(name)
    }

    /// The waits that may match, oldest first; none if nobody waits for that name.
    pub(crate) fn candidates(&self, event: &Event) -> Option<Candidates> {
        let named = self.names.get(event.name.as_str())?;
        let json = parse_json(&event.json());
        let scope = Scope {
            event: &Value::Null,
            async_event: Some(&json),
            now: event.received,
        };
        let mut items = Vec::new();
        for shape in named.shapes.iter().filter(|s| !s.entries.is_empty()) {
            let values: Vec<u64> = shape
                .paths
                .iter()
                .map(|path| equality_key(path.lookup(&scope)))
                .collect();
            let key = combined(&values);
            let range = (key, Seq(0))..=(key, Seq(u64::MAX));
            items.extend(shape.entries.range(range).map(|(_, item)| *item));
        }
        items.sort_unstable();
        Some(Candidates { items, json })
    }

    /// Whether a candidate's expression holds.
    pub(crate) fn holds(&mut self, entry: &Entry, json: &Value, now: Timestamp) -> bool {
        let Some((text, read)) = &entry.condition else {
            return true;
        };
        let Some(program) = self.program(text) else {
            return false;
        };
        let event = parse_json(read);
        let scope = Scope {
            event: &event,
            async_event: Some(json),
            now,
        };
        program.matches(&scope).unwrap_or(false)
    }

    fn named(&mut self, name: &str) -> (Arc<str>, &mut Named) {
        let name = match self.names.get_key_value(name) {
            Some((name, _)) => Arc::clone(name),
            None => Arc::from(name),
        };
        let named = self.names.entry(Arc::clone(&name)).or_default();
        (name, named)
    }

    /// The parsed expression; none if it is not one (it was checked when the wait was made).
    fn program(&mut self, text: &str) -> Option<Program> {
        if let Some(program) = self.programs.get(text) {
            return Some(program.clone());
        }
        let program = Program::parse(text).ok()?;
        if self.programs.len() >= PROGRAMS_KEPT_MAX {
            self.programs.clear();
        }
        self.programs.insert(Arc::from(text), program.clone());
        Some(program)
    }
}

impl Named {
    fn shape(&mut self, paths: Vec<Path>) -> usize {
        let known = self.shapes.iter().position(|shape| shape.paths == paths);
        // One that nobody has any more makes room: each costs every event of the name a look.
        let vacant = || self.shapes.iter().position(|s| s.entries.is_empty());
        let at = known.or_else(vacant).unwrap_or(self.shapes.len());
        if at == self.shapes.len() {
            let entries = BTreeSet::new();
            self.shapes.push(Shape { paths, entries });
        } else {
            self.shapes[at].paths = paths;
        }
        at
    }
}

/// One key of the keys of all values (FNV-1a over their bytes).
fn combined(values: &[u64]) -> u64 {
    let bytes = values.iter().flat_map(|value| value.to_be_bytes());
    bytes.fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enter(index: &mut Index, item: u64, condition: &str) -> Entry {
        let spec = format!("{{\"event\":\"paid\",\"if\":\"{condition}\",\"with\":{{}}}}");
        index
            .enter(Seq(item), &parse_json(spec.as_bytes()))
            .unwrap()
    }

    #[test]
    fn expressions_that_nobody_waits_with_any_more_leave_nothing_behind() {
        let mut index = Index::default();
        enter(&mut index, 1, "async.data.stays == 1");
        for n in 2..100 {
            let entry = enter(&mut index, n, &format!("async.data.order{n} == 1"));
            index.leave(Seq(n), &entry);
        }
        assert_eq!(index.names["paid"].shapes.len(), 2);
    }
}
