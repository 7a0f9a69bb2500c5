//! HCL as read → a tree of plain values with their places: variables filled in, everything that computes refused.

use super::secret::Secret;
use super::source::{Note, Origin, Problem, Source};
use crate::domain::suggest;
use hcl_edit::Span;
use hcl_edit::expr::{Expression, ObjectKey, Traversal, TraversalOperator, UnaryOperator};
use hcl_edit::structure::{Attribute, Block, Body, Structure};
use hcl_edit::template::{Element, Template};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// A value with its place. Text may be secret, so nothing here prints.
pub(super) struct Datum {
    pub(super) span: Range<usize>,
    pub(super) kind: Kind,
}

pub(super) enum Kind {
    /// Could not be read; the problem is already noted.
    Failed,
    Null,
    Bool(bool),
    /// As it was written.
    Number(String),
    Text(Secret, Written),
    /// A bare word: `topic_suffix`.
    Word(String),
    List(Vec<Datum>),
    /// A block, or an object: the grammar makes no difference between `tls { … }` and `tls = { … }`.
    Section(Section),
}

/// How a text stands in the profile. What stands elsewhere, or in many lines, may be a secret wherever it is put: an error never quotes it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// In quotes, or bare.
    Plainly,
    Heredoc,
    /// At least part of it came from a variable.
    Elsewhere,
}

/// The attributes and blocks between two braces.
pub(super) struct Section {
    /// `integration.events.endpoint`
    pub(super) path: String,
    pub(super) labels: Vec<String>,
    /// The name of the block.
    pub(super) span: Range<usize>,
    pub(super) entries: Vec<Entry>,
    /// Names that somebody asked for: what is known here.
    pub(super) asked: BTreeSet<&'static str>,
}

pub(super) struct Entry {
    pub(super) name: String,
    pub(super) span: Range<usize>,
    pub(super) value: Datum,
}

/// The reading of one file: its text, its variables, and what was found on the way.
pub(super) struct Reading<'a> {
    pub(super) source: Source<'a>,
    /// The profile's folder: what relative paths are relative to.
    pub(super) base: &'a Path,
    pub(super) env: &'a dyn Fn(&str) -> Option<String>,
    pub(super) vars: BTreeMap<String, Secret>,
    /// Names of `--var`, and of everything that the profile declares or fills in.
    pub(super) given: BTreeSet<String>,
    pub(super) declared: BTreeSet<String>,
    /// What was filled in at which byte: `environment PW`, `--var cluster`.
    pub(super) filled: BTreeMap<usize, String>,
    pub(super) problems: Vec<Problem>,
    pub(super) notes: Vec<Note>,
    /// Path of a setting → where it stands.
    pub(super) origins: BTreeMap<String, Origin>,
    /// A secret stands in the file itself, not in a variable.
    pub(super) holds_secret: bool,
    /// Texts that were taken and must not be quoted.
    pub(super) unquotable: BTreeSet<String>,
}

impl<'a> Reading<'a> {
    /// A reading of which nothing is known yet but the text.
    pub(super) fn new(source: Source<'a>, base: &'a Path, env: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self {
            source,
            base,
            env,
            vars: BTreeMap::new(),
            given: BTreeSet::new(),
            declared: BTreeSet::new(),
            filled: BTreeMap::new(),
            problems: Vec::new(),
            notes: Vec::new(),
            origins: BTreeMap::new(),
            holds_secret: false,
            unquotable: BTreeSet::new(),
        }
    }
}

