//! Scripts compiled ahead, so that a run neither reads nor checks its text again.
#![expect(
    unsafe_code,
    reason = "the library compiles only what it runs at once; these are the interpreter's own calls"
)]

use std::ffi::CString;

use rquickjs::{Ctx, Error, Result, Value, qjs};

use crate::failure::FILE_NAME;

/// A script that lies compiled in the interpreter's memory, for one run.
#[derive(Clone, Copy)]
pub(crate) struct Compiled {
    function: qjs::JSValue,
}

impl Compiled {
    /// Compiles a script without running it.
    pub(crate) fn new(ctx: &Ctx<'_>, code: &str) -> Result<Self> {
        let text = CString::new(code)?;
        let name = CString::new(FILE_NAME)?;
        let flags = qjs::JS_EVAL_TYPE_GLOBAL | qjs::JS_EVAL_FLAG_COMPILE_ONLY;
        // SAFETY: the context is alive, and both texts end in a zero and outlive the call.
        let function = unsafe {
            qjs::JS_Eval(
                ctx.as_raw().as_ptr(),
                text.as_ptr(),
                code.len() as _,
                name.as_ptr(),
                flags as _,
            )
        };
        // SAFETY: looks at the value's tag only.
        match unsafe { qjs::JS_IsException(function) } {
            true => Err(Error::Exception),
            false => Ok(Self { function }),
        }
    }

    /// Runs it in the global scope.
    ///
    /// # Safety
    /// The interpreter's memory must hold this script: it is that in which it was compiled, or was
    /// put back to a state after that, and the script has not been run since.
    pub(crate) unsafe fn run<'js>(self, ctx: &Ctx<'js>) -> Result<Value<'js>> {
        // SAFETY: the caller says that the function is there; the call uses it up.
        let value = unsafe { qjs::JS_EvalFunction(ctx.as_raw().as_ptr(), self.function) };
        // SAFETY: looks at the value's tag only.
        match unsafe { qjs::JS_IsException(value) } {
            true => Err(Error::Exception),
            // SAFETY: a value of this context, which nobody else owns.
            false => Ok(unsafe { Value::from_raw(ctx.clone(), value) }),
        }
    }
}
