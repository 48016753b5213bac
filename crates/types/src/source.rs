//! What a source is set up with: whose webhooks it takes, by which scheme they are verified, and
//! who may send them.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{BadId, DedupeKey};

/// How webhooks prove where they come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Standard Webhooks, under either family of header names.
    StandardWebhooks,
    /// Stripe's header with a time and several signatures.
    Stripe,
    /// GitHub's signature of the body.
    GitHub,
    /// Shopify's signature of the body.
    Shopify,
    /// Slack's signature of time and body.
    Slack,
    /// What [`SourceConfig::verify`] says.
    Generic,
}

macro_rules! kinds {
    ($($name:ident = $number:literal, $text:literal, $scheme:ident, $doc:literal;)*) => {
        /// Whose webhooks a source takes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum SourceKind {
            $(#[doc = $doc] $name = $number,)*
        }

        impl SourceKind {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// What users call it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// How its webhooks are verified.
            #[must_use]
            pub const fn scheme(self) -> Scheme {
                match self { $(Self::$name => Scheme::$scheme,)* }
            }
        }
    };
}

kinds! {
    Dodo = 0, "dodo", StandardWebhooks, "Dodo Payments.";
    StandardWebhooks = 1, "standard-webhooks", StandardWebhooks,
        "Anybody who signs by Standard Webhooks.";
    Svix = 2, "svix", StandardWebhooks, "Anybody who sends by Svix.";
    Clerk = 3, "clerk", StandardWebhooks, "Clerk.";
    Resend = 4, "resend", StandardWebhooks, "Resend.";
    Replicate = 5, "replicate", StandardWebhooks, "Replicate.";
    Brex = 6, "brex", StandardWebhooks, "Brex.";
    OpenAi = 7, "openai", StandardWebhooks, "OpenAI.";
    Render = 8, "render", StandardWebhooks, "Render.";
    IncidentIo = 9, "incident-io", StandardWebhooks, "incident.io.";
    Stripe = 10, "stripe", Stripe, "Stripe.";
    GitHub = 11, "github", GitHub, "GitHub.";
    Shopify = 12, "shopify", Shopify, "Shopify.";
    Slack = 13, "slack", Slack, "Slack.";
    Generic = 14, "generic-webhook", Generic, "Anybody else; its configuration tells how.";
}

impl SourceKind {
    /// The kind that users call so.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == text)
    }
}

/// Which of the provider's two worlds a source belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum SourceMode {
    /// No real money.
    Test = 0,
    /// Real money.
    Live = 1,
}

impl SourceMode {
    /// What users call it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Test => "test",
            Self::Live => "live",
        }
    }
}

/// What is set on a source besides its kind. Most sources need none of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SourceConfig {
    /// How a generic source verifies; others know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verify: Option<VerifyRule>,
    /// Where a generic source finds the provider's id; without it the body itself is the id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<Place>,
    /// Where a generic source finds the event type, otherwise in the body's `type`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_type: Option<Place>,
    /// Who may send; everybody if it is empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ip_allow: Vec<IpRange>,
    /// What a provider's GET is answered with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub challenge: Option<Challenge>,
}

/// How a generic source verifies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "lowercase")]
pub enum VerifyRule {
    /// The header is the secret itself.
    Header {
        /// Its name, in lower case.
        header: String,
    },
    /// The header is a MAC of the body.
    Hmac {
        /// Its name, in lower case.
        header: String,
        /// What stands before the MAC.
        #[serde(default)]
        prefix: String,
        /// How the MAC is written.
        #[serde(default)]
        encoding: MacEncoding,
        /// Over which hash.
        #[serde(default)]
        algorithm: MacAlgorithm,
    },
}

impl VerifyRule {
    /// The header that proves it; never kept.
    #[must_use]
    pub fn header(&self) -> &str {
        match self {
            Self::Header { header } | Self::Hmac { header, .. } => header,
        }
    }
}

