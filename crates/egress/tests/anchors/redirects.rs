//! S12: a redirect is an answer like any other.

use http::HeaderValue;

use crate::server::serve_answers;
use crate::{client, open, post, with_body};

#[tokio::test]
async fn no_redirect_is_followed_wherever_it_leads() {
    let elsewhere = serve_answers(with_body(b"secret")).await;
    let port = elsewhere.address.port();
    let places = [
        format!("http://127.0.0.1:{port}/latest/meta-data"),
        format!("http://other.example:{port}/"),
        format!("//127.0.0.1:{port}/"),
        "http://169.254.169.254/".to_owned(),
        "file:///etc/passwd".to_owned(),
        "/elsewhere".to_owned(),
    ];
    for status in [300, 301, 302, 303, 307, 308] {
        for place in &places {
            let server = serve_answers(format!(
                "HTTP/1.1 {status} Moved\r\nlocation: {place}\r\nrefresh: 0;url={place}\r\n\
                 content-length: 0\r\n\r\n"
            ))
            .await;
            let mut request = post(&server.url("/"), &open());
            request.is_idempotent = true;
            let signature = HeaderValue::from_static("v1,c2lnbmF0dXJl");
            request.headers.insert("webhook-signature", signature);
            let response = client().send(request).await.unwrap();
            assert_eq!(response.status.as_u16(), status);
            assert_eq!(response.headers["location"], place.as_str());
            assert_eq!(server.connections(), 1, "{status} {place}");
        }
    }
    assert_eq!(elsewhere.connections(), 0);
}
