//! The figures of a program that measures in rounds: medians, and whether targets are met.

use serde_json::{Map, json};

use crate::program::{say, verdict};

/// What a figure should be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Aim {
    /// It is told for what it is worth.
    Open,
    /// At least that.
    AtLeast(f64),
    /// At most that.
    AtMost(f64),
}

#[derive(Debug)]
struct Figure {
    name: String,
    aim: Aim,
    values: Vec<f64>,
}

/// Figures in the order in which they were first noted.
#[derive(Debug, Default)]
pub struct Figures(Vec<Figure>);

impl Figures {
    /// Notes the value of a round, and says it.
    pub fn note(&mut self, name: &str, aim: Aim, value: f64) {
        say(&format!("  {name:<58} {value:>12.3}"));
        match self.0.iter_mut().find(|one| one.name == name) {
            Some(figure) => figure.values.push(value),
            None => self.0.push(Figure {
                name: name.to_owned(),
                aim,
                values: vec![value],
            }),
        }
    }

    /// Says the medians, then which targets are met, then the medians as one JSON object; whether
    /// all targets are met.
    #[must_use]
    pub fn report(mut self) -> bool {
        say("\nmedians:");
        let mut medians = Map::new();
        for figure in &mut self.0 {
            figure.values.sort_by(f64::total_cmp);
            let all: Vec<String> = figure
                .values
                .iter()
                .map(|one| format!("{one:.3}"))
                .collect();
            let median = figure.values[figure.values.len() / 2];
            medians.insert(figure.name.clone(), json!(median));
            say(&format!(
                "  {:<58} {median:>12.3}   [{}]",
                figure.name,
                all.join(" ")
            ));
        }
        say("");
        let met = self
            .0
            .iter()
            .filter(|figure| figure.aim != Aim::Open)
            .map(|figure| {
                let median = figure.values[figure.values.len() / 2];
                let (is_met, aim) = match figure.aim {
                    Aim::AtLeast(least) => (median >= least, format!("at least {least}")),
                    Aim::AtMost(most) => (median <= most, format!("at most {most}")),
                    Aim::Open => (true, String::new()),
                };
                verdict(&format!("{} = {median:.3} ({aim})", figure.name), is_met)
            });
        let met = met.fold(true, |all, one| all & one);
        say(&json!(medians).to_string());
        met
    }
}
