//! The rules of the house that no compiler knows: who may import whom, where colours and text may be made, how long a file is.
//!
//! Reads the sources as text; needs nothing but the standard library.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Which rooms of `src/` a room may import. `runtime`, `cli`, `main.rs` and `lib.rs` may import everything.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("wire", &["domain"]),
    ("config", &["domain"]),
    ("adapters", &["domain", "wire", "config"]),
    ("identity", &["domain", "wire", "config"]),
    ("gateway", &["domain", "wire", "config", "adapters", "identity"]),
    ("app", &["domain"]),
    ("ui", &["app", "domain"]),
    ("demo", &["domain", "wire", "config", "adapters", "gateway"]),
];

/// Rooms that may import everything.
const MAY_IMPORT_ALL: &[&str] = &["runtime", "cli"];

/// Crates that only one adapter may name. (Decompressors are here because only Kafka's records need them so far.)
const CLIENTS: &[(&str, &[&str])] = &[
    ("kafka", &["rdkafka", "rdkafka_sys", "kafka_protocol", "rsasl", "crc32c", "flate2", "lz4_flex", "snap", "zstd"]),
    ("mqtt", &["rumqttc", "rumqttd"]),
    ("nats", &["async_nats", "nkeys"]),
    ("rabbitmq", &["lapin", "async_rs"]),
    ("redis", &["redis"]),
];

/// What the pure rooms must not touch: I/O, tasks, a clock of their own, the terminal.
const IMPURE: &[(&str, &[&str])] = &[
    (
        "domain",
        &[
            "tokio::",
            "futures::",
            "async_trait",
            "ratatui",
            "crossterm",
            "reqwest::",
            "rustls::",
            "std::fs",
            "std::net",
            "std::process",
            "std::env",
            "Instant::now(",
            "SystemTime::now(",
            "Zoned::now(",
            "Timestamp::now(",
        ],
    ),
    (
        "app",
        &[
            "tokio::",
            "futures::",
            "async fn",
            "std::fs",
            "std::net",
            "std::process",
            "std::env",
            "Instant::now(",
            "SystemTime::now(",
            "Zoned::now(",
            "Timestamp::now(",
        ],
    ),
    ("ui", &["tokio::", "futures::", "async fn", "std::fs", "std::net", "std::process", "std::env", "Instant::now(", "SystemTime::now("]),
    ("wire", &["tokio::", "std::fs", "std::net", "std::process"]),
];

/// Handles of connected systems are named by the adapters that make them and by the gateway, which lets no call past its guard.
const MAY_NAME_HANDLES: &[&str] = &["adapters", "gateway"];

/// Where a folder's `mod.rs` has what its files share (an adapter's connection, the gateway, the options of every command, the kinds of
/// verdict) and puts them together: that such a parent names its own files is no circle there.
const SHARED_PARENTS: &[&str] = &["adapters", "cli", "demo", "domain::lag", "domain::query", "gateway", "wire::lines"];

/// The longest a source file may be.
const MAX_LINES: usize = 600;

/// One source file.
struct Source {
    /// Relative to the repository: `src/domain/text.rs`.
    path: String,
    text: String,
}

impl Source {
    /// The room it stands in: `domain`; `None` for `src/main.rs` and everything outside `src/`.
    fn room(&self) -> Option<&str> {
        self.path.strip_prefix("src/")?.split_once('/').map(|(room, _)| room)
    }

    /// What is compiled into the program: without comments, the insides of string literals, and the test module at the end.
    fn code(&self) -> String {
        let code = bare(&self.text);
        let inline = |(at, _): &(usize, &str)| code[*at..].lines().nth(1).is_some_and(|line| line.contains('{'));
        code.match_indices("#[cfg(test)]\nmod ").find(inline).map_or(code.clone(), |(at, _)| code[..at].to_owned())
    }
}

/// The text without comments and without what stands in string literals; lines stay lines.
fn bare(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        let (mut in_string, mut previous) = (false, ' ');
        let mut chars = line.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '\\' if in_string => drop(chars.next()),
                '"' if previous != '\'' => {
                    in_string = !in_string;
                    out.push('"');
                }
                '/' if !in_string && chars.peek() == Some(&'/') => break,
                _ if in_string => {}
                _ => out.push(c),
            }
            previous = c;
        }
        out.push('\n');
    }
    out
}

