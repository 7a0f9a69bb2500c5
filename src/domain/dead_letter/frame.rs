//! Stacks of Java, .NET, Python, Node, Go and Ruby: the innermost exception and the place where it was thrown, without what changes from
//! build to build and from run to run.

use memchr::memmem::{Finder, find, rfind};
use std::sync::LazyLock;

/// What a stack says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Dissected<'t> {
    /// The type of the exception that the stack is of.
    pub(super) outer: Option<&'t [u8]>,
    /// Its message, where nobody else said it.
    pub(super) message: Option<&'t [u8]>,
    /// The type of the innermost exception, if another one caused the first.
    pub(super) root: Option<&'t [u8]>,
    /// The first frame of the innermost exception.
    pub(super) frame: Option<Frame<'t>>,
}

/// Where something was thrown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame<'t> {
    pub(super) name: &'t [u8],
    /// The file's name without its folders, where the name of the function alone says too little.
    pub(super) file: Option<&'t [u8]>,
}

const PYTHON: &[u8] = b"Traceback (most recent call last):";

static CAUSED_BY: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\nCaused by: "));

/// Reads a stack. The message, where it is known, is passed over, whatever lines it has.
pub(super) fn dissect<'t>(stack: &'t [u8], message: Option<&[u8]>) -> Dissected<'t> {
    if stack.is_empty() {
        return Dissected::default();
    }
    if stack.starts_with(PYTHON) {
        return python(stack);
    }
    let outer = type_of(stack);
    let text = outer.and_then(|outer| message_of(stack, outer));
    // The last one is the innermost.
    let caused = CAUSED_BY.find_iter(stack).last().map(|at| &stack[at + CAUSED_BY.needle().len()..]);
    let section = caused.unwrap_or_else(|| behind(stack, outer, message));
    if let Some((frame, before)) = at_frame(section) {
        // .NET has the inner exception before the frames of both, Node behind them.
        let inner = rfind(before, b" ---> ").map(|at| &before[at + 6..]);
        let is_node = frame.ends_with(b" ");
        let node = if is_node { find(section, b"[cause]: ").map(|at| &section[at + 9..]) } else { None };
        let (frame, root) = match node.and_then(|node| Some((at_frame(node)?.0, node))) {
            Some((frame, node)) => (frame, Some(node)),
            None => (frame, inner.or(caused)),
        };
        return Dissected { outer, message: text, root: root.and_then(type_of), frame: Some(named(frame)) };
    }
    if let Some(at) = find(stack, PYTHON) {
        return python(&stack[at..]);
    }
    let frame = go_frame(section).or_else(|| ruby_frame(section));
    Dissected { outer, message: text, root: caused.and_then(type_of), frame }
}

/// What stands behind the type and its message.
fn behind<'t>(stack: &'t [u8], outer: Option<&'t [u8]>, message: Option<&[u8]>) -> &'t [u8] {
    let Some(message) = message.filter(|message| !message.is_empty()) else { return stack };
    let start = outer.map_or(0, |outer| offset(stack, outer) + outer.len());
    let rest = &stack[start..];
    // It follows at once, or is no part of the stack.
    let gap = rest.iter().take(16).take_while(|byte| matches!(byte, b':' | b' ' | b'\n')).count();
    rest[gap..].strip_prefix(message).unwrap_or(stack)
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let end = memchr::memchr(b'\n', text);
        rest = end.map(|end| &text[end + 1..]);
        let line = &text[..end.unwrap_or(text.len())];
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    })
}

/// Where a part of a text begins in it.
fn offset(text: &[u8], part: &[u8]) -> usize {
    (part.as_ptr() as usize).wrapping_sub(text.as_ptr() as usize).min(text.len())
}

