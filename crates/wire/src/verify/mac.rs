//! Message authentication codes: made and read at one place.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use dunlin_types::{MacAlgorithm, MacEncoding, constant_time_eq};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use sha2::{Sha256, Sha512};

use crate::hex;

const URL_SAFE: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The MAC of the parts, one after the other.
pub(super) fn of(algorithm: MacAlgorithm, key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    macro_rules! mac {
        ($hash:ty) => {
            match Hmac::<$hash>::new_from_slice(key) {
                Ok(mut mac) => {
                    parts.iter().for_each(|part| mac.update(part));
                    mac.finalize().into_bytes().to_vec()
                }
                // Keys of any length do.
                Err(_) => Vec::new(),
            }
        };
    }
    match algorithm {
        MacAlgorithm::Sha1 => mac!(Sha1),
        MacAlgorithm::Sha256 => mac!(Sha256),
        MacAlgorithm::Sha512 => mac!(Sha512),
    }
}

/// The bytes that a header's text stands for.
pub(super) fn decoded(encoding: MacEncoding, text: &str) -> Option<Vec<u8>> {
    match encoding {
        MacEncoding::Hex => hex::decode(text),
        MacEncoding::Base64 => STANDARD.decode(text).ok(),
        MacEncoding::Base64Url => URL_SAFE.decode(text).ok(),
    }
}

/// Whether one of the claims is the MAC of the parts under one of the keys. Empty claims and empty
/// keys never are.
pub(super) fn any_matches(
    algorithm: MacAlgorithm,
    keys: &mut dyn Iterator<Item = &str>,
    claims: &[Vec<u8>],
    parts: &[&[u8]],
) -> bool {
    let mut matched = false;
    for key in keys.filter(|key| !key.is_empty()) {
        let right = of(algorithm, key.as_bytes(), parts);
        if right.is_empty() {
            continue;
        }
        for claim in claims {
            matched |= constant_time_eq(claim, &right);
        }
    }
    matched
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 2202 case 2 and RFC 4231 case 2.
    #[test]
    fn codes_are_those_of_the_published_tests() {
        let made = |algorithm| {
            hex::encode(&of(
                algorithm,
                b"Jefe",
                &[b"what do ya ", b"want for nothing?"],
            ))
        };
        assert_eq!(
            made(MacAlgorithm::Sha1),
            "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"
        );
        assert_eq!(
            made(MacAlgorithm::Sha256),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert!(
            made(MacAlgorithm::Sha512).starts_with("164b7a7bfcf819e2e395fbe73b56e0a387bd64222e83")
        );
    }

    #[test]
    fn each_encoding_is_read_in_its_own_alphabet() {
        let bytes = Some(vec![0xfb, 0xff, 0x01, 0x02]);
        for (encoding, text, read) in [
            (MacEncoding::Hex, "fbFF0102", &bytes),
            (MacEncoding::Hex, "fbff01", &Some(vec![0xfb, 0xff, 0x01])),
            (MacEncoding::Hex, "fbff010", &None),
            (MacEncoding::Base64, "+/8BAg==", &bytes),
            (MacEncoding::Base64, "+/8BAg", &None),
            (MacEncoding::Base64, "-_8BAg==", &None),
            (MacEncoding::Base64Url, "-_8BAg", &bytes),
            (MacEncoding::Base64Url, "-_8BAg==", &bytes),
            (MacEncoding::Base64Url, "+/8BAg==", &None),
        ] {
            assert_eq!(&decoded(encoding, text), read, "{text}");
        }
    }
}
