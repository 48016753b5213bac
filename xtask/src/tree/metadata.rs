//! What cargo knows of the workspace: packages, their direct dependencies and crate roots.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use serde::Deserialize;

/// The part of `cargo metadata` that the chores use.
#[derive(Deserialize)]
pub(crate) struct Metadata {
    pub(crate) packages: Vec<Package>,
    pub(crate) target_directory: PathBuf,
}

/// One package of the workspace.
#[derive(Clone, Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    /// Relative to the root once [`read`] returns.
    pub(crate) manifest_path: String,
    pub(crate) dependencies: Vec<Dependency>,
    pub(crate) targets: Vec<Target>,
}

/// One line of a package's dependency tables.
#[derive(Clone, Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// `None` for an ordinary one, else `dev` or `build`.
    pub(crate) kind: Option<String>,
}

/// One crate root of a package.
#[derive(Clone, Deserialize)]
pub(crate) struct Target {
    pub(crate) kind: Vec<String>,
    /// Relative to the root once [`read`] returns.
    pub(crate) src_path: String,
}

impl Package {
    /// The name the architecture page uses: that of the folder.
    pub(crate) fn short_name(&self) -> &str {
        match self.name.as_str() {
            "dunlin" => "server",
            name => name.strip_prefix("dunlin-").unwrap_or(name),
        }
    }
}

/// Asks cargo, without the network and without resolving anything.
pub(crate) fn read(root: &Path) -> anyhow::Result<Metadata> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .current_dir(root)
        .output()
        .context("cannot start cargo")?;
    if !output.status.success() {
        bail!(
            "cargo metadata failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let mut metadata: Metadata =
        serde_json::from_slice(&output.stdout).context("cannot read cargo metadata")?;
    for package in &mut metadata.packages {
        package.manifest_path = relative(root, &package.manifest_path);
        for target in &mut package.targets {
            target.src_path = relative(root, &target.src_path);
        }
    }
    Ok(metadata)
}

fn relative(root: &Path, path: &str) -> String {
    let inside = Path::new(path)
        .strip_prefix(root)
        .unwrap_or(Path::new(path));
    inside.to_string_lossy().replace('\\', "/")
}
