//! `dunlin start`: the production server.

use std::process::ExitCode;

use tracing::{info, warn};

use crate::cli::StartArgs;
use crate::config::{self, Mode, Sources};
use crate::{watch, wiring};

pub(crate) async fn run(args: StartArgs) -> anyhow::Result<ExitCode> {
    let file = args.config.clone();
    let settings = config::load(Mode::Start, &args, &Sources::of_process(file.as_deref()))?;
    let serving = wiring::serve(&settings, Mode::Start).await?;
    info!(
        version = env!("CARGO_PKG_VERSION"),
        listen = %serving.address,
        url = serving.base_url,
        data = %settings.data_dir.display(),
        "dunlin is up"
    );
    if settings.public_url.is_none() {
        info!("no public_url is set; links that are shown name the listen address");
    }
    let watching = tokio::spawn(watch::apps(serving.node(), |note| match note.is_bad() {
        true => warn!("{note}"),
        false => info!("{note}"),
    }));
    let ended = serving.until_stopped().await;
    watching.abort();
    Ok(ended?)
}
