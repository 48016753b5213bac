//! The evaluator: walks the nodes, counts its steps, and keeps the elements of comprehensions.

use dunlin_types::limits::EXPRESSION_EVALUATION_STEPS_MAX;
use serde_json::Value;

use crate::arithmetic;
use crate::compare;
use crate::functions;
use crate::node::{Comprehension, Fold, Node, Root};
use crate::program::Scope;
use crate::value::{Evaluated, Fault, Val, failed};

/// Bytes of text that cost as much as one node.
const BYTES_PER_STEP: usize = 64;

/// The steps an evaluation has left.
#[derive(Debug)]
pub(crate) struct Meter {
    steps_left: usize,
}

impl Meter {
    pub(crate) const fn new() -> Self {
        Self {
            steps_left: EXPRESSION_EVALUATION_STEPS_MAX as usize,
        }
    }

    pub(crate) fn charge(&mut self, steps: usize) -> Evaluated<()> {
        self.steps_left = self.steps_left.checked_sub(steps).ok_or(Fault::TooCostly)?;
        Ok(())
    }

    pub(crate) fn charge_bytes(&mut self, bytes: usize) -> Evaluated<()> {
        self.charge(bytes / BYTES_PER_STEP)
    }
}

/// One evaluation.
pub(crate) struct Evaluator<'a> {
    pub(crate) meter: Meter,
    scope: &'a Scope<'a>,
    locals: Vec<Val<'a>>,
}

impl<'a> Evaluator<'a> {
    pub(crate) const fn new(scope: &'a Scope<'a>) -> Self {
        Self {
            meter: Meter::new(),
            scope,
            locals: Vec::new(),
        }
    }

    pub(crate) fn evaluate(&mut self, node: &'a Node) -> Evaluated<Val<'a>> {
        self.meter.charge(1)?;
        match node {
            Node::Literal(literal) => Ok(Val::from_literal(literal)),
            Node::Route(route) => Ok(root(self.scope, route.root)
                .and_then(|root| route.follow(root))
                .map_or(Val::Missing, Val::from_json)),
            Node::Local(level) => Ok(self.locals.get(*level).cloned().unwrap_or(Val::Missing)),
            Node::Field(of, name) => self.field(of, name),
            Node::Index(of, at) => self.index(of, at),
            Node::Has(of, name) => self.has(of, name),
            Node::Not(of) => Ok(Val::Bool(!self.evaluate(of)?.is_truthy())),
            Node::Negate(of) => match self.evaluate(of)? {
                Val::Missing => Ok(Val::Bool(false)),
                value => arithmetic::negate(&value).map(Val::Number),
            },
            Node::And(left, right) => self.and(left, right),
            Node::Or(left, right) => self.or(left, right),
            Node::If(parts) => self.choose(parts),
            Node::Compare(how, left, right) => {
                let (left, right) = (self.evaluate(left)?, self.evaluate(right)?);
                compare::compare(&mut self.meter, *how, &left, &right).map(Val::Bool)
            }
            Node::Arithmetic(operator, left, right) => {
                let (left, right) = (self.evaluate(left)?, self.evaluate(right)?);
                arithmetic::apply(&mut self.meter, *operator, left, right)
            }
            Node::In(needle, haystack) => self.is_in(needle, haystack),
            Node::List(items) => self.list(items),
            Node::Map(entries) => self.map(entries),
            Node::Comprehension(each) => self.comprehension(each),
            Node::Call(function, arguments) => self.call(*function, arguments),
            Node::Matches(of, pattern) => {
                let text = self.evaluate(of)?;
                functions::matches(&mut self.meter, &text, pattern)
            }
        }
    }

    fn field(&mut self, of: &'a Node, name: &str) -> Evaluated<Val<'a>> {
        let of = self.evaluate(of)?;
        self.charge_search(&of)?;
        Ok(of.entry(name).unwrap_or(Val::Missing))
    }

    fn has(&mut self, of: &'a Node, name: &str) -> Evaluated<Val<'a>> {
        let of = self.evaluate(of)?;
        self.charge_search(&of)?;
        Ok(Val::Bool(of.entry(name).is_some()))
    }

    /// Maps made during the evaluation are searched from the front.
    fn charge_search(&mut self, of: &Val<'_>) -> Evaluated<()> {
        match of {
            Val::Map(entries) => self.meter.charge(entries.len()),
            _ => Ok(()),
        }
    }

    fn index(&mut self, of: &'a Node, at: &'a Node) -> Evaluated<Val<'a>> {
        let (of, at) = (self.evaluate(of)?, self.evaluate(at)?);
        if let (true, Val::Number(at)) = (of.is_list(), &at) {
            return Ok(at.position().map_or(Val::Missing, |at| of.at(at)));
        }
        let found = compare::lookup(&mut self.meter, &of, &at)?;
        Ok(found.unwrap_or(Val::Missing))
    }

    /// Always a boolean. An operand that fails is absorbed when the other one settles the matter.
    fn and(&mut self, left: &'a Node, right: &'a Node) -> Evaluated<Val<'a>> {
        let left = self.evaluate(left);
        match left {
            Ok(left) if !left.is_truthy() => return Ok(Val::Bool(false)),
            Err(Fault::TooCostly) => return left,
            _ => {}
        }
        let right = self.evaluate(right)?.is_truthy();
        match left {
            Err(fault) if right => Err(fault),
            _ => Ok(Val::Bool(right)),
        }
    }

    /// The first truthy value, else the last one.
    fn or(&mut self, left: &'a Node, right: &'a Node) -> Evaluated<Val<'a>> {
        let left = self.evaluate(left);
        match left {
            Ok(left) if left.is_truthy() => return Ok(left),
            Err(Fault::TooCostly) => return left,
            _ => {}
        }
        let right = self.evaluate(right)?;
        match left {
            Err(fault) if !right.is_truthy() => Err(fault),
            _ => Ok(right),
        }
    }

