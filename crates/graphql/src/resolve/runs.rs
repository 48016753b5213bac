//! Lists of runs. The store knows them by place only, so that a list is a bounded walk from the
//! newest back.

use std::cmp::Ordering;
use std::rc::Rc;

use dunlin_store::{Page, RunView};
use dunlin_types::limits::{GRAPHQL_ROWS_PER_READ_MAX, LIST_ROWS_READ_MAX, PAGE_ITEMS_MAX};
use dunlin_types::{Seq, Timestamp, Ulid};
use serde_json::{Value, json};

use super::run::Run;
use super::{Node, Object, instant, not_found, object, text, texts, unresolved};
use crate::coerce::Args;
use crate::execute::{Cx, Resolved, store};
use crate::search::Search;

/// Items of a page where `first` is null; the schema has the same for where it is absent.
const FIRST_DEFAULT: u64 = 100;

/// One of the instants of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Queued,
    Started,
    Ended,
}

impl Field {
    fn named(name: &str) -> Self {
        match name {
            "STARTED_AT" => Self::Started,
            "ENDED_AT" => Self::Ended,
            _ => Self::Queued,
        }
    }

    /// The run's instant. A live run is taken to have started when its first call was due.
    fn of(self, run: &RunView) -> Option<Timestamp> {
        match (self, &run.end) {
            (Self::Queued, _) => Some(run.row.created),
            (Self::Started, None) => Some(run.row.due),
            (Self::Started, Some(end)) => Some(end.started).filter(|at| at.ms() > 0),
            (Self::Ended, None) => None,
            (Self::Ended, Some(end)) => Some(end.ended),
        }
    }
}

/// Which runs.
#[derive(Debug)]
struct Filter {
    from: Option<Timestamp>,
    until: Option<Timestamp>,
    field: Field,
    status: Option<Vec<String>>,
    /// Numbers of functions.
    functions: Option<Vec<u32>>,
    search: Option<Search>,
}

impl Filter {
    fn read(cx: &mut Cx<'_>, args: &Args) -> Resolved<Self> {
        let names = cx.names()?;
        let wanted = texts(args, "functionIDs");
        let apps = texts(args, "appIDs");
        let listed = |list: &Option<Vec<String>>, id: String| {
            list.as_ref()
                .is_none_or(|ids| ids.iter().any(|wanted| wanted.eq_ignore_ascii_case(&id)))
        };
        let functions = (wanted.is_some() || apps.is_some()).then(|| {
            let found = names.functions().map(|f| f.number).filter(|number| {
                listed(&wanted, names.function_id(*number)) && listed(&apps, names.app_id(*number))
            });
            found.collect()
        });
        let search = match text(args, "query") {
            "" => None,
            lines => Some(Search::parse(lines)?),
        };
        Ok(Self {
            from: instant(args, "from"),
            until: instant(args, "until"),
            field: Field::named(text(args, "timeField")),
            status: texts(args, "status"),
            functions,
            search,
        })
    }

    fn takes(&self, cx: &mut Cx<'_>, run: &Run) -> Resolved<bool> {
        let view = &run.view;
        let at = self.field.of(view);
        let within = at.is_some_and(|at| {
            self.from.is_none_or(|from| at >= from) && self.until.is_none_or(|until| at < until)
        });
        if !within
            || !self
                .functions
                .as_ref()
                .is_none_or(|functions| functions.contains(&view.row.function))
        {
            return Ok(false);
        }
        if !self.has_status(cx, view) {
            return Ok(false);
        }
        let Some(search) = &self.search else {
            return Ok(true);
        };
        let now = cx.now;
        let scopes = scopes(cx, run)?;
        Ok(scopes.iter().any(|scope| search.holds(scope, now)))
    }

    fn wants(&self, status: &str) -> bool {
        let named = |words: &Vec<String>| words.iter().any(|word| word == status);
        self.status.as_ref().is_none_or(named)
    }

    /// Whether live runs are meant or not as they have begun or not.
    fn parts_live(&self) -> bool {
        self.wants("QUEUED") != self.wants("RUNNING")
    }