/// How bytes are written in a header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MacEncoding {
    /// Hex digits of either case.
    #[default]
    Hex,
    /// Base64 with padding.
    Base64,
    /// Base64 for URLs, with padding or without.
    Base64Url,
}

/// The hash below a MAC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MacAlgorithm {
    /// SHA-1: old, and as a MAC still sound.
    Sha1,
    /// SHA-256.
    #[default]
    Sha256,
    /// SHA-512.
    Sha512,
}

/// Where something stands in a webhook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// In that header; its name in lower case.
    Header(String),
    /// In the body, at that path: names of members, with dots between them.
    Json(String),
}

/// What a provider's GET is answered with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Challenge {
    /// With `hub.challenge`, where `hub.verify_token` has this hash.
    Token([u8; 16]),
    /// With what the parameter of that name holds.
    Echo(String),
}

impl Challenge {
    /// The challenge that this token opens.
    #[must_use]
    pub fn of_token(token: &str) -> Self {
        Self::Token(Self::hash(token))
    }

    /// What is kept of a token, and compared.
    #[must_use]
    pub fn hash(token: &str) -> [u8; 16] {
        DedupeKey::new(b"challenge token", token.as_bytes()).0
    }
}

/// A range of addresses, such as `203.0.113.0/24`, or a single one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct IpRange {
    network: IpAddr,
    bits: u8,
}

impl IpRange {
    /// Whether the address lies in it. An IPv4 address within an IPv6 one counts as itself.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.network, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let shift = 32 - u32::from(self.bits);
                let high = |bits: u32| bits.checked_shr(shift).unwrap_or(0);
                high(network.to_bits()) == high(address.to_bits())
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let shift = 128 - u32::from(self.bits);
                let high = |bits: u128| bits.checked_shr(shift).unwrap_or(0);
                high(network.to_bits()) == high(address.to_bits())
            }
            _ => false,
        }
    }
}

impl FromStr for IpRange {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let network: IpAddr = address.parse().map_err(|_| BadId)?;
        let most = if network.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => most,
            Some(bits) => bits.parse().ok().filter(|n| *n <= most).ok_or(BadId)?,
        };
        Ok(Self { network, bits })
    }
}

impl TryFrom<String> for IpRange {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
            .map_err(|_| format!("`{text}` is no address or range such as 203.0.113.0/24"))
    }
}

impl From<IpRange> for String {
    fn from(range: IpRange) -> Self {
        range.to_string()
    }
}

impl fmt::Display for IpRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_holds_the_addresses_below_its_prefix() {
        for (range, address, inside) in [
            ("203.0.113.0/24", "203.0.113.255", true),
            ("203.0.113.0/24", "203.0.114.0", false),
            ("203.0.113.7", "203.0.113.7", true),
            ("203.0.113.7", "203.0.113.6", false),
            ("203.0.113.7/31", "203.0.113.6", true),
            ("0.0.0.0/0", "8.8.8.8", true),
            ("0.0.0.0/0", "::1", false),
            ("0.0.0.0/0", "::ffff:8.8.8.8", true),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("::/0", "::1", true),
        ] {
            let range: IpRange = range.parse().unwrap();
            assert_eq!(
                range.contains(address.parse().unwrap()),
                inside,
                "{range} {address}"
            );
        }
        for bad in [
            "",
            "a",
            "1.2.3",
            "1.2.3.4/33",
            "1.2.3.4/",
            "1.2.3.4/-1",
            "::/129",
        ] {
            assert_eq!(bad.parse::<IpRange>(), Err(BadId), "{bad}");
        }
    }

    #[test]
    fn every_kind_is_found_by_its_name() {
        for kind in SourceKind::ALL {
            assert_eq!(SourceKind::parse(kind.as_str()), Some(*kind));
        }
        assert_eq!(SourceKind::parse("Dodo"), None);
    }
}
