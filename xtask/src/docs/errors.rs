//! The index of the error pages.

use dunlin_types::Code;

/// What each group of a hundred codes is about.
const GROUPS: [(u16, &str); 8] = [
    (1, "Requests that were refused"),
    (2, "Inbound webhooks and sources"),
    (3, "Events"),
    (4, "Apps and functions"),
    (5, "Calls and runs"),
    (6, "Endpoints, deliveries, transformations"),
    (7, "The store"),
    (8, "Start-up and command line"),
];

/// The index of these codes.
pub(super) fn index(codes: &[Code]) -> String {
    let mut text = String::from(
        "# Error codes\n\n\
         Every error of Dunlin has a stable code. Answers carry it in the header `x-dunlin-error`\n\
         and, where the body is a JSON object, in the field `error_code`; the command line and the\n\
         log print it before the message. Each code has a page with its causes and what to do.\n\n\
         This index is generated: `cargo run -p xtask -- docs`.\n",
    );
    for (hundred, title) in GROUPS {
        let mut rows = codes
            .iter()
            .filter(|code| code.number() / 100 == hundred)
            .peekable();
        if rows.peek().is_none() {
            continue;
        }
        text.push_str(&format!(
            "\n## {hundred:02}xx: {title}\n\n| code | meaning |\n|---|---|\n"
        ));
        for code in rows {
            text.push_str(&format!("| [{code}]({code}.md) | {} |\n", code.title()));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_row() {
        let index = index(Code::ALL);
        for code in Code::ALL {
            let row = format!("| [{code}]({code}.md) | {} |", code.title());
            assert!(
                index.contains(&row),
                "no row for {code}: its hundred needs a group"
            );
        }
    }
}
