//! `dunlin connect-dodo` against a server of its own and a stand-in for Dodo's API.

use std::sync::{Arc, Mutex};

use super::*;

const KEY: &str = "dodo-test-key";
const SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";

/// What Dodo knows, and what it was asked.
#[derive(Default)]
struct State {
    webhooks: Vec<(String, bool)>,
    asked: Vec<String>,
}

/// Dodo's API, as far as webhooks go; it ends with the process.
struct Dodo {
    url: String,
    state: Arc<Mutex<State>>,
}

impl Dodo {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                answer(stream.unwrap(), &shared);
            }
        });
        Self { url, state }
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().asked)
    }
}

fn answer(stream: TcpStream, state: &Mutex<State>) {
    let mut reader = BufReader::new(stream);
    let (mut head, mut line) = (String::new(), String::new());
    while reader.read_line(&mut line).unwrap() > 2 {
        head.push_str(&std::mem::take(&mut line).to_ascii_lowercase());
    }
    let field = |name: &str| {
        head.split(&format!("\r\n{name}: "))
            .nth(1)?
            .split("\r\n")
            .next()
    };
    let length = field("content-length").map_or(0, |n| n.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let asked = head.split(" http/1.1").next().unwrap().to_owned();
    let body = String::from_utf8(body).unwrap();
    let (status, told) = match field("authorization") {
        Some(key) if key == format!("bearer {KEY}") => state.lock().unwrap().told(&asked, &body),
        _ => (
            401,
            r#"{"code":"UNAUTHORIZED","message":"the key is wrong"}"#.to_owned(),
        ),
    };
    state.lock().unwrap().asked.push(asked);
    let length = told.len();
    let head =
        format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
    reader
        .get_mut()
        .write_all((head + &told).as_bytes())
        .unwrap();
}

impl State {
    fn shown(&self, n: usize) -> String {
        let (url, disabled) = &self.webhooks[n];
        format!(r#"{{"id":"whk_{n}","url":"{url}","disabled":{disabled}}}"#)
    }

    /// Pages of one, so that following them is seen.
    fn told(&mut self, asked: &str, body: &str) -> (u16, String) {
        let (method, path) = asked.split_once(' ').unwrap();
        let page = path
            .split("iterator=")
            .nth(1)
            .map_or(0, |n| n.parse().unwrap());
        let told = match method {
            "get" if path.ends_with("/secret") => format!(r#"{{"secret":"{SECRET}"}}"#),
            "get" if page < self.webhooks.len() => {
                let (one, next) = (self.shown(page), page + 1);
                format!(r#"{{"data":[{one}],"iterator":"{next}","done":false}}"#)
            }
            "get" => r#"{"data":[],"iterator":"","done":true}"#.to_owned(),
            "post" => {
                self.webhooks.push((url_in(body).unwrap(), false));
                self.shown(self.webhooks.len() - 1)
            }
            _ => {
                assert!(body.contains(r#""disabled":false"#), "{asked} {body}");
                let n: usize = path.rsplit('_').next().unwrap().parse().unwrap();
                self.webhooks[n].1 = false;
                if let Some(url) = url_in(body) {
                    self.webhooks[n].0 = url;
                }
                self.shown(n)
            }
        };
        (200, told)
    }
}

fn url_in(body: &str) -> Option<String> {
    let url = body.split(r#""url":""#).nth(1)?.split('"').next()?;
    Some(url.to_owned())
}

fn connect(folder: &Path, server: &Server, dodo: &Dodo, key: &str, more: &[&str]) -> Said {
    let arguments = [
        "connect-dodo",
        "--server",
        &server.url,
        "--dodo-url",
        &dodo.url,
    ];
    dunlin(folder, &[&arguments[..], more].concat())
        .env("DODO_PAYMENTS_API_KEY", key)
        .output()
        .unwrap()
        .into()
}

const PUBLIC: [&str; 2] = ["--public-url", "https://hooks.example.com"];

#[test]
fn connect_dodo_registers_once_and_hands_the_secret_over() {
    let folder = folder();
    let (server, dodo) = (Server::dev(folder.path()), Dodo::start());
    let elsewhere = ("https://elsewhere.example/in/dodo".to_owned(), false);
    dodo.state.lock().unwrap().webhooks.push(elsewhere);

    let first = connect(folder.path(), &server, &dodo, KEY, &PUBLIC);
    assert_eq!(first.code, Some(0), "{}", first.err);
    let hooks = dodo.state.lock().unwrap().webhooks.clone();
    assert_eq!(
        hooks[1],
        ("https://hooks.example.com/in/dodo".to_owned(), false)
    );
    for told in [
        "whk_1 registered at Dodo",
        "https://hooks.example.com/in/dodo",
        "/source/dodo/errors",
    ] {
        assert!(first.out.contains(told), "{told} is not in {}", first.out);
    }
    assert!(dodo.asked().contains(&"post /webhooks".to_owned()));

    let second = connect(folder.path(), &server, &dodo, KEY, &PUBLIC);
    assert_eq!(second.code, Some(0), "{}", second.err);
    assert!(second.out.contains("already"), "{}", second.out);
    let writes = dodo.asked();
    assert!(
        writes.iter().all(|asked| asked.starts_with("get ")),
        "{writes:?}"
    );

    // What Dodo signs with that secret is taken.
    let to = format!("{}/in/dodo", server.url);
    let sent = say(
        folder.path(),
        &[
            "trigger",
            "payment.succeeded",
            "--to",
            &to,
            "--secret",
            SECRET,
        ],
    );
    assert_eq!(sent.code, Some(0), "{}", sent.err);
    for said in [&first, &second] {
        let all = format!("{}{}", said.out, said.err);
        assert!(!all.contains(SECRET) && !all.contains(KEY), "{all}");
    }
}

#[test]
fn connect_dodo_makes_the_live_source_and_enables_what_was_disabled() {
    let folder = folder();
    let (server, dodo) = (Server::dev(folder.path()), Dodo::start());
    let disabled = ("https://hooks.example.com/in/dodo-live".to_owned(), true);
    dodo.state.lock().unwrap().webhooks.push(disabled);
    let live = [&PUBLIC[..], &["--mode", "live"]].concat();
    let said = connect(folder.path(), &server, &dodo, KEY, &live);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.out.contains("now enabled"), "{}", said.out);
    assert!(said.out.contains("given to the new source"), "{}", said.out);
    assert!(!dodo.state.lock().unwrap().webhooks[0].1);

    // Test and live stay apart.
    let mixed = [&PUBLIC[..], &["--source", "dodo-live"]].concat();
    let said = connect(folder.path(), &server, &dodo, KEY, &mixed);
    assert_eq!(said.code, Some(1));
    assert!(
        said.err.contains("E0103") && said.err.contains("live"),
        "{}",
        said.err
    );
}

#[test]
fn connect_dodo_moves_its_webhook_to_the_new_url_after_the_token_was_exchanged() {
    let folder = folder();
    let (server, dodo) = (Server::dev(folder.path()), Dodo::start());
    let first = connect(folder.path(), &server, &dodo, KEY, &PUBLIC);
    assert_eq!(first.code, Some(0), "{}", first.err);
    for _ in 0..2 {
        let way_in = server.new_token("dodo");
        let said = connect(folder.path(), &server, &dodo, KEY, &PUBLIC);
        assert_eq!(said.code, Some(0), "{}", said.err);
        assert!(said.out.contains("whk_0 led to"), "{}", said.out);
        let token = way_in.split_once('.').unwrap().1;
        let url = format!("https://hooks.example.com/in/dodo.{token}");
        assert!(said.out.contains(&url), "{}", said.out);
        let webhooks = dodo.state.lock().unwrap().webhooks.clone();
        assert_eq!(webhooks, [(url, false)]);
    }
    dodo.asked();
    let again = connect(folder.path(), &server, &dodo, KEY, &PUBLIC);
    assert!(again.out.contains("already"), "{}", again.out);
    assert!(dodo.asked().iter().all(|asked| asked.starts_with("get ")));

    // The one that is right counts, not one that an older version left.
    let left = ("https://hooks.example.com/in/dodo".to_owned(), false);
    dodo.state.lock().unwrap().webhooks.insert(0, left);
    let again = connect(folder.path(), &server, &dodo, KEY, &PUBLIC);
    assert!(again.out.contains("whk_1 was registered"), "{}", again.out);
}

#[test]
fn connect_dodo_tells_why_it_could_not() {
    let folder = folder();
    let (server, dodo) = (Server::dev(folder.path()), Dodo::start());
    let refused = |key: &str, more: &[&str], texts: &[&str]| {
        let said = connect(folder.path(), &server, &dodo, key, more);
        assert_eq!(said.code, Some(1), "{}", said.out);
        for text in texts {
            assert!(said.err.contains(text), "{text} is not in {}", said.err);
        }
    };
    refused("", &PUBLIC, &["E0800", "DODO_PAYMENTS_API_KEY"]);
    refused("wrong", &PUBLIC, &["E0806", "the key is wrong", "--mode"]);
    refused(KEY, &[], &["E0801", "--public-url"]);
    assert!(dodo.state.lock().unwrap().webhooks.is_empty());
}
