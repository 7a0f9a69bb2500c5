//! A profile's text → a checked [`Profile`], or everything that is wrong with it.

use super::dialect;
use super::integration;
use super::profile::Profile;
use super::secret::Secret;
use super::source::{Note, Origin, Problem, Problems, Source, display_name};
pub use super::system::{Context, System};
use super::tree::{Kind, Reading};
use crate::domain::fault::{self, Fault};
use crate::domain::safety::{Mode, Safety};
use crate::domain::suggest;
use hcl_edit::Span;
use hcl_edit::structure::{Block, BlockLabel, Body, Structure};
use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// A profile as it was read.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub profile: Profile,
    /// What is accepted and does not do what one may think, in the order of lines.
    pub notes: Vec<Note>,
    /// `integration.events.endpoint.address` → where it stands.
    pub origins: BTreeMap<String, Origin>,
    /// A name of `--var` that the profile neither declares nor fills in: a slip that would otherwise go unseen.
    pub stranger: Option<Fault>,
    /// A password, token or client secret stands in the file itself.
    pub holds_secret: bool,
}

/// No profile is larger; more is somebody's data.
const LARGEST: u64 = 1 << 20;

/// What a slip in the grammar mostly is.
const HCL: &str = "one setting a line, texts in quotes: address = \"host:9092\"; a block on one line holds one setting";

/// Blocks of the profile language that this version reads over, with what that means.
const UNUSED: &[(&str, &str)] = &[
    ("identity", "identity is not used yet: nobody is logged in by it"),
    ("rbac", "rbac is not used yet: it restricts nothing"),
    ("tenant", "tenant is not used yet: it restricts nothing"),
    ("alert", "alert is not used yet: nothing watches it"),
    ("ui", "ui is not used yet"),
    ("data", "data belongs to an application: it is not used yet"),
    ("action", "action belongs to an application: it is not used yet"),
    ("server", "server belongs to an application: nothing is served yet"),
];

const USED: &[&str] = &["integration", "variable", "safety", "dialect", "dead_letters"];

/// Reads a file.
///
/// # Errors
/// Everything that is wrong with it; a file that cannot be read is one problem at its first line.
pub fn load(path: &Path, context: Context<'_>) -> Result<Loaded, Problems> {
    let file = path.display().to_string();
    let unreadable = |message: String, help: &str| {
        Problems(vec![Source { file: file.clone(), text: "", names: Vec::new() }.problem(&(0..0), message, help)])
    };
    let mut bytes = Vec::new();
    let opened = fs::File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes));
    opened.map_err(|error| {
        let (cause, next) = fault::unreadable(&error);
        unreadable(format!("the profile cannot be read: {cause}"), &format!("{next}; mqdeck profile ls shows the profiles there are"))
    })?;
    if bytes.len() as u64 > LARGEST {
        return Err(unreadable("the file is larger than 1 MiB".to_owned(), "is it a profile?"));
    }
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let valid = error.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(&error.as_bytes()[..valid]).into_owned();
            let problem =
                Source { file, text: &text, names: Vec::new() }.problem(&(valid..valid), "this is not UTF-8", "save the profile as UTF-8");
            return Err(Problems(vec![problem]));
        }
    };
    let name = path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    let base = path.parent().map(|folder| std::path::absolute(folder).unwrap_or_else(|_| folder.to_path_buf())).unwrap_or_default();
    let mut loaded = read(&text, &file, &name, &base, context)?;
    loaded.profile.path = Some(path.to_path_buf());
    Ok(loaded)
}

/// Reads a profile's text. `file` is what errors call it, `base` what relative paths are relative to.
///
/// # Errors
/// Everything that is wrong with it, in the order of lines.
pub fn read(text: &str, file: &str, name: &str, base: &Path, context: Context<'_>) -> Result<Loaded, Problems> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let names = context.systems.iter().filter_map(|system| system.settings).flatten().map(|rule| rule.name).collect();
    let source = Source { file: file.to_owned(), text, names };
    let body: Body = match hcl_edit::parser::parse_body(text) {
        Ok(body) => body,
        Err(error) => {
            let at = error.location().offset();
            return Err(Problems(vec![source.problem(&(at..at), format!("this is not HCL: {}", error.message()), HCL)]));
        }
    };
    let vars = context.vars.iter().map(|(name, value)| (name.clone(), Secret::new(value.clone()))).collect();
    let mut rd =
        Reading { vars, given: context.vars.iter().map(|(name, _)| name.clone()).collect(), ..Reading::new(source, base, context.env) };
    variables(&body, &mut rd);
    let mut profile = Profile { name: name.into(), path: None, safety: Safety::default(), integrations: Vec::new() };
    let mut letters = dialect::Blocks::default();
    for again in body.get_blocks("safety").skip(1) {
        rd.wrong(&again.ident.span().unwrap_or_default(), "a second `safety` block", "keep one of them");
    }
    for structure in &body {
        match structure {
            Structure::Block(block) => top_block(block, &mut rd, &mut profile, &mut letters, &context),
            Structure::Attribute(attribute) => {
                let span = attribute.key.span().unwrap_or_default();
                let help = "settings stand inside blocks: integration \"name\" { … }";
                rd.wrong(&span, format!("unknown attribute {}", display_name(attribute.key.as_str())), help);
            }
        }
    }
    let stranger = stranger(&rd, name);
    let place = |name: &str| {
        let block = body.get_blocks("integration").find(|block| block.labels.iter().any(|label| label.as_str() == name));
        block.and_then(|block| block.ident.span()).unwrap_or_default()
    };
    integration::check_targets(&profile.integrations, &mut rd, &place);
    // One that could not be read is not called missing: what names it is right.
    let integrations: Vec<&str> = body.get_blocks("integration").filter_map(|block| block.labels.first()).map(BlockLabel::as_str).collect();
    letters.check(&integrations, &mut rd);
    let letters = Arc::new(letters.letters);
    profile.integrations.iter_mut().for_each(|integration| integration.dead_letters = letters.clone());
    let Reading { mut problems, mut notes, origins, holds_secret, .. } = rd;
    notes.sort_by_key(|note| note.line);
    if problems.is_empty() {
        return Ok(Loaded { profile, notes, origins, stranger, holds_secret });
    }
    problems.sort_by_key(|problem: &Problem| (problem.line, problem.column));
    Err(Problems(problems))
}

