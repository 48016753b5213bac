//! `console` for scripts: lines are kept for the attempt's log, up to a limit, and go nowhere else.

use std::cell::RefCell;
use std::rc::Rc;

use dunlin_types::limits::{TRANSFORM_LOG_BYTES_MAX, TRANSFORM_LOG_LINES_MAX};
use rquickjs::function::Rest;
use rquickjs::{Coerced, Ctx, Exception, Function, Object, Result, Value};

use crate::host;
use crate::report::{LogLevel, LogLine};

/// The lines of one run.
#[derive(Default)]
pub(crate) struct Lines {
    kept: Vec<LogLine>,
    bytes: usize,
    full: bool,
}

impl Lines {
    fn push(&mut self, level: LogLevel, mut text: String) {
        let room = TRANSFORM_LOG_BYTES_MAX - self.bytes;
        if text.len() > room {
            text.truncate(text.floor_char_boundary(room));
            self.full = true;
        }
        self.bytes += text.len();
        self.kept.push(LogLine { level, text });
        self.full |= self.kept.len() >= TRANSFORM_LOG_LINES_MAX;
    }

    /// The lines, with a note at the end when some are missing.
    pub(crate) fn take(&mut self) -> Vec<LogLine> {
        let Self { mut kept, full, .. } = std::mem::take(self);
        if full {
            kept.push(LogLine {
                level: LogLevel::Warn,
                text: format!(
                    "[truncated: a run keeps {} kB and {TRANSFORM_LOG_LINES_MAX} lines]",
                    TRANSFORM_LOG_BYTES_MAX / 1024
                ),
            });
        }
        kept
    }
}

/// Puts `console` into a realm.
pub(crate) fn install<'js>(ctx: &Ctx<'js>, lines: &Rc<RefCell<Lines>>) -> Result<()> {
    let console = Object::new(ctx.clone())?;
    let levels = [
        ("debug", LogLevel::Debug),
        ("log", LogLevel::Log),
        ("info", LogLevel::Info),
        ("warn", LogLevel::Warn),
        ("error", LogLevel::Error),
    ];
    for (name, level) in levels {
        let lines = Rc::clone(lines);
        let write = move |ctx: Ctx<'js>, values: Rest<Value<'js>>| -> Result<()> {
            if lines.borrow().full {
                return Ok(());
            }
            let text = line_of(&ctx, values.0)?;
            lines.borrow_mut().push(level, text);
            Ok(())
        };
        host::put(&console, name, Function::new(ctx.clone(), write)?)?;
    }
    ctx.globals().set("console", console)
}

fn line_of<'js>(ctx: &Ctx<'js>, values: Vec<Value<'js>>) -> Result<String> {
    let mut line = String::new();
    for value in values {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&text_of(ctx, value)?);
        if line.len() > TRANSFORM_LOG_BYTES_MAX {
            break;
        }
    }
    Ok(line)
}

fn text_of<'js>(ctx: &Ctx<'js>, value: Value<'js>) -> Result<String> {
    if let Some(error) = value.clone().into_object().and_then(Exception::from_object) {
        let Coerced(text) = error.into_object().into_value().get::<Coerced<String>>()?;
        return Ok(text);
    }
    if let Some(symbol) = value.as_symbol() {
        return Ok(format!(
            "Symbol({})",
            symbol.description()?.get::<Coerced<String>>()?.0
        ));
    }
    if value.is_object() && !value.is_function() {
        if let Ok(Some(json)) = ctx.json_stringify(value.clone()) {
            return json.to_string();
        }
        // A cycle is no reason to fail a run that only wanted to look at it.
        let _ = ctx.catch();
        return Ok("[object]".to_owned());
    }
    Ok(value.get::<Coerced<String>>()?.0)
}