    fn has_status(&self, cx: &mut Cx<'_>, run: &RunView) -> bool {
        match &run.end {
            None if !self.parts_live() => self.wants("RUNNING"),
            _ => self.wants(cx.status(run)),
        }
    }

    /// Whether it cannot be told if the run is meant: the walk goes on there another time.
    fn is_beyond_asking(&self, cx: &mut Cx<'_>, run: &RunView) -> bool {
        let functions = self.functions.as_ref();
        let is_other = functions.is_some_and(|list| !list.contains(&run.row.function));
        self.parts_live() && run.end.is_none() && !is_other && !cx.can_ask(run)
    }

    /// Whether nothing older can be meant.
    fn is_past(&self, run: &RunView) -> bool {
        self.field == Field::Queued && self.from.is_some_and(|from| run.row.created < from)
    }
}

/// What the lines of a search read of a run, once for each event that started it: a batch is found
/// by any of its events.
fn scopes(cx: &mut Cx<'_>, run: &Run) -> Resolved<Vec<Value>> {
    use dunlin_engine::RunStatus;
    let parsed = |text: &[u8]| serde_json::from_slice::<Value>(text).unwrap_or(Value::Null);
    let mut events: Vec<Value> = run
        .events(cx)?
        .iter()
        .map(|event| parsed(&event.json()))
        .collect();
    if events.is_empty() {
        events.push(Value::Null);
    }
    let ended = |status| {
        let end = run.view.end.as_ref().filter(|end| end.status == status);
        end.map(|end| parsed(end.output.bytes()))
    };
    let (output, error) = (ended(RunStatus::Completed), ended(RunStatus::Failed));
    let scope = |event| json!({"event": event, "output": output, "error": error});
    Ok(events.into_iter().map(scope).collect())
}

/// A run on a list, without what it carries.
#[derive(Clone, Copy, Debug)]
struct Found {
    seq: Seq,
    id: Ulid,
    queued: Timestamp,
    started: Option<Timestamp>,
    ended: Option<Timestamp>,
}

impl Found {
    fn of(run: &Run) -> Self {
        Self {
            seq: run.view.row.seq,
            id: run.id(),
            queued: run.view.row.created,
            started: Field::Started.of(&run.view),
            ended: Field::Ended.of(&run.view),
        }
    }

    const fn at(&self, field: Field) -> Option<Timestamp> {
        match field {
            Field::Queued => Some(self.queued),
            Field::Started => self.started,
            Field::Ended => self.ended,
        }
    }
}

/// A walk over runs, newest first.
struct Walk {
    found: Vec<Found>,
    /// Where it stopped though there was more.
    stopped: Option<Ulid>,
}

fn walk(cx: &mut Cx<'_>, filter: &Filter, after: Option<Seq>) -> Resolved<Walk> {
    let mut page = Page::newest(GRAPHQL_ROWS_PER_READ_MAX);
    page.after = after;
    let (mut found, mut rows, mut last) = (Vec::new(), 0, None);
    while rows < LIST_ROWS_READ_MAX.min(cx.rows_left()) {
        let runs = cx.read(page.items)?.runs(page).map_err(store)?;
        let full = runs.len() >= page.items;
        rows += runs.len();
        for view in runs {
            page.after = Some(view.row.seq);
            if filter.is_past(&view) {
                return Ok(Walk {
                    found,
                    stopped: None,
                });
            }
            if filter.is_beyond_asking(cx, &view) {
                return Ok(Walk {
                    found,
                    stopped: last,
                });
            }
            let run = Run::new(view);
            last = Some(run.id());
            if filter.takes(cx, &run)? {
                found.push(Found::of(&run));
            }
        }
        if !full {
            return Ok(Walk {
                found,
                stopped: None,
            });
        }
    }
    Ok(Walk {
        found,
        stopped: last,
    })
}

/// How a list is sorted.
struct Order(Vec<(Field, bool)>);

