//! The page of routes, from the text of the policy table.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};

use super::words::bytes;

/// Where the table is.
pub(super) const SOURCE: &str = "crates/api/src/policy.rs";

const HEAD: &str = "# Routes

All that is served, to whom, and how large a request may be. What is not here is not served. A `GET` row holds for
`HEAD` too. `{…}` stands for one part of a path, `{*rest}` for all that begins so and has no row of its own: that is
not built yet and answered 501 (E0108).

This page is generated from `crates/api/src/policy.rs`: `cargo run -p xtask -- docs`.

## Who may call

`dunlin dev` is open to allowed hosts, but for webhooks, which are verified there too. Credentials go into the header
`authorization: Bearer …`.

The column *also* tells who else may call, within the application that the path names: a portal token with the
capability of that name, and every integration's key; integrations' keys only; or any of both. Ids of other
applications are answered 404 there, what a token does not allow 403 (E0111).

| name | who |
|---|---|
";

/// The page of the table in that source; `limits` are the sizes it names.
pub(super) fn page(source: &str, limits: &BTreeMap<String, Vec<i128>>) -> anyhow::Result<String> {
    let mut text = HEAD.to_owned();
    for (variant, comment) in who(source)? {
        text.push_str(&format!("| {} | {comment} |\n", spaced(variant)));
    }
    let header = "| method | path | who | also | body |\n|---|---|---|---|---|\n";
    text.push_str(&format!("\n## General\n\n{header}"));
    let table = between(source, "pub const TABLE: &[Route] = &[\n", "\n];")?;
    let mut entry = String::new();
    for line in table.lines().map(str::trim) {
        if let Some(comment) = line.strip_prefix("// ") {
            text.push_str(&format!(
                "\n## {}\n\n{header}",
                comment.trim_end_matches('.')
            ));
            continue;
        }
        entry.push_str(line);
        let is_whole = entry.matches('(').count() == entry.matches(')').count();
        if is_whole && entry.ends_with(',') {
            text.push_str(&row(source, &entry, limits).context(entry.clone())?);
            entry.clear();
        }
    }
    ensure!(entry.is_empty(), "a row of the table has no end: {entry}");
    Ok(text)
}

/// The groups of callers with their comments.
fn who(source: &str) -> anyhow::Result<Vec<(&str, String)>> {
    let mut groups = Vec::new();
    let mut comment = String::new();
    for line in between(source, "pub enum Who {\n", "\n}")?
        .lines()
        .map(str::trim)
    {
        match line.strip_prefix("/// ") {
            Some(more) => comment.push_str(more),
            None => groups.push((line.trim_end_matches(','), std::mem::take(&mut comment))),
        }
    }
    Ok(groups)
}

/// One row. What it does not say itself, the function that makes it does.
fn row(source: &str, entry: &str, limits: &BTreeMap<String, Vec<i128>>) -> anyhow::Result<String> {
    let (maker, _) = entry.split_once('(').context("no call")?;
    let maker = between(source, &format!("const fn {maker}("), "\n}\n")?;
    let texts: Vec<&str> = entry.split('"').skip(1).step_by(2).collect();
    let path = texts
        .iter()
        .find(|text| text.starts_with('/'))
        .context("no path")?;
    let method = texts
        .first()
        .filter(|text| !text.starts_with('/'))
        .unwrap_or(&"GET");
    let who = named(entry, "Who::")
        .or_else(|| named(maker, "Who::"))
        .context("nobody may")?;
    let has_body = !matches!(*method, "GET" | "DELETE");
    let size = named(entry, ".body(").or_else(|| named(maker, ".body(").filter(|_| has_body));
    let body = match size {
        Some(limit) => match limits.get(limit).map(Vec::as_slice) {
            Some([size]) => bytes(*size),
            _ => anyhow::bail!("`{limit}` is no limit"),
        },
        None if has_body => bytes(small(source)?),
        None => "–".to_owned(),
    };
    Ok(format!(
        "| {method} | `{path}` | {} | {} | {body} |\n",
        spaced(who),
        also(entry)
    ))
}

/// Who else may call.
fn also(entry: &str) -> &str {
    match named(entry, ".portal(") {
        Some(capability) => capability,
        None if entry.contains(".integration()") => "integration",
        None if entry.contains(".any_key()") => "any",
        None => "–",
    }
}

/// The size of bodies that no row names.
fn small(source: &str) -> anyhow::Result<i128> {
    let text = between(source, "const SMALL: usize = ", ";")?;
    text.split(" * ")
        .map(|part| Ok(part.parse::<i128>()?))
        .product()
}

/// The name behind the first `prefix`, unless it is an argument that was passed on.
fn named<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let rest = &text[text.find(prefix)? + prefix.len()..];
    let end = rest.find(|c: char| c != '_' && !c.is_ascii_alphanumeric())?;
    Some(&rest[..end])
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> anyhow::Result<&'a str> {
    let inside = text
        .split_once(start)
        .and_then(|(_, rest)| rest.split_once(end));
    let (inside, _) = inside.with_context(|| format!("no `{}` in {SOURCE}", start.trim()))?;
    Ok(inside)
}

/// `SigningKeyOrAdmin` as `signing key or admin`.
fn spaced(variant: &str) -> String {
    let mut text = String::new();
    for (at, letter) in variant.char_indices() {
        if at > 0 && letter.is_ascii_uppercase() {
            text.push(' ');
        }
        text.push(letter.to_ascii_lowercase());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "pub enum Who {\n    /// Anybody.\n    Open,\n    /// Operators.\n    AdminToken,\n}\n\
        const SMALL: usize = 64 * 1024;\n\
        const fn read(path: &str, who: Who) -> Route {\n    route(\"GET\", path, who)\n}\n\
        const fn manage(m: &str, path: &str) -> Route {\n    route(m, path, Who::AdminToken).body(BIG)\n}\n\
        const fn route(m: &str, path: &str, who: Who) -> Route {\n    Route {}\n}\n\n\
        pub const TABLE: &[Route] = &[\n    read(\"/health\", Who::Open),\n    // Noun.\n    \
        manage(\"GET\", \"/a\").portal(ViewAll),\n    manage(\"POST\", \"/a\"),\n    route(\n        \"POST\",\n        \
        \"/b\",\n        Who::Open,\n    )\n    .cors(),\n    route(\"POST\", \"/c\", Who::Open)\n        \
        .body(BIG)\n        .any_key(),\n];\n";

    #[test]
    fn each_row_says_who_may_send_how_much() {
        let limits = BTreeMap::from([("BIG".to_owned(), vec![2 << 20])]);
        let page = page(TEXT, &limits).unwrap();
        for row in [
            "| admin token | Operators. |",
            "| GET | `/health` | open | – | – |",
            "## Noun",
            "| GET | `/a` | admin token | ViewAll | – |",
            "| POST | `/a` | admin token | – | 2 MiB |",
            "| POST | `/b` | open | – | 64 KiB |",
            "| POST | `/c` | open | any | 2 MiB |",
        ] {
            assert!(page.contains(row), "{row}\n{page}");
        }
    }

    #[test]
    fn sizes_that_are_no_limits_are_refused() {
        assert!(page(TEXT, &BTreeMap::new()).is_err());
    }
}