/// The type that a text begins with: `com.acme.Boom: message`, `System.Net.Sockets.SocketException (111): refused`.
fn type_of(text: &[u8]) -> Option<&[u8]> {
    let thread = text.strip_prefix(b"Exception in thread \"").and_then(|rest| Some(&rest[find(rest, b"\" ")? + 2..]));
    let text = thread.unwrap_or(text);
    let end = text.iter().position(|byte| matches!(byte, b':' | b' ' | b'\n' | b'\r')).unwrap_or(text.len());
    // Ruby and C++ have two colons within a name.
    let end = colons(text, end);
    let (name, rest) = text.split_at(end);
    let ends = rest.is_empty()
        || rest.starts_with(b":")
        || rest.starts_with(b" (")
        || rest.starts_with(b" [")
        || rest[0] == b'\n'
        || rest[0] == b'\r';
    let like_a_type = name.first().is_some_and(u8::is_ascii_uppercase) || name.contains(&b'.') || name.ends_with(b"Error");
    let plain = name.iter().all(|byte| byte.is_ascii_alphanumeric() || b".$_<>`+-:[],".contains(byte) || *byte >= 0x80);
    (ends && like_a_type && plain && name.len() <= 300).then_some(name)
}

fn colons(text: &[u8], mut end: usize) -> usize {
    while text[end..].starts_with(b"::") {
        let more = text[end + 2..].iter().position(|byte| matches!(byte, b':' | b' ' | b'\n' | b'\r'));
        end = more.map_or(text.len(), |more| end + 2 + more);
    }
    end
}

/// The first line of the message behind a type.
fn message_of<'t>(text: &'t [u8], outer: &'t [u8]) -> Option<&'t [u8]> {
    let line = lines(&text[offset(text, outer) + outer.len()..]).next()?;
    let message = line[line.iter().position(|byte| *byte == b':')? + 1..].trim_ascii();
    (!message.is_empty()).then_some(message)
}

/// The first frame of Java, .NET or Node, from behind its `at` on, and what stands before its line.
fn at_frame(text: &[u8]) -> Option<(&[u8], &[u8])> {
    for line in lines(text) {
        let Some(frame) = line.trim_ascii_start().strip_prefix(b"at ") else { continue };
        let name = match memchr::memchr(b'(', frame) {
            Some(open) => &frame[..open],
            // Node has functions without a name: the place alone.
            None if frame.last().is_some_and(u8::is_ascii_digit) && frame.contains(&b':') => frame,
            None => continue,
        };
        if is_name(name) {
            let place = if name.ends_with(b"<anonymous> ") { frame } else { name };
            return Some((place, &text[..offset(text, line)]));
        }
    }
    None
}

/// Sentences have blanks, names have none, but for the words that Node puts to them.
fn is_name(name: &[u8]) -> bool {
    let name = name.strip_prefix(b"async ").or_else(|| name.strip_prefix(b"new ")).unwrap_or(name);
    let name = name.strip_suffix(b" ").unwrap_or(name);
    let name = find(name, b" [as ").map_or(name, |at| &name[..at]);
    !name.is_empty() && !name.contains(&b' ')
}

/// The parts of a frame of Java, .NET or Node.
fn named(frame: &[u8]) -> Frame<'_> {
    let frame = frame.strip_prefix(b"async ").or_else(|| frame.strip_prefix(b"new ")).unwrap_or(frame);
    if let Some(open) = memchr::memchr(b'(', frame) {
        let place = frame[open + 1..].trim_ascii_end();
        return Frame { name: frame[..open].trim_ascii_end(), file: Some(file(place.strip_suffix(b")").unwrap_or(place))) };
    }
    if frame.last().is_some_and(u8::is_ascii_digit) && frame.contains(&b':') && frame.iter().any(|byte| matches!(byte, b'/' | b'\\')) {
        return Frame { name: b"", file: Some(file(frame)) };
    }
    let name = find(frame, b" [as ").map_or(frame, |at| &frame[..at]).trim_ascii_end();
    // A class loader and a module before the class: `app//`, `java.base@17.0.1/`.
    let name = if name.contains(&b'<') {
        name
    } else {
        memchr::memrchr(b'/', name).map_or(name, |at| if name[at..].starts_with(b"/0x") { name } else { &name[at + 1..] })
    };
    Frame { name, file: None }
}