impl Reading<'_> {
    pub(super) fn wrong(&mut self, span: &Range<usize>, message: impl Into<String>, help: impl Into<String>) {
        let problem = self.source.problem(span, message.into(), help.into());
        self.problems.push(problem);
    }

    pub(super) fn note(&mut self, span: &Range<usize>, text: impl Into<String>) {
        let line = self.line(span);
        self.notes.push(Note { line, text: text.into().into() });
    }

    pub(super) fn line(&self, span: &Range<usize>) -> usize {
        self.source.place(span.start).0
    }

    /// Remembers where a setting stands and what was filled in there.
    pub(super) fn came_from(&mut self, path: String, entry: &Entry) {
        let value = &entry.value.span;
        let filled = self.filled.range(value.start..value.end.max(value.start)).map(|(_, what)| what.clone()).collect();
        self.origins.insert(path, Origin { line: self.line(&entry.span), filled });
    }

    /// A path of the profile: relative to its folder, `~/` at home.
    pub(super) fn path(&self, text: &str) -> PathBuf {
        match text.strip_prefix("~/").and_then(|rest| Some((rest, (self.env)("HOME")?))) {
            Some((rest, home)) => Path::new(&home).join(rest),
            None => self.base.join(text),
        }
    }

    /// A block as a section, its labels and contents read.
    pub(super) fn section(&mut self, block: &Block, above: &str) -> Section {
        let labels: Vec<String> = block.labels.iter().map(|label| label.as_str().to_owned()).collect();
        let mut path = join(above, block.ident.as_str());
        for label in &labels {
            path = join(&path, label);
        }
        let entries = self.body(&block.body, &path);
        Section { labels, span: block.ident.span().unwrap_or_default(), entries, path, asked: BTreeSet::new() }
    }

    fn body(&mut self, body: &Body, path: &str) -> Vec<Entry> {
        // A `null` is as if it were not written.
        body.iter()
            .map(|structure| match structure {
                Structure::Attribute(attribute) => self.attribute(attribute, path),
                Structure::Block(block) => {
                    let section = self.section(block, path);
                    let span = section.span.clone();
                    Entry { name: block.ident.to_string(), span: span.clone(), value: Datum { span, kind: Kind::Section(section) } }
                }
            })
            .filter(|entry: &Entry| !matches!(entry.value.kind, Kind::Null))
            .collect()
    }

    fn attribute(&mut self, attribute: &Attribute, path: &str) -> Entry {
        let name = attribute.key.to_string();
        let value = self.datum(&attribute.value, &join(path, &name));
        Entry { span: attribute.key.span().unwrap_or_else(|| value.span.clone()), name, value }
    }

    /// The value of an expression.
    pub(super) fn datum(&mut self, expression: &Expression, path: &str) -> Datum {
        let span = span_of(expression);
        let kind = match expression {
            Expression::Null(_) => Kind::Null,
            Expression::Bool(value) => Kind::Bool(*value.value()),
            Expression::Number(number) => {
                Kind::Number(self.source.text.get(span.clone()).map_or_else(|| number.value().to_string(), str::to_owned))
            }
            Expression::String(text) => Kind::Text(Secret::new(text.value().clone()), Written::Plainly),
            Expression::StringTemplate(template) => self.template(template, &span, Written::Plainly),
            Expression::HeredocTemplate(heredoc) => {
                let mut heredoc = heredoc.clone();
                heredoc.dedent();
                self.template(&heredoc.template, &span, Written::Heredoc)
            }
            Expression::Array(array) => Kind::List(array.iter().map(|item| self.datum(item, path)).collect()),
            Expression::Object(object) => {
                let entries = object.iter().filter_map(|(key, value)| self.object_entry(key, value.expr(), path)).collect();
                Kind::Section(Section { path: path.to_owned(), labels: Vec::new(), span: span.clone(), entries, asked: BTreeSet::new() })
            }
            Expression::Parenthesis(inner) => self.datum(inner.inner(), path).kind,
            Expression::Variable(word) => Kind::Word(word.to_string()),
            Expression::UnaryOp(op) if *op.operator.value() == UnaryOperator::Neg => match self.datum(&op.expr, path).kind {
                Kind::Number(number) => Kind::Number(format!("-{number}")),
                _ => self.refuse(&span, "only a number can be negative"),
            },
            Expression::Traversal(traversal) if is_path(traversal) => Kind::Word(self.source.text[span.clone()].to_owned()),
            Expression::Traversal(traversal) => match self.variable(traversal, &span) {
                Some(value) => Kind::Text(value, Written::Elsewhere),
                None => Kind::Failed,
            },
            Expression::FuncCall(_) => self.refuse(&span, "a profile computes nothing: functions are not called here"),
            Expression::Conditional(_) | Expression::BinaryOp(_) | Expression::UnaryOp(_) | Expression::ForExpr(_) => {
                self.refuse(&span, "a profile computes nothing: write the value itself, or a variable")
            }
        };
        Datum { span, kind }
    }

    fn refuse(&mut self, span: &Range<usize>, message: &str) -> Kind {
        self.wrong(span, message, "known here: text, numbers, true, false, lists, objects, ${env.NAME}, ${var.name}");
        Kind::Failed
    }

    fn object_entry(&mut self, key: &ObjectKey, value: &Expression, path: &str) -> Option<Entry> {
        let (name, span) = match key {
            ObjectKey::Ident(name) | ObjectKey::Expression(Expression::Variable(name)) => {
                (name.to_string(), name.span().unwrap_or_default())
            }
            ObjectKey::Expression(Expression::String(name)) => (name.value().clone(), name.span().unwrap_or_default()),
            ObjectKey::Expression(other) => {
                self.wrong(&span_of(other), "a key is a plain name", "write it in quotes, without a variable");
                return None;
            }
        };
        let value = self.datum(value, &join(path, &name));
        (!matches!(value.kind, Kind::Null)).then_some(Entry { name, span, value })
    }

    fn template(&mut self, template: &Template, whole: &Range<usize>, mut written: Written) -> Kind {
        let (mut text, mut failed) = (String::new(), false);
        for element in template {
            match element {
                Element::Literal(literal) => text.push_str(literal.value()),
                Element::Interpolation(part) => {
                    let span = part.span().unwrap_or_else(|| whole.clone());
                    let value = if let Expression::Traversal(traversal) = &part.expr {
                        self.variable(traversal, &span)
                    } else {
                        self.refuse(&span, "only ${env.NAME} and ${var.name} are filled in");
                        None
                    };
                    written = Written::Elsewhere;
                    failed |= value.is_none();
                    text.push_str(value.as_ref().map_or("", Secret::expose));
                }
                Element::Directive(directive) => {
                    let span = directive.span().unwrap_or_else(|| whole.clone());
                    self.refuse(&span, "a profile computes nothing: %{ … } is not known here");
                    failed = true;
                }
            }
        }
        let text = Secret::new(text);
        if failed { Kind::Failed } else { Kind::Text(text, written) }
    }

    /// `env.NAME` or `var.name`.
    fn variable(&mut self, traversal: &Traversal, span: &Range<usize>) -> Option<Secret> {
        let root = match &traversal.expr {
            Expression::Variable(root) => root.as_str(),
            _ => "",
        };
        let name = match traversal.operators.as_slice() {
            [only] => match only.value() {
                TraversalOperator::GetAttr(name) => name.as_str(),
                _ => "",
            },
            _ => "",
        };
        match root {
            "env" if !name.is_empty() => {
                let value = (self.env)(name).map(Secret::new);
                if value.is_none() {
                    self.wrong(span, format!("the environment variable {name} is not set"), format!("set {name} before starting mqdeck"));
                }
                self.filled.insert(span.start, format!("environment {name}"));
                value
            }
            "var" if !name.is_empty() => {
                self.declared.insert(name.to_owned());
                let from = if self.given.contains(name) { "--var" } else { "default of variable" };
                self.filled.insert(span.start, format!("{from} {name}"));
                let value = self.vars.get(name).cloned();
                if value.is_none() {
                    let near = suggest::hint(name, self.vars.keys().map(String::as_str));
                    let help = if near.is_empty() {
                        format!("give it by --var {name}=…, or `variable \"{name}\" {{ default = … }}`")
                    } else {
                        near
                    };
                    self.wrong(span, format!("the variable {name} has no value"), help);
                }
                value
            }
            _ => {
                self.refuse(span, "this is neither env.NAME nor var.name");
                None
            }
        }
    }
}

/// Whether it is a place of a message, as queries write it, without quotes: `headers.x-original-topic`, `value.error.code`.
fn is_path(traversal: &Traversal) -> bool {
    matches!(&traversal.expr, Expression::Variable(root) if PATHS.contains(&root.as_str()))
}

/// What places of messages begin with; `each` is one of several deaths.
const PATHS: &[&str] = &["headers", "value", "key", "each"];

fn span_of(expression: &Expression) -> Range<usize> {
    expression.span().unwrap_or_default()
}

pub(super) fn join(above: &str, name: &str) -> String {
    if above.is_empty() { name.to_owned() } else { format!("{above}.{name}") }
}