/// The first name of `--var` that nothing asks for.
fn stranger(rd: &Reading<'_>, profile: &str) -> Option<Fault> {
    let name = rd.given.difference(&rd.declared).next()?;
    let known = rd.declared.iter().map(String::as_str);
    let near = suggest::hint(name, known.clone());
    let next = match (near.is_empty(), rd.declared.is_empty()) {
        (false, _) => near,
        (true, false) => format!("it has: {}", known.collect::<Vec<_>>().join(", ")),
        (true, true) => "it has none: leave --var out, or write ${var.NAME} where it is to be filled in".to_owned(),
    };
    Some(Fault::new(fault::Kind::Usage, "read --var", name.as_str(), format!("the profile {profile} has no such variable")).next(next))
}

fn top_block(block: &Block, rd: &mut Reading<'_>, profile: &mut Profile, letters: &mut dialect::Blocks, context: &Context<'_>) {
    let span = block.ident.span().unwrap_or_default();
    match block.ident.as_str() {
        "integration" => {
            let section = rd.section(block, "");
            let Some(integration) = integration::read(section, rd, context) else { return };
            if profile.integrations.iter().any(|other| other.name == integration.name) {
                rd.wrong(&span, format!("a second integration `{}`", integration.name), "give it a name of its own");
            } else {
                profile.integrations.push(integration);
            }
        }
        "dialect" | "dead_letters" => {
            let section = rd.section(block, "");
            letters.read(section, rd);
        }
        "variable" => {}
        "safety" => {
            profile.safety = safety(block, rd);
        }
        name => {
            if let Some((_, text)) = UNUSED.iter().find(|(unused, _)| *unused == name) {
                rd.note(&span, *text);
                return;
            }
            let known = USED.iter().copied().chain(UNUSED.iter().map(|(name, _)| *name));
            let near = suggest::hint(name, known);
            let help = if near.is_empty() { "write integration \"name\" { … }".to_owned() } else { near };
            rd.wrong(&span, format!("unknown block {}", display_name(name)), help);
        }
    }
}

/// Longer than this nobody remembers that something is armed.
const LONGEST_ARMED: Duration = Duration::from_secs(3_600);

fn safety(block: &Block, rd: &mut Reading<'_>) -> Safety {
    let mut section = rd.section(block, "");
    let default = Safety::default();
    let mode = section.word(rd, "mode", &[("read-only", Mode::ReadOnly), ("confirm", Mode::Confirm), ("open", Mode::Open)]);
    let production = section.flag(rd, "production").unwrap_or(default.production);
    let arm_for = section.duration(rd, "arm_for").unwrap_or(default.arm_for);
    if arm_for > LONGEST_ARMED {
        let span = block.body.get_attribute("arm_for").and_then(|attribute| attribute.value.span()).unwrap_or_default();
        rd.wrong(&span, "`arm_for` is longer than an hour", "write \"5m\"; it can be armed again");
    }
    section.finish(rd);
    Safety { mode: mode.unwrap_or(default.mode), production, arm_for }
}

/// The defaults of `variable` blocks, for every variable that `--var` did not give.
fn variables(body: &Body, rd: &mut Reading<'_>) {
    let given = std::mem::take(&mut rd.vars);
    let mut defaults = BTreeMap::new();
    for block in body.get_blocks("variable") {
        let span = block.ident.span().unwrap_or_default();
        let [label] = block.labels.as_slice() else {
            rd.wrong(&span, "a variable has one name", "write variable \"cluster\" { default = \"eu\" }");
            continue;
        };
        let name = label.as_str().to_owned();
        rd.declared.insert(name.clone());
        // A default that is not needed may name an environment variable that is not set.
        if given.contains_key(&name) {
            continue;
        }
        let mut section = rd.section(block, "");
        for unused in ["description", "type", "sensitive"] {
            section.take(rd, unused);
        }
        if let Some(entry) = section.take(rd, "default") {
            // A list or object cannot be filled into text.
            let value = match entry.value.kind {
                Kind::Failed => Some(Secret::new(String::new())),
                _ => rd.scalar(entry.value, "default").map(|text| text.value),
            };
            defaults.insert(name, value.unwrap_or_else(|| Secret::new(String::new())));
        }
        section.finish(rd);
    }
    rd.vars = defaults;
    rd.vars.extend(given);
}