/// The file's name of a place: `/app/src/x.js:10:5`.
fn file(place: &[u8]) -> &[u8] {
    let mut end = place.len();
    for _ in 0..2 {
        let digits = place[..end].iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
        if digits > 0 && place[..end - digits].ends_with(b":") {
            end -= digits + 1;
        }
    }
    let path = &place[..end];
    path.iter().rposition(|byte| matches!(byte, b'/' | b'\\')).map_or(path, |at| &path[at + 1..])
}

/// Python has the newest frame last, and the exception that began it in the first of several tracebacks.
fn python(stack: &[u8]) -> Dissected<'_> {
    let mut sections = 0;
    let (mut frame, mut first_frame, mut root, mut last) = (None, None, None, None);
    for line in lines(stack) {
        if line == PYTHON {
            sections += 1;
            frame = None;
        } else if let Some(place) = line.strip_prefix(b"  File \"") {
            frame = python_frame(place);
        } else if !line.is_empty() && !line.starts_with(b" ") && frame.is_some() {
            last = Some(line);
            if first_frame.is_none() {
                (first_frame, root) = (frame, Some(line));
            }
            frame = None;
        }
    }
    let root = if sections > 1 { root.and_then(type_of) } else { None };
    let outer = last.and_then(type_of);
    let message = last.zip(outer).and_then(|(line, outer)| message_of(line, outer));
    Dissected { outer, message, root, frame: first_frame.or(frame) }
}

/// `/app/orders/handler.py", line 42, in handle`
fn python_frame(place: &[u8]) -> Option<Frame<'_>> {
    let end = memchr::memchr(b'"', place)?;
    let name = find(&place[end..], b", in ").map_or(&b""[..], |at| &place[end + at + 5..]);
    Some(Frame { name, file: Some(file(&place[..end])) })
}

/// Go has the arguments behind the name, and the place in a line of its own. What begins a panic is passed over.
fn go_frame(text: &[u8]) -> Option<Frame<'_>> {
    let mut before: &[u8] = b"";
    for line in lines(text) {
        let is_place = line.starts_with(b"\t") && find(line, b".go:").is_some();
        let is_start = [&b"runtime."[..], b"runtime/", b"panic(", b"created by "].iter().any(|start| before.starts_with(start));
        if is_place && !is_start && !before.is_empty() {
            let name = if before.ends_with(b")") { memchr::memrchr(b'(', before).map_or(before, |open| &before[..open]) } else { before };
            return Some(Frame { name, file: None });
        }
        before = line;
    }
    None
}

/// `/app/jobs/charge.rb:42:in 'Charge#perform'`, with a backquote until Ruby 3.4.
fn ruby_frame(text: &[u8]) -> Option<Frame<'_>> {
    lines(text).find_map(|line| {
        let line = line.trim_ascii_start();
        let line = line.strip_prefix(b"from ").unwrap_or(line);
        let at = find(line, b":in ")?;
        let name = line[at + 4..].trim_ascii();
        let name = name.strip_prefix(b"`").or_else(|| name.strip_prefix(b"'"))?;
        let place = file(&line[..at]);
        (place.len() < at).then_some(Frame { name: name.strip_suffix(b"'").unwrap_or(name), file: Some(place) })
    })
}

/// What compilers and proxies put numbers behind.
const NUMBERED: &[&[u8]] = &[b"Proxy", b"Accessor", b"func", b"DisplayClass", b"AnonymousClass", b"AnonType"];