/// Every path that the `use` items of a text name, with groups expanded: `a::{b, c::d}` gives `a::b` and `a::c::d`.
fn imports(code: &str) -> Vec<String> {
    let mut paths = Vec::new();
    for (at, _) in code.match_indices("use ") {
        let starts_an_item = code[..at].ends_with(|c: char| c.is_whitespace() || c == ')') || at == 0;
        if let (true, Some(end)) = (starts_an_item, code[at..].find(';')) {
            expand("", &code[at + 4..at + end], &mut paths);
        }
    }
    paths
}

fn expand(prefix: &str, tree: &str, paths: &mut Vec<String>) {
    let tree = tree.trim();
    match tree.find('{') {
        None => paths.push(format!("{prefix}{}", tree.split(" as ").next().unwrap_or(tree).trim())),
        Some(open) => {
            let prefix = format!("{prefix}{}", &tree[..open]);
            let inner = tree[open + 1..].trim_end().trim_end_matches('}');
            let (mut depth, mut start) = (0, 0);
            for (at, c) in inner.char_indices().chain([(inner.len(), ',')]) {
                match c {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    ',' if depth == 0 || at == inner.len() => {
                        // A closing brace that `trim_end_matches` took from a nested group is put back.
                        let part = format!("{}{}", &inner[start..at], "}".repeat(usize::try_from(depth).unwrap_or(0)));
                        if !part.trim().is_empty() {
                            expand(&prefix, &part, paths);
                        }
                        start = at + 1;
                    }
                    _ => {}
                }
            }
        }
    }
}

/// Whether the text names this word as a whole.
fn names(code: &str, word: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).any(|(at, _)| !code[..at].ends_with(is_word) && !code[at + word.len()..].starts_with(is_word))
}

