//! Signatures between this server and SDK apps, and the bearer token that apps present.
//!
//! The HMAC key is the *text* behind the key's prefix, the bearer token is a hash over the bytes
//! that text stands for: both as the SDKs have it.

use std::fmt;

use dunlin_types::limits::SIGNATURE_TOLERANCE_MS;
use dunlin_types::{Code, Coded, Secret, Timestamp, constant_time_eq};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

use crate::hex;

/// The header with a signature, on requests and responses.
pub const SIGNATURE_HEADER: &str = "x-inngest-signature";

/// The key that this server and its apps share.
#[derive(Clone)]
pub struct SigningKey {
    /// `signkey-<env>-`, or nothing.
    prefix: String,
    text: Secret,
    /// Hex of the hash, without the prefix.
    hash: Secret,
    mac: Hmac<Sha256>,
    /// One that counts too, while keys are exchanged.
    fallback: Option<Box<SigningKey>>,
}

impl SigningKey {
    /// Reads a key: hex digits, an even number of them, behind an optional `signkey-<env>-`.
    ///
    /// # Errors
    /// [`Code::ConfigBad`] when it is anything else.
    pub fn parse(text: &str) -> Result<Self, Coded> {
        let bad = |why: &str| Coded::new(Code::ConfigBad, format!("the signing key {why}"));
        let (prefix, key) = split_prefix(text.trim());
        if key.is_empty() {
            return Err(bad("is empty"));
        }
        let bytes = hex::decode(key).ok_or_else(|| bad("is not an even number of hex digits"))?;
        let mac = Hmac::new_from_slice(key.as_bytes()).map_err(|_| bad("cannot be used"))?;
        Ok(Self {
            prefix: prefix.to_owned(),
            text: Secret::new(key),
            hash: Secret::new(hex::encode(&Sha256::digest(bytes))),
            mac,
            fallback: None,
        })
    }

    /// The same key, beside which apps may also use that one. What this server sends is signed
    /// with this key all the same.
    #[must_use]
    pub fn with_fallback(self, fallback: Self) -> Self {
        Self {
            fallback: Some(Box::new(fallback)),
            ..self
        }
    }

    /// The signature header of a request with this body, which must be canonical JSON or empty.
    #[must_use]
    pub fn sign(&self, body: &[u8], now: Timestamp) -> String {
        let seconds = now.secs().to_string();
        let mac = self.mac_of(body, &seconds);
        format!("t={seconds}&s={}", hex::encode(&mac))
    }

    fn mac_of(&self, body: &[u8], seconds: &str) -> [u8; 32] {
        let mut mac = self.mac.clone();
        mac.update(body);
        mac.update(seconds.as_bytes());
        mac.finalize().into_bytes().into()
    }

    /// Checks the signature of an app's response. Apps sign the bytes without their last line
    /// feed, or the canonical form of them. The fallback counts too.
    ///
    /// # Errors
    /// [`Code::SignatureMissing`], [`Code::TimestampOff`] or [`Code::SignatureWrong`].
    pub fn verify_response(
        &self,
        header: Option<&str>,
        body: &[u8],
        now: Timestamp,
    ) -> Result<(), Coded> {
        let fallback = || match &self.fallback {
            Some(key) => key.verify_response(header, body, now).is_ok(),
            None => false,
        };
        match self.verify_with_this(header, body, now) {
            Err(error) if error.code == Code::SignatureWrong && fallback() => Ok(()),
            verified => verified,
        }
    }

    fn verify_with_this(
        &self,
        header: Option<&str>,
        body: &[u8],
        now: Timestamp,
    ) -> Result<(), Coded> {
        let header = header.ok_or_else(|| Coded::plain(Code::SignatureMissing))?;
        let wrong = || Coded::plain(Code::SignatureWrong);
        let (mut seconds, mut claimed) = ("", "");
        for pair in header.trim().split('&') {
            match pair.split_once('=') {
                Some(("t", value)) => seconds = value,
                Some(("s", value)) => claimed = value,
                _ => {}
            }
        }
        let at: i64 = seconds.parse().map_err(|_| wrong())?;
        if at.abs_diff(now.secs()) > SIGNATURE_TOLERANCE_MS.unsigned_abs() / 1000 {
            return Err(Coded::plain(Code::TimestampOff));
        }
        let claimed = hex::decode(claimed).ok_or_else(wrong)?;
        let plain = body.strip_suffix(b"\n").unwrap_or(body);
        if self.matches(plain, seconds, &claimed) {
            return Ok(());
        }
        let canonical = serde_json::from_slice::<serde_json::Value>(plain)
            .ok()
            .and_then(|value| serde_json_canonicalizer::to_vec(&value).ok());
        match canonical {
            Some(body) if self.matches(&body, seconds, &claimed) => Ok(()),
            _ => Err(wrong()),
        }
    }

    fn matches(&self, body: &[u8], seconds: &str, claimed: &[u8]) -> bool {
        constant_time_eq(claimed, &self.mac_of(body, seconds))
    }

    /// Whether an `Authorization` header holds this key or the fallback, itself or hashed, with or
    /// without prefix.
    #[must_use]
    pub fn bearer_matches(&self, header: &str) -> bool {
        let token = match header.split_at_checked(7) {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer ") => token.trim(),
            _ => return false,
        };
        let (_, token) = split_prefix(token);
        let mut found = self.is(token);
        if let Some(fallback) = &self.fallback {
            found |= fallback.is(token);
        }
        found
    }

