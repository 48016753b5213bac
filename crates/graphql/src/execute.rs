//! Walks a checked document and asks for the value of each field.

use std::collections::BTreeMap;
use std::rc::Rc;

use async_graphql_parser::types::{Field, Selection, SelectionSet};
use dunlin_store::{Reader, RunView, StoreError};
use dunlin_trace::Trace;
use dunlin_types::limits::{GRAPHQL_ANSWER_BYTES_MAX, GRAPHQL_ROWS_READ_MAX};
use dunlin_types::{Code, Coded, Seq, Timestamp};
use serde_json::{Map, Value, json};

use crate::begun::Begun;
use crate::document::Prepared;
use crate::names::Names;
use crate::request::Response;
use crate::resolve::{Node, Object};
use crate::schema::SCHEMA;
use crate::validate::{TYPENAME, arguments, condition};

/// The value of a field, or why there is none.
pub(crate) type Resolved<T> = Result<T, Coded>;

/// What resolvers read from, with what is left of the request's budgets.
pub(crate) struct Cx<'r> {
    reader: &'r mut dyn Reader,
    pub(crate) now: Timestamp,
    rows_left: usize,
    bytes_left: usize,
    begun: &'r mut Begun,
    names: Option<Rc<Names>>,
    traces: BTreeMap<Seq, Rc<Trace>>,
}

impl Cx<'_> {
    /// The reader, for about that many rows.
    pub(crate) fn read(&mut self, rows: usize) -> Resolved<&mut dyn Reader> {
        self.rows_left = self.rows_left.checked_sub(rows).ok_or_else(|| {
            let why = format!("the request reads more than {GRAPHQL_ROWS_READ_MAX} rows");
            Coded::new(Code::TooLarge, why)
        })?;
        Ok(&mut *self.reader)
    }

    /// Rows that may be read yet.
    pub(crate) const fn rows_left(&self) -> usize {
        self.rows_left
    }

    /// A run's state in a word.
    pub(crate) fn status(&mut self, run: &RunView) -> &'static str {
        self.begun.status(run, self.now)
    }

    /// Whether the run's state can be had, or is known from its rows.
    pub(crate) fn can_ask(&mut self, run: &RunView) -> bool {
        self.begun.ask(run)
    }

    /// All functions and apps, read once.
    pub(crate) fn names(&mut self) -> Resolved<Rc<Names>> {
        if let Some(names) = &self.names {
            return Ok(Rc::clone(names));
        }
        let names = Rc::new(Names::read(self.read(1)?).map_err(store)?);
        self.names = Some(Rc::clone(&names));
        Ok(names)
    }

    /// The run's tree, drawn once.
    pub(crate) fn trace(&mut self, run: &RunView) -> Resolved<Rc<Trace>> {
        if let Some(trace) = self.traces.get(&run.row.seq) {
            return Ok(Rc::clone(trace));
        }
        let names = self.names()?;
        let name = names.function(run.row.function).map_or("", |f| &f.name);
        let now = self.now;
        let reader = self.read(10 + run.row.more.len())?;
        let trace = dunlin_trace::load(reader, run, name, now).map_err(store)?;
        self.read(trace.root.children.len())?;
        let trace = Rc::new(trace);
        // One run's tree is asked for from several places; those of a long list are not kept.
        self.traces.clear();
        self.traces.insert(run.row.seq, Rc::clone(&trace));
        Ok(trace)
    }
}

/// What a failed read of the store comes to.
pub(crate) fn store(error: StoreError) -> Coded {
    Coded::new(error.code, error.detail)
}

/// Executes the operation that is meant.
pub(crate) fn execute(
    reader: &mut dyn Reader,
    prepared: &Prepared,
    now: Timestamp,
    begun: &mut Begun,
) -> Response {
    let mut executor = Executor {
        prepared,
        cx: Cx {
            reader,
            now,
            rows_left: GRAPHQL_ROWS_READ_MAX,
            bytes_left: GRAPHQL_ANSWER_BYTES_MAX,
            begun,
            names: None,
            traces: BTreeMap::new(),
        },
        errors: Vec::new(),
        path: Vec::new(),
    };
    let root = prepared
        .operation()
        .map(|operation| &operation.selection_set.node);
    let data = root.and_then(|set| executor.object(&Object::Query, &[set]));
    let mut body = json!({"data": data});
    if !executor.errors.is_empty() {
        body["errors"] = Value::Array(executor.errors);
    }
    Response {
        status: 200,
        body,
        code: None,
    }
}

struct Executor<'d, 'r> {
    prepared: &'d Prepared,
    cx: Cx<'r>,
    errors: Vec<Value>,
    path: Vec<Value>,
}

