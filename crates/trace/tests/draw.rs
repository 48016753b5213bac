//! Rows in, tree out, compared as text.

use std::fmt::Write as _;
use std::sync::Arc;

use dunlin_engine::step::{Source, StepFlags, StepKind, StepMark, StepRow};
use dunlin_engine::{RunEnd, RunRow, RunStatus};
use dunlin_store::RunView;
use dunlin_trace::{Known, Links, Span, StepInfo, Trace, draw};
use dunlin_types::{
    Event, EventOrigin, EventParts, Payload, Seq, StepId, Timestamp, Ulid, ulid_for,
};

/// The instant to which the tests' times are relative.
const START_MS: i64 = 1_700_000_000_000;
const RUN: u64 = 10;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_ms(START_MS + ms)
}

fn json(text: &str) -> Payload {
    Payload::from_json(text.to_owned())
}

/// A row that ends at that instant, after a call of ten milliseconds that was queued for five.
fn row(seq: u64, kind: StepKind, item: u64, ended: i64) -> StepRow {
    StepRow {
        mark: StepMark {
            seq: Seq(seq),
            run: Seq(RUN),
            kind,
            flags: StepFlags::default(),
            item: Seq(item),
            attempt: 0,
            due: at(ended),
        },
        prev: Seq(RUN),
        id: None,
        name: String::new(),
        queued: at(ended - 15),
        started: at(ended - 10),
        ended: at(ended),
        payload: json(""),
        source: None,
    }
}

trait With: Sized {
    fn step(self, name: &str) -> Self;
    fn says(self, payload: &str) -> Self;
    fn due(self, ms: i64) -> Self;
    fn attempt(self, attempt: u8) -> Self;
    fn closes(self) -> Self;
    fn from(self, source: Source) -> Self;
}

impl With for StepRow {
    fn step(mut self, name: &str) -> Self {
        self.id = Some(StepId::new(&format!("id-{name}")));
        self.name = name.to_owned();
        self
    }

    fn says(mut self, payload: &str) -> Self {
        self.payload = json(payload);
        self
    }

    fn due(mut self, ms: i64) -> Self {
        self.mark.due = at(ms);
        self
    }

    fn attempt(mut self, attempt: u8) -> Self {
        self.mark.attempt = attempt;
        self
    }

    fn closes(mut self) -> Self {
        self.mark.flags.0 |= StepFlags::CLOSES;
        self
    }

    fn from(mut self, source: Source) -> Self {
        self.source = Some(source);
        self
    }
}

/// As the core writes the end of a step that is not called.
fn resolved(seq: u64, kind: StepKind, item: u64, ended: i64) -> StepRow {
    StepRow {
        queued: Timestamp::ZERO,
        ..row(seq, kind, item, ended).closes()
    }
}

fn run(end: Option<(RunStatus, &str)>) -> RunView {
    RunView {
        row: RunRow {
            seq: Seq(RUN),
            function: 0,
            version: 1,
            event: Seq(9),
            created: at(0),
            due: at(0),
            original: None,
            more: Vec::new(),
            flow: Vec::new(),
        },
        end: end.map(|(status, output)| RunEnd {
            run: Seq(RUN),
            status,
            started: at(5),
            ended: at(1000),
            output: json(output),
            last: Seq(99),
            imaged: false,
        }),
    }
}

fn event(name: &str, data: &str) -> std::sync::Arc<Event> {
    Event::new(EventParts {
        seq: Seq(9),
        internal_id: ulid_for(at(0), Seq(9)),
        id: "e".to_owned(),
        name: name.to_owned(),
        received: at(0),
        ts: at(0),
        data: json(data),
        user: None,
        v: None,
        origin: EventOrigin::Api,
    })
}

fn links() -> Links {
    let id = |seq: u64| (Seq(seq), ulid_for(at(0), Seq(seq)));
    Links {
        events: [id(40), id(41)].into(),
        runs: [(Seq(40), ulid_for(at(0), Seq(50)))].into(),
        returns: [(Seq(31), ulid_for(at(0), Seq(32)))].into(),
    }
}

