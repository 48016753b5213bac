//! A program that measures: what it is told on its command line, what it says, and how it ends.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

/// What a program was told: the binary, and numbers and texts by name.
#[derive(Debug)]
pub struct Told {
    /// The server's binary.
    pub binary: PathBuf,
    numbers: BTreeMap<&'static str, usize>,
    texts: BTreeMap<&'static str, Option<String>>,
}

impl Told {
    fn read(
        program: &str,
        numbers: &[(&'static str, usize)],
        texts: &[&'static str],
    ) -> Result<Self, String> {
        let mut usage = format!("{program} --binary PATH");
        usage.extend(texts.iter().map(|name| format!(" [--{name} …]")));
        usage.extend(
            numbers
                .iter()
                .map(|(name, default)| format!(" [--{name} {default}]")),
        );
        let mut told = Self {
            binary: PathBuf::from("target/release/dunlin"),
            numbers: numbers.iter().copied().collect(),
            texts: texts.iter().map(|name| (*name, None)).collect(),
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(name) = arguments.next() {
            let value = arguments.next();
            let value = value.ok_or_else(|| format!("{name} needs a value\n{usage}"))?;
            let taken = told.take(name.trim_start_matches("--"), value);
            taken.map_err(|why| format!("{why}\n{usage}"))?;
        }
        let path = told.binary.canonicalize();
        told.binary = path.map_err(|e| format!("{}: {e}\n{usage}", told.binary.display()))?;
        Ok(told)
    }

    fn take(&mut self, name: &str, value: String) -> Result<(), String> {
        if name == "binary" {
            self.binary = PathBuf::from(value);
        } else if let Some(number) = self.numbers.get_mut(name) {
            let read = value.replace('_', "").parse();
            *number = read.map_err(|_| format!("{value}: no number"))?;
        } else if let Some(text) = self.texts.get_mut(name) {
            *text = Some(value);
        } else {
            return Err(format!("--{name} is unknown"));
        }
        Ok(())
    }

    /// The number of that name.
    ///
    /// # Panics
    /// When there is none of that name.
    #[must_use]
    pub fn number(&self, name: &str) -> usize {
        self.numbers[name]
    }

    /// The text of that name, if it was told.
    ///
    /// # Panics
    /// When there is none of that name.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.texts[name].as_deref()
    }

    /// Whether that part of the program is wanted: all are, unless `--only` names some.
    ///
    /// # Panics
    /// When the program has no such text.
    #[must_use]
    pub fn wants(&self, part: &str) -> bool {
        self.text("only")
            .is_none_or(|only| only.split(',').any(|one| part.contains(one)))
    }
}

/// Runs a program from its command line to its exit code: numbers come with their defaults, texts
/// without, and `measure` tells whether every target was met.
///
/// # Panics
/// When there is no runtime.
pub fn program(
    name: &str,
    numbers: &[(&'static str, usize)],
    texts: &[&'static str],
    measure: impl AsyncFnOnce(&Told) -> bool,
) -> ExitCode {
    let told = match Told::read(name, numbers, texts) {
        Ok(told) => told,
        Err(why) => {
            say(&why);
            return ExitCode::from(2);
        }
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    match runtime.block_on(measure(&told)) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// Prints a line.
#[expect(
    clippy::print_stdout,
    reason = "the figures of a program are its output"
)]
pub fn say(text: &str) {
    println!("{text}");
}

/// Says whether a target was met.
#[must_use]
pub fn verdict(what: &str, met: bool) -> bool {
    let words = if met {
        "within its target"
    } else {
        "OVER ITS TARGET"
    };
    say(&format!("{what}: {words}"));
    met
}
