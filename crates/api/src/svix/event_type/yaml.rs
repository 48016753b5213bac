//! YAML as far as it says the same as JSON: the core schema of YAML 1.2, anchors included, without
//! tags of one's own.

use std::collections::BTreeMap;

use dunlin_types::limits::{OPENAPI_DEPTH_MAX, OPENAPI_NODES_MAX};
use saphyr_parser::{Event, Parser, ScalarStyle, StrInput};
use serde_json::{Map, Number, Value};

/// Reads the first document.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    let mut reader = Reader {
        parser: Parser::new_from_str(text),
        anchors: BTreeMap::new(),
        nodes: 0,
    };
    loop {
        match reader.event()? {
            Event::StreamEnd => return Err("there is no document in it".to_owned()),
            Event::StreamStart | Event::DocumentStart(_) | Event::Nothing => {}
            first => return Ok(reader.value(first, 0)?.0),
        }
    }
}

struct Reader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    /// What an alias may repeat, with how many nodes it has.
    anchors: BTreeMap<usize, (Value, usize)>,
    nodes: usize,
}

impl<'a> Reader<'a> {
    fn event(&mut self) -> Result<Event<'a>, String> {
        match self.parser.next_event() {
            Some(Ok((event, _))) => Ok(event),
            Some(Err(error)) => Err(error.to_string()),
            None => Ok(Event::StreamEnd),
        }
    }

    /// Counts nodes, those that aliases repeat too, so that a small text cannot become a large
    /// value.
    fn count(&mut self, nodes: usize) -> Result<(), String> {
        self.nodes += nodes;
        if self.nodes <= OPENAPI_NODES_MAX {
            return Ok(());
        }
        Err(format!("it has more than {OPENAPI_NODES_MAX} values"))
    }

    fn value(&mut self, first: Event<'a>, depth: usize) -> Result<(Value, usize), String> {
        if depth > OPENAPI_DEPTH_MAX {
            return Err(format!("it nests deeper than {OPENAPI_DEPTH_MAX} levels"));
        }
        if let Event::Alias(anchor) = first {
            let known = self.anchors.get(&anchor).cloned();
            let (value, nodes) = known.ok_or("an alias comes before what it repeats")?;
            self.count(nodes)?;
            return Ok((value, nodes));
        }
        let before = self.nodes;
        self.count(1)?;
        let (value, anchor) = match first {
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain;
                let is_text = tag.is_some_and(|tag| tag.suffix == "str");
                let value = match plain && !is_text {
                    true => scalar(&text),
                    false => Value::String(text.into_owned()),
                };
                (value, anchor)
            }
            Event::SequenceStart(anchor, _) => (self.sequence(depth)?, anchor),
            Event::MappingStart(anchor, _) => (self.mapping(depth)?, anchor),
            _ => return Err("it ends early".to_owned()),
        };
        let nodes = self.nodes - before;
        if anchor > 0 {
            self.count(nodes)?;
            self.anchors.insert(anchor, (value.clone(), nodes));
        }
        Ok((value, nodes))
    }

    fn sequence(&mut self, depth: usize) -> Result<Value, String> {
        let mut items = Vec::new();
        loop {
            match self.event()? {
                Event::SequenceEnd => return Ok(Value::Array(items)),
                first => items.push(self.value(first, depth + 1)?.0),
            }
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<Value, String> {
        let mut fields = Map::new();
        loop {
            let key = match self.event()? {
                Event::MappingEnd => return Ok(Value::Object(fields)),
                Event::Scalar(key, ..) => key.into_owned(),
                _ => return Err("a key that is no text cannot be read".to_owned()),
            };
            let first = self.event()?;
            let value = self.value(first, depth + 1)?.0;
            if fields.contains_key(&key) {
                return Err(format!("the key `{key}` stands twice"));
            }
            fields.insert(key, value);
        }
    }
}

/// A plain scalar by the core schema.
fn scalar(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    number(text).map_or_else(|| Value::String(text.to_owned()), Value::Number)
}

fn number(text: &str) -> Option<Number> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let begins = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    let plain = |b: u8| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'-' | b'+');
    if let Some(hex) = text.strip_prefix("0x") {
        return u64::from_str_radix(hex, 16).ok().map(Number::from);
    }
    if let Some(octal) = text.strip_prefix("0o") {
        return u64::from_str_radix(octal, 8).ok().map(Number::from);
    }
    if !begins || !digits.bytes().all(plain) {
        return None;
    }
    if let Ok(whole) = text.parse::<i64>() {
        return Some(Number::from(whole));
    }
    Number::from_f64(text.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_core_schema_is_read_as_json_would_say_it() {
        let text = "a: 1\nb: [true, ~, 'no', 1.5, 0x1F, -2, +3, 1e3]\nc:\n  - &one {x: 010}\n  \
                    - *one\nd: |\n  two\n  lines\n3.1: 3.1.0\ne: !!str 5\nf:\n";
        let expected = json!({
            "a": 1,
            "b": [true, null, "no", 1.5, 31, -2, 3, 1000.0],
            "c": [{"x": 10}, {"x": 10}],
            "d": "two\nlines\n",
            "3.1": "3.1.0",
            "e": "5",
            "f": null,
        });
        assert_eq!(parse(text).unwrap(), expected);
    }

    #[test]
    fn what_cannot_be_json_or_grows_without_end_is_refused() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for n in 1..9 {
            let last = n - 1;
            let ten = vec![format!("*a{last}"); 10].join(", ");
            bomb.push_str(&format!("a{n}: &a{n} [{ten}]\n"));
        }
        let deep = "[".repeat(OPENAPI_DEPTH_MAX + 2) + &"]".repeat(OPENAPI_DEPTH_MAX + 2);
        let itself = "a: &a [*a]\n".to_owned();
        for text in [
            bomb,
            deep,
            itself,
            String::new(),
            "a: [1".to_owned(),
            "a: 1\na: 2".to_owned(),
            "? [1]\n: 2".to_owned(),
        ] {
            assert!(parse(&text).is_err(), "{}", &text[..text.len().min(40)]);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text: String) {
            let _ = parse(&text);
        }

        #[test]
        fn json_is_yaml(numbers: Vec<i32>, words: Vec<bool>, text in "[ -~]{0,20}") {
            let value = json!({"numbers": numbers, "words": words, "text": text});
            prop_assert_eq!(parse(&value.to_string()).unwrap(), value);
        }
    }
}
