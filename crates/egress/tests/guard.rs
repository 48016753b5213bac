//! The address and URL tables, and what the policies open.
#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test fails the test by panicking"
)]

use std::net::IpAddr;

use dunlin_egress::{AddressPolicy, check_url, without_query, without_userinfo};
use dunlin_types::Code;
use proptest::prelude::*;

fn public() -> AddressPolicy {
    AddressPolicy::public_only()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn rows(table: &str) -> impl Iterator<Item = Vec<&str>> {
    let rows = table
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    rows.map(|line| line.split_whitespace().collect())
}

#[test]
fn each_address_is_judged_as_the_table_says() {
    let tiers = [
        public(),
        public().allow_private(),
        public().allow_loopback(),
    ];
    let mut seen = 0;
    for row in rows(include_str!("guard.txt")) {
        assert_eq!(row.len(), 4, "{row:?}");
        for (policy, expected) in tiers.iter().zip(&row[1..]) {
            let verdict = policy.check_ip(ip(row[0]));
            assert_eq!(verdict.is_ok(), *expected == "yes", "{row:?} {policy:?}");
            if let Err(error) = verdict {
                assert_eq!(error.code, Code::AddressBlocked);
                assert!(
                    error
                        .detail
                        .contains("requests to this IP range are blocked")
                );
            }
        }
        seen += 1;
    }
    assert!(seen > 60);
}

#[test]
fn each_url_is_judged_as_the_table_says() {
    for row in rows(include_str!("urls.txt")) {
        let outcome = match check_url(row[0], &public()) {
            Ok(target) => format!("ok {target}"),
            Err(error) if error.code == Code::AddressBlocked => "blocked".to_owned(),
            Err(error) => {
                assert_eq!(error.code, Code::EndpointUrlBad, "{row:?}");
                "bad".to_owned()
            }
        };
        assert_eq!(outcome, row[1..].join(" "), "{}", row[0]);
    }
}

#[test]
fn blanks_and_control_characters_are_refused_anywhere_in_a_url() {
    for url in [
        " http://example.com/",
        "http://example.com/ ",
        "http://exa\tmple.com/",
        "http://example.com/\r\nhost: x",
        "http://example.com/a b",
        "http://example.com/\u{0}",
    ] {
        assert_eq!(
            check_url(url, &public()).unwrap_err().code,
            Code::EndpointUrlBad,
            "{url:?}"
        );
    }
    let long = format!("http://example.com/{}", "a".repeat(9000));
    assert_eq!(
        check_url(&long, &public()).unwrap_err().code,
        Code::EndpointUrlBad
    );
}

#[test]
fn neither_a_target_nor_an_error_repeats_the_secrets_of_a_url() {
    let target = check_url("http://user:pass@example.com/T0KEN?key=K3Y", &public()).unwrap();
    assert_eq!(target.path_and_query(), "/T0KEN?key=K3Y");
    let mut shown = format!("{target} {target:?}");
    for url in [
        "http://user:pass@127.0.0.1/T0KEN?key=K3Y",
        "http://user:pass@exa<mple/T0KEN?K3Y",
    ] {
        shown += &check_url(url, &public()).unwrap_err().to_string();
    }
    for secret in ["user", "pass", "T0KEN", "K3Y"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[test]
fn a_metadata_address_is_opened_only_by_its_full_length() {
    let address = ip("169.254.169.254");
    let wide = public()
        .allow_private()
        .allow_loopback()
        .allow_cidr("169.254.0.0/16")
        .unwrap();
    assert!(wide.check_ip(ip("169.254.1.1")).is_ok());
    assert!(wide.check_ip(address).is_err());
    let named = public()
        .allow_host("169.254.169.254")
        .allow_host("metadata.internal");
    assert!(named.check_host_ip("169.254.169.254", address).is_err());
    assert!(named.check_host_ip("metadata.internal", address).is_err());
    for exact in ["169.254.169.254/32", "169.254.169.254"] {
        let policy = public().allow_cidr(exact).unwrap();
        assert!(policy.check_ip(address).is_ok());
        assert!(policy.check_ip(ip("::ffff:169.254.169.254")).is_ok());
        assert!(policy.check_ip(ip("64:ff9b::a9fe:a9fe")).is_err());
    }
    let v6 = public()
        .allow_private()
        .allow_cidr("fd00:ec2::254/128")
        .unwrap();
    assert!(v6.check_ip(ip("fd00:ec2::254")).is_ok());
    assert!(v6.check_ip(ip("fd00:ec2::23")).is_err());
}

#[test]
fn an_opened_gateway_prefix_leads_only_to_addresses_that_are_open_themselves() {
    let nat64 = public().allow_cidr("64:ff9b::/96").unwrap();
    assert!(nat64.check_ip(ip("64:ff9b::808:808")).is_ok());
    for blocked in ["64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b::a9fe:a9fe"] {
        assert!(nat64.check_ip(ip(blocked)).is_err(), "{blocked}");
    }
    assert!(nat64.allow_private().check_ip(ip("64:ff9b::a00:1")).is_ok());
}

#[test]
fn naming_a_host_opens_its_addresses_and_ports_and_no_other_hosts() {
    let policy = public()
        .allow_host("App.Internal.")
        .allow_host("[::1]")
        .allow_host("localhost");
    assert!(policy.check_host_ip("app.internal", ip("10.0.0.5")).is_ok());
    assert!(
        policy
            .check_host_ip("other.internal", ip("10.0.0.5"))
            .is_err()
    );
    assert!(policy.check_ip(ip("10.0.0.5")).is_err());
    for url in [
        "http://[::1]:3000/",
        "http://localhost:25/",
        "http://app.internal:22/",
    ] {
        assert!(check_url(url, &policy).is_ok(), "{url}");
    }
    assert!(check_url("http://127.0.0.1:3000/", &policy).is_err());
}

#[test]
fn a_network_that_cannot_be_read_is_a_configuration_error() {
    for text in [
        "",
        "10.0.0.0/33",
        "10.0.0.0/",
        "10.0.0/8",
        "::/129",
        "a/8",
        "10.0.0.0/-1",
    ] {
        let error = public().allow_cidr(text).unwrap_err();
        assert_eq!(error.code, Code::ConfigBad, "{text}");
    }
    assert!(
        public()
            .allow_cidr("0.0.0.0/0")
            .unwrap()
            .check_ip(ip("127.0.0.1"))
            .is_ok()
    );
}

proptest! {
    #[test]
    fn a_v4_address_is_judged_alike_in_each_spelling(bits: u32) {
        let v4 = std::net::Ipv4Addr::from_bits(bits);
        let expected = public().check_ip(v4.into()).is_ok();
        prop_assert_eq!(public().check_ip(v4.to_ipv6_mapped().into()).is_ok(), expected);
        let [a, b, c, d] = v4.octets();
        let short = (u32::from(b) << 16) | (u32::from(c) << 8) | u32::from(d);
        for host in [
            format!("{bits}"), format!("{bits:#x}"), format!("0{bits:o}"), format!("{a}.{short}"),
            format!("{a:#x}.0{b:o}.{c}.{d}."), format!("[::ffff:{v4}]"),
        ] {
            prop_assert_eq!(check_url(&format!("http://{host}/"), &public()).is_ok(), expected, "{}", host);
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,40}") {
        let _ = check_url(&text, &public());
        let _ = check_url(&format!("http://{text}"), &public());
        let _ = public().allow_host(&text).allow_cidr(&text);
    }
}

#[test]
fn urls_are_shown_without_what_may_be_secret() {
    let (plain, queried) = ("https://a.example/", "https://a.example/p?q=1");
    for (url, own, made) in [
        (
            "https://a.example/p?q=1#f",
            "https://a.example/p?q=1#f",
            "https://a.example/p",
        ),
        (
            "https://user:pass@a.example/p?q=1",
            queried,
            "https://a.example/p",
        ),
        ("https://key@a.example", plain, plain),
        ("https://:pa@ss@a.example/", plain, plain),
        ("https://a.example?m=a@b", "https://a.example?m=a@b", plain),
        (
            "https://a.example/@me",
            "https://a.example/@me",
            "https://a.example/@me",
        ),
        ("https://u:p?s@a.example/", "", ""),
        ("https:user:pass@a.example/", "", ""),
        ("//user:pass@a.example/", "", ""),
        ("nonsense?key=1", "", ""),
    ] {
        assert_eq!(without_userinfo(url), own, "{url}");
        assert_eq!(without_query(url), made, "{url}");
    }
}
