//! From what the interpreter reports to an error the script's author can act on.

use dunlin_types::Code;
use dunlin_types::limits::{
    TRANSFORM_ERROR_CHARS_MAX, TRANSFORM_HEAP_BYTES_MAX, TRANSFORM_STACK_BYTES_MAX,
};
use rquickjs::{Coerced, Ctx, Error, Object, Value};

use crate::realm::Meter;
use crate::report::ScriptError;

/// The name scripts have in their own stack traces.
pub(crate) const FILE_NAME: &str = "transformation.js";

/// The error of a run that passed its CPU deadline.
pub(crate) fn deadline(cpu_ms: u64) -> ScriptError {
    let message = format!("took longer than {cpu_ms} ms");
    ScriptError::new(Code::TransformDeadline, message)
}

fn memory() -> ScriptError {
    let mib = TRANSFORM_HEAP_BYTES_MAX / (1024 * 1024);
    let message = format!("used more than {mib} MiB of memory");
    ScriptError::new(Code::TransformMemory, message)
}

/// Explains a failed call into the interpreter. `otherwise` is the code of a plain exception.
pub(crate) fn explain<'js>(
    ctx: &Ctx<'js>,
    meter: &Meter,
    cpu_ms: u64,
    error: Error,
    otherwise: Code,
) -> ScriptError {
    if meter.fired() {
        return deadline(cpu_ms);
    }
    match error {
        Error::Exception => {
            let thrown = ctx.catch();
            let found = thrown_error(&thrown, otherwise);
            // Looking at the thrown value runs its getters, which may overstay as well.
            if meter.fired() {
                deadline(cpu_ms)
            } else {
                found
            }
        }
        Error::Allocation => memory(),
        Error::Utf8(_) => ScriptError::new(otherwise, "a text holds half a surrogate pair"),
        Error::InvalidString(_) => ScriptError::new(otherwise, "the code holds a NUL character"),
        other => ScriptError::new(otherwise, cut(&other.to_string())),
    }
}

fn thrown_error(thrown: &Value<'_>, otherwise: Code) -> ScriptError {
    // With no memory left to make an error from, the interpreter throws null.
    if thrown.is_null() {
        return memory();
    }
    let Some(object) = thrown.as_object() else {
        let text = thrown.get::<Coerced<String>>().map_or_else(
            |_| format!("threw a {}", thrown.type_name()),
            |Coerced(text)| text,
        );
        return ScriptError::new(otherwise, cut(&text));
    };
    let name = text_field(object, "name").unwrap_or_else(|| "Error".to_owned());
    let message = text_field(object, "message").unwrap_or_default();
    if name == "InternalError" && message == "out of memory" {
        return memory();
    }
    let (line, column) = text_field(object, "stack").map_or((None, None), |stack| place(&stack));
    let nested = message.contains("call stack size exceeded") || message == "stack overflow";
    if nested {
        let kib = TRANSFORM_STACK_BYTES_MAX / 1024;
        return ScriptError {
            code: Code::TransformStack,
            message: format!("nested its calls too deeply: {kib} KiB of stack"),
            line,
            column,
        };
    }
    let text = if message.is_empty() {
        name
    } else {
        format!("{name}: {message}")
    };
    ScriptError {
        code: otherwise,
        message: cut(&text),
        line,
        column,
    }
}

fn text_field(object: &Object<'_>, name: &str) -> Option<String> {
    let value: Value<'_> = object.get(name).ok()?;
    value.as_string()?.to_string().ok()
}

/// The first place of the script in a stack trace.
fn place(stack: &str) -> (Option<u32>, Option<u32>) {
    let Some((_, rest)) = stack.split_once(FILE_NAME) else {
        return (None, None);
    };
    let mut numbers = rest
        .trim_start_matches(':')
        .split(|c: char| !c.is_ascii_digit())
        .map(|digits| digits.parse().ok());
    (numbers.next().flatten(), numbers.next().flatten())
}

fn cut(text: &str) -> String {
    text.chars().take(TRANSFORM_ERROR_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_the_first_one_within_the_script() {
        let stack = "    at parse (native)\n    at handler (transformation.js:3:14)\n    at x";
        assert_eq!(place(stack), (Some(3), Some(14)));
        assert_eq!(place("    at parse (native)"), (None, None));
        assert_eq!(place("transformation.js:99999999999:1"), (None, Some(1)));
        assert_eq!(place("transformation.js"), (None, None));
    }
}
