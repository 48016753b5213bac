//! The layers that settings come from, and what is said of names that are none.

use std::path::Path;

use dunlin_types::Code;
use figment::error::Kind;
use figment::providers::{Format, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Metadata, Profile, Provider};

use super::NAMES;
use crate::fail::Failure;
use crate::sample::nearest;

const PREFIX: &str = "DUNLIN_";
const FILE: &str = "dunlin.toml";
const ENVIRONMENT: &str = "the environment";

/// Variables of ours that are no settings, and so never a misspelled one.
const NO_SETTINGS: [&str; 3] = ["log", "config", "server"];

/// The file, which must be there if it was named.
pub(super) fn file_layer(named: Option<&Path>) -> Result<figment::providers::Data<Toml>, Failure> {
    let path = named.unwrap_or(Path::new(FILE));
    match std::fs::read_to_string(path) {
        Ok(_) => Ok(Toml::file_exact(path)),
        Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
            Ok(Toml::string(""))
        }
        Err(error) => {
            let detail = format!("the file {}: {error}", path.display());
            Err(Failure::new(Code::FileUnreadable, detail))
        }
    }
}

/// `DUNLIN_…` variables. All values stay texts: a key of digits is not a number.
pub(super) struct EnvLayer(Dict);

impl EnvLayer {
    pub(super) fn of(env: &[(String, String)]) -> Result<Self, Failure> {
        let mut set = Dict::new();
        for (variable, value) in env {
            let Some(name) = variable.strip_prefix(PREFIX).map(str::to_lowercase) else {
                continue;
            };
            if NAMES.contains(&name.as_str()) {
                set.insert(name, Value::from(value.as_str()));
            } else if !NO_SETTINGS.contains(&name.as_str()) {
                check_spelling(variable, &name)?;
            }
        }
        Ok(Self(set))
    }
}

/// Other programs name variables after this one (service discovery does), so that only a name that
/// comes near a setting is refused.
fn check_spelling(variable: &str, name: &str) -> Result<(), Failure> {
    match nearest(name, NAMES.into_iter()).first() {
        None => Ok(()),
        Some(near) => {
            let detail = format!("the variable {variable} is no setting");
            let remedy = format!("did you mean {PREFIX}{}?", near.to_uppercase());
            Err(Failure::new(Code::ConfigBad, detail).remedy(remedy))
        }
    }
}

impl Provider for EnvLayer {
    fn metadata(&self) -> Metadata {
        Metadata::named(ENVIRONMENT)
    }

    fn data(&self) -> figment::Result<Map<Profile, Dict>> {
        Ok(Profile::Default.collect(self.0.clone()))
    }
}

/// What figment found wrong, as a failure of ours.
pub(super) fn refused(error: &figment::Error) -> Failure {
    let place = error
        .metadata
        .as_ref()
        .map_or_else(|| "the settings".to_owned(), place);
    match &error.kind {
        Kind::UnknownField(name, _) => {
            let detail = format!("`{name}` in {place} is no setting");
            let failure = Failure::new(Code::ConfigBad, detail);
            match nearest(name, NAMES.into_iter()).first() {
                Some(near) => failure.remedy(format!("did you mean `{near}`?")),
                None => failure.remedy(format!("settings are: {}", NAMES.join(", "))),
            }
        }
        // Texts of values are left out: they may be secrets.
        Kind::InvalidType(_, expected) => {
            let detail = format!("`{}` in {place} is not {expected}", error.path.join("."));
            Failure::new(Code::ConfigBad, detail)
        }
        other => {
            let parts = [
                place,
                error.path.join("."),
                without_quotes_of_lines(&other.to_string()),
            ];
            let filled: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
            Failure::new(Code::ConfigBad, filled.join(": "))
        }
    }
}

/// The TOML reader quotes the line it stumbled over, and that may hold a key.
fn without_quotes_of_lines(text: &str) -> String {
    let is_quote = |line: &&str| line.contains(" |") || line.trim_start().starts_with('|');
    text.lines()
        .filter(|line| !is_quote(line))
        .collect::<Vec<_>>()
        .join(": ")
}

/// Where a value came from, for people.
pub(super) fn place(data: &Metadata) -> String {
    match &data.source {
        Some(figment::Source::File(path)) => path.display().to_string(),
        _ if data.name == ENVIRONMENT => ENVIRONMENT.to_owned(),
        _ => "a flag".to_owned(),
    }
}
