//! Generated pages. `tidy` compares them with what the code says, so they cannot go stale.

mod errors;
mod limits;
mod routes;
mod words;

use std::fs;
use std::path::Path;

use anyhow::Context;
use dunlin_types::Code;

use crate::tree::Tree;

/// A page that is generated.
pub(crate) struct Page {
    /// Where it lies.
    pub(crate) path: &'static str,
    text: fn(&Tree) -> anyhow::Result<String>,
}

/// Every generated page.
pub(crate) const PAGES: [Page; 3] = [
    Page {
        path: "docs/errors/README.md",
        text: |_| Ok(errors::index(Code::ALL)),
    },
    Page {
        path: "docs/reference/limits.md",
        text: |tree| limits::page(source(tree, limits::SOURCE)?),
    },
    Page {
        path: "docs/reference/routes.md",
        text: |tree| {
            let table = source(tree, routes::SOURCE)?;
            routes::page(table, &limits::values(source(tree, limits::SOURCE)?)?)
        },
    },
];

impl Page {
    /// What the page says, going by the code.
    ///
    /// # Errors
    /// When the code it is drawn from is not written as the generator reads it.
    pub(crate) fn text(&self, tree: &Tree) -> anyhow::Result<String> {
        (self.text)(tree)
    }
}

fn source<'a>(tree: &'a Tree, path: &str) -> anyhow::Result<&'a str> {
    let text = tree.texts.get(path).map(String::as_str);
    text.with_context(|| format!("there is no {path}"))
}

/// Writes every generated page.
pub(crate) fn write(root: &Path) -> anyhow::Result<()> {
    let tree = Tree::read(root)?;
    for page in &PAGES {
        let text = page.text(&tree).context(page.path)?;
        let path = root.join(page.path);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        crate::say(&format!("wrote {}", page.path));
    }
    Ok(())
}