/// The rooms that a file names, by `crate::ROOM`, or by enough `super::` to stand at the root.
fn rooms_named(source: &Source, rooms: &BTreeSet<String>) -> BTreeSet<String> {
    let code = source.code();
    let depth = source.path.trim_start_matches("src/").trim_end_matches("/mod.rs").split('/').count();
    let paths = imports(&code);
    let from_root = |path: &str| {
        let up = path.split("::").take_while(|part| *part == "super").count();
        let rest = path.strip_prefix("crate::").or_else(|| (up >= depth).then(|| &path[up * "super::".len()..]));
        rest.and_then(|rest| rest.split("::").next()).map(str::to_owned)
    };
    let imported = paths.iter().filter_map(|path| from_root(path));
    let inline = code
        .match_indices("crate::")
        .map(|(at, found)| code[at + found.len()..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>());
    imported.chain(inline).filter(|room| rooms.contains(room)).collect()
}

/// A file as the module that it is: `src/app/screens/mod.rs` is `app::screens`.
fn module(source: &Source) -> String {
    let path = source.path.trim_start_matches("src/").trim_end_matches(".rs");
    path.strip_suffix("/mod").unwrap_or(path).replace('/', "::")
}

fn is_within(module: &str, parent: &str) -> bool {
    module.strip_prefix(parent).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Those of these modules that a file names: by `crate::`, by `super::`, or as children of its own.
fn modules_named(source: &Source, modules: &BTreeSet<String>) -> BTreeSet<String> {
    let own = module(source);
    let resolved = |path: String| {
        let (mut from, mut rest): (Vec<&str>, &str) = (own.split("::").collect(), &path);
        if let Some(path) = rest.strip_prefix("crate::") {
            (from, rest) = (Vec::new(), path);
        } else if rest.starts_with("super::") {
            while let Some(path) = rest.strip_prefix("super::") {
                from.pop();
                rest = path;
            }
        } else if !modules.contains(&format!("{own}::{}", rest.split("::").next().unwrap_or(rest))) {
            return None;
        }
        from.extend(rest.split("::"));
        (1..=from.len()).rev().map(|len| from[..len].join("::")).find(|name| modules.contains(name))
    };
    // A visibility is no import.
    let code = format!("\n{}", source.code()).replace("(in crate::", "(in ").replace("\nuse ", "\n use ");
    let outside = code.split(';').filter_map(|item| item.split(" use ").next());
    let words = outside.flat_map(|text| text.split(|c: char| !c.is_alphanumeric() && c != '_' && c != ':'));
    let inline = words.filter(|word| word.contains("::")).map(str::to_owned);
    imports(&code).into_iter().chain(inline).filter_map(resolved).filter(|named| *named != own).collect()
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Whether it is a source of Rust.
fn is_rust(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == "rs")
}

/// Every file below a directory of the repository whose name ends so, in order.
fn files(dir: &str, ending: &str) -> Vec<Source> {
    fn walk(dir: &Path, ending: &str, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if name == "target" || name == ".git" {
                continue;
            }
            if path.is_dir() {
                walk(&path, ending, found);
            } else if name.ends_with(ending) {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&root().join(dir), ending, &mut found);
    found.sort();
    let read = |path: PathBuf| {
        let text = String::from_utf8(fs::read(&path).ok()?).ok()?;
        Some(Source { path: path.strip_prefix(root()).ok()?.to_str()?.to_owned(), text })
    };
    found.into_iter().filter_map(read).collect()
}

fn sources() -> Vec<Source> {
    let found = files("src", ".rs");
    assert!(found.len() > 10, "the sources were not found");
    found
}

fn rooms(sources: &[Source]) -> BTreeSet<String> {
    sources.iter().filter_map(|source| source.room().map(str::to_owned)).collect()
}

/// Fails with every broken rule, a line each.
fn expect_none(broken: impl IntoIterator<Item = String>) {
    let broken: Vec<String> = broken.into_iter().collect();
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

#[test]
fn a_room_imports_only_what_it_may() {
    let sources = sources();
    let rooms = rooms(&sources);
    let mut broken = Vec::new();
    for room in &rooms {
        if !MAY_IMPORT_ALL.contains(&room.as_str()) && !MAY_IMPORT.iter().any(|(known, _)| known == room) {
            broken.push(format!("src/{room}: an unknown room; say in tests/tidy.rs what it may import"));
        }
    }
    for source in &sources {
        let Some((_, allowed)) = source.room().and_then(|room| MAY_IMPORT.iter().find(|(known, _)| *known == room)) else { continue };
        for named in rooms_named(source, &rooms) {
            if source.room() != Some(&named) && !allowed.contains(&named.as_str()) {
                broken.push(format!("{} imports {named}", source.path));
            }
        }
    }
    expect_none(broken);
}

/// Any file can be read from the bottom up: none imports what imports it, by whatever way.
#[test]
fn no_files_import_each_other_in_a_circle() {
    let sources = sources();
    let files: Vec<&Source> = sources.iter().filter(|source| !source.path.ends_with("tests.rs")).collect();
    let modules = files.iter().map(|source| module(source)).collect();
    let imported = |source: &Source| {
        let (own, mut named) = (module(source), modules_named(source, &modules));
        if SHARED_PARENTS.iter().any(|parent| is_within(&own, parent)) {
            named.retain(|module| !is_within(module, &own));
        }
        (own, named)
    };
    let mut left: BTreeMap<String, BTreeSet<String>> = files.iter().map(|source| imported(source)).collect();
    // What imports nothing that is left, and what is imported by nothing that is left, is in no circle.
    loop {
        let (before, imported) = (left.len(), left.values().flatten().cloned().collect::<BTreeSet<_>>());
        left.retain(|module, _| imported.contains(module));
        let there: BTreeSet<String> = left.keys().cloned().collect();
        for named in left.values_mut() {
            named.retain(|module| there.contains(module));
        }
        left.retain(|_, named| !named.is_empty());
        if left.len() == before {
            break;
        }
    }
    expect_none(left.iter().map(|(module, named)| format!("{module} imports, in a circle: {named:?}")));
}

#[test]
fn client_crates_are_named_by_their_adapter_alone() {
    let mut broken = Vec::new();
    for source in sources() {
        let code = source.code();
        for (system, crates) in CLIENTS {
            for name in crates.iter().filter(|_| !source.path.starts_with(&format!("src/adapters/{system}/"))) {
                if names(&code, &format!("{name}::")) || imports(&code).iter().any(|path| path.split("::").next() == Some(name)) {
                    broken.push(format!("{} names {name}, a client crate of adapters/{system}", source.path));
                }
            }
        }
    }
    expect_none(broken);
}

#[test]
fn pure_rooms_touch_no_world() {
    let mut broken = Vec::new();
    for source in sources() {
        let Some((_, banned)) = IMPURE.iter().find(|(room, _)| source.room() == Some(room)) else { continue };
        let code = format!("{}\n{}", source.code(), imports(&source.code()).join("\n"));
        for word in banned.iter().filter(|word| code.contains(**word)) {
            broken.push(format!("{} names {word}", source.path));
        }
        if source.room() == Some("app") {
            // Keys and sizes come as plain data of these two; drawing and the terminal itself do not.
            let allowed = |path: &str| path.starts_with("ratatui::layout") || path.starts_with("crossterm::event");
            let outside = |path: &&String| (path.starts_with("ratatui::") || path.starts_with("crossterm::")) && !allowed(path);
            broken.extend(imports(&code).iter().filter(outside).map(|path| format!("{} imports {path}", source.path)));
        }
    }
    expect_none(broken);
}

#[test]
fn colours_are_made_by_the_theme_alone() {
    let is_theme = |path: &str| path == "src/ui/theme.rs" || path.starts_with("src/ui/theme/");
    let drawing = ["ui", "app", "runtime", "cli", "demo"];
    let broken = sources()
        .into_iter()
        .filter(|source| source.room().is_some_and(|room| drawing.contains(&room)) && !is_theme(&source.path))
        .filter(|source| names(&source.code(), "Color") || names(&source.code(), "Stylize"));
    expect_none(broken.map(|source| format!("{} names a colour", source.path)));
}

#[test]
fn text_is_put_on_the_screen_by_one_file_alone() {
    let mut broken = Vec::new();
    for source in sources().into_iter().filter(|source| source.path != "src/ui/widgets/text.rs") {
        let code = source.code();
        let of_ratatui = |path: &String| {
            path.starts_with("ratatui::text")
                || path.starts_with("ratatui::prelude")
                || (path.starts_with("ratatui::widgets") && path.ends_with("::Paragraph"))
        };
        broken.extend(imports(&code).into_iter().filter(of_ratatui).map(|path| format!("{} imports {path}", source.path)));
        for method in ["set_string", "set_stringn", "set_line", "set_span", "Paragraph"] {
            if names(&code, method) {
                broken.push(format!("{} names {method}", source.path));
            }
        }
    }
    expect_none(broken);
}

#[test]
fn the_terminal_is_reached_by_few_files_alone() {
    // The printer of the command line, the screen, and the clipboard make safe what is foreign; what waits for the end says only how much.
    const REACH: &[&str] = &[
        "src/cli/output.rs",
        "src/runtime/terminal.rs",
        "src/runtime/export.rs",
        "src/runtime/core.rs",
        "src/runtime/stop.rs",
        "src/runtime/panics.rs",
    ];
    const WAYS: &[&str] =
        &["print!(", "println!(", "dbg!(", "io::stdout", "io::stderr", "stdout()", "stderr()", "Stdout", "Stderr", ".print()", ".exit()"];
    let mut broken = Vec::new();
    let is_test = |path: &str| path.ends_with("/fuzz.rs") || path.ends_with("tests.rs");
    for source in sources().into_iter().filter(|source| !REACH.contains(&source.path.as_str()) && !is_test(&source.path)) {
        let code = source.code();
        broken.extend(WAYS.iter().filter(|way| code.contains(**way)).map(|way| format!("{} writes by {way}", source.path)));
        if names(&code, "indicatif") {
            broken.push(format!("{} names indicatif: progress is moved by cli/output.rs", source.path));
        }
    }
    // A command prints by `Out` and `note`, which make safe text of what they are given; another writer would not.
    for source in sources().into_iter().filter(|source| source.room() == Some("cli") && source.path != "src/cli/output.rs") {
        let code = source.code();
        let others = ["write!(out", "writeln!(out", "dyn Write", "&mut impl Write", "W: Write"];
        broken.extend(others.iter().filter(|way| code.contains(**way)).map(|way| format!("{} formats by {way}", source.path)));
    }
    expect_none(broken);
}

#[test]
fn a_model_is_made_by_the_app_alone() {
    let literal = |code: &str| {
        code.match_indices("Model {").any(|(at, _)| {
            let before = code[..at].trim_end();
            let whole_word = !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
            let is_type = ["struct", "impl", "for", "->", "&", "mut"].iter().any(|word| before.ends_with(word));
            whole_word && !is_type
        })
    };
    let broken = sources().into_iter().chain(files("tests", ".rs")).filter(|source| source.room() != Some("app"));
    expect_none(broken.filter(|source| literal(&bare(&source.text))).map(|source| format!("{} builds a Model", source.path)));
}

#[test]
fn every_file_says_what_it_owns_and_is_short() {
    let mut broken = Vec::new();
    for source in sources().into_iter().chain(files("tests", ".rs")).chain(files("benches", ".rs")) {
        if !source.text.starts_with("//! ") {
            broken.push(format!("{} does not open with `//!`", source.path));
        }
        let lines = source.text.lines().count();
        if lines > MAX_LINES {
            broken.push(format!("{} has {lines} lines, more than {MAX_LINES}", source.path));
        }
        for name in ["utils", "util", "common", "helpers", "manager", "misc"] {
            if Path::new(&source.path).components().any(|part| Path::new(part.as_os_str()).file_stem().is_some_and(|stem| stem == name)) {
                broken.push(format!("{}: `{name}` says nothing", source.path));
            }
        }
        for word in [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")] {
            if names(&source.text, word) {
                broken.push(format!("{} has a {word}", source.path));
            }
        }
    }
    expect_none(broken);
}

#[test]
fn every_screen_has_a_core_and_a_picture() {
    let mut broken = Vec::new();
    for part in ["screens", "overlays"] {
        let names = |room: &str| -> BTreeSet<String> {
            let dir = format!("src/{room}/{part}/");
            let module = |source: Source| source.path[dir.len()..].split(['/', '.']).next().map(str::to_owned);
            files(&dir, ".rs").into_iter().filter_map(module).filter(|name| name != "mod").collect()
        };
        let (app, ui) = (names("app"), names("ui"));
        broken.extend(app.symmetric_difference(&ui).map(|name| format!("{part}/{name} is in one of app and ui only")));
    }
    expect_none(broken);
}

#[test]
fn every_adapter_has_a_feature_and_a_service() {
    let features = fs::read_to_string(root().join("Cargo.toml")).expect("Cargo.toml");
    let services = fs::read_to_string(root().join("docker-compose.yml")).expect("docker-compose.yml");
    let mut broken = Vec::new();
    for source in files("src/adapters", "mod.rs") {
        let parts: Vec<&str> = source.path.split('/').collect();
        let ["src", "adapters", system, "mod.rs"] = parts[..] else { continue };
        if system == "memory" {
            continue;
        }
        if !features.contains(&format!("\n{system} = [")) {
            broken.push(format!("{system} has no feature in Cargo.toml"));
        }
        if !services.contains(&format!("\n  {system}:")) {
            broken.push(format!("{system} has no service in docker-compose.yml"));
        }
    }
    expect_none(broken);
}

#[test]
fn only_two_test_programs_are_linked() {
    let entries = fs::read_dir(root().join("tests")).expect("tests/").flatten();
    let found: BTreeSet<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).filter(|name| is_rust(name)).collect();
    assert_eq!(found, BTreeSet::from(["all.rs".to_owned(), "tidy.rs".to_owned()]), "each file here links every dependency again");
}

#[test]
fn connections_live_on_while_a_test_waits_for_another_program() {
    // On the only thread of a runtime nothing sends heartbeats meanwhile, and the server ends the connection.
    let one_thread = concat!("#[tokio", "::test]");
    let broken = files("tests", ".rs").into_iter().filter(|source| source.text.contains(one_thread));
    expect_none(broken.map(|source| format!("{}: {one_thread} without `flavor = \"multi_thread\"`", source.path)));
}

#[test]
fn nothing_names_a_workplace_or_a_registry() {
    let banned = [
        concat!("/wo", "rk/"),
        concat!("/ro", "ot/"),
        concat!("crates", ".io"),
        concat!("pypi", ".org"),
        concat!("npmjs", ".org"),
        concat!("repo", ".maven"),
        concat!("deb", ".debian"),
        concat!("proxy", ".golang"),
    ];
    let mut broken = Vec::new();
    for source in files("", "").into_iter().filter(|source| source.path != "Cargo.lock") {
        for word in banned.iter().filter(|word| source.text.contains(**word)) {
            broken.push(format!("{} names {word}", source.path));
        }
    }
    expect_none(broken);
}

#[test]
fn the_reader_of_sources_sees_what_is_there() {
    let code = bare("use a::{b, c::{d, e as f}, self};\nlet s = \"use x::y; // no\"; // use z::z;\npub(crate) use crate::app::Model;\n");
    assert_eq!(imports(&code), ["a::b", "a::c::d", "a::c::e", "a::self", "crate::app::Model"]);
    assert!(!code.contains("x::y") && !code.contains("z::z"));
    assert!(names("let Line = 1;", "Line") && !names("let Lines = 1;", "Line") && !names("BaseLine", "Line"));

    let text = "use super::{b::X, super::d};\npub(in crate::a::c) fn f() { e::g(crate::a::c::e::h::<u8>()) }\nuse crate::a::b::c as x;\n";
    let source = Source { path: "src/a/c/mod.rs".to_owned(), text: text.to_owned() };
    let modules = ["a", "a::b", "a::c", "a::c::e", "a::d", "d"].map(str::to_owned).into();
    assert_eq!(Vec::from_iter(modules_named(&source, &modules)), ["a::b", "a::c::e", "d"]);

    let rooms = BTreeSet::from(["app".to_owned(), "ui".to_owned(), "domain".to_owned()]);
    let named = |path: &str, text: &str| {
        let source = Source { path: path.to_owned(), text: text.to_owned() };
        rooms_named(&source, &rooms).into_iter().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(named("src/domain/a.rs", "use super::b;\nfn f() { crate::ui::draw() }"), "ui");
    assert_eq!(named("src/domain/mod.rs", "use super::app::Model;"), "app");
    assert_eq!(named("src/domain/a.rs", "use super::super::{app::Model, domain::x};"), "app domain");
    assert_eq!(named("src/domain/a.rs", "use super::app;"), "");
    assert_eq!(named("src/domain/a.rs", "fn f() {}\n#[cfg(test)]\nmod tests { use crate::ui; }"), "");
    assert_eq!(named("src/domain/a.rs", "#[cfg(test)]\nmod tests;\nuse crate::ui;"), "ui");
}

#[test]
fn handles_are_named_by_adapters_and_the_gateway_and_none_leaves_it() {
    let mut wrong = Vec::new();
    for source in sources() {
        let code = source.code();
        if !source.room().is_some_and(|room| MAY_NAME_HANDLES.contains(&room)) && code.contains("adapters::session") {
            wrong.push(format!("{} names a handle", source.path));
        }
        if source.room() != Some("gateway") {
            continue;
        }
        for (at, _) in code.match_indices("pub fn ").chain(code.match_indices("pub async fn ")) {
            let signature = &code[at..at + code[at..].find('{').unwrap_or(0)];
            let returned = signature.rsplit("->").next().filter(|_| signature.contains("->")).unwrap_or_default();
            if ["Session", "dyn Tail", "dyn History", "dyn DeadLetters", "dyn Publish", "dyn Manage", "dyn Holding", "dyn Transaction"]
                .iter()
                .any(|handle| names(returned, handle))
            {
                wrong.push(format!("{} returns a handle: {}", source.path, signature.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
