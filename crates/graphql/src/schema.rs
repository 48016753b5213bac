//! The schema, read from its text once.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use async_graphql_parser::types::{
    BaseType, FieldDefinition, InputValueDefinition, Type, TypeKind, TypeSystemDefinition,
};

/// The text, which is also the documentation of what is served.
const TEXT: &str = include_str!("schema.graphql");

/// The root type.
pub(crate) const QUERY: &str = "Query";

/// Types by name.
pub(crate) struct Schema {
    types: BTreeMap<String, TypeKind>,
}

/// The schema. Its text is part of the program, and a test reads it.
pub(crate) static SCHEMA: LazyLock<Schema> = LazyLock::new(|| Schema::read(TEXT));

impl Schema {
    fn read(text: &str) -> Self {
        let document = async_graphql_parser::parse_schema(text);
        let definitions = document.map(|document| document.definitions);
        let types = definitions.unwrap_or_default().into_iter();
        let named = types.filter_map(|definition| match definition {
            TypeSystemDefinition::Type(of) => Some((of.node.name.node.to_string(), of.node.kind)),
            _ => None,
        });
        Self {
            types: named.collect(),
        }
    }

    /// The type of that name.
    pub(crate) fn kind(&self, name: &str) -> Option<&TypeKind> {
        self.types.get(name)
    }

    /// A field of an object type.
    pub(crate) fn field(&self, of: &str, name: &str) -> Option<&FieldDefinition> {
        let TypeKind::Object(object) = self.kind(of)? else {
            return None;
        };
        let mut fields = object.fields.iter().map(|field| &field.node);
        fields.find(|field| field.name.node == name)
    }

    /// The fields of an input type.
    pub(crate) fn inputs(&self, of: &str) -> Option<Vec<&InputValueDefinition>> {
        match self.kind(of)? {
            TypeKind::InputObject(input) => Some(input.fields.iter().map(|f| &f.node).collect()),
            _ => None,
        }
    }

    /// The values of an enum type.
    pub(crate) fn values(&self, of: &str) -> Option<Vec<&str>> {
        match self.kind(of)? {
            TypeKind::Enum(of) => Some(
                of.values
                    .iter()
                    .map(|value| value.node.value.node.as_str())
                    .collect(),
            ),
            _ => None,
        }
    }

    /// Whether the type has parts to select.
    pub(crate) fn is_composite(&self, name: &str) -> bool {
        matches!(
            self.kind(name),
            Some(TypeKind::Object(_) | TypeKind::Union(_))
        )
    }

    /// Whether a fragment on `condition` may match something of type `of`.
    pub(crate) fn overlaps(&self, of: &str, condition: &str) -> bool {
        self.covers(of, condition) || self.covers(condition, of)
    }

    /// Whether an object of type `object` satisfies the condition.
    pub(crate) fn covers(&self, condition: &str, object: &str) -> bool {
        let member = |of: &str| match self.kind(of) {
            Some(TypeKind::Union(union)) => union.members.iter().any(|m| m.node == object),
            _ => false,
        };
        condition == object || member(condition)
    }

    #[cfg(test)]
    pub(crate) fn objects(&self) -> impl Iterator<Item = (&str, Vec<&FieldDefinition>)> {
        self.types.iter().filter_map(|(name, kind)| match kind {
            TypeKind::Object(of) => {
                Some((name.as_str(), of.fields.iter().map(|f| &f.node).collect()))
            }
            _ => None,
        })
    }
}

/// The named type behind lists.
pub(crate) fn named(of: &Type) -> &str {
    match &of.base {
        BaseType::Named(name) => name,
        BaseType::List(inner) => named(inner),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_that_is_named_is_there() {
        assert!(async_graphql_parser::parse_schema(TEXT).is_ok());
        let known = ["Int", "String", "Boolean", "ID"];
        let mut count = 0;
        for (object, fields) in SCHEMA.objects() {
            for field in fields {
                let of = [&field.ty].into_iter();
                let all = of.chain(field.arguments.iter().map(|argument| &argument.node.ty));
                for of in all {
                    let name = named(&of.node);
                    assert!(
                        known.contains(&name) || SCHEMA.kind(name).is_some(),
                        "{object}.{}: {name}",
                        field.name.node
                    );
                    count += 1;
                }
            }
        }
        assert!(count > 100, "{count}");
    }
}
