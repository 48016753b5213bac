//! Where settings come from, and which one wins.

use super::*;
use crate::cli::{DevArgs, ServerArgs, StartArgs};

fn env(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

/// Loads with the text of a file that is named.
fn load_with(
    mode: Mode,
    flags: impl Serialize,
    pairs: &[(&str, &str)],
    file: &str,
) -> Result<Settings, Failure> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dunlin.toml");
    std::fs::write(&path, file).unwrap();
    load(
        mode,
        flags,
        &Sources {
            file: Some(&path),
            env: env(pairs),
        },
    )
}

fn port(port: u16) -> DevArgs {
    DevArgs {
        server: ServerArgs {
            port: Some(port),
            ..Default::default()
        },
        ..Default::default()
    }
}

const KEYS: [(&str, &str); 3] = [
    ("DUNLIN_SIGNING_KEY", "0123456789abcdef"),
    ("DUNLIN_EVENT_KEY", "111, 222"),
    ("DUNLIN_ADMIN_TOKEN", "333"),
];

#[test]
fn flags_beat_the_environment_which_beats_the_file() {
    let in_env = [("DUNLIN_PORT", "2222"), ("DUNLIN_RETRY_INTERVAL", "2s")];
    let file = "port = 1111\nretry_interval = \"1s\"\ncall_timeout = \"1m\"\n";
    let settings = load_with(Mode::Dev, port(3333), &in_env, file).unwrap();
    assert_eq!(settings.port, 3333);
    assert_eq!(settings.retry_interval_ms, Some(2_000));
    assert_eq!(settings.call_timeout, Duration::from_secs(60));
    assert_eq!(settings.data_dir, Path::new("./.dunlin"));
}

#[test]
fn production_names_every_missing_setting_and_how_to_set_it() {
    let failure = load_with(Mode::Start, StartArgs::default(), &[KEYS[1]], "").unwrap_err();
    assert_eq!(failure.error.code, Code::ConfigMissing);
    for needed in [
        "--signing-key",
        "DUNLIN_SIGNING_KEY",
        "--admin-token",
        "admin_token in",
    ] {
        assert!(failure.error.detail.contains(needed), "{failure}");
    }
    assert!(!failure.error.detail.contains("event-key"), "{failure}");
}

#[test]
fn an_empty_key_is_a_missing_one() {
    let pairs = [KEYS[0], KEYS[1], ("DUNLIN_ADMIN_TOKEN", "")];
    let failure = load_with(Mode::Start, StartArgs::default(), &pairs, "").unwrap_err();
    assert_eq!(failure.error.code, Code::ConfigMissing);
}

#[test]
fn keys_of_digits_stay_texts_and_lists_take_commas() {
    let settings = load_with(Mode::Start, StartArgs::default(), &KEYS, "").unwrap();
    let keys: Vec<&str> = settings.event_keys.iter().map(Secret::reveal).collect();
    assert_eq!(keys, ["111", "222"]);
    assert_eq!(settings.admin_token.unwrap().reveal(), "333");
}

#[test]
fn while_keys_are_exchanged_apps_may_use_both() {
    let mut pairs = KEYS.to_vec();
    pairs.push(("DUNLIN_SIGNING_KEY_FALLBACK", "fedcba9876543210"));
    let settings = load_with(Mode::Start, StartArgs::default(), &pairs, "").unwrap();
    let key = settings.signing_key.unwrap();
    for known in ["0123456789abcdef", "fedcba9876543210"] {
        assert!(key.bearer_matches(&format!("Bearer {known}")));
    }
    assert!(!key.bearer_matches("Bearer 00"));
}

#[test]
fn missed_ticks_are_what_the_operator_says() {
    let args = |what: &str| DevArgs {
        server: ServerArgs {
            cron_missed: Some(what.to_owned()),
            ..Default::default()
        },
        ..Default::default()
    };
    for (what, missed) in [
        ("once", Missed::Once),
        ("replay", Missed::Replay),
        ("skip", Missed::Skip),
    ] {
        let pairs = [("DUNLIN_CRON_MISSED", "skip")];
        let settings = load_with(Mode::Dev, args(what), &pairs, "cron_missed = \"replay\"");
        assert_eq!(settings.unwrap().cron_missed, missed);
    }
    let settings = load_with(Mode::Dev, DevArgs::default(), &[], "").unwrap();
    assert_eq!(settings.cron_missed, Missed::Once);
}

#[test]
fn what_is_no_setting_is_refused_with_the_nearest_one() {
    let failure = load_with(Mode::Dev, DevArgs::default(), &[], "prot = 1").unwrap_err();
    assert_eq!(failure.error.code, Code::ConfigBad);
    assert!(failure.error.detail.contains("`prot`"), "{failure}");
    assert_eq!(failure.remedy.as_deref(), Some("did you mean `port`?"));
    let pairs = [("DUNLIN_EVNT_KEY", "x")];
    let failure = load_with(Mode::Dev, DevArgs::default(), &pairs, "").unwrap_err();
    assert!(
        failure.error.detail.contains("DUNLIN_EVNT_KEY"),
        "{failure}"
    );
    let pairs = [
        ("DUNLIN_SERVICE_HOST", "10.0.0.1"),
        ("DUNLIN_BIN", "x"),
        ("HOME", "/"),
    ];
    assert!(load_with(Mode::Dev, DevArgs::default(), &pairs, "").is_ok());
}

