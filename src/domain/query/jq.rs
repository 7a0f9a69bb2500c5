//! `jq '<program>'`: a jq program as a condition, run by jaq, with nothing of the outside in its reach and a bound on what it may use.
//!
//! The program's input is the decoded payload (`null` if there is none); `$key`, `$headers`, `$topic`, `$partition`, `$offset` and
//! `$timestamp` (milliseconds) are there as well. The condition holds if one of its outputs is neither `false` nor `null`.
//!
//! Integers keep all their digits, and a decimal number keeps them as long as it is only passed on or printed. Comparisons and
//! arithmetic of decimal numbers are those of 64-bit floats, as in jq; of a key that stands twice in an object, the last counts.

use super::record::{Record, Undecided};
use crate::domain::value::Value;
use jaq_core::data::HasLut;
use jaq_core::load::{self, Arena, File, Loader};
use jaq_core::{Compiler, Ctx, DataT, ValT, Vars};
use jaq_json::{Map, Num, Val};
use std::cell::Cell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

/// Steps that a program may take on one message. One step is one look at a term of the program; a million take about a tenth of a second.
const MOST_STEPS: u32 = 500_000;
/// Bytes of stack that a program may use: the threads of the runtime have 2 MiB.
const MOST_STACK: usize = 512 << 10;
/// An error's text is cut to this many characters.
const LONGEST_ERROR: usize = 200;

/// What jq and jaq have that reaches outside, waits, or writes: not there.
const OUTSIDE: [&str; 13] = [
    "input",
    "inputs",
    "env",
    "$ENV",
    "halt",
    "halt_error",
    "debug",
    "debug_empty",
    "stderr",
    "stderr_empty",
    "input_line_number",
    "input_filename",
    "range",
];

/// `range` in jq's own terms: jaq's is one step, however far it runs.
const RANGE: &str = "def range($from; $to; $by): $from
    | if $by > 0 then def up: if . < $to then ., (. + $by | up) else {}[] as $x | . end; up
      elif $by < 0 then def down: if . > $to then ., (. + $by | down) else {}[] as $x | . end; down
      else def same: if . != $to then ., same else {}[] as $x | . end; same end;";

/// What a program may ask for by name, in the order in which the values are given.
const VARIABLES: [&str; 6] = ["$key", "$headers", "$topic", "$partition", "$offset", "$timestamp"];

/// A compiled program.
#[derive(Clone)]
pub struct Program {
    pub source: Arc<str>,
    filter: Arc<jaq_core::Filter<Metered>>,
}

/// Why a program cannot be compiled, and where: bytes of the program.
pub(super) struct Fault {
    pub(super) offset: usize,
    pub(super) message: String,
}

/// Programs on JSON whose every step is counted.
struct Metered;

impl DataT for Metered {
    type V<'a> = Val;
    type Data<'a> = Meter<'a>;
}

/// What a run may still use. The interpreter asks for its terms at every step, and this is where it is stopped.
#[derive(Clone, Copy)]
struct Meter<'a> {
    filter: &'a jaq_core::Filter<Metered>,
    left: &'a Cell<u32>,
    /// Where the stack stood when the run began.
    stack: usize,
}

/// What a run that went too far ends with.
struct Stopped(&'static str);

impl<'a> HasLut<'a, Metered> for Meter<'a> {
    fn lut(&self) -> &'a jaq_core::compile::Lut<jaq_core::Native<Metered>> {
        match self.left.get().checked_sub(1) {
            Some(left) => self.left.set(left),
            // Nothing but unwinding gets out of the interpreter here; it is caught where the run began, and no hook sees it.
            None => resume_unwind(Box::new(Stopped("the program does not come to an end on this message"))),
        }
        if here().abs_diff(self.stack) > MOST_STACK {
            resume_unwind(Box::new(Stopped("the program recurses too deep on this message")));
        }
        &self.filter.lut
    }
}

/// About where the stack stands.
#[inline(never)]
fn here() -> usize {
    let place = 0_u8;
    (&raw const place).addr()
}

