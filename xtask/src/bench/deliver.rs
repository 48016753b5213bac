//! Webhooks from a sender to a receiver: one round of the program `deliver`, which has a load of its
//! own and measures the floor beside each.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use serde_json::Value;

use super::{Note, Options, number};
use crate::{project_root, say};

/// What the program calls a figure, what the report calls it, and its aim.
const FIGURES: [(&str, &str, &str); 9] = [
    (
        "signed: accepted / floor",
        "webhooks accepted / floor",
        ">= 0.2",
    ),
    (
        "signed: delivered / floor",
        "webhooks delivered / floor",
        ">= 0.2",
    ),
    (
        "signed, transformed: accepted / floor",
        "webhooks to transform, accepted / floor",
        ">= 0.1",
    ),
    (
        "signed, transformed: delivered / floor",
        "webhooks transformed, delivered / floor",
        ">= 0.1",
    ),
    (
        "created: accepted / floor",
        "messages accepted / floor",
        ">= 0.2",
    ),
    (
        "created: delivered / floor",
        "messages delivered / floor",
        ">= 0.2",
    ),
    (
        "signed: processor's time of the server, us each",
        "server CPU per webhook, us",
        "",
    ),
    (
        "signed, transformed: processor's time of the server, us each",
        "server CPU per webhook transformed, us",
        "",
    ),
    (
        "signed, 100/s: sent to delivered p50, ms",
        "latency at 100/s, sent to delivered p50, ms",
        "<= 5",
    ),
];

pub(super) fn measure(options: &Options, binary: &Path, note: &mut Note<'_>) -> Result<()> {
    let mut command = Command::new("cargo");
    command.args(["run", "--release", "--quiet", "-p", "dunlin-tests"]);
    command.args(["--bin", "deliver", "--", "--rounds", "1"]);
    command.args(["--only", "speed,quiet"]);
    command.arg("--binary").arg(binary.canonicalize()?);
    let enginebench = options.enginebench.canonicalize()?;
    command.arg("--enginebench").arg(enginebench);
    let output = command
        .current_dir(project_root())
        .stderr(Stdio::inherit())
        .output()
        .context("`deliver` did not start")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let last = text.lines().last().context("`deliver` printed nothing")?;
    say(&format!("  {last}"));
    // Whether its targets are met is told by the medians, not by one round.
    let seen: Value = serde_json::from_str(last).context("`deliver` told no figures")?;
    for (name, title, aim) in FIGURES {
        // A server that cannot do it yet tells nothing of it.
        if seen.get(name).is_some() {
            note(title, aim, number(&seen, name)?);
        }
    }
    for kind in ["signed", "signed, transformed", "created"] {
        for what in ["lost", "refused", "twice"] {
            let field = format!("{kind}: {what}");
            let none = seen
                .get(&field)
                .is_none_or(|value| value.as_f64() == Some(0.0));
            anyhow::ensure!(none, "{field} is not 0: {last}");
        }
    }
    Ok(())
}
