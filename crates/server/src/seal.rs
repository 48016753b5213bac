//! `dunlin rotate-seal-key`: another key for the secrets on disk.

use std::process::ExitCode;

use dunlin_store_sqlite::{Progress, Rotated, rotate_seal_key};
use dunlin_types::Coded;

use crate::cli::RotateSealKeyArgs;
use crate::config::{self, Mode, Settings, Sources};
use crate::term::{Term, complain};
use crate::wiring;

pub(crate) fn run(args: RotateSealKeyArgs) -> anyhow::Result<ExitCode> {
    let file = args.config.clone();
    // Both servers read these settings alike; the production server's keys are not needed here.
    let settings = config::load(Mode::Dev, &args, &Sources::of_process(file.as_deref()))?;
    let rotated = rotate_seal_key(&settings.data_dir, &settings.seal_keys, &mut |progress| {
        told(progress);
        Ok(())
    });
    let rotated = rotated.map_err(|error| {
        let error = Coded::new(error.code, error.detail);
        wiring::unopened(&settings, error)
    })?;
    report(Term::stdout(), &settings, &rotated);
    Ok(ExitCode::SUCCESS)
}

/// On standard error, so that what was done stands alone on standard output.
fn told(progress: Progress) {
    let Progress { rows, of, sealed } = progress;
    complain(format_args!("{rows} of {of} rows, {sealed} sealed anew"));
}

fn report(term: Term, settings: &Settings, rotated: &Rotated) {
    if rotated.resumed {
        term.line("Finished the exchange that had been interrupted");
    }
    term.pair("key", rotated.to);
    for id in &rotated.from {
        term.pair("no longer", format_args!("{id}; only backups need it"));
    }
    let Progress { rows, sealed, .. } = rotated.progress;
    term.pair("sealed", format_args!("{sealed} of {rows} rows"));
    if rotated.in_file {
        let file = settings.data_dir.join("seal.key");
        term.pair("kept in", file.display());
        term.line("Keep a copy of that file apart from the data.");
        return;
    }
    term.pair(
        "kept in",
        "the settings: the server needs it as DUNLIN_SEAL_KEY",
    );
    if rotated.from.is_empty() {
        term.line("To exchange it, put a new key in front: DUNLIN_SEAL_KEY=NEW,OLD");
    } else {
        term.line("The other keys may be taken out of the settings.");
    }
}