#[test]
fn bad_values_are_named_with_their_place_and_without_the_value() {
    let pairs = [("DUNLIN_SIGNING_KEY", "not-hex-at-all")];
    let failure = load_with(Mode::Dev, DevArgs::default(), &pairs, "").unwrap_err();
    assert!(
        failure
            .error
            .detail
            .contains("`signing_key` (from the environment)"),
        "{failure}"
    );
    assert!(!failure.error.detail.contains("not-hex"), "{failure}");
    for file in [
        "port = 70000",
        "host = \"example.com\"",
        "poll_interval = \"soon\"",
        "default_retries = 21",
        "sdk_url = \"ftp://a/b\"",
        "memory = \"yes\"",
        "allow_endpoint_range = [\"10.0.0.0/99\"]",
        "cron_missed = \"all\"",
        "signing_key_fallback = \"0123\"",
        "signing_key = \"0123\"\nsigning_key_fallback = \"xyz\"",
        "port = [1, 2]",
        "port = ",
    ] {
        let failure = load_with(Mode::Dev, DevArgs::default(), &[], file).unwrap_err();
        assert_eq!(failure.error.code, Code::ConfigBad, "{file}: {failure}");
    }
}

#[test]
fn a_broken_file_is_not_quoted() {
    let file = "admin_token = \"s3cret\" x\n";
    let failure = load_with(Mode::Dev, DevArgs::default(), &[], file).unwrap_err();
    assert!(failure.error.detail.contains("line 1"), "{failure}");
    assert!(!failure.error.detail.contains("s3cret"), "{failure}");
}

#[test]
fn a_file_that_was_named_must_be_there() {
    let sources = Sources {
        file: Some(Path::new("/nowhere/dunlin.toml")),
        env: Vec::new(),
    };
    let failure = load(Mode::Dev, DevArgs::default(), &sources).unwrap_err();
    assert_eq!(failure.error.code, Code::FileUnreadable);
}

#[test]
fn production_takes_no_settings_of_development() {
    let failure = load_with(Mode::Start, StartArgs::default(), &KEYS, "test_mode = true");
    assert!(failure.unwrap_err().error.detail.contains("test_mode"));
}

#[test]
fn app_urls_get_a_scheme_and_zero_means_the_usual_interval() {
    let file = "sdk_url = [\"localhost:3000/api/inngest\"]\npoll_interval = 0";
    let settings = load_with(Mode::Dev, DevArgs::default(), &[], file).unwrap();
    assert_eq!(settings.sdk_urls, ["http://localhost:3000/api/inngest"]);
    assert_eq!(settings.poll_interval, Duration::from_secs(5));
}

#[test]
fn hosts_of_urls_are_read_without_port_user_and_brackets() {
    assert_eq!(url_host("http://localhost:3000/api"), Some("localhost"));
    assert_eq!(url_host("https://u:p@a.example?x"), Some("a.example"));
    assert_eq!(url_host("http://[::1]:80/"), Some("::1"));
    assert_eq!(url_host("http:///x"), None);
}

#[test]
fn how_much_may_be_under_way_is_what_the_operator_says() {
    let settings = load_with(Mode::Dev, DevArgs::default(), &[], "").unwrap();
    assert_eq!(
        (settings.calls.calls_max, settings.calls.calls_per_app_max),
        (4096, 256)
    );
    assert_eq!(
        (settings.max_live_runs, settings.memory_bytes_max),
        (5_000_000, None)
    );
    let args = DevArgs {
        server: ServerArgs {
            max_calls: Some(10),
            memory_max: Some(256),
            ..Default::default()
        },
        ..Default::default()
    };
    let pairs = [("DUNLIN_MAX_LIVE_RUNS", "7")];
    let settings = load_with(Mode::Dev, args, &pairs, "max_calls_per_app = 5").unwrap();
    assert_eq!(
        (settings.calls.calls_max, settings.calls.calls_per_app_max),
        (10, 5)
    );
    assert_eq!(
        (settings.max_live_runs, settings.memory_bytes_max),
        (7, Some(256 * 1024 * 1024))
    );
    for wrong in ["0", "-1", "many"] {
        let file = format!("memory_max = \"{wrong}\"");
        let failure = load_with(Mode::Dev, DevArgs::default(), &[], &file).unwrap_err();
        assert_eq!(failure.error.code, Code::ConfigBad, "{wrong}");
    }
}

#[test]
fn the_key_that_seals_comes_first_and_one_that_is_none_is_not_shown() {
    let new = "5ea1".repeat(16);
    let both = format!("{new}, AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
    let pairs = [("DUNLIN_SEAL_KEY", both.as_str())];
    let settings = load_with(Mode::Dev, DevArgs::default(), &pairs, "").unwrap();
    assert_eq!(settings.seal_keys.len(), 2);
    assert_eq!(settings.seal_keys[0].reveal().as_str(), new);
    assert!(!format!("{settings:?}").contains(&new));
    let pairs = [("DUNLIN_SEAL_KEY", "s3cret")];
    let failure = load_with(Mode::Dev, DevArgs::default(), &pairs, "").unwrap_err();
    assert_eq!(failure.error.code, Code::ConfigBad);
    assert!(failure.error.detail.contains("seal_key"), "{failure}");
    assert!(!failure.error.detail.contains("s3cret"), "{failure}");
}