fn drawn(run: &RunView, rows: &[StepRow]) -> Trace {
    let trigger = event("shop/order", r#"{"n":1}"#);
    let known = Known {
        function: "Check out",
        events: &[Arc::clone(&trigger)],
        original: None,
        links: &links(),
        now: at(500),
    };
    draw(run, rows, &known)
}

#[track_caller]
fn check(run: &RunView, rows: &[StepRow], expected: &str) {
    let found = text(&drawn(run, rows));
    let expected: Vec<&str> = expected.lines().map(str::trim_end).collect();
    let indent = expected
        .iter()
        .filter(|line| !line.trim().is_empty())
        .map(|line| line.len() - line.trim_start().len())
        .min()
        .unwrap_or(0);
    let lines = expected.iter().filter(|line| !line.trim().is_empty());
    let expected: Vec<&str> = lines.map(|line| &line[indent..]).collect();
    assert_eq!(found.trim_end(), expected.join("\n"), "\nfound:\n{found}");
}

fn text(trace: &Trace) -> String {
    let mut out = String::new();
    line(&trace.root, 0, &mut out);
    if let Some(why) = &trace.cancelled {
        let _ = writeln!(out, "cancelled: {why:?}");
    }
    if let Some(why) = &trace.skipped {
        let _ = writeln!(out, "skipped: {why}");
    }
    out
}

fn line(span: &Span, depth: usize, out: &mut String) {
    let time =
        |at: Option<Timestamp>| at.map_or("-".to_owned(), |at| (at.ms() - START_MS).to_string());
    let _ = write!(out, "{}{}", "  ".repeat(depth), span.name);
    let _ = write!(
        out,
        " {} {}>{}>{}",
        span.status.word(),
        time(span.queued),
        time(span.started),
        time(span.ended)
    );
    if span.attempts > 1 {
        let _ = write!(out, " x{}", span.attempts);
    }
    if span.kept {
        out.push_str(" kept");
    }
    info(span, out);
    for (word, payload) in [
        ("in", &span.input),
        ("out", &span.output),
        ("meta", &span.metadata),
    ] {
        if let Some(payload) = payload.as_ref().filter(|_| depth > 0 || word != "in") {
            let _ = write!(out, " {word} {}", payload.as_str());
        }
    }
    if let Some(error) = &span.error {
        let _ = write!(out, " {} {}: {}", error.code, error.name, error.message);
    }
    out.push('\n');
    span.children
        .iter()
        .for_each(|child| line(child, depth + 1, out));
}

fn info(span: &Span, out: &mut String) {
    let time = |at: Timestamp| at.ms() - START_MS;
    let id = |id: Option<Ulid>| id.and_then(Ulid::seq).map_or(0, |seq| seq.0);
    let _ = match &span.info {
        None | Some(StepInfo::Run(None)) => Ok(()),
        Some(StepInfo::Run(Some(kind))) => write!(out, " [{kind}]"),
        Some(StepInfo::Sleep(until)) => write!(out, " [sleep until {}]", time(*until)),
        Some(StepInfo::Event(w)) => write!(
            out,
            " [{} if {:?} until {} found {} timed out {:?}]",
            w.event,
            w.expression.as_deref().unwrap_or_default(),
            time(w.timeout),
            id(w.found),
            w.timed_out
        ),
        Some(StepInfo::Signal(w)) => {
            write!(
                out,
                " [signal {} until {} timed out {:?}]",
                w.signal,
                time(w.timeout),
                w.timed_out
            )
        }
        Some(StepInfo::Invoke(i)) => write!(
            out,
            " [{} by event {} as run {} returned {} timed out {:?}]",
            i.function,
            id(i.event),
            id(i.run),
            id(i.returned),
            i.timed_out
        ),
        Some(StepInfo::Request(r)) => {
            let tokens = r.usage.unwrap_or_default();
            write!(
                out,
                " [{} {} model {:?} tokens {:?} {:?}]",
                r.method, r.url, r.model, tokens.input_tokens, tokens.output_tokens
            )
        }
    };
}

#[test]
fn steps_that_ran_at_once_have_no_attempts_of_their_own() {
    let rows = [
        row(11, StepKind::Ran, 10, 30)
            .step("a")
            .says(r#"{"a":1}"#)
            .closes(),
        row(12, StepKind::Noted, 10, 30)
            .step("a")
            .says(r#"{"input":[1],"metadata":[{"kind":"k"}]}"#),
        row(13, StepKind::Failed, 11, 60)
            .step("b")
            .says(r#"{"message":"no","name":"TypeError"}"#),
    ];
    check(
        &run(Some((RunStatus::Completed, "7"))),
        &rows,
        r#"
        Check out COMPLETED 0>5>1000 out 7
          a COMPLETED 15>20>30 in [1] out {"a":1} meta [{"kind":"k"}]
          b FAILED 45>50>60 E0510 TypeError: no
        "#,
    );
}

#[test]
fn a_step_that_was_tried_again_has_its_attempts_as_children() {
    let failed = |seq, attempt, ended, due| {
        row(seq, StepKind::Retried, 10, ended)
            .step("a")
            .attempt(attempt)
            .due(due)
            .says(r#"{"message":"not yet"}"#)
    };
    let done = row(13, StepKind::Ran, 10, 300)
        .step("a")
        .attempt(2)
        .says("1")
        .closes();
    check(
        &run(None),
        &[failed(11, 1, 30, 100), failed(12, 2, 110, 200), done],
        "
        Check out RUNNING 0>20>-
          a COMPLETED 15>20>300 x3 out 1
            Attempt 1 FAILED 15>20>30 E0510 Error: not yet
            Attempt 2 FAILED 95>100>110 E0510 Error: not yet
            Attempt 3 COMPLETED 285>290>300 out 1
        ",
    );
    check(
        &run(None),
        &[failed(11, 1, 30, 900)],
        "
        Check out RUNNING 0>20>-
          a QUEUED 15>20>-
            Attempt 1 FAILED 15>20>30 E0510 Error: not yet
        ",
    );
}

#[test]
fn a_planned_step_tells_its_time_in_the_queue_from_its_time_at_work() {
    let planned = row(11, StepKind::Planned, 10, 30).step("p").closes();
    let mut failed = row(12, StepKind::Retried, 11, 200).attempt(1).due(210);
    failed.payload = json(r#"{"code":"E0505","message":"bad gateway","name":"Error"}"#);
    let done = row(13, StepKind::Ran, 11, 300)
        .step("p")
        .attempt(1)
        .says("1")
        .closes();
    check(
        &run(None),
        &[planned.clone(), failed, done],
        "
        Check out RUNNING 0>20>-
          p COMPLETED 30>190>300 x2 out 1
            Attempt 1 FAILED 185>190>200 E0505 Error: bad gateway
            Attempt 2 COMPLETED 285>290>300 out 1
        ",
    );
    check(
        &run(None),
        &[planned],
        "
        Check out RUNNING 0>20>-
          p QUEUED 30>->-
        ",
    );
}

#[test]
fn waits_say_what_they_wait_for_and_what_came() {
    let opened = [
        row(11, StepKind::Slept, 10, 30)
            .step("nap")
            .due(200)
            .closes(),
        row(12, StepKind::Waited, 10, 30)
            .step("paid")
            .due(900)
            .says(r#"{"event":"shop/paid","if":"async.data.n == 1","with":{}}"#),
        row(13, StepKind::Waited, 10, 30)
            .step("late")
            .due(250)
            .says(r#"{"event":"shop/late"}"#),
        row(14, StepKind::AwaitedSignal, 10, 30)
            .step("sig")
            .due(900)
            .says(r#"{"signal":"s"}"#),
    ];
    check(
        &run(None),
        &opened,
        r#"
        Check out RUNNING 0>20>-
          nap WAITING 30>30>- [sleep until 200]
          paid WAITING 30>30>- [shop/paid if "async.data.n == 1" until 900 found 0 timed out None]
          late WAITING 30>30>- [shop/late if "" until 250 found 0 timed out None]
          sig WAITING 30>30>- [signal s until 900 timed out None]
        "#,
    );
    let ended = [
        resolved(15, StepKind::Woke, 11, 200),
        resolved(16, StepKind::RanRaw, 12, 210)
            .says(r#"{"name":"shop/paid"}"#)
            .from(Source::Event(Seq(41))),
        resolved(17, StepKind::Woke, 13, 250),
    ];
    check(
        &run(Some((RunStatus::Cancelled, r#"{"reason":"request"}"#))),
        &[opened.to_vec(), ended.to_vec()].concat(),
        r#"
        Check out CANCELLED 0>5>1000
          nap COMPLETED 30>30>200 [sleep until 200]
          paid COMPLETED 30>30>210 [shop/paid if "async.data.n == 1" until 900 found 41 timed out Some(false)] out {"name":"shop/paid"}
          late COMPLETED 30>30>250 [shop/late if "" until 250 found 0 timed out Some(true)]
          sig CANCELLED 30>30>1000 [signal s until 900 timed out None]
        cancelled: Request
        "#,
    );
}

#[test]
fn an_invoked_run_is_linked_both_ways() {
    let opened = row(30, StepKind::Invoked, 10, 30)
        .step("call")
        .due(900)
        .says(r#"{"event":40,"function_id":"shop-child"}"#);
    let returned = resolved(31, StepKind::Ran, 30, 90)
        .says("5")
        .from(Source::Output(Seq(50)));
    check(
        &run(None),
        &[opened.clone(), returned],
        "
        Check out RUNNING 0>20>-
          call COMPLETED 30>30>90 [shop-child by event 40 as run 50 returned 32 timed out Some(false)] out 5
        ",
    );
    let late = r#"{"code":"E0527","message":"Timed out","name":"InngestInvokeTimeoutError"}"#;
    let ran_out = resolved(33, StepKind::Failed, 30, 900).says(late);
    check(
        &run(None),
        &[opened.clone(), ran_out],
        "
        Check out RUNNING 0>20>-
          call FAILED 30>30>900 [shop-child by event 40 as run 50 returned 0 timed out Some(true)] E0527 InngestInvokeTimeoutError: Timed out
        ",
    );
    let failed = resolved(31, StepKind::Failed, 30, 90).says(r#""broken""#);
    check(
        &run(None),
        &[opened, failed],
        "
        Check out RUNNING 0>20>-
          call FAILED 30>30>90 [shop-child by event 40 as run 50 returned 32 timed out Some(false)] E0511 Error: broken
        ",
    );
}

#[test]
fn the_input_of_a_batch_is_all_of_its_events_in_order() {
    let parent = ulid_for(at(0), Seq(7));
    let invoked = format!(r#"{{"_inngest":{{"correlation_id":"{parent}.id-call"}}}}"#);
    let events = [
        event("shop/order", r#"{"n":1}"#),
        event("inngest/function.invoked", &invoked),
    ];
    let drawn = |events: &[Arc<Event>]| {
        let known = Known {
            function: "many",
            events,
            original: None,
            links: &Links::default(),
            now: at(0),
        };
        draw(&run(None), &[], &known)
    };
    let [first, second] = events.each_ref().map(|event| event.json());
    let both = format!(
        "[{},{}]",
        String::from_utf8_lossy(&first),
        String::from_utf8_lossy(&second)
    );
    let batch = drawn(&events);
    assert_eq!(batch.root.input, Some(Payload::from_json(both)));
    assert_eq!(batch.parent.map(|parent| parent.run), Some(parent));
    let one = drawn(&events[..1]);
    assert_eq!(one.root.input, Some(Payload::from_json(first)));
    assert_eq!(drawn(&[]).root.input, None);
}

#[test]
fn a_run_names_the_step_that_invoked_it() {
    let parent = ulid_for(at(0), Seq(7));
    let data = format!(r#"{{"_inngest":{{"correlation_id":"{parent}.id-call"}}}}"#);
    let find = |name: &str| {
        let trigger = event(name, &data);
        let known = Known {
            function: "child",
            events: &[Arc::clone(&trigger)],
            original: Some(ulid_for(at(0), Seq(3))),
            links: &Links::default(),
            now: at(0),
        };
        draw(&run(None), &[], &known)
    };
    let child = find("inngest/function.invoked");
    let link = child.parent.expect("a parent");
    assert_eq!((link.run, link.step), (parent, StepId::new("id-call")));
    assert_eq!(child.original, Some(ulid_for(at(0), Seq(3))));
    assert_eq!(find("shop/order").parent, None, "users may send such data");
}

#[test]
fn requests_show_where_they_went_and_what_they_took() {
    let rows = [
        row(11, StepKind::Requested, 10, 30)
            .step("ask")
            .says(r#"{"format":"openai-chat","method":"POST","model":"m","url":"https://ai/v1"}"#),
        row(12, StepKind::Retried, 11, 60)
            .attempt(1)
            .due(70)
            .says(r#"{"code":"E0526","name":"AIGatewayError","message":"429"}"#),
        row(13, StepKind::Ran, 11, 120)
            .attempt(1)
            .says(r#"{"usage":{"input_tokens":3,"output_tokens":4}}"#)
            .closes(),
    ];
    check(
        &run(None),
        &rows,
        r#"
        Check out RUNNING 0>20>-
          ask COMPLETED 30>50>120 x2 [POST https://ai/v1 model Some("m") tokens Some(3) Some(4)] out {"usage":{"input_tokens":3,"output_tokens":4}}
            Attempt 1 FAILED 45>50>60 E0526 AIGatewayError: 429
            Attempt 2 COMPLETED 105>110>120 out {"usage":{"input_tokens":3,"output_tokens":4}}
        "#,
    );
}

#[test]
fn calls_that_failed_before_any_step_are_shown_with_the_error_that_ended_the_run() {
    let failed = row(11, StepKind::Retried, 10, 30)
        .attempt(1)
        .due(100)
        .says(r#"{"message":"broken","name":"TypeError"}"#);
    let refused = r#"{"code":"E0507","message":"not supported","name":"OperationNotSupported"}"#;
    check(
        &run(Some((RunStatus::Failed, refused))),
        std::slice::from_ref(&failed),
        "
        Check out FAILED 0>5>1000 x2 E0507 OperationNotSupported: not supported
          function FAILED 15>20>1000 x2 E0507 OperationNotSupported: not supported
            Attempt 1 FAILED 15>20>30 E0511 TypeError: broken
            Attempt 2 FAILED ->->1000 E0507 OperationNotSupported: not supported
        ",
    );
    let done = row(12, StepKind::Ran, 10, 130)
        .step("a")
        .attempt(1)
        .says("1")
        .closes();
    check(
        &run(None),
        &[failed, done],
        "
        Check out RUNNING 0>20>- x2
          function COMPLETED 15>20>130 x2
            Attempt 1 FAILED 15>20>30 E0511 TypeError: broken
            Attempt 2 COMPLETED 115>120>130
          a COMPLETED 115>120>130 out 1
        ",
    );
}

#[test]
fn a_repeat_shows_what_it_took_over_and_what_it_was_given() {
    let mut kept = row(11, StepKind::Ran, 0, 3).step("a").says("1");
    let mut given = row(12, StepKind::Given, 0, 3).step("b").says("[2]");
    let mut planned = row(13, StepKind::Planned, 10, 3).step("b").closes();
    for row in [&mut kept, &mut given, &mut planned] {
        (row.queued, row.started) = (Timestamp::ZERO, Timestamp::ZERO);
    }
    let done = row(14, StepKind::Ran, 13, 40).step("b").says("4").closes();
    check(
        &run(None),
        &[kept, given, planned, done],
        "
        Check out RUNNING 0>30>-
          a COMPLETED ->->- kept out 1
          b COMPLETED 3>30>40 in [2] out 4
        ",
    );
}

#[test]
fn what_is_no_step_is_not_drawn_and_reasons_are_told_instead_of_outputs() {
    let kinds = [
        StepKind::CancelOn,
        StepKind::StartTimeout,
        StepKind::FinishTimeout,
        StepKind::Idle,
        StepKind::Asked,
        StepKind::Redispatched,
        StepKind::Stopped,
    ];
    let rows: Vec<StepRow> = kinds
        .into_iter()
        .enumerate()
        .map(|(n, kind)| StepRow {
            started: Timestamp::ZERO,
            ..row(11 + n as u64, kind, 10, 30)
        })
        .collect();
    for (output, reason) in [
        (
            r#"{"reason":"event","event":"01J"}"#,
            r#"Event(Some("01J"))"#,
        ),
        (r#"{"reason":"timeouts.start"}"#, "StartTimeout"),
        (r#"{"reason":"timeouts.finish"}"#, "FinishTimeout"),
        ("null", "Request"),
    ] {
        check(
            &run(Some((RunStatus::Cancelled, output))),
            &rows,
            &format!("Check out CANCELLED 0>5>1000\ncancelled: {reason}"),
        );
    }
    check(
        &run(Some((RunStatus::Skipped, r#"{"reason":"FunctionPaused"}"#))),
        &[],
        "Check out SKIPPED 0>5>1000\nskipped: FunctionPaused",
    );
}

#[test]
fn an_open_step_names_the_item_that_goes_on_with_it_until_it_ends() {
    let planned = row(11, StepKind::Planned, 0, 10).step("a");
    let failed = row(12, StepKind::Retried, 11, 30).due(5000).attempt(1);
    let done = row(13, StepKind::Ran, 11, 60).step("a").closes();
    let inline = row(14, StepKind::Retried, RUN, 70)
        .step("b")
        .due(5000)
        .attempt(1);
    let mut rows = vec![planned, failed];
    let items = |rows: &[StepRow]| -> Vec<Option<Seq>> {
        let trace = drawn(&run(None), rows);
        trace.root.children.iter().map(|span| span.item).collect()
    };
    assert_eq!(items(&rows), [Some(Seq(11))]);
    rows.extend([done, inline]);
    assert_eq!(items(&rows), [None, Some(Seq(RUN))]);
}
