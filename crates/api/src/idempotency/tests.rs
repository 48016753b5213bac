//! What is kept, for whom, and for how long.

use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Json;
use http::Request as HttpRequest;
use http_body_util::BodyExt as _;
use serde_json::json;
use tokio::sync::Notify;

use super::*;

const AT: Timestamp = Timestamp::from_ms(1_800_000_000_000);

fn key(n: u8) -> DedupeKey {
    DedupeKey([n; 16])
}

async fn text(response: Response) -> String {
    let body = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

/// Counts how often it is asked, and answers with the count.
#[derive(Clone, Default)]
struct Handler(Arc<AtomicUsize>);

impl Handler {
    async fn answer(self, status: StatusCode) -> Response {
        let count = self.0.fetch_add(1, Ordering::Relaxed) + 1;
        (status, Json(json!({ "count": count }))).into_response()
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

#[tokio::test]
async fn a_good_answer_is_given_again_for_twelve_hours() {
    let (answers, handler) = (Answers::default(), Handler::default());
    let ask = |now: Timestamp| {
        let answer = handler.clone().answer(StatusCode::CREATED);
        answers.once(key(1), now, answer)
    };
    for later_ms in [0, 1, limits::IDEMPOTENCY_KEY_MS - 1] {
        let response = ask(AT.plus_ms(later_ms)).await;
        assert_eq!(response.status(), StatusCode::CREATED);
        assert_eq!(response.headers()["content-type"], "application/json");
        assert_eq!(text(response).await, r#"{"count":1}"#);
    }
    let response = ask(AT.plus_ms(limits::IDEMPOTENCY_KEY_MS)).await;
    assert_eq!(text(response).await, r#"{"count":2}"#);
}

#[tokio::test]
async fn a_refusal_is_not_kept() {
    let (answers, handler) = (Answers::default(), Handler::default());
    for status in [400, 409, 500, 200, 200] {
        let status = StatusCode::from_u16(status).unwrap();
        answers
            .once(key(1), AT, handler.clone().answer(status))
            .await;
    }
    assert_eq!(handler.count(), 4);
}

#[tokio::test]
async fn a_twin_waits_for_the_first_and_gets_its_answer() {
    let (answers, handler) = (Answers::default(), Handler::default());
    let go_on = Arc::new(Notify::new());
    let slow = {
        let (handler, go_on) = (handler.clone(), Arc::clone(&go_on));
        async move {
            go_on.notified().await;
            handler.answer(StatusCode::OK).await
        }
    };
    let first = answers.once(key(1), AT, slow);
    let second = answers.once(key(1), AT, handler.clone().answer(StatusCode::OK));
    let other = async {
        let other = answers.once(key(2), AT, handler.clone().answer(StatusCode::ACCEPTED));
        assert_eq!(other.await.status(), StatusCode::ACCEPTED);
        go_on.notify_one();
    };
    let (first, second, ()) = tokio::join!(first, second, other);
    assert_eq!(text(first).await, text(second).await);
    assert_eq!(handler.count(), 2);
}

#[tokio::test]
async fn a_twin_of_a_refused_request_is_answered_itself() {
    let (answers, handler) = (Answers::default(), Handler::default());
    let first = answers.once(key(1), AT, handler.clone().answer(StatusCode::CONFLICT));
    let second = answers.once(key(1), AT, handler.clone().answer(StatusCode::OK));
    let (first, second) = tokio::join!(first, second);
    assert_eq!(
        (first.status().as_u16(), second.status().as_u16()),
        (409, 200)
    );
}

#[tokio::test]
async fn nobody_waits_for_ever() {
    let answers = Answers::default();
    let first = tokio::spawn({
        let answers = answers.clone();
        async move { answers.once(key(1), AT, std::future::pending()).await }
    });
    tokio::task::yield_now().await;
    let second = answers.once_within(Duration::ZERO, key(1), AT, std::future::pending());
    assert_eq!(second.await.status(), StatusCode::CONFLICT);
    first.abort();
}

#[tokio::test]
async fn who_hangs_up_finds_the_answer_on_coming_back() {
    let (answers, handler) = (Answers::default(), Handler::default());
    let (began, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let slow = {
        let (handler, began, go_on) = (handler.clone(), Arc::clone(&began), Arc::clone(&go_on));
        async move {
            began.notify_one();
            go_on.notified().await;
            handler.answer(StatusCode::OK).await
        }
    };
    let first = tokio::spawn({
        let answers = answers.clone();
        async move { answers.once(key(1), AT, slow).await }
    });
    began.notified().await;
    first.abort();
    go_on.notify_one();
    let again = answers.once(key(1), AT, handler.clone().answer(StatusCode::OK));
    assert_eq!(text(again.await).await, r#"{"count":1}"#);
    assert_eq!(handler.count(), 1);
}

#[tokio::test]
async fn what_is_kept_is_bounded() {
    let answers = Answers::default();
    let large = |bytes: usize| async move { "x".repeat(bytes).into_response() };
    let most = limits::IDEMPOTENT_ANSWER_BYTES_MAX;
    answers.once(key(1), AT, large(most + 1)).await;
    assert!(answers.lock().entries.is_empty());
    for n in 0..600_u64 {
        let key = DedupeKey::new(b"many", &n.to_be_bytes());
        answers.once(key, AT, large(most)).await;
    }
    let inner = answers.lock();
    assert!(inner.bytes <= limits::IDEMPOTENT_ANSWERS_BYTES_MAX);
    assert!(inner.bytes > limits::IDEMPOTENT_ANSWERS_BYTES_MAX - 2 * most);
    assert_eq!(inner.entries.len(), inner.order.len());
}

#[test]
fn a_key_counts_for_one_sender_and_one_request() {
    let key = |auth: &str, key: &str, method: &str, path: &str| {
        let request = HttpRequest::builder().method(method).uri(path);
        let request = request.header("authorization", auth).header(HEADER, key);
        idempotency_key(&request.body(()).unwrap().into_parts().0)
    };
    let one = key("Bearer a", "k", "POST", "/app");
    assert!(one.is_some());
    assert_eq!(one, key("Bearer a", "k", "POST", "/app"));
    for other in [
        key("Bearer b", "k", "POST", "/app"),
        key("Bearer a", "l", "POST", "/app"),
        key("Bearer a", "k", "PUT", "/app"),
        key("Bearer a", "k", "POST", "/app?x=1"),
    ] {
        assert_ne!(one, other);
    }
    assert_eq!(key("Bearer a", "", "POST", "/app"), None);
}