impl Order {
    fn read(args: &Args) -> Self {
        let items = args.get("orderBy").and_then(Value::as_array);
        let items = items.into_iter().flatten().filter_map(Value::as_object);
        let fields = items.map(|item| {
            let down = text(item, "direction") == "DESC";
            (Field::named(text(item, "field")), down)
        });
        Self(fields.collect())
    }

    /// Whether it is the order in which the store has them.
    fn is_natural(&self) -> bool {
        self.0
            .first()
            .is_none_or(|first| *first == (Field::Queued, true))
    }

    fn compare(&self, a: &Found, b: &Found) -> Ordering {
        let turned = |down: bool, order: Ordering| if down { order.reverse() } else { order };
        let fields = self.0.iter();
        let by_field = fields
            .map(|(field, down)| turned(*down, a.at(*field).cmp(&b.at(*field))))
            .find(|order| order.is_ne());
        let down = self.0.first().is_none_or(|first| first.1);
        by_field.unwrap_or_else(|| turned(down, a.seq.cmp(&b.seq)))
    }
}

/// A page of runs.
#[derive(Debug)]
pub(crate) struct Runs {
    filter: Filter,
    edges: Vec<Seq>,
    info: Value,
}

pub(super) fn page(cx: &mut Cx<'_>, args: &Args) -> Resolved<Node> {
    let filter = Filter::read(cx, &object(args, "filter"))?;
    let order = Order::read(args);
    let first = args
        .get("first")
        .and_then(Value::as_u64)
        .unwrap_or(FIRST_DEFAULT) as usize;
    let first = first.clamp(1, PAGE_ITEMS_MAX);
    let after = cursor(text(args, "after"))?;
    let natural = order.is_natural();
    let mut walk = walk(cx, &filter, after.filter(|_| natural))?;
    let mut start = 0;
    if !natural {
        // The end of the walk is not the end of such a list, so it cannot go on from there.
        walk.stopped = None;
        walk.found.sort_by(|a, b| order.compare(a, b));
        if let Some(after) = after {
            let place = walk.found.iter().position(|found| found.seq == after);
            start = place.ok_or_else(not_found)? + 1;
        }
    }
    let rest = &walk.found[start..];
    let shown = &rest[..first.min(rest.len())];
    let more = rest.len() > shown.len();
    let last = shown.last().map(|found| found.id);
    let end = if more { last } else { walk.stopped.or(last) };
    let info = json!({
        "hasNextPage": more || walk.stopped.is_some(),
        "hasPreviousPage": after.is_some(),
        "startCursor": shown.first().map(|found| found.id.to_string()),
        "endCursor": end.map(|id| id.to_string()),
    });
    let runs = Runs {
        edges: shown.iter().map(|found| found.seq).collect(),
        filter,
        info,
    };
    Ok(Node::Object(Object::Runs(Rc::new(runs))))
}

/// The place that a cursor names.
fn cursor(text: &str) -> Resolved<Option<Seq>> {
    if text.is_empty() {
        return Ok(None);
    }
    let id: Option<Ulid> = text.parse().ok();
    id.and_then(Ulid::seq).map(Some).ok_or_else(not_found)
}

pub(super) fn field(runs: &Runs, cx: &mut Cx<'_>, field: &str) -> Resolved<Node> {
    Ok(match field {
        "edges" => Node::objects(runs.edges.iter().map(|seq| Object::RunEdge(*seq))),
        "pageInfo" => Node::plain("PageInfo", runs.info.clone()),
        "totalCount" => Node::of(walk(cx, &runs.filter, None)?.found.len()),
        _ => return Err(unresolved("RunsV2Connection", field)),
    })
}

pub(super) fn edge_field(seq: Seq, cx: &mut Cx<'_>, field: &str) -> Resolved<Node> {
    let run = cx.read(1)?.run(seq).map_err(store)?.map(Run::new);
    Ok(match field {
        "node" => Node::object(run.map(|run| Object::Run(Rc::new(run)))),
        "cursor" => Node::option(run.map(|run| run.id().to_string())),
        _ => return Err(unresolved("FunctionRunV2Edge", field)),
    })
}
