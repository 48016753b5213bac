//! Apps and servers come into step, in both modes, both ways, and over changes of everything.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod app;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use dunlin_api::{Api, ApiOptions};
use dunlin_engine::config::AppRow;
use dunlin_node::{Discovery, Node, NodeOptions, Running, ServerKind, SyncOutcome, sync_app};
use dunlin_store::{MemoryStore, Page, Store};
use dunlin_types::{Code, EventOrigin, NewEvent, Payload, Seq};
use dunlin_wire::sign::SigningKey;
use http::Request;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use app::{App, Setup, cloud, dev, key};

const OLD: &str = "0123456789abcdef";
const NEW: &str = "fedcba9876543210";

struct Server {
    running: Running,
    node: Node,
    router: Router,
}

async fn server(key: Option<SigningKey>) -> Server {
    server_on(Arc::new(MemoryStore::new()), key).await
}

/// In production mode with a key, in development without.
async fn server_on(store: Arc<dyn Store>, key: Option<SigningKey>) -> Server {
    let mut options = NodeOptions::dev(PathBuf::from("unused"));
    let mut api = ApiOptions::dev("127.0.0.1:8288".parse().unwrap());
    if let Some(key) = key.map(Arc::new) {
        (options.kind, api.kind) = (ServerKind::Cloud, ServerKind::Cloud);
        options.signing_key = Some(Arc::clone(&key));
        api.signing_key = Some(key);
    }
    options.retry_interval_ms = Some(0);
    let running = dunlin_node::start(options, store).await.unwrap();
    let node = running.node();
    let router = dunlin_api::router(Api::new(node.clone(), api));
    Server {
        running,
        node,
        router,
    }
}

