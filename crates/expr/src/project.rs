//! What an expression reads of its event, cut out.

use serde_json::{Map, Value};

use crate::node::{Node, Root, Segment};

/// The paths into the event that are read: of each route the names up to the first position.
fn paths(node: &Node) -> Vec<Vec<String>> {
    let mut routes = Vec::new();
    node.routes(&mut routes);
    let of_event = routes.iter().filter(|route| route.root == Root::Event);
    let names = of_event.map(|route| {
        let names = route.segments.iter().map_while(|segment| match segment {
            Segment::Key(name) => Some(name.clone()),
            Segment::At(_) => None,
        });
        names.collect()
    });
    names.collect()
}

/// The smallest part of an event over which the expression yields what it does over the whole.
pub(crate) fn project(node: &Node, event: &Value) -> Value {
    let mut paths: Vec<Vec<String>> = paths(node);
    // A path comes before those it contains, so that these find their place filled.
    paths.sort();
    let mut kept = Value::Object(Map::new());
    for (at, path) in paths.iter().enumerate() {
        if path.is_empty() {
            return event.clone();
        }
        let contained = paths[..at].iter().any(|before| path.starts_with(before));
        if !contained && let Some(value) = follow(event, path) {
            insert(&mut kept, path, value);
        }
    }
    kept
}

fn follow<'a>(event: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter()
        .try_fold(event, |at, name| at.as_object()?.get(name))
}

fn insert(kept: &mut Value, path: &[String], value: &Value) {
    let mut at = kept;
    for name in path {
        let Value::Object(fields) = at else { return };
        at = fields
            .entry(name.as_str())
            .or_insert_with(|| Value::Object(Map::new()));
    }
    *at = value.clone();
}