impl Program {
    pub(super) fn compile(source: &str) -> Result<Self, Fault> {
        let arena = Arena::default();
        let own = load::parse(RANGE, |parser| parser.defs()).unwrap_or_default();
        let theirs = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs());
        let reachable = |name: &str| !OUTSIDE.contains(&name);
        let defs = own.into_iter().chain(theirs.filter(|def| reachable(def.name) || (def.name == "range" && def.args.len() < 3)));
        let funs = jaq_core::funs::<Metered>().chain(jaq_std::funs()).chain(jaq_json::funs()).filter(|(name, ..)| reachable(name));
        let modules = Loader::new(defs).load(&arena, File { code: source, path: () }).map_err(|errors| not_loaded(source, errors))?;
        let compiler = Compiler::default().with_global_vars(VARIABLES).with_funs(funs);
        let filter = compiler.compile(modules).map_err(|errors| {
            let undefined = errors.into_iter().flat_map(|(_, errors)| errors).next();
            undefined.map_or_else(
                || Fault { offset: 0, message: "the jq program cannot be compiled".to_owned() },
                |(name, what)| Fault { offset: offset(source, name), message: format!("jq has no {} `{name}` here", what.as_str()) },
            )
        })?;
        Ok(Self { source: source.into(), filter: Arc::new(filter) })
    }

    /// Whether the program says yes to a record.
    pub(super) fn holds(&self, record: &impl Record) -> Result<bool, Undecided> {
        let input = record.value()?.map_or(Val::Null, value);
        let left = Cell::new(MOST_STEPS);
        let run = || {
            let meter = Meter { filter: &self.filter, left: &left, stack: here() };
            let context = Ctx::<Metered>::new(meter, Vars::new(variables(record)));
            let mut outputs = self.filter.id.run((context, input));
            // The values that an error carries must not outlive the run.
            outputs.find_map(|output| match output.map_err(jaq_core::Exn::get_err) {
                Ok(output) => output.as_bool().then_some(Ok(true)),
                Err(Ok(error)) => Some(Err(error.to_string())),
                Err(Err(_)) => Some(Err("the program breaks out of itself".to_owned())),
            })
        };
        let outcome = catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|cause| {
            let said = cause.downcast_ref::<Stopped>().map_or("the program failed inside of jaq", |stopped| stopped.0);
            Some(Err(said.to_owned()))
        });
        outcome.unwrap_or(Ok(false)).map_err(|said| Undecided::Failed(said.chars().take(LONGEST_ERROR).collect::<String>().into()))
    }
}

fn not_loaded(source: &str, errors: load::Errors<&str, ()>) -> Fault {
    let error = errors.into_iter().map(|(_, error)| error).next();
    match error {
        Some(load::Error::Lex(errors)) => match errors.into_iter().next() {
            Some((expected, found)) => {
                Fault { offset: offset(source, found), message: format!("in jq, {} was expected", expected.as_str()) }
            }
            None => Fault { offset: 0, message: "the jq program cannot be read".to_owned() },
        },
        Some(load::Error::Parse(errors)) => match errors.into_iter().next() {
            Some((expected, found)) => {
                Fault { offset: offset(source, found), message: format!("in jq, {} was expected", expected.as_str()) }
            }
            None => Fault { offset: 0, message: "the jq program cannot be read".to_owned() },
        },
        _ => Fault { offset: 0, message: "jq programs cannot load files here".to_owned() },
    }
}

/// Where a part of the program stands in it; its end for what is no part of it.
fn offset(source: &str, part: &str) -> usize {
    let start = part.as_ptr().addr().wrapping_sub(source.as_ptr().addr());
    if start <= source.len() { start } else { 0 }
}

fn variables(record: &impl Record) -> [Val; VARIABLES.len()] {
    let text = |bytes: &[u8]| Val::utf8_str(bytes.to_vec());
    let number = |number: Option<i64>| number.map_or(Val::Null, |number| Val::Num(Num::from_integral(number)));
    let mut headers = Map::default();
    record.any_header(&mut |name, value| {
        headers.insert(text(name), value.map_or(Val::Null, text));
        false
    });
    [
        record.key().map_or(Val::Null, text),
        Val::obj(headers),
        text(record.topic().as_bytes()),
        number(record.partition().map(i64::from)),
        number(record.offset()),
        number(record.timestamp().map(|time| time.0)),
    ]
}

/// A decoded payload as jaq has it.
fn value(value: &Value) -> Val {
    match value {
        Value::Null => Val::Null,
        Value::Bool(truth) => Val::Bool(*truth),
        Value::Number(digits) => Val::from_num(digits).unwrap_or_default(),
        Value::Text(text) => Val::from(text.to_string()),
        Value::Bytes(bytes) => Val::byte_str(bytes.clone()),
        Value::Array(items) => items.iter().map(self::value).collect(),
        Value::Object(entries) => Val::obj(entries.iter().map(|(name, value)| (Val::from(name.to_string()), self::value(value))).collect()),
    }
}

impl PartialEq for Program {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Program({:?})", self.source)
    }
}

/// In the quotes in which the lexer reads it.
impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "jq '{}'", self.source.replace('\'', "\\'"))
    }
}
