//! What each field of each type is. `schema.graphql` tells which there are; a file here has those
//! of one noun.

mod app;
mod event;
mod events;
mod root;
mod run;
mod runs;
mod span;

use std::rc::Rc;
use std::sync::Arc;

use dunlin_types::{Code, Coded, Event, Payload, Seq, Timestamp};
use serde_json::{Map, Value};

use crate::coerce::Args;
use crate::execute::{Cx, Resolved};
use crate::resolve::run::Run;
use crate::resolve::span::SpanAt;
use crate::schema::{SCHEMA, named};

/// What a field resolves to.
#[derive(Debug)]
pub(crate) enum Node {
    Null,
    /// Something without fields.
    Leaf(Value),
    List(Vec<Self>),
    Object(Object),
}

/// Something with fields.
#[derive(Debug)]
pub(crate) enum Object {
    Query,
    /// `FunctionRunV2`
    Run(Rc<Run>),
    /// `FunctionRun`
    OldRun(Rc<Run>),
    /// `RunsV2Connection`
    Runs(Rc<runs::Runs>),
    /// `FunctionRunV2Edge`
    RunEdge(Seq),
    /// `RunTraceSpan`
    Span(SpanAt),
    /// `EventV2`
    Event(Arc<Event>),
    /// `Event`
    OldEvent(Arc<Event>),
    /// `EventsConnection`
    Events(Rc<events::Events>),
    /// `EventsEdge`
    EventEdge(Seq),
    /// By number.
    Function(u32),
    /// By number.
    App(u32),
    /// Of that type, with these fields; those that are missing are null.
    Plain(&'static str, Map<String, Value>),
}

impl Object {
    pub(crate) const fn type_name(&self) -> &'static str {
        match self {
            Self::Query => crate::schema::QUERY,
            Self::Run(_) => "FunctionRunV2",
            Self::OldRun(_) => "FunctionRun",
            Self::Runs(_) => "RunsV2Connection",
            Self::RunEdge(_) => "FunctionRunV2Edge",
            Self::Span(_) => "RunTraceSpan",
            Self::Event(_) => "EventV2",
            Self::OldEvent(_) => "Event",
            Self::Events(_) => "EventsConnection",
            Self::EventEdge(_) => "EventsEdge",
            Self::Function(_) => "Function",
            Self::App(_) => "App",
            Self::Plain(name, _) => name,
        }
    }

    pub(crate) fn resolve(&self, cx: &mut Cx<'_>, field: &str, args: &Args) -> Resolved<Node> {
        match self {
            Self::Query => root::field(cx, field, args),
            Self::Run(run) => run::field(run, cx, field),
            Self::OldRun(run) => run::old_field(run, cx, field),
            Self::Runs(runs) => runs::field(runs, cx, field),
            Self::RunEdge(seq) => runs::edge_field(*seq, cx, field),
            Self::Span(span) => span::field(span, cx, field),
            Self::Event(event) => event::field(event, cx, field),
            Self::OldEvent(event) => event::old_field(event, cx, field),
            Self::Events(events) => events::field(events, cx, field),
            Self::EventEdge(seq) => events::edge_field(*seq, cx, field),
            Self::Function(number) => app::function_field(*number, cx, field),
            Self::App(number) => app::field(*number, cx, field),
            Self::Plain(of, fields) => Ok(plain(of, fields, field)),
        }
    }
}

/// A member of an object of which all fields are at hand; the schema tells whether it has fields.
fn plain(of: &str, fields: &Map<String, Value>, field: &str) -> Node {
    let definition = SCHEMA.field(of, field);
    let returns = definition.map_or("", |definition| named(&definition.ty.node));
    match fields.get(field) {
        None | Some(Value::Null) => Node::Null,
        Some(value) if SCHEMA.is_composite(returns) => Node::plain(returns, value.clone()),
        Some(value) => Node::Leaf(value.clone()),
    }
}

impl Node {
    fn of(value: impl Into<Value>) -> Self {
        Self::Leaf(value.into())
    }

    fn option(value: Option<impl Into<Value>>) -> Self {
        value.map_or(Self::Null, Self::of)
    }

    fn time(at: Option<Timestamp>) -> Self {
        Self::option(at.map(Timestamp::rfc3339))
    }

    /// A value as the text that it is stored as.
    fn json(payload: Option<&Payload>) -> Self {
        let payload = payload.filter(|payload| !payload.is_empty());
        Self::option(payload.map(Payload::as_str))
    }

    fn object(object: Option<Object>) -> Self {
        object.map_or(Self::Null, Self::Object)
    }

    fn objects(objects: impl IntoIterator<Item = Object>) -> Self {
        Self::List(objects.into_iter().map(Self::Object).collect())
    }

    /// An object of which all fields are at hand.
    fn plain(of: &'static str, fields: Value) -> Self {
        match fields {
            Value::Object(fields) => Self::Object(Object::Plain(of, fields)),
            _ => Self::Null,
        }
    }
}

/// There is nothing of that id.
fn not_found() -> Coded {
    Coded::new(Code::NotFound, "not found")
}

/// A field of the schema that has no resolver; a test asks for each of them.
fn unresolved(of: &str, field: &str) -> Coded {
    Coded::new(Code::NotBuilt, format!("{of}.{field} is not there"))
}

/// A text argument.
fn text<'a>(args: &'a Args, name: &str) -> &'a str {
    args.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// An instant among arguments, which were checked.
fn instant(args: &Args, name: &str) -> Option<Timestamp> {
    Timestamp::parse_rfc3339(args.get(name)?.as_str()?)
}

/// Texts among arguments; none if the list is missing or empty.
fn texts(args: &Args, name: &str) -> Option<Vec<String>> {
    let items = args.get(name)?.as_array()?;
    let texts = items.iter().filter_map(Value::as_str).map(str::to_owned);
    Some(texts.collect()).filter(|texts: &Vec<String>| !texts.is_empty())
}

/// An object argument.
fn object<'a>(args: &'a Args, name: &str) -> std::borrow::Cow<'a, Args> {
    match args.get(name) {
        Some(Value::Object(members)) => std::borrow::Cow::Borrowed(members),
        _ => std::borrow::Cow::Owned(Args::new()),
    }
}