impl Server {
    /// Registers by a request, as the app would; the reply.
    async fn register(&self, app: &App, token: &str) -> (u16, Value) {
        let request = Request::post("/fn/register")
            .header("host", "localhost:8288")
            .header("authorization", format!("Bearer {token}"))
            .body(Body::from(format!("{:#}", app.registration())));
        let response = self.router.clone().oneshot(request.unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (
            parts.status.as_u16(),
            serde_json::from_slice(&body).unwrap_or_default(),
        )
    }

    #[track_caller]
    fn expect_failure(outcome: SyncOutcome, code: Code, word: &str) {
        match outcome {
            SyncOutcome::Failed(found, why) => {
                assert_eq!(found, code, "{why}");
                assert!(why.contains(word), "{why}");
            }
            SyncOutcome::Synced => panic!("it synced"),
        }
    }

    async fn apps(&self) -> Vec<AppRow> {
        self.node.idle().await;
        let apps = self.node.read(|reader| reader.apps()).await.unwrap();
        apps.into_iter().filter(|app| !app.is_vacant()).collect()
    }

    /// Slugs of functions that are registered now.
    async fn functions(&self) -> Vec<String> {
        let read = self
            .node
            .read(|reader| reader.functions_at(Seq(u64::MAX >> 1)));
        let live = read.await.unwrap().into_iter();
        live.filter(|f| f.archived.is_none())
            .map(|f| f.slug)
            .collect()
    }

    /// Sends the event `go`; how the runs that it started ended.
    async fn go(&self) -> Vec<String> {
        let event = NewEvent {
            name: "go".to_owned(),
            data: Payload::empty_object(),
            user: None,
            id: None,
            seeded: None,
            ts: None,
            v: None,
            origin: EventOrigin::Api,
            ts_delays: true,
        };
        let id = self.node.append_events(vec![event]).await.unwrap()[0];
        self.node.idle().await;
        let event = id.seq().unwrap();
        let read = self
            .node
            .read(move |reader| reader.runs_of_event(event, Page::newest(10)));
        let runs = read.await.unwrap().into_iter();
        runs.map(|run| {
            run.end
                .map_or("live".to_owned(), |end| format!("{:?}", end.status))
        })
        .collect()
    }
}

#[tokio::test]
async fn an_app_that_cannot_reach_the_server_registers_in_its_answer() {
    for (key_of_server, setup) in [(None, dev()), (Some(key(OLD)), cloud(&[OLD]))] {
        let server = server(key_of_server).await;
        let app = App::start(setup).await;
        assert_eq!(sync_app(&server.node, &app.url).await, SyncOutcome::Synced);
        assert_eq!(server.functions().await, ["shop-f"]);
        assert_eq!(server.go().await, ["Completed"]);
        // The same registration by request is no other one.
        let (status, reply) = server.register(&app, OLD).await;
        assert_eq!(
            (status, &reply["modified"]),
            (200, &json!(false)),
            "{reply}"
        );
        let version = server.apps().await[0].synced;
        assert_eq!(sync_app(&server.node, &app.url).await, SyncOutcome::Synced);
        assert_eq!(server.apps().await[0].synced, version);
    }
}

#[tokio::test]
async fn an_app_that_will_not_register_in_its_answer_does_so_by_a_request() {
    let server = server(Some(key(OLD))).await;
    let setup = Setup {
        in_band: false,
        server: Some(server.router.clone()),
        ..cloud(&[OLD])
    };
    let app = App::start(setup).await;
    assert_eq!(sync_app(&server.node, &app.url).await, SyncOutcome::Synced);
    assert_eq!(server.functions().await, ["shop-f"]);
    // Cut off, it says so, and keeps what it had.
    app.deploy(|setup| setup.server = None);
    let outcome = sync_app(&server.node, &app.url).await;
    Server::expect_failure(outcome, Code::AppElsewhere, "INNGEST_BASE_URL");
    assert_eq!(server.go().await, ["Completed"]);
}

#[tokio::test]
async fn an_app_that_registers_with_another_server_is_not_taken_for_synced() {
    let (server, other) = (server(None).await, server(None).await);
    let setup = Setup {
        in_band: false,
        server: Some(other.router.clone()),
        ..dev()
    };
    let app = App::start(setup).await;
    let outcome = sync_app(&server.node, &app.url).await;
    Server::expect_failure(outcome, Code::AppElsewhere, "registered_elsewhere");
    assert_eq!(other.functions().await, ["shop-f"]);
}

#[tokio::test]
async fn what_keeps_an_app_from_syncing_is_kept_with_it_until_it_syncs() {
    let production = || Some(key(OLD));
    for (key_of_server, setup, code, remedy) in [
        (
            None,
            cloud(&[OLD]),
            Code::ServerKindDiffers,
            "INNGEST_DEV=1",
        ),
        (
            production(),
            dev(),
            Code::ServerKindDiffers,
            "INNGEST_DEV=0",
        ),
        (
            production(),
            cloud(&[NEW]),
            Code::SyncKeyWrong,
            "INNGEST_SIGNING_KEY",
        ),
    ] {
        let right = match key_of_server {
            None => dev(),
            Some(_) => cloud(&[OLD]),
        };
        let server = server(key_of_server).await;
        let app = App::start(setup).await;
        let outcome = sync_app(&server.node, &app.url).await;
        Server::expect_failure(outcome, code, remedy);
        let apps = server.apps().await;
        assert_eq!(apps[0].error.as_ref().map(|(code, _)| *code), Some(code));
        assert!(server.functions().await.is_empty());

        app.deploy(|setup| *setup = right);
        assert_eq!(sync_app(&server.node, &app.url).await, SyncOutcome::Synced);
        let apps = server.apps().await;
        assert_eq!((apps.len(), apps[0].error.clone()), (1, None));
    }
}

#[tokio::test]
async fn functions_that_are_not_valid_are_named_whichever_way_they_come() {
    let server = server(None).await;
    for in_band in [true, false] {
        let setup = Setup {
            in_band,
            functions: vec!["f", "f"],
            server: Some(server.router.clone()),
            ..dev()
        };
        let app = App::start(setup).await;
        let outcome = sync_app(&server.node, &app.url).await;
        Server::expect_failure(outcome, Code::FunctionBad, "shop-f: the id occurs twice");
    }
}

#[tokio::test]
async fn keys_are_exchanged_without_a_gap() {
    let store = Arc::new(MemoryStore::new());
    let mut server = server_on(store.clone(), Some(key(OLD))).await;
    let app = App::start(cloud(&[OLD])).await;
    let both_ways = async |server: &Server, stage: &str| {
        for in_band in [true, false] {
            app.deploy(|setup| {
                setup.in_band = in_band;
                setup.server = Some(server.router.clone());
            });
            let outcome = sync_app(&server.node, &app.url).await;
            assert_eq!(outcome, SyncOutcome::Synced, "{stage}, in band: {in_band}");
        }
        assert_eq!(server.go().await, ["Completed"], "{stage}");
    };
    both_ways(&server, "before").await;
    // The app first: it has the old key as its first one, and knows the new one.
    app.deploy(|setup| setup.keys = vec![OLD, NEW]);
    both_ways(&server, "the app knows both").await;
    for (stage, key) in [
        ("the server has changed", key(NEW).with_fallback(key(OLD))),
        ("the server has only the new one", key(NEW)),
    ] {
        server.running.stop(Duration::from_secs(5)).await;
        server = server_on(store.clone(), Some(key)).await;
        both_ways(&server, stage).await;
    }
    app.deploy(|setup| setup.keys = vec![NEW, OLD]);
    both_ways(&server, "the app has changed").await;
    app.deploy(|setup| setup.keys = vec![NEW]);
    both_ways(&server, "after").await;
    let (status, _) = server.register(&app, OLD).await;
    assert_eq!(status, 401);
}

#[tokio::test]
async fn a_restart_needs_no_registration() {
    let store = Arc::new(MemoryStore::new());
    let server = server_on(store.clone(), None).await;
    let app = App::start(dev()).await;
    sync_app(&server.node, &app.url).await;
    server.running.stop(Duration::from_secs(5)).await;
    let server = server_on(store, None).await;
    assert_eq!(server.go().await, ["Completed"]);
    let (_, reply) = server.register(&app, "").await;
    assert_eq!(reply["modified"], false);
}

#[tokio::test]
async fn a_named_app_that_was_down_is_in_step_once_it_is_up() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/api/inngest", listener.local_addr().unwrap());
    let address = listener.local_addr().unwrap();
    drop(listener);
    let server = server(Some(key(OLD))).await;
    let discovery = Discovery {
        sdk_urls: vec![url.clone()],
        discover: false,
        poll_interval: Duration::from_millis(5),
    };
    let polling = tokio::spawn(discovery.run(server.node.clone()));
    let mut apps = server.node.apps();
    let unreachable = |apps: &Arc<Vec<AppRow>>| {
        let error = apps.first().and_then(|app| app.error.as_ref());
        error.is_some_and(|(_, why)| why.starts_with("unreachable"))
    };
    apps.wait_for(unreachable).await.unwrap();
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    let app = App::at(listener, cloud(&[OLD]));
    assert_eq!(app.url, url);
    let in_step = |apps: &Arc<Vec<AppRow>>| {
        apps.iter()
            .any(|app| app.name == "shop" && app.error.is_none())
    };
    apps.wait_for(in_step).await.unwrap();
    polling.abort();
    assert_eq!(server.apps().await.len(), 1);
    assert_eq!(server.go().await, ["Completed"]);
}

