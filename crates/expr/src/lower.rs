//! From text to nodes: the `cel` crate parses, and its tree is checked and rewritten here, so that
//! whatever is wrong with an expression is known before it is ever evaluated.
//!
//! The parser is the crate's hand-written one. The generated one recurses some ten frames for
//! each bracket and overflows the stack of a thread before it reaches its own limit.

use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue, SelectExpr, operators,
};
use cel::parser::{ParseErrors, PrattParser};
use dunlin_types::limits::{EXPRESSION_BYTES_MAX, EXPRESSION_DEPTH_LEVELS_MAX};

use crate::functions::{self, Function};
use crate::node::{Comparison, Comprehension, Fold, Literal, Node, Operator, Root, Route, Segment};
use crate::place::{self, Fault};

/// Comprehensions within one another; each level multiplies the work.
const COMPREHENSION_LEVELS_MAX: usize = 2;
/// The name the parser gives the value that a comprehension builds up.
const ACCUMULATOR: &str = "@result";

type Lowered<T> = Result<T, Wrong>;

/// What is wrong with a tree, and the part that it is about once that is known.
struct Wrong {
    part: Option<u64>,
    why: String,
}

impl<T: Into<String>> From<T> for Wrong {
    fn from(why: T) -> Self {
        let why = why.into();
        Self { part: None, why }
    }
}

/// Parses a text, or says why it is no expression.
pub(crate) fn parse(text: &str) -> Result<Node, Fault> {
    let whole = |why: String| Err(Fault { offset: 0, why });
    if text.len() > EXPRESSION_BYTES_MAX {
        return whole(format!("longer than {EXPRESSION_BYTES_MAX} bytes"));
    }
    if text.trim().is_empty() {
        return whole("the expression is empty".to_owned());
    }
    let tree = PrattParser::new()
        .parse(text)
        .map_err(|errors| explain(text, &errors))?;
    Lowering::default().node(tree).map_err(|wrong| Fault {
        offset: wrong.part.map_or(0, |id| place::offset_of_part(text, id)),
        why: wrong.why,
    })
}

/// The first error with its place, and a hint where JavaScript was meant.
fn explain(text: &str, errors: &ParseErrors) -> Fault {
    let Some(first) = errors.errors.iter().min_by_key(|error| error.pos) else {
        let why = "not an expression".to_owned();
        return Fault { offset: 0, why };
    };
    let hint = if text.contains("===") || text.contains("!==") {
        " (equality is written == and !=)"
    } else {
        ""
    };
    let reason = first.msg.trim_start_matches("Syntax error: ");
    Fault {
        offset: place::offset_of(text, first.pos),
        why: format!("{reason}{hint}"),
    }
}

#[derive(Default)]
struct Lowering {
    depth: usize,
    /// The element variables in scope, outermost first.
    variables: Vec<String>,
}

impl Lowering {
    fn node(&mut self, tree: IdedExpr) -> Lowered<Node> {
        if self.depth == EXPRESSION_DEPTH_LEVELS_MAX {
            return Err(format!("nested deeper than {EXPRESSION_DEPTH_LEVELS_MAX} levels").into());
        }
        self.depth += 1;
        let id = tree.id;
        let node = self.node_inside(tree).map_err(|wrong| Wrong {
            part: wrong.part.or(Some(id)),
            ..wrong
        });
        self.depth -= 1;
        node
    }

    fn node_inside(&mut self, tree: IdedExpr) -> Lowered<Node> {
        match tree.expr {
            Expr::Literal(value) => Ok(Node::Literal(literal(value))),
            Expr::Ident(name) => self.variable(&name),
            Expr::Select(select) => self.select(select),
            Expr::Call(call) => self.call(call),
            Expr::Comprehension(each) => self.comprehension(*each),
            Expr::List(list) => Ok(Node::List(self.nodes(list.elements)?)),
            Expr::Map(map) => {
                let mut entries = Vec::with_capacity(map.entries.len());
                for entry in map.entries {
                    let EntryExpr::MapEntry(entry) = entry.expr else {
                        return Err("messages are not supported".into());
                    };
                    entries.push((self.node(entry.key)?, self.node(entry.value)?));
                }
                Ok(Node::Map(entries))
            }
            Expr::Struct(_) => Err("messages are not supported".into()),
            Expr::Unspecified => Err("not an expression".into()),
        }
    }

    fn nodes(&mut self, trees: Vec<IdedExpr>) -> Lowered<Vec<Node>> {
        trees.into_iter().map(|tree| self.node(tree)).collect()
    }

    fn boxed(&mut self, tree: IdedExpr) -> Lowered<Box<Node>> {
        self.node(tree).map(Box::new)
    }

