//! What is refused before a script is stored, and where it says the mistake is.

use dunlin_sandbox::{Sandbox, ScriptError};
use dunlin_types::Code;

use crate::common::options;

async fn refused(code: &str) -> ScriptError {
    Sandbox::new(options()).check(code).await.unwrap_err()
}

#[tokio::test]
async fn a_syntax_error_is_refused_with_line_and_column() {
    let error = refused("function handler(webhook) {\n  return {;\n}").await;
    assert_eq!(error.code, Code::TransformSyntax);
    assert_eq!((error.line, error.column), (Some(2), Some(11)), "{error}");
    assert!(error.to_string().ends_with("(2:11)"), "{error}");
}

#[tokio::test]
async fn modules_are_refused_as_syntax() {
    for code in [
        "import x from 'x';\nfunction handler(w) {}",
        "export function handler(w) {}",
    ] {
        assert_eq!(refused(code).await.code, Code::TransformSyntax, "{code}");
    }
}

#[tokio::test]
async fn a_script_without_a_handler_is_refused() {
    for code in [
        "function handle(webhook) { return webhook; }",
        "const handler = 'not one';",
    ] {
        assert_eq!(refused(code).await.code, Code::TransformNoHandler, "{code}");
    }
}

#[tokio::test]
async fn a_top_level_that_throws_or_hangs_is_refused() {
    let error = refused("function handler() {}\nnowhere.to();").await;
    assert_eq!((error.code, error.line), (Code::TransformThrew, Some(2)));
    let error = refused("function handler() {}\nfor (;;) ;").await;
    assert_eq!(error.code, Code::TransformDeadline);
}

#[tokio::test]
async fn length_is_counted_in_characters() {
    let sandbox = Sandbox::new(options());
    assert_eq!(refused("let a = 1").await.code, Code::TransformLength);
    let handler = "function handler(w) { return w; }//";
    let fitting = format!("{handler}{}", "ä".repeat(51_200 - handler.len()));
    sandbox.check(&fitting).await.unwrap();
    assert_eq!(
        refused(&format!("{fitting}ä")).await.code,
        Code::TransformLength
    );
}

#[tokio::test]
async fn every_way_to_declare_the_function_is_taken() {
    let sandbox = Sandbox::new(options());
    for code in [
        "function handler(w) { return w; }",
        "const handler = (w) => w;",
        "var handler = function (w) { return w; }",
        "globalThis.handler = (w) => w;",
        "function transform(evt) { return evt; }",
        "undeclared = 1; with ({}) {} function handler(w) { return w; }",
    ] {
        sandbox.check(code).await.unwrap();
    }
}