    fn choose(&mut self, [condition, yes, no]: &'a [Node; 3]) -> Evaluated<Val<'a>> {
        let chosen = if self.evaluate(condition)?.is_truthy() {
            yes
        } else {
            no
        };
        self.evaluate(chosen)
    }

    fn is_in(&mut self, needle: &'a Node, haystack: &'a Node) -> Evaluated<Val<'a>> {
        let (needle, haystack) = (self.evaluate(needle)?, self.evaluate(haystack)?);
        if matches!(needle, Val::Missing) || matches!(haystack, Val::Missing | Val::Null) {
            return Ok(Val::Bool(false));
        }
        match compare::contains(&mut self.meter, &haystack, &needle)? {
            Some(found) => Ok(Val::Bool(found)),
            None => failed(format!("`in {}` is not defined", haystack.type_name())),
        }
    }

    fn list(&mut self, items: &'a [Node]) -> Evaluated<Val<'a>> {
        let items: Vec<_> = items
            .iter()
            .map(|item| self.evaluate(item))
            .collect::<Result<_, _>>()?;
        Ok(Val::List(items.into()))
    }

    fn map(&mut self, entries: &'a [(Node, Node)]) -> Evaluated<Val<'a>> {
        let mut made = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            made.push((self.evaluate(key)?, self.evaluate(value)?));
        }
        Ok(Val::Map(made.into()))
    }

    fn call(&mut self, function: functions::Function, arguments: &'a [Node]) -> Evaluated<Val<'a>> {
        let mut values = Vec::with_capacity(arguments.len());
        for argument in arguments {
            values.push(self.evaluate(argument)?);
        }
        functions::call(&mut self.meter, self.scope.now, function, &values)
    }

    fn comprehension(&mut self, each: &'a Comprehension) -> Evaluated<Val<'a>> {
        let range = self.evaluate(&each.range)?;
        if matches!(range, Val::Missing | Val::Null) {
            return Ok(match each.fold {
                Fold::Collect => Val::Missing,
                _ => Val::Bool(false),
            });
        }
        let Some(elements) = range.elements() else {
            return failed(format!("{} has no elements", range.type_name()));
        };
        match each.fold {
            Fold::All => self.quantify(each, elements, false),
            Fold::Exists => self.quantify(each, elements, true),
            Fold::ExistsOne => self.exists_one(each, elements),
            Fold::Collect => self.collect(each, elements),
        }
    }

    /// Evaluates a part of a comprehension with its element in place.
    fn with_element(&mut self, element: Val<'a>, node: &'a Node) -> Evaluated<Val<'a>> {
        self.locals.push(element);
        let value = self.evaluate(node);
        self.locals.pop();
        value
    }

    /// `all` and `exists`: `settles` is the outcome of an element that ends the search. Elements
    /// that fail matter only when none settles it.
    fn quantify(
        &mut self,
        each: &'a Comprehension,
        elements: impl Iterator<Item = Val<'a>>,
        settles: bool,
    ) -> Evaluated<Val<'a>> {
        let mut fault = None;
        for element in elements {
            match self.with_element(element, &each.body) {
                Ok(value) if value.is_truthy() == settles => return Ok(Val::Bool(settles)),
                Ok(_) => {}
                Err(Fault::TooCostly) => return Err(Fault::TooCostly),
                Err(failure) => fault = Some(failure),
            }
        }
        fault.map_or(Ok(Val::Bool(!settles)), Err)
    }

    fn exists_one(
        &mut self,
        each: &'a Comprehension,
        elements: impl Iterator<Item = Val<'a>>,
    ) -> Evaluated<Val<'a>> {
        let mut found = 0_usize;
        for element in elements {
            found += usize::from(self.with_element(element, &each.body)?.is_truthy());
        }
        Ok(Val::Bool(found == 1))
    }

    fn collect(
        &mut self,
        each: &'a Comprehension,
        elements: impl Iterator<Item = Val<'a>>,
    ) -> Evaluated<Val<'a>> {
        let mut made = Vec::new();
        for element in elements {
            let wanted = match &each.test {
                Some(test) => self.with_element(element.clone(), test)?.is_truthy(),
                None => true,
            };
            if wanted {
                made.push(self.with_element(element, &each.body)?);
            }
        }
        Ok(Val::List(made.into()))
    }
}

/// The value a root stands for, if there is one.
pub(crate) const fn root<'a>(scope: &Scope<'a>, root: Root) -> Option<&'a Value> {
    match root {
        Root::Event => Some(scope.event),
        Root::Async => scope.async_event,
    }
}