    fn variable(&self, name: &str) -> Lowered<Node> {
        if let Some(level) = self.variables.iter().rposition(|known| known == name) {
            return Ok(Node::Local(level));
        }
        let root = match name {
            "event" => Root::Event,
            "async" => Root::Async,
            _ => {
                return match type_named(name) {
                    Some(name) => Ok(Node::Literal(Literal::Type(name))),
                    None => Err(format!("there is no variable `{name}`").into()),
                };
            }
        };
        let segments = Vec::new();
        Ok(Node::Route(Route { root, segments }))
    }

    fn select(&mut self, select: SelectExpr) -> Lowered<Node> {
        if let Some(name) = well_known_type(&select) {
            return Ok(Node::Literal(Literal::Type(name)));
        }
        let of = self.node(*select.operand)?;
        Ok(match of {
            of if select.test => Node::Has(Box::new(of), select.field),
            Node::Route(mut route) => {
                route.segments.push(Segment::Key(select.field));
                Node::Route(route)
            }
            of => Node::Field(Box::new(of), select.field),
        })
    }

    fn index(&mut self, of: IdedExpr, at: IdedExpr) -> Lowered<Node> {
        let (of, at) = (self.node(of)?, self.node(at)?);
        Ok(match (of, at) {
            (Node::Route(mut route), Node::Literal(Literal::Text(key))) => {
                route.segments.push(Segment::Key(key));
                Node::Route(route)
            }
            (Node::Route(mut route), Node::Literal(Literal::Int(at @ 0..))) => {
                let at = usize::try_from(at).unwrap_or(usize::MAX);
                route.segments.push(Segment::At(at));
                Node::Route(route)
            }
            (of, at) => Node::Index(Box::new(of), Box::new(at)),
        })
    }

    fn call(&mut self, call: CallExpr) -> Lowered<Node> {
        let CallExpr {
            func_name,
            target,
            mut args,
        } = call;
        if let Some(target) = target {
            args.insert(0, *target);
            return self.function(&func_name, args);
        }
        match <[IdedExpr; 2]>::try_from(args) {
            Ok([left, right]) => self.binary(&func_name, left, right),
            Err(args) => self.other_operator(&func_name, args),
        }
    }

    fn binary(&mut self, name: &str, left: IdedExpr, right: IdedExpr) -> Lowered<Node> {
        if name == operators::INDEX {
            return self.index(left, right);
        }
        if let Some(how) = comparison(name) {
            return Ok(Node::Compare(how, self.boxed(left)?, self.boxed(right)?));
        }
        if let Some(operator) = arithmetic(name) {
            let (left, right) = (self.boxed(left)?, self.boxed(right)?);
            return Ok(Node::Arithmetic(operator, left, right));
        }
        match name {
            operators::LOGICAL_AND => Ok(Node::And(self.boxed(left)?, self.boxed(right)?)),
            operators::LOGICAL_OR => Ok(Node::Or(self.boxed(left)?, self.boxed(right)?)),
            operators::IN => Ok(Node::In(self.boxed(left)?, self.boxed(right)?)),
            _ => self.function(name, vec![left, right]),
        }
    }

    fn other_operator(&mut self, name: &str, mut args: Vec<IdedExpr>) -> Lowered<Node> {
        match (name, args.len()) {
            (operators::LOGICAL_NOT, 1) => Ok(Node::Not(self.boxed(args.remove(0))?)),
            (operators::NEGATE, 1) => Ok(match self.node(args.remove(0))? {
                Node::Literal(Literal::Int(n)) if n != i64::MIN => Node::Literal(Literal::Int(-n)),
                Node::Literal(Literal::Double(n)) => Node::Literal(Literal::Double(-n)),
                other => Node::Negate(Box::new(other)),
            }),
            (operators::CONDITIONAL, 3) => {
                let parts = self.nodes(args)?;
                let parts = <[Node; 3]>::try_from(parts).map_err(|_| "not a conditional")?;
                Ok(Node::If(Box::new(parts)))
            }
            _ => self.function(name, args),
        }
    }

    fn function(&mut self, name: &str, args: Vec<IdedExpr>) -> Lowered<Node> {
        let Some((function, arity)) = Function::named(name) else {
            return Err(format!("there is no function `{name}`").into());
        };
        if !arity.contains(&args.len()) {
            let (wanted, got) = (arity.end(), args.len());
            return Err(
                format!("`{name}` takes {wanted} values, its target included, not {got}").into(),
            );
        }
        let mut arguments = self.nodes(args)?;
        if let (Function::Matches, [_, Node::Literal(Literal::Text(pattern))]) =
            (function, arguments.as_slice())
        {
            let pattern = Box::new(functions::compile(pattern)?);
            return Ok(Node::Matches(Box::new(arguments.swap_remove(0)), pattern));
        }
        Ok(Node::Call(function, arguments))
    }

