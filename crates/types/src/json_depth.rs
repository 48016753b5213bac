//! How deep a JSON text nests.

/// Levels of objects and arrays in a JSON text, counted without recursing. On text that is not JSON
/// the number means nothing.
#[must_use]
pub fn json_depth(text: &[u8]) -> usize {
    let (mut level, mut deepest) = (0_usize, 0);
    let (mut quoted, mut escaped) = (false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => {
                level += 1;
                deepest = deepest.max(level);
            }
            b'}' | b']' if !quoted => level = level.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_count_outside_of_strings() {
        assert_eq!(json_depth(b"1"), 0);
        assert_eq!(json_depth(br#"{"a":[{"b":"]]{{["},1]}"#), 3);
        assert_eq!(json_depth(br#"["\\\"[[[", [0]]"#), 2);
    }
}
