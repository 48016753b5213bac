//! The project's files as the rules see them, read once.

pub(crate) mod metadata;
pub(crate) mod modules;
pub(crate) mod source;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Context;

use metadata::Package;
use source::Source;

/// Hidden folders hold tools' state, but for these.
const HIDDEN_FOLDERS_READ: [&str; 3] = [".ci", ".cargo", ".config"];

/// Every text file of the project, its packages, and which Rust files a `mod` reaches.
#[derive(Default)]
pub(crate) struct Tree {
    /// Text files by path from the root, with `/` between folders.
    pub(crate) texts: BTreeMap<String, String>,
    /// The Rust files among them.
    pub(crate) sources: BTreeMap<String, Source>,
    /// All paths, those of binary files and folders included.
    pub(crate) paths: Vec<String>,
    /// The workspace's packages.
    pub(crate) packages: Vec<Package>,
}

impl Tree {
    /// Reads the project at `root`.
    pub(crate) fn read(root: &Path) -> anyhow::Result<Self> {
        let mut tree = Self::default();
        tree.read_folder(root, "")?;
        tree.packages = metadata::read(root)?.packages;
        tree.find_modules();
        Ok(tree)
    }

    /// A tree of these texts, for the rules' own tests.
    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let mut tree = Self::default();
        for (path, text) in files {
            tree.add(path, (*text).to_owned());
        }
        tree.find_modules();
        tree
    }

    /// The Rust files that are part of the product: no tests, benches or fixtures.
    pub(crate) fn product_sources(&self) -> impl Iterator<Item = (&str, &Source)> {
        self.sources
            .iter()
            .filter(|(_, source)| !source.is_test)
            .map(|(path, source)| (path.as_str(), source))
    }

    fn read_folder(&mut self, folder: &Path, prefix: &str) -> anyhow::Result<()> {
        let entries =
            fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = format!("{prefix}{name}");
            if entry.file_type()?.is_dir() {
                if is_ours(&entry.path(), &name) {
                    self.paths.push(path.clone());
                    self.read_folder(&entry.path(), &format!("{path}/"))?;
                }
            } else if let Ok(text) = fs::read_to_string(entry.path()) {
                self.add(&path, text);
            } else {
                self.paths.push(path);
            }
        }
        Ok(())
    }

    fn add(&mut self, path: &str, text: String) {
        if path.ends_with(".rs") && !path.split('/').any(|part| part == "fixtures") {
            self.sources
                .insert(path.to_owned(), Source::new(path, &text));
        }
        self.paths.push(path.to_owned());
        self.texts.insert(path.to_owned(), text);
    }

    fn find_modules(&mut self) {
        let reached = modules::reach(&modules::roots(&self.packages), &self.sources);
        for (path, source) in &mut self.sources {
            if let Some(only_in_tests) = reached.get(path) {
                source.is_reached = true;
                source.is_test |= *only_in_tests;
            }
        }
    }
}

/// Whether people write there: not npm, not cargo (which tags what it fills), not other tools.
fn is_ours(folder: &Path, name: &str) -> bool {
    let hidden = name.starts_with('.') && !HIDDEN_FOLDERS_READ.contains(&name);
    !hidden && name != "node_modules" && !folder.join("CACHEDIR.TAG").exists()
}
