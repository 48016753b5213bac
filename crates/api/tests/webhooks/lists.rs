//! Lists of messages and attempts.

use serde_json::json;

use crate::harness::{BODY, EP, MSG, server};

#[tokio::test]
async fn messages_are_walked_newest_first_and_back_again() {
    let server = server().await;
    server.source().await;
    for at in 0..5 {
        server.webhook(&format!("evt-{at}"), BODY).await;
    }
    let ids = |reply: &crate::harness::Reply| -> Vec<String> {
        let data = reply.json()["data"].as_array().unwrap().clone();
        data.iter()
            .map(|one| one["eventId"].as_str().unwrap().to_owned())
            .collect()
    };
    let first = server.get(&format!("{MSG}?limit=2")).await;
    assert_eq!(ids(&first), ["evt-4", "evt-3"]);
    assert_eq!(first.json()["done"], false);
    let next = first.json()["iterator"].as_str().unwrap().to_owned();
    let second = server.get(&format!("{MSG}?limit=3&iterator={next}")).await;
    assert_eq!(ids(&second), ["evt-2", "evt-1", "evt-0"]);
    assert_eq!(second.json()["done"], true);
    let back = second.json()["prevIterator"].as_str().unwrap().to_owned();
    let back = server.get(&format!("{MSG}?limit=2&iterator={back}")).await;
    assert_eq!(ids(&back), ["evt-4", "evt-3"]);
    let last = second.json()["iterator"].as_str().unwrap().to_owned();
    let past = server.get(&format!("{MSG}?iterator={last}")).await.json();
    assert_eq!(
        past,
        json!({"data": [], "iterator": null, "prevIterator": null, "done": true})
    );
}

#[tokio::test]
async fn messages_are_filtered_and_their_content_left_out_when_asked() {
    let server = server().await;
    server.source().await;
    server.webhook("evt-1", BODY).await;
    server.webhook("evt-2", r#"{"type":"refund.failed"}"#).await;
    let count = async |query: &str| {
        let listed = server
            .get(&format!("{MSG}?{query}"))
            .await
            .is(200, "")
            .json();
        listed["data"].as_array().unwrap().len()
    };
    assert_eq!(count("event_types=refund.failed").await, 1);
    assert_eq!(
        count("event_types=refund.failed,payment.succeeded").await,
        2
    );
    assert_eq!(count("after=2199-01-01T00:00:00Z").await, 0);
    assert_eq!(count("channel=eu").await, 0);
    let bare = server
        .get(&format!("{MSG}?with_content=false"))
        .await
        .json();
    assert_eq!(bare["data"][0]["payload"], json!({}));
    server
        .get(&format!("{MSG}?limit=251"))
        .await
        .is(422, "E0100");
    server.get(&format!("{MSG}/evt-1")).await.is(200, "");
    server
        .get(&format!("{MSG}/msg_1srOrx2ZWZBpBUvZwXKQmoEYga2"))
        .await
        .is(404, "E0102");
}

#[tokio::test]
async fn attempts_tell_what_a_cancelled_and_a_failed_delivery_came_to() {
    let server = server().await;
    server.source().await;
    let with = |code: &str| json!({"integration": "inngest", "transformation": {"code": code}});
    let cancels = "function handler(w) { console.log('no'); w.cancel = true; return w; }";
    let cancels = server.endpoint(with(cancels)).await;
    let throws = server
        .endpoint(with("function handler(w) { throw new Error('broken'); }"))
        .await;
    let message = server.webhook("evt-1", BODY).await;
    server.node.idle().await;
    let list = format!("/api/v1/app/default/attempt/msg/{message}");
    let told = async |query: &str| {
        server
            .get(&format!("{list}?{query}"))
            .await
            .is(200, "")
            .json()
    };

    let both = told("expanded_statuses=true&with_msg=true&order=ascending").await["data"].clone();
    let of = |endpoint: &str| {
        let found = both
            .as_array()
            .unwrap()
            .iter()
            .find(|one| one["endpointId"] == endpoint);
        found.unwrap().clone()
    };
    assert_eq!(of(&cancels)["status"], 4);
    assert_eq!(of(&cancels)["logs"], json!(["no"]));
    let failed = of(&throws);
    assert_eq!(
        (&failed["status"], &failed["responseStatusCode"]),
        (&json!(2), &json!(0))
    );
    assert!(
        failed["response"]
            .as_str()
            .unwrap()
            .contains("transformation error: Error: broken")
    );
    assert!(failed["nextAttempt"].is_string());
    assert_eq!(failed["msg"]["id"], message);

    let failures = told("status=2").await;
    assert_eq!(failures["data"].as_array().unwrap().len(), 1);
    let of_one = told(&format!("endpoint_id={cancels}")).await["data"].clone();
    assert_eq!(
        (of_one.as_array().unwrap().len(), &of_one[0]["status"]),
        (1, &json!(0))
    );

    for path in [
        format!("{MSG}/{message}/endpoint"),
        format!("{EP}/{cancels}/msg"),
    ] {
        for (expanded, status, text) in [(false, 0, "success"), (true, 4, "canceled")] {
            let path = format!("{path}?expanded_statuses={expanded}");
            let shown = server.get(&path).await.is(200, "").json();
            let shown = shown["data"].as_array().unwrap().iter();
            let shown: Vec<_> = shown
                .map(|one| (&one["status"], &one["statusText"]))
                .collect();
            assert!(shown.contains(&(&json!(status), &json!(text))), "{path}");
        }
    }

    let id = failed["id"].as_str().unwrap();
    let one = server
        .get(&format!("{MSG}/{message}/attempt/{id}"))
        .await
        .is(200, "")
        .json();
    assert_eq!(
        (&one["id"], &one["errorCode"]),
        (&failed["id"], &json!("E0605"))
    );
    server.delete(&format!("{EP}/{throws}")).await.is(204, "");
    let gone = server
        .get(&format!("{MSG}/{message}/attempt/{id}"))
        .await
        .is(200, "")
        .json();
    assert_eq!(gone["endpointId"], throws, "ids of endpoints outlive them");
}
