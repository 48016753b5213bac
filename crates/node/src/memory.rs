//! How much memory the process holds, and how much it may: as Linux tells it. Elsewhere nothing is
//! known, and nothing is limited.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use dunlin_types::limits;

use crate::pace::Pace;

/// The cap on memory where none is set: a share of what the machine, or the process's control
/// group, has. None where the system does not tell.
#[must_use]
pub fn memory_bytes_max_default() -> Option<u64> {
    let groups = read("/proc/self/cgroup").unwrap_or_default();
    let of_groups = limit_files(&groups).into_iter().filter_map(|path| {
        let text = std::fs::read_to_string(path).ok()?;
        text.trim().parse().ok()
    });
    let machine = read("/proc/meminfo").and_then(|text| kib_line(&text, "MemTotal:"));
    let least = of_groups.chain(machine).min()?;
    Some(least / 100 * limits::MEMORY_SHARE_PERCENT)
}

/// Memory that is the process's own. Pages of files are left out: the system takes those back by
/// itself.
fn own_bytes() -> Option<u64> {
    let status = read("/proc/self/status")?;
    kib_line(&status, "RssAnon:").or_else(|| kib_line(&status, "VmRSS:"))
}

/// Looks at the memory a few times a second, for as long as somebody wants to know.
pub(crate) fn watch(pace: &Arc<Pace>) {
    tokio::spawn(go_on_watching(Arc::downgrade(pace)));
}

async fn go_on_watching(pace: Weak<Pace>) {
    let mut ticks = tokio::time::interval(Duration::from_millis(limits::MEMORY_SAMPLE_MS));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let (Some(pace), Some(bytes)) = (pace.upgrade(), own_bytes()) else {
            return;
        };
        pace.sampled(bytes);
    }
}

fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

/// A line such as `MemTotal:  24683124 kB`, in bytes.
fn kib_line(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Where limits may be written: of each group that the process is in, and of all above it. In a
/// container the paths may be those of its host; the topmost folder is its own then.
fn limit_files(groups: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(group)) = (parts.next(), parts.next()) else {
            continue;
        };
        let (folder, file) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            one if one.split(',').any(|name| name == "memory") => {
                ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => continue,
        };
        let above = Path::new(group).ancestors();
        files.extend(above.map(|group| {
            let below = group.strip_prefix("/").unwrap_or(group);
            Path::new(folder).join(below).join(file)
        }));
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_name_their_limits_and_those_above() {
        let shown = |groups: &str| -> Vec<String> {
            let files = limit_files(groups).into_iter();
            files.map(|file| file.display().to_string()).collect()
        };
        assert_eq!(
            shown("0::/a/b\n"),
            [
                "/sys/fs/cgroup/a/b/memory.max",
                "/sys/fs/cgroup/a/memory.max",
                "/sys/fs/cgroup/memory.max"
            ]
        );
        assert_eq!(
            shown("5:devices:/\n4:cpu,memory:/x\nodd\n"),
            [
                "/sys/fs/cgroup/memory/x/memory.limit_in_bytes",
                "/sys/fs/cgroup/memory/memory.limit_in_bytes"
            ]
        );
    }

    #[test]
    fn figures_are_read_in_bytes() {
        let text = "VmRSS:\t    2048 kB\nRssAnon:\t    1024 kB\n";
        assert_eq!(kib_line(text, "RssAnon:"), Some(1024 * 1024));
        assert_eq!(kib_line(text, "RssFile:"), None);
    }
}