    fn comprehension(&mut self, each: ComprehensionExpr) -> Lowered<Node> {
        let range = self.node(each.iter_range)?;
        if self.variables.len() == COMPREHENSION_LEVELS_MAX {
            return Err(format!(
                "more than {COMPREHENSION_LEVELS_MAX} comprehensions within one another"
            )
            .into());
        }
        let (fold, test, body) = recognise(&each.accu_init.expr, each.loop_step)
            .ok_or("comprehension of an unknown kind")?;
        self.variables.push(each.iter_var);
        let test = test.map(|test| self.node(test)).transpose();
        let body = self.node(body);
        self.variables.pop();
        Ok(Node::Comprehension(Box::new(Comprehension {
            fold,
            range,
            test: test?,
            body: body?,
        })))
    }
}

/// Which macro the parser expanded, with its test and its body.
fn recognise(start: &Expr, step: IdedExpr) -> Option<(Fold, Option<IdedExpr>, IdedExpr)> {
    let Expr::Call(CallExpr {
        func_name, args, ..
    }) = step.expr
    else {
        return None;
    };
    let mut args = args.into_iter();
    let (first, second) = (args.next()?, args.next()?);
    match (start, func_name.as_str()) {
        (Expr::Literal(LiteralValue::Boolean(_)), operators::LOGICAL_AND) => {
            Some((Fold::All, None, second))
        }
        (Expr::Literal(LiteralValue::Boolean(_)), operators::LOGICAL_OR) => {
            Some((Fold::Exists, None, second))
        }
        (Expr::Literal(LiteralValue::Int(_)), operators::CONDITIONAL) => {
            Some((Fold::ExistsOne, None, first))
        }
        (Expr::List(_), operators::CONDITIONAL) => {
            Some((Fold::Collect, Some(first), appended(second)?))
        }
        (Expr::List(_), operators::ADD) if is_accumulator(&first) => {
            Some((Fold::Collect, None, only_element(second)?))
        }
        _ => None,
    }
}

/// The `x` of `@result + [x]`.
fn appended(tree: IdedExpr) -> Option<IdedExpr> {
    match tree.expr {
        Expr::Call(call) if call.func_name == operators::ADD => {
            only_element(call.args.into_iter().nth(1)?)
        }
        _ => None,
    }
}

fn only_element(tree: IdedExpr) -> Option<IdedExpr> {
    match tree.expr {
        Expr::List(list) => list.elements.into_iter().next(),
        _ => None,
    }
}

fn is_accumulator(tree: &IdedExpr) -> bool {
    matches!(&tree.expr, Expr::Ident(name) if name == ACCUMULATOR)
}

fn comparison(name: &str) -> Option<Comparison> {
    Some(match name {
        operators::EQUALS => Comparison::Equal,
        operators::NOT_EQUALS => Comparison::NotEqual,
        operators::LESS => Comparison::Less,
        operators::LESS_EQUALS => Comparison::LessOrEqual,
        operators::GREATER => Comparison::Greater,
        operators::GREATER_EQUALS => Comparison::GreaterOrEqual,
        _ => return None,
    })
}

fn arithmetic(name: &str) -> Option<Operator> {
    Some(match name {
        operators::ADD => Operator::Add,
        operators::SUBSTRACT => Operator::Subtract,
        operators::MULTIPLY => Operator::Multiply,
        operators::DIVIDE => Operator::Divide,
        operators::MODULO => Operator::Remainder,
        _ => return None,
    })
}

fn literal(value: LiteralValue) -> Literal {
    match value {
        LiteralValue::Boolean(b) => Literal::Bool(*b),
        LiteralValue::Bytes(bytes) => Literal::Bytes(bytes.into_inner()),
        LiteralValue::Double(n) => Literal::Double(*n),
        LiteralValue::Int(n) => Literal::Int(*n),
        LiteralValue::Null => Literal::Null,
        LiteralValue::String(text) => Literal::Text(text.into_inner()),
        LiteralValue::UInt(n) => Literal::Uint(*n),
    }
}

fn type_named(name: &str) -> Option<&'static str> {
    const NAMES: [&str; 10] = [
        "bool",
        "bytes",
        "double",
        "int",
        "list",
        "map",
        "null_type",
        "string",
        "type",
        "uint",
    ];
    NAMES.into_iter().find(|known| *known == name)
}

/// `google.protobuf.Timestamp` and `google.protobuf.Duration`, as `type()` yields them.
fn well_known_type(select: &SelectExpr) -> Option<&'static str> {
    let Expr::Select(package) = &select.operand.expr else {
        return None;
    };
    let root = matches!(&package.operand.expr, Expr::Ident(name) if name == "google");
    if !root || package.field != "protobuf" {
        return None;
    }
    match select.field.as_str() {
        "Timestamp" => Some("google.protobuf.Timestamp"),
        "Duration" => Some("google.protobuf.Duration"),
        _ => None,
    }
}