impl Frame<'_> {
    /// Appends the frame without line numbers, addresses and the numbers of lambdas and generated classes.
    pub(super) fn push(&self, out: &mut Vec<u8>) {
        let start = out.len();
        let mut at = 0;
        while let Some(&byte) = self.name.get(at) {
            let rest = &self.name[at..];
            let written = &out[start..];
            let address = rest.strip_prefix(b"0x").map_or(0, |digits| digits.iter().take_while(|byte| byte.is_ascii_hexdigit()).count());
            if address > 0 {
                at += address + 2;
                continue;
            }
            let hash = if written.ends_with(b"$$") { hash_length(rest) } else { 0 };
            if hash > 0 {
                at += hash;
                continue;
            }
            let generated = byte.is_ascii_digit()
                && (written.last().is_none_or(|last| b"$_#@<>/.".contains(last)) || NUMBERED.iter().any(|name| written.ends_with(name)));
            if generated {
                at += rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
                continue;
            }
            out.push(byte);
            at += 1;
        }
        if let Some(file) = self.file.filter(|file| !file.is_empty()) {
            if out.len() > start {
                out.extend_from_slice(b" in ");
            }
            out.extend_from_slice(file);
        }
    }
}

/// The length of the hash that a generated class's name ends with: `Orders$$EnhancerBySpringCGLIB$$1a2b3c4d`.
fn hash_length(text: &[u8]) -> usize {
    let word = text.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
    let is_hash = text[..word].iter().all(u8::is_ascii_hexdigit) && (word >= 6 || text[..word].iter().all(u8::is_ascii_digit));
    if is_hash { word } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(stack: &str, message: Option<&str>) -> (Option<String>, Option<String>, Option<String>) {
        let seen = dissect(stack.as_bytes(), message.map(str::as_bytes));
        let text = |bytes: Option<&[u8]>| bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        let frame = seen.frame.map(|frame| {
            let mut out = Vec::new();
            frame.push(&mut out);
            String::from_utf8_lossy(&out).into_owned()
        });
        (text(seen.outer), text(seen.root), frame)
    }

    #[test]
    fn the_innermost_exception_and_its_first_frame_are_found_in_every_language() {
        for (stack, outer, root, frame) in [
            (
                "com.acme.SchemaMismatch: field \"currency\" missing\n\tat com.acme.Orders.handle(Orders.java:42)\n\tat com.acme.Main.run(Main.java:7)\n",
                Some("com.acme.SchemaMismatch"),
                None,
                Some("com.acme.Orders.handle"),
            ),
            (
                "org.springframework.kafka.listener.ListenerExecutionFailedException: Listener threw\n\tat org.springframework.kafka.Container.decorate(Container.java:1)\nCaused by: java.lang.IllegalStateException\n\tat a.B.c(B.java:2)\n\t... 7 more\nCaused by: com.acme.Boom: x\n\tat app//com.acme.Orders$1.lambda$handle$3(Orders.java:9)\n",
                Some("org.springframework.kafka.listener.ListenerExecutionFailedException"),
                Some("com.acme.Boom"),
                Some("com.acme.Orders$.lambda$handle$"),
            ),
            (
                "System.InvalidOperationException: boom\r\n ---> System.Net.Sockets.SocketException (111): refused\r\n   at Acme.Net.Client`1.Connect(String host, Int32 port) in C:\\src\\Client.cs:line 12\r\n   --- End of inner exception stack trace ---\r\n   at Acme.Orders.<Handle>d__5.MoveNext()",
                Some("System.InvalidOperationException"),
                Some("System.Net.Sockets.SocketException"),
                Some("Acme.Net.Client`1.Connect"),
            ),
            (
                "   at Acme.Orders.<>c__DisplayClass3_0.<Handle>b__1(Object x)\n   at B.C()",
                None,
                None,
                Some("Acme.Orders.<>c__DisplayClass_.<Handle>b__"),
            ),
            (
                "Traceback (most recent call last):\n  File \"/app/orders/handler.py\", line 42, in handle\n    amount = order[\"currency\"]\n             ~~~~~^^^^^^^^^^^^\nKeyError: 'currency'\n",
                Some("KeyError"),
                None,
                Some("handle in handler.py"),
            ),
            (
                "Traceback (most recent call last):\n  File \"/app/a.py\", line 1, in inner\n    x()\nValueError: bad\n\nThe above exception was the direct cause of the following exception:\n\nTraceback (most recent call last):\n  File \"/app/b.py\", line 2, in outer\n    inner()\nacme.Wrapped: bad\n",
                Some("acme.Wrapped"),
                Some("ValueError"),
                Some("inner in a.py"),
            ),
            (
                "TypeError: Cannot read properties of undefined (reading 'currency')\n    at async OrderHandler.handle (/app/dist/orders.js:10:5)\n    at process (node:internal:1:2)",
                Some("TypeError"),
                None,
                Some("OrderHandler.handle"),
            ),
            ("Error: x\n    at /app/dist/index.js:10:5\n    at b (c.js:1:2)", Some("Error"), None, Some("index.js")),
            ("Error: x\n    at Object.<anonymous> (/app/dist/index.js:10:5)", Some("Error"), None, Some("Object.<anonymous> in index.js")),
            (
                "Error: outer\n    at f (/a.js:1:2) {\n  [cause]: RangeError: inner\n      at g (/b.js:3:4)\n}",
                Some("Error"),
                Some("RangeError"),
                Some("g"),
            ),
            (
                "panic: boom\n\ngoroutine 18 [running]:\npanic({0x1, 0x2})\n\t/usr/lib/go/src/runtime/panic.go:770 +0x132\nmain.(*Orders).handle.func1.2(0xc000010000, 0x1)\n\t/app/orders.go:42 +0x1d\n",
                None,
                None,
                Some("main.(*Orders).handle.func."),
            ),
            ("decode: boom\nmain.handle\n\t/app/orders.go:42\nmain.main\n\t/app/main.go:7", None, None, Some("main.handle")),
            ("/app/jobs/charge.rb:42:in 'Charge#perform'\n/gems/x.rb:1:in 'y'", None, None, Some("Charge#perform in charge.rb")),
            ("/app/jobs/charge.rb:42:in `block in perform'", None, None, Some("block in perform in charge.rb")),
            ("Exception in thread \"main\" java.lang.Boom\n\tat A.b(A.java)", Some("java.lang.Boom"), None, Some("A.b")),
            ("no stack at all, only a sentence (of two)", None, None, None),
            ("at least one (of many) is wrong", None, None, None),
            ("", None, None, None),
        ] {
            let text = |text: Option<&str>| text.map(str::to_owned);
            assert_eq!(read(stack, None), (text(outer), text(root), text(frame)), "{stack}");
        }
    }

    #[test]
    fn generated_names_are_the_same_from_run_to_run() {
        for (one, other) in [
            ("A$$EnhancerBySpringCGLIB$$1a2b3c4d.handle", "A$$EnhancerBySpringCGLIB$$9f8e7d6c.handle"),
            ("com.sun.proxy.$Proxy123.send", "com.sun.proxy.$Proxy7.send"),
            ("jdk.internal.reflect.GeneratedMethodAccessor45.invoke", "jdk.internal.reflect.GeneratedMethodAccessor9.invoke"),
            ("A$$Lambda$14/0x0000000800066840.run", "A$$Lambda$221/0x00000008012ab0f8.run"),
            ("A$$Lambda/0x0000000800066840.run", "A$$Lambda/0x00007f3c012ab0f8.run"),
            ("A$3.lambda$run$0", "A$4.lambda$run$17"),
        ] {
            let frame = |name: &str| read(&format!("x.Y\n\tat {name}(A.java:1)"), None).2;
            assert_eq!(frame(one), frame(other));
            assert!(frame(one).is_some_and(|frame| !frame.is_empty()), "{one}");
        }
        assert_eq!(read("x.Y\n\tat V2.Base64.decode(A.java:1)", None).2.as_deref(), Some("V2.Base64.decode"), "what people number stays");
    }

    #[test]
    fn a_message_that_looks_like_a_stack_is_passed_over() {
        let message = "it failed\n\tat evil.Frame.one(X.java:1)\n";
        let stack = format!("a.B: {message}\n\tat real.Frame.two(Y.java:2)");
        assert_eq!(read(&stack, Some(message)).2.as_deref(), Some("real.Frame.two"));
        assert_eq!(read(&stack, Some("something else")).2.as_deref(), Some("evil.Frame.one"));
    }
}