    fn is(&self, token: &str) -> bool {
        self.text.matches(token) | self.hash.matches(token)
    }

    /// The hashed key, as apps present it.
    #[must_use]
    pub fn hashed(&self) -> Secret {
        Secret::new(format!("{}{}", self.prefix, self.hash.reveal()))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(redacted)")
    }
}

/// Takes `signkey-<word>-` off.
fn split_prefix(text: &str) -> (&str, &str) {
    let Some(rest) = text.strip_prefix("signkey-") else {
        return ("", text);
    };
    match rest.split_once('-') {
        Some((env, key))
            if !env.is_empty() && env.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') =>
        {
            text.split_at(text.len() - key.len())
        }
        _ => ("", text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_ms(1_795_000_000_500);

    fn key(text: &str) -> SigningKey {
        SigningKey::parse(text).unwrap()
    }

    #[test]
    fn the_prefix_does_not_change_the_signature() {
        let body = br#"{"a":1}"#;
        let signed = key("signkey-prod-0123abcd").sign(body, NOW);
        assert_eq!(signed, key("0123abcd").sign(body, NOW));
        // hmac-sha256 of `{"a":1}1795000000` under the text `0123abcd`.
        assert_eq!(
            signed,
            "t=1795000000&s=2829625c0225e5c2ea030abe3167c5b2c1ce6eae6ea6f595a667f913267a7b49"
        );
    }

    #[test]
    fn keys_that_are_no_hex_are_refused() {
        for text in [
            "",
            "signkey-prod-",
            "abc",
            "xyz0",
            "signkey--ab",
            "signkey-a b-ab",
            "é",
        ] {
            let refused = SigningKey::parse(text).unwrap_err();
            assert_eq!(refused.code, Code::ConfigBad, "{text}");
            assert!(text.len() < 4 || !refused.detail.contains(text));
        }
    }

    #[test]
    fn apps_may_present_the_key_or_its_hash() {
        let key = key("signkey-prod-0123abcd");
        let hashed = key.hashed();
        let bare = hashed.reveal().strip_prefix("signkey-prod-").unwrap();
        for token in [
            "Bearer signkey-prod-0123abcd",
            "bearer 0123abcd",
            "Bearer signkey-other-0123abcd",
            &format!("Bearer {}", hashed.reveal()),
            &format!("Bearer {bare}"),
        ] {
            assert!(key.bearer_matches(token), "{token}");
        }
        for token in [
            "",
            "Bearer ",
            "Bearer 0123abce",
            "0123abcd",
            "Basic 0123abcd",
            "Bearer é",
        ] {
            assert!(!key.bearer_matches(token), "{token}");
        }
        assert_eq!(
            bare,
            "2647356804523c847ca70dc0f6c66a28d4cec5f53b9119a9022984ceec35e9da"
        );
    }

    #[test]
    fn responses_are_verified_in_both_forms() {
        let key = key("0123abcd");
        let check = |signed: &[u8], sent: &[u8], now| {
            let header = key.sign(signed, NOW);
            key.verify_response(Some(&header), sent, now)
                .map_err(|e| e.code)
        };
        assert_eq!(
            check(br#"{"b":1,"a":2}"#, b"{\"b\":1,\"a\":2}\n", NOW),
            Ok(())
        );
        assert_eq!(check(br#"{"a":2,"b":1}"#, br#"{"b":1,"a":2}"#, NOW), Ok(()));
        assert_eq!(check(b"{}", b"[]", NOW), Err(Code::SignatureWrong));
        assert_eq!(check(b"{}", b"{}", NOW.plus_ms(299_000)), Ok(()));
        assert_eq!(
            check(b"{}", b"{}", NOW.plus_ms(301_000)),
            Err(Code::TimestampOff)
        );
        let missing = key.verify_response(None, b"", NOW).unwrap_err();
        assert_eq!(missing.code, Code::SignatureMissing);
        for header in [
            "",
            "t=&s=",
            "t=1795000000",
            "t=1795000000&s=zz",
            "s=&t=1795000000",
        ] {
            let wrong = key.verify_response(Some(header), b"", NOW).unwrap_err();
            assert_eq!(wrong.code, Code::SignatureWrong, "{header}");
        }
    }

    #[test]
    fn while_keys_are_exchanged_both_count_and_the_first_signs() {
        let (old, new) = (key("0123abcd"), key("89ef4567"));
        let both = key("89ef4567").with_fallback(key("0123abcd"));
        assert_eq!(both.sign(b"{}", NOW), new.sign(b"{}", NOW));
        for known in [&old, &new] {
            let signed = known.sign(b"{}", NOW);
            assert!(both.verify_response(Some(&signed), b"{}", NOW).is_ok());
            let token = format!("Bearer {}", known.hashed().reveal());
            assert!(both.bearer_matches(&token));
        }
        let other = key("ffff");
        let token = format!("Bearer {}", other.hashed().reveal());
        assert!(!both.bearer_matches(&token));
        let signed = other.sign(b"{}", NOW);
        assert!(both.verify_response(Some(&signed), b"{}", NOW).is_err());
        assert!(!format!("{both:?}").contains("89ef"));
    }

    #[test]
    fn the_key_is_not_shown() {
        let shown = format!("{:?} {:?}", key("0123abcd"), key("0123abcd").hashed());
        assert!(!shown.contains("0123abcd"));
    }
}