/// Fields by the name that they have in the answer, in order.
type Collected<'d> = Vec<(&'d str, Vec<&'d Field>)>;

impl<'d> Executor<'d, '_> {
    /// An object's fields; none if one that cannot be null is.
    fn object(&mut self, object: &Object, sets: &[&'d SelectionSet]) -> Option<Value> {
        let mut fields = Collected::new();
        for set in sets {
            self.collect(object.type_name(), set, &mut fields);
        }
        let mut out = Map::new();
        for (key, fields) in fields {
            self.path.push(key.into());
            let value = self.field(object, &fields);
            self.path.pop();
            out.insert(key.to_owned(), value?);
        }
        Some(Value::Object(out))
    }

    fn collect(&self, of: &str, set: &'d SelectionSet, out: &mut Collected<'d>) {
        for item in &set.items {
            if !self.is_wanted(&item.node) {
                continue;
            }
            match &item.node {
                Selection::Field(field) => {
                    let key = field.node.response_key().node.as_str();
                    match out.iter_mut().find(|(known, _)| *known == key) {
                        Some((_, fields)) => fields.push(&field.node),
                        None => out.push((key, vec![&field.node])),
                    }
                }
                Selection::InlineFragment(inline) => {
                    let on = inline.node.type_condition.as_ref();
                    if on.is_none_or(|on| SCHEMA.covers(&on.node.on.node, of)) {
                        self.collect(of, &inline.node.selection_set.node, out);
                    }
                }
                Selection::FragmentSpread(spread) => {
                    let name = &spread.node.fragment_name.node;
                    let Some(fragment) = self.prepared.document.fragments.get(name) else {
                        continue;
                    };
                    if SCHEMA.covers(&fragment.node.type_condition.node.on.node, of) {
                        self.collect(of, &fragment.node.selection_set.node, out);
                    }
                }
            }
        }
    }

    fn is_wanted(&self, selection: &Selection) -> bool {
        selection.directives().iter().all(|directive| {
            let holds = condition(&directive.node, &self.prepared.variables);
            let skips = directive.node.name.node == "skip";
            holds.is_none_or(|holds| holds != skips)
        })
    }

    /// A field's value; none if it cannot be null and is.
    fn field(&mut self, object: &Object, fields: &[&'d Field]) -> Option<Value> {
        let field = *fields.first()?;
        let (of, name) = (object.type_name(), field.name.node.as_str());
        if name == TYPENAME {
            return Some(of.into());
        }
        let differs = |other: &&&Field| {
            other.name.node != field.name.node || other.arguments != field.arguments
        };
        if fields.iter().any(|other| differs(&other)) {
            let why = "fields of one name in the answer differ; give one of them an alias";
            self.error(&Coded::new(Code::BadRequest, why));
            return Some(Value::Null);
        }
        let definition = SCHEMA.field(of, name)?;
        let resolved = arguments(of, field, &self.prepared.variables)
            .map_err(|why| Coded::new(Code::BadRequest, why))
            .and_then(|args| object.resolve(&mut self.cx, name, &args));
        let node = resolved.unwrap_or_else(|error| {
            self.error(&error);
            Node::Null
        });
        let sets: Vec<_> = fields.iter().map(|f| &f.selection_set.node).collect();
        let value = self.complete(node, &sets);
        let missing = value.is_null() && !definition.ty.node.nullable;
        (!missing).then_some(value)
    }

    fn complete(&mut self, node: Node, sets: &[&'d SelectionSet]) -> Value {
        match node {
            Node::Null => Value::Null,
            Node::Leaf(value) => self.leaf(value),
            Node::Object(object) => self.object(&object, sets).unwrap_or(Value::Null),
            Node::List(items) => {
                let items = items.into_iter().enumerate().map(|(n, item)| {
                    self.path.push(n.into());
                    let value = self.complete(item, sets);
                    self.path.pop();
                    value
                });
                items.collect()
            }
        }
    }

    fn leaf(&mut self, value: Value) -> Value {
        let bytes = match &value {
            Value::String(text) => text.len(),
            Value::Array(_) | Value::Object(_) => value.to_string().len(),
            _ => 8,
        };
        match self.cx.bytes_left.checked_sub(bytes) {
            Some(left) => {
                self.cx.bytes_left = left;
                value
            }
            None => {
                let why = format!("the answer is over {GRAPHQL_ANSWER_BYTES_MAX} bytes");
                self.error(&Coded::new(Code::TooLarge, why));
                Value::Null
            }
        }
    }

    fn error(&mut self, error: &Coded) {
        self.errors.push(json!({
            "message": error.detail,
            "path": self.path,
            "extensions": {"code": error.code.to_string()},
        }));
    }
}
