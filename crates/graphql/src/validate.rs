//! Whether a document asks for what the schema has.

use async_graphql_parser::types::{
    Directive, ExecutableDocument, Field, OperationDefinition, Selection, SelectionSet,
};
use async_graphql_parser::{Pos, Positioned};
use async_graphql_value::Value as Given;
use dunlin_types::limits::{GRAPHQL_DEPTH_LEVELS_MAX, GRAPHQL_FIELDS_MAX};

use crate::coerce::{Args, inputs, plain};
use crate::document::{at, too_deep};
use crate::request::Invalid;
use crate::schema::{QUERY, SCHEMA, named};

/// What every type has.
pub(crate) const TYPENAME: &str = "__typename";

/// Checks the operation with all that it selects.
pub(crate) fn check(
    document: &ExecutableDocument,
    operation: &OperationDefinition,
    variables: &Args,
) -> Result<(), Invalid> {
    let declared = &operation.variable_definitions;
    let mut checker = Checker {
        document,
        variables,
        declared: declared
            .iter()
            .map(|variable| variable.node.name.node.as_str())
            .collect(),
        fragments: Vec::new(),
        fields: 0,
    };
    checker.selections(QUERY, &operation.selection_set.node, 1)
}

struct Checker<'d> {
    document: &'d ExecutableDocument,
    variables: &'d Args,
    declared: Vec<&'d str>,
    /// Those that are being looked into, outermost first.
    fragments: Vec<&'d str>,
    fields: usize,
}

impl<'d> Checker<'d> {
    fn selections(&mut self, of: &str, set: &'d SelectionSet, depth: usize) -> Result<(), Invalid> {
        if depth > GRAPHQL_DEPTH_LEVELS_MAX {
            return Err(too_deep());
        }
        for item in &set.items {
            self.directives(item.node.directives())?;
            match &item.node {
                Selection::Field(field) => self.field(of, field, depth)?,
                Selection::InlineFragment(inline) => {
                    let condition = inline.node.type_condition.as_ref();
                    let on = condition.map_or(of, |condition| condition.node.on.node.as_str());
                    fits(of, on, inline.pos)?;
                    self.selections(on, &inline.node.selection_set.node, depth + 1)?;
                }
                Selection::FragmentSpread(spread) => {
                    self.spread(of, &spread.node.fragment_name, depth)?;
                }
            }
        }
        Ok(())
    }

    fn spread(
        &mut self,
        of: &str,
        name: &'d Positioned<async_graphql_value::Name>,
        depth: usize,
    ) -> Result<(), Invalid> {
        let text = name.node.as_str();
        if self.fragments.contains(&text) {
            return Err(at(name.pos, format!("fragment {text:?} contains itself")));
        }
        let Some(fragment) = self.document.fragments.get(text) else {
            return Err(at(name.pos, format!("there is no fragment {text:?}")));
        };
        let on = fragment.node.type_condition.node.on.node.as_str();
        fits(of, on, name.pos)?;
        self.count(name.pos)?;
        self.fragments.push(text);
        let checked = self.selections(on, &fragment.node.selection_set.node, depth + 1);
        self.fragments.pop();
        checked
    }

    /// Spreads count as well, since empty ones could multiply too.
    fn count(&mut self, pos: Pos) -> Result<(), Invalid> {
        self.fields += 1;
        if self.fields > GRAPHQL_FIELDS_MAX {
            let why = format!("the document selects more than {GRAPHQL_FIELDS_MAX} fields");
            return Err(at(pos, why));
        }
        Ok(())
    }

    fn field(
        &mut self,
        of: &str,
        field: &'d Positioned<Field>,
        depth: usize,
    ) -> Result<(), Invalid> {
        self.count(field.pos)?;
        let (pos, field) = (field.pos, &field.node);
        let name = field.name.node.as_str();
        if name == TYPENAME {
            return Ok(());
        }
        let Some(definition) = SCHEMA.field(of, name) else {
            let why = format!("Cannot query field {name:?} on type {of:?}.");
            return Err(at(pos, why));
        };
        for (_, given) in &field.arguments {
            self.declared(&given.node, given.pos)?;
        }
        arguments(of, field, self.variables).map_err(|why| at(pos, why))?;
        let returns = named(&definition.ty.node);
        let items = &field.selection_set.node;
        match (SCHEMA.is_composite(returns), items.items.is_empty()) {
            (true, true) => Err(at(pos, format!("{name:?} of type {returns} needs fields"))),
            (false, false) => Err(at(pos, format!("{name:?} of type {returns} has no fields"))),
            (false, true) => Ok(()),
            (true, false) => self.selections(returns, items, depth + 1),
        }
    }

    fn directives(&self, directives: &[Positioned<Directive>]) -> Result<(), Invalid> {
        for directive in directives {
            let name = directive.node.name.node.as_str();
            if !matches!(name, "include" | "skip") {
                let why = format!("there is no directive @{name}");
                return Err(at(directive.pos, why));
            }
            let given = directive.node.get_argument("if");
            let Some(given) = given else {
                return Err(at(directive.pos, format!("@{name} needs \"if\"")));
            };
            self.declared(&given.node, given.pos)?;
            if condition(&directive.node, self.variables).is_none() {
                return Err(at(given.pos, format!("@{name}: \"if\" must be a boolean")));
            }
        }
        Ok(())
    }

    /// Whether the variables of a value are declared.
    fn declared(&self, given: &Given, pos: Pos) -> Result<(), Invalid> {
        match given {
            Given::Variable(name) if !self.declared.contains(&name.as_str()) => {
                Err(at(pos, format!("variable ${name} is not declared")))
            }
            Given::List(items) => items.iter().try_for_each(|item| self.declared(item, pos)),
            Given::Object(members) => members
                .values()
                .try_for_each(|value| self.declared(value, pos)),
            _ => Ok(()),
        }
    }
}

fn fits(of: &str, on: &str, pos: Pos) -> Result<(), Invalid> {
    if SCHEMA.kind(on).is_none() {
        return Err(at(pos, format!("there is no type {on:?}")));
    }
    match SCHEMA.overlaps(of, on) {
        true => Ok(()),
        false => Err(at(
            pos,
            format!("a fragment on {on:?} never matches {of:?}"),
        )),
    }
}

/// A field's arguments as its definition has them.
pub(crate) fn arguments(of: &str, field: &Field, variables: &Args) -> Result<Args, String> {
    let name = field.name.node.as_str();
    let Some(definition) = SCHEMA.field(of, name) else {
        return Ok(Args::new());
    };
    let defined: Vec<_> = definition.arguments.iter().map(|a| &a.node).collect();
    let given = field
        .arguments
        .iter()
        .filter_map(|(name, value)| Some((name.to_string(), plain(&value.node, variables)?)));
    inputs(&defined, given.collect(), &format!("{of}.{name}"))
}

/// What a directive's `if` says.
pub(crate) fn condition(directive: &Directive, variables: &Args) -> Option<bool> {
    let given = directive.get_argument("if")?;
    plain(&given.node, variables)?.as_bool()
}
