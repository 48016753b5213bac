//! The one command that runs every test: what the README names and what CI calls.
//!
//! The black-box tests drive the real binary, so it is built first and its path handed over in
//! `DUNLIN_BIN`; a second one that has crash points goes over in `DUNLIN_FAILPOINTS_BIN`. The SDK
//! programs under `tests/sdk/` get exactly the packages of their lock files; the Pythons of those in
//! that language go over in variables too.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context, bail};

use crate::tree::metadata;

/// The official SDKs for JavaScript that the black-box tests run against.
const SDK_APPS: [&str; 4] = [
    "tests/sdk/v3",
    "tests/sdk/v4",
    "tests/sdk/svix/v1",
    "tests/sdk/svix/v2",
];

/// Those for Python.
const PYTHON_SDKS: [PythonSdk; 3] = [
    PythonSdk {
        folder: "tests/sdk/python",
        environment: "sdk-python",
        variable: "DUNLIN_SDK_PYTHON",
    },
    PythonSdk {
        folder: "tests/sdk/svix/python-v1",
        environment: "sdk-svix-v1",
        variable: "DUNLIN_SVIX_PYTHON_V1",
    },
    PythonSdk {
        folder: "tests/sdk/svix/python-v2",
        environment: "sdk-svix-v2",
        variable: "DUNLIN_SVIX_PYTHON_V2",
    },
];

/// Packages that need a Python of their own.
struct PythonSdk {
    /// Where the list of packages lies.
    folder: &'static str,
    /// The environment's folder in the target folder.
    environment: &'static str,
    /// What tells the tests which Python it is.
    variable: &'static str,
}

/// Builds the binary.
const BUILD: [&str; 4] = ["build", "--package", "dunlin", "--locked"];

/// Builds, installs and tests; stops at the first command that fails.
pub(crate) fn run(root: &Path) -> anyhow::Result<()> {
    let failpoints = build_with_failpoints(root)?;
    run_command(cargo(root).args(BUILD))?;
    for app in SDK_APPS {
        let folder = root.join(app);
        if needs_install(&folder) {
            let mut npm = Command::new("npm");
            npm.args(["ci", "--no-audit", "--no-fund"])
                .current_dir(&folder);
            run_command(&mut npm)?;
        }
    }
    let mut tests = cargo(root);
    tests
        .args(["test", "--workspace", "--locked"])
        .env("DUNLIN_BIN", binary(root, "dunlin")?)
        .env("DUNLIN_FAILPOINTS_BIN", failpoints);
    for sdk in &PYTHON_SDKS {
        tests.env(sdk.variable, python_with_packages(root, sdk)?);
    }
    run_command(&mut tests)
}

/// Both builds share all that comes before the node, so the copy is made before the plain build
/// takes its place.
fn build_with_failpoints(root: &Path) -> anyhow::Result<PathBuf> {
    run_command(cargo(root).args(BUILD).args(["--features", "failpoints"]))?;
    let kept = binary(root, "dunlin-failpoints")?;
    // Written beside and moved, since an earlier copy may be running.
    let fresh = kept.with_extension("new");
    std::fs::copy(binary(root, "dunlin")?, &fresh).context("cannot copy the binary")?;
    std::fs::rename(&fresh, &kept).context("cannot keep the copy of the binary")?;
    Ok(kept)
}

/// The Python of an environment that has what the SDK's list names. The list of packages
/// is kept in the environment, so that another list makes another environment.
fn python_with_packages(root: &Path, sdk: &PythonSdk) -> anyhow::Result<PathBuf> {
    let wanted = root.join(sdk.folder).join("requirements.txt");
    let folder = metadata::read(root)?.target_directory.join(sdk.environment);
    let (python, installed) = (folder.join("bin/python"), folder.join("requirements.txt"));
    let list = std::fs::read(&wanted).context("cannot read the list of Python packages")?;
    if std::fs::read(&installed).is_ok_and(|kept| kept == list) {
        return Ok(python);
    }
    let mut environment = Command::new("python3");
    environment.args(["-m", "venv", "--clear"]).arg(&folder);
    run_command(&mut environment)?;
    let mut pip = Command::new(&python);
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ]);
    run_command(pip.arg("--requirement").arg(&wanted))?;
    std::fs::write(&installed, list).context("cannot note the Python packages")?;
    Ok(python)
}

fn cargo(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    command
}

fn binary(root: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let name = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    Ok(metadata::read(root)?
        .target_directory
        .join("debug")
        .join(name))
}

/// Whether the lock file exists and is newer than what npm installed from it.
fn needs_install(folder: &Path) -> bool {
    let Some(locked) = modified(&folder.join("package-lock.json")) else {
        return false;
    };
    modified(&folder.join("node_modules/.package-lock.json")).is_none_or(|done| done < locked)
}

fn modified(path: &Path) -> Option<SystemTime> {
    path.metadata().ok()?.modified().ok()
}

fn run_command(command: &mut Command) -> anyhow::Result<()> {
    crate::say(&format!("$ {command:?}"));
    let program = command.get_program().to_os_string();
    let status = command.status().with_context(|| {
        format!(
            "cannot start {}: is it installed?",
            program.to_string_lossy()
        )
    })?;
    if !status.success() {
        bail!("{} failed with {status}", program.to_string_lossy());
    }
    Ok(())
}
