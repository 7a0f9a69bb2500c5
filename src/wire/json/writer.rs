//! Writing JSON: compact or in lines, numbers digit for digit, keys in their order.

use crate::domain::value::Value;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// One line without white space. Bytes, which JSON does not have, are written as base64.
pub fn compact(value: &Value) -> String {
    let mut out = String::new();
    write(&mut out, value, None);
    out
}

/// Two spaces a level, one member a line.
pub fn pretty(value: &Value) -> String {
    let mut out = String::new();
    write(&mut out, value, Some(0));
    out
}

/// Appends a text with its quotes; only what RFC 8259 section 7 demands is escaped.
pub fn push_text(out: &mut String, text: &str) {
    out.push('"');
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c < ' ' || c == '"' || c == '\\') {
        out.push_str(&rest[..at]);
        match rest.as_bytes()[at] {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            control => out.push_str(&format!("\\u{control:04x}")),
        }
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
    out.push('"');
}

/// The depth of a `Value` is bounded by its readers, so recursion is too. `indent` is the level, or `None` for one line.
fn write(out: &mut String, value: &Value, indent: Option<usize>) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(digits) => out.push_str(digits),
        Value::Text(text) => push_text(out, text),
        Value::Bytes(bytes) => push_text(out, &STANDARD.encode(bytes)),
        Value::Array(items) => list(out, indent, ['[', ']'], items, write),
        Value::Object(entries) => list(out, indent, ['{', '}'], entries, |out, (key, value), indent| {
            push_text(out, key);
            out.push_str(if indent.is_some() { ": " } else { ":" });
            write(out, value, indent);
        }),
    }
}

fn list<T>(out: &mut String, indent: Option<usize>, [open, close]: [char; 2], items: &[T], each: impl Fn(&mut String, &T, Option<usize>)) {
    out.push(open);
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        let inner = indent.map(|level| level + 1);
        new_line(out, inner);
        each(out, item, inner);
    }
    if !items.is_empty() {
        new_line(out, indent);
    }
    out.push(close);
}

fn new_line(out: &mut String, indent: Option<usize>) {
    if let Some(level) = indent {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", level));
    }
}
