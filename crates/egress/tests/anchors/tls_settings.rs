//! What is said when TLS settings that cannot work are saved.

use dunlin_egress::{AddressPolicy, parse_tls};
use dunlin_types::Code;
use proptest::prelude::*;

use crate::certs::{Authority, pem};

#[test]
fn each_field_that_cannot_work_is_named() {
    let authority = Authority::new("ours");
    let ca = authority.pem();
    let (one, two) = (authority.issue(&["a.b"]), authority.issue(&["c.d"]));
    let (cert, key) = (one.cert_pem(), one.key_pem());
    let garbage = pem("CERTIFICATE", b"no certificate");
    let bundle = ca.repeat(33);
    let encrypted = pem("ENCRYPTED PRIVATE KEY", b"x");
    let no_key = pem("PRIVATE KEY", b"no key");
    let (other_key, two_keys) = (two.key_pem(), key.clone() + &two.key_pem());
    let (half_good, mixed) = (ca.clone() + &garbage, cert.clone() + &key);
    let cut = &key[..key.len() - 30];
    let long = " ".repeat(1 << 20) + &ca;
    let table: Vec<([Option<&str>; 3], &str)> = vec![
        (
            [Some("hello"), None, None],
            "the CA certificates must be PEM",
        ),
        (
            [Some(&garbage), None, None],
            "CA certificate 1 is not valid",
        ),
        (
            [Some(&half_good), None, None],
            "CA certificate 2 is not valid",
        ),
        (
            [Some(&key), None, None],
            "the CA certificates must not hold a private key",
        ),
        ([Some(&bundle), None, None], "at most 32 certificates"),
        (
            [Some(&long), None, None],
            "the CA certificates may have 65536 bytes",
        ),
        ([None, Some(&cert), None], "lacks its private key"),
        ([None, Some(&cert), Some(" \n")], "lacks its private key"),
        ([None, None, Some(&key)], "lacks its client certificate"),
        (
            [None, Some("x"), Some(&key)],
            "the client certificate must be PEM",
        ),
        (
            [None, Some(&garbage), Some(&key)],
            "certificate 1 of the client certificate",
        ),
        (
            [None, Some(&mixed), Some(&key)],
            "the client certificate must not hold",
        ),
        (
            [None, Some(&cert), Some("x")],
            "the private key must be PEM",
        ),
        (
            [None, Some(&cert), Some(&cert)],
            "the private key must be PEM",
        ),
        (
            [None, Some(&cert), Some(cut)],
            "the private key cannot be read as PEM",
        ),
        (
            [None, Some(&cert), Some(&encrypted)],
            "the private key is encrypted",
        ),
        (
            [None, Some(&cert), Some(&no_key)],
            "the private key is not valid",
        ),
        (
            [None, Some(&cert), Some(&two_keys)],
            "more than one private key",
        ),
        (
            [None, Some(&cert), Some(&other_key)],
            "does not belong to the client certificate",
        ),
    ];
    let secret = key.lines().nth(1).unwrap();
    for ([ca, cert, key], detail) in table {
        let error = parse_tls(ca, cert, key).unwrap_err();
        assert_eq!(error.code, Code::TlsBad);
        assert!(error.detail.contains(detail), "{detail}: {error}");
        assert!(!error.detail.contains(secret), "{error}");
    }
}

#[test]
fn good_settings_are_taken_and_show_no_key() {
    let authority = Authority::new("ours");
    let issued = authority.issue(&["a.b"]);
    let chain = issued.cert_pem() + &authority.pem();
    let key = issued.key_pem();
    let good = || parse_tls(Some(&authority.pem()), Some(&chain), Some(&key)).unwrap();
    assert_eq!(good(), good());
    assert_ne!(good(), good().insecure());
    assert_ne!(good(), parse_tls(None, Some(&chain), Some(&key)).unwrap());
    assert!(!good().is_empty());
    let shown = format!("{:?}", good());
    assert!(!shown.contains("key"), "{shown}");
    for bytes in key.lines().skip(1) {
        assert!(!shown.contains(bytes));
    }
    let blank = parse_tls(Some(""), Some(" \n"), None).unwrap();
    assert!(blank.is_empty() && blank.check(&AddressPolicy::public_only()).is_ok());
    let unchecked = blank.insecure();
    let refused = unchecked.check(&AddressPolicy::public_only()).unwrap_err();
    assert_eq!(refused.code, Code::TlsBad);
    let lenient = AddressPolicy::public_only().allow_insecure_tls();
    assert!(unchecked.check(&lenient).is_ok());
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "(-----(BEGIN|END) (CERTIFICATE|PRIVATE KEY)-----|[A-Za-z0-9+/=\n]{0,20}){0,6}") {
        let _ = parse_tls(Some(&text), Some(&text), Some(&text));
    }
}