#[tokio::test]
async fn an_app_that_is_renamed_during_development_leaves_no_functions_behind() {
    let server = server(None).await;
    let app = App::start(dev()).await;
    sync_app(&server.node, &app.url).await;
    app.deploy(|setup| setup.name = "store");
    sync_app(&server.node, &app.url).await;
    assert_eq!(server.functions().await, ["store-f"]);
    app.deploy(|setup| setup.name = "shop");
    sync_app(&server.node, &app.url).await;
    assert_eq!(server.functions().await, ["shop-f"]);
}

#[tokio::test]
async fn an_app_that_is_renamed_in_production_keeps_its_functions() {
    let server = server(Some(key(OLD))).await;
    let app = App::start(cloud(&[OLD])).await;
    sync_app(&server.node, &app.url).await;
    app.deploy(|setup| setup.name = "store");
    sync_app(&server.node, &app.url).await;
    assert_eq!(server.functions().await, ["shop-f", "store-f"]);
    let (_, reply) = server.register(&app, OLD).await;
    let warning = reply["warnings"][0].as_str().unwrap();
    assert!(warning.contains("the app shop"), "{warning}");
}

#[tokio::test]
async fn the_reply_says_what_changed() {
    let server = server(None).await;
    let app = App::start(dev()).await;
    let (_, reply) = server.register(&app, "").await;
    assert_eq!(reply["changes"]["newApp"], true, "{reply}");
    app.deploy(|setup| setup.functions = vec!["g"]);
    let (_, reply) = server.register(&app, "").await;
    let expected = json!({
        "newApp": false,
        "app": [],
        "functions": [
            {"id": "shop-g", "change": "added"},
            {"id": "shop-f", "change": "removed"},
        ],
        "text": "added shop-g; removed shop-f",
    });
    assert_eq!(reply["changes"], expected);
}
