//! Where the binary and the SDK apps lie.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The workspace's folder.
pub(crate) fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the tests lie in the workspace")
}

/// The binary under test: the one that `DUNLIN_BIN` names, else the workspace's own, built first
/// so that what is tested is what lies in the tree.
pub(crate) fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(named) = std::env::var_os("DUNLIN_BIN") {
            return PathBuf::from(named);
        }
        build();
        let test = std::env::current_exe().expect("a test has a path");
        let profile = test
            .ancestors()
            .nth(2)
            .expect("tests lie in <profile>/deps");
        profile.join(format!("dunlin{}", std::env::consts::EXE_SUFFIX))
    })
}

/// The files of a folder and of those in it: their paths and what is in them.
pub(crate) fn all_below(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(folder).expect("the folder can be read");
    let of = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.expect("the folder can be read").path();
        if path.is_dir() {
            return all_below(&path);
        }
        let bytes = std::fs::read(&path).expect("the file can be read");
        vec![(path.display().to_string(), bytes)]
    };
    entries.flat_map(of).collect()
}

fn build() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["build", "--quiet", "--locked", "--package", "dunlin"])
        .current_dir(workspace());
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    let status = command.status().expect("cargo runs");
    assert!(status.success(), "the binary does not build");
}
