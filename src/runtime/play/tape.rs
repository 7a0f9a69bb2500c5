//! Tapes: scripts of keys and waits in a subset of the VHS tape language (charmbracelet/vhs, `README.md`, "VHS Command Reference").
//!
//! ```text
//! # comment
//! Set Width 120            in cells, not pixels; also Height, Theme, TypingSpeed, WaitTimeout
//! Output frames            remembered for whoever plays the tape
//! Type "3"                 also 'text' and `text`; Type@50ms "slowly"
//! Enter   Down 3   Ctrl+P   Alt+x   Shift+Tab   F5   Down@10ms 3
//! Sleep 500ms              a number alone is seconds
//! Wait /orders/            until a line of the screen matches; Wait+Screen: the whole screen; Wait@2s
//! Screenshot overview      a name, not a path
//! ```

use crate::domain::suggest;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use regex::Regex;
use std::fmt;
use std::time::Duration;

/// A script, checked.
#[derive(Clone, Debug)]
pub struct Tape {
    /// Columns and rows.
    pub width: u16,
    pub height: u16,
    pub theme: Option<String>,
    /// What `Output` names, in order.
    pub outputs: Vec<String>,
    pub steps: Vec<Step>,
}

/// One thing to do.
#[derive(Clone, Debug)]
pub struct Step {
    /// Counted from 1.
    pub line: usize,
    pub action: Action,
}

#[derive(Clone, Debug)]
pub enum Action {
    /// Presses keys, one after the other, waiting this long after each.
    Press { keys: Vec<KeyEvent>, pace: Duration },
    /// Waits so long.
    Sleep(Duration),
    /// Waits until the screen shows it; an error when the time is over.
    Wait { pattern: Regex, scope: Scope, timeout: Duration },
    /// Keeps the frame under this name.
    Screenshot(String),
}

/// Where a pattern has to match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Within any one line of the screen.
    Line,
    /// Across the whole screen, its lines divided by newlines.
    Screen,
}

/// A mistake in a tape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TapeError {
    /// Both counted from 1.
    pub line: usize,
    pub column: usize,
    pub message: String,
}

impl fmt::Display for TapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.message)
    }
}

impl std::error::Error for TapeError {}

impl Scope {
    /// Whether a pattern is on the screen, given as [`super::frame::text`] writes it.
    pub fn has(self, pattern: &Regex, screen: &str) -> bool {
        match self {
            Self::Screen => pattern.is_match(screen),
            Self::Line => screen.lines().any(|line| pattern.is_match(line)),
        }
    }
}

/// Nobody reads more keys than this out of one command: `Down 100000` is a slip.
const MOST_REPEATS: u16 = 10_000;

/// The commands.
const COMMANDS: &[&str] = &["Set", "Output", "Type", "Sleep", "Wait", "Screenshot"];

/// Commands of VHS that mean nothing without a terminal and a recording.
const NOT_HERE: &[&str] = &["Require", "Hide", "Show", "Env", "Source", "Copy", "Paste", "ScrollUp", "ScrollDown"];

const SETTINGS: &str = "Width, Height, Theme, TypingSpeed and WaitTimeout";

const KEYS: &[(&str, KeyCode)] = &[
    ("Enter", KeyCode::Enter),
    ("Escape", KeyCode::Esc),
    ("Esc", KeyCode::Esc),
    ("Tab", KeyCode::Tab),
    ("Backspace", KeyCode::Backspace),
    ("Delete", KeyCode::Delete),
    ("Insert", KeyCode::Insert),
    ("Space", KeyCode::Char(' ')),
    ("Up", KeyCode::Up),
    ("Down", KeyCode::Down),
    ("Left", KeyCode::Left),
    ("Right", KeyCode::Right),
    ("PageUp", KeyCode::PageUp),
    ("PageDown", KeyCode::PageDown),
    ("Home", KeyCode::Home),
    ("End", KeyCode::End),
];

/// Reads a tape.
///
/// # Errors
/// Everything that is wrong with it, in the order of lines.
pub fn parse(text: &str) -> Result<Tape, Vec<TapeError>> {
    let tape = Tape { width: 120, height: 40, theme: None, outputs: Vec::new(), steps: Vec::new() };
    let mut reader = Reader { tape, pace: Duration::ZERO, timeout: Duration::from_secs(15) };
    let mut errors = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let mut words = match words(line) {
            Ok(words) => words,
            Err((column, message)) => {
                errors.push(TapeError { line: at + 1, column, message });
                continue;
            }
        };
        words.reverse();
        // Several commands may share a line, as in VHS.
        while let Some(word) = words.pop() {
            let column = word.column;
            if let Err((column, message)) = reader.command(at + 1, &word, &mut words).map_err(|(at, m)| (at.unwrap_or(column), m)) {
                errors.push(TapeError { line: at + 1, column, message });
                break;
            }
        }
    }
    if errors.is_empty() { Ok(reader.tape) } else { Err(errors) }
}

/// A mistake, and its column if that is not the command's.
type Wrong = (Option<usize>, String);

struct Word {
    column: usize,
    text: String,
    kind: WordKind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum WordKind {
    Bare,
    Quoted,
    Pattern,
}

/// Splits a line into bare words, quoted texts and `/patterns/`, up to a comment.
fn words(line: &str) -> Result<Vec<Word>, (usize, String)> {
    let mut words = Vec::new();
    let mut chars = line.chars().zip(1..).peekable();
    while let Some((c, column)) = chars.next() {
        let (kind, end) = match c {
            _ if c.is_whitespace() => continue,
            '#' => break,
            '"' | '\'' | '`' => (WordKind::Quoted, c),
            '/' => (WordKind::Pattern, c),
            _ => {
                let mut text = String::from(c);
                while let Some((c, _)) = chars.next_if(|(c, _)| !c.is_whitespace()) {
                    text.push(c);
                }
                words.push(Word { column, text, kind: WordKind::Bare });
                continue;
            }
        };
        let mut text = String::new();
        loop {
            match chars.next() {
                Some((c, _)) if c == end => break,
                // Only a pattern needs its delimiter inside; texts have three kinds of quotes to choose from.
                Some(('\\', _)) if kind == WordKind::Pattern && chars.next_if(|(c, _)| *c == '/').is_some() => text.push('/'),
                Some((c, _)) => text.push(c),
                None => return Err((column, format!("the closing {end} is missing"))),
            }
        }
        words.push(Word { column, text, kind });
    }
    Ok(words)
}

struct Reader {
    tape: Tape,
    pace: Duration,
    timeout: Duration,
}

impl Reader {
    /// One command; `rest` are the words behind it, the next one last.
    fn command(&mut self, line: usize, word: &Word, rest: &mut Vec<Word>) -> Result<(), Wrong> {
        if word.kind != WordKind::Bare {
            return Err((None, "a line begins with a command: Type \"text\", Enter, Sleep, Wait, Screenshot, Set".to_owned()));
        }
        let (name, timing) = word.text.split_once('@').map_or((word.text.as_str(), None), |(name, timing)| (name, Some(timing)));
        let timing = timing.map(duration).transpose()?;
        let action = match name {
            "Set" => return self.set(rest),
            "Output" => {
                let output = next(rest, &[WordKind::Bare, WordKind::Quoted], "Output needs a name")?;
                self.tape.outputs.push(output.text);
                return Ok(());
            }
            "Type" => {
                let text = next(rest, &[WordKind::Quoted], "Type needs a text in quotes")?;
                Action::Press { keys: text.text.chars().map(typed).collect(), pace: timing.unwrap_or(self.pace) }
            }
            "Sleep" => Action::Sleep(duration(&next(rest, &[WordKind::Bare], "Sleep needs a duration: Sleep 500ms")?.text)?),
            "Wait" | "Wait+Screen" | "Wait+Line" => {
                let pattern = next(rest, &[WordKind::Pattern], "Wait needs a pattern: Wait /orders/")?;
                let compiled = Regex::new(&pattern.text).map_err(|error| (Some(pattern.column), broken_pattern(&error)))?;
                let scope = if name == "Wait+Screen" { Scope::Screen } else { Scope::Line };
                Action::Wait { pattern: compiled, scope, timeout: timing.unwrap_or(self.timeout) }
            }
            "Screenshot" => Action::Screenshot(screenshot(rest)?),
            _ if NOT_HERE.contains(&name) => return Err((None, format!("{name} is VHS, and means nothing without a terminal"))),
            _ => {
                let key = key(name).ok_or_else(|| (None, unknown(name)))?;
                let count = rest.last().filter(|word| word.kind == WordKind::Bare).and_then(|word| word.text.parse::<u16>().ok());
                if count.is_some() {
                    rest.pop();
                }
                let count = count.unwrap_or(1);
                if count > MOST_REPEATS {
                    return Err((None, format!("{count} times is more than {MOST_REPEATS}")));
                }
                Action::Press { keys: vec![key; usize::from(count)], pace: timing.unwrap_or(self.pace) }
            }
        };
        self.tape.steps.push(Step { line, action });
        Ok(())
    }

    fn set(&mut self, rest: &mut Vec<Word>) -> Result<(), Wrong> {
        let name = next(rest, &[WordKind::Bare], &format!("Set needs a name: {SETTINGS}"))?;
        let value = next(rest, &[WordKind::Bare, WordKind::Quoted], &format!("Set {} needs a value", name.text))?;
        let early = self.tape.steps.is_empty();
        match name.text.as_str() {
            "Width" if early => self.tape.width = cells(&value)?,
            "Height" if early => self.tape.height = cells(&value)?,
            "Theme" if early => self.tape.theme = Some(value.text),
            "TypingSpeed" => self.pace = duration(&value.text)?,
            "WaitTimeout" => self.timeout = duration(&value.text)?,
            "Width" | "Height" | "Theme" => return Err((Some(name.column), format!("{} is set before the first step", name.text))),
            other => return Err((Some(name.column), format!("unknown setting {other}: there are {SETTINGS}"))),
        }
        Ok(())
    }
}

fn unknown(name: &str) -> String {
    let near = suggest::hint(name, COMMANDS.iter().copied().chain(KEYS.iter().map(|(name, _)| *name)));
    if near.is_empty() { format!("unknown command or key {name}") } else { format!("unknown command or key {name}: {near}") }
}

fn next(rest: &mut Vec<Word>, kinds: &[WordKind], missing: &str) -> Result<Word, Wrong> {
    rest.pop().filter(|word| kinds.contains(&word.kind)).ok_or_else(|| (None, missing.to_owned()))
}

/// The screen's size in cells; VHS counts pixels, and such numbers are far too large here.
fn cells(value: &Word) -> Result<u16, Wrong> {
    let wrong = || (Some(value.column), "expected cells, from 1 to 500".to_owned());
    value.text.parse().ok().filter(|cells| (1..=500).contains(cells)).ok_or_else(wrong)
}

/// `500ms`, `2s`, `1m`; a number alone is seconds.
fn duration(text: &str) -> Result<Duration, Wrong> {
    let wrong = || (None, format!("{text} is not a duration: write 500ms, 2s or 1m"));
    let at = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let millis = match unit {
        "ms" => 1.0,
        "s" | "" => 1_000.0,
        "m" => 60_000.0,
        _ => return Err(wrong()),
    };
    let number: f64 = number.parse().map_err(|_| wrong())?;
    // A day is longer than any tape; the bound keeps the arithmetic far from its limits.
    let seconds = number * millis / 1_000.0;
    if (0.0..=86_400.0).contains(&seconds) { Ok(Duration::from_secs_f64(seconds)) } else { Err(wrong()) }
}

fn screenshot(rest: &mut Vec<Word>) -> Result<String, Wrong> {
    let word = next(rest, &[WordKind::Bare, WordKind::Quoted], "Screenshot needs a name")?;
    let name = [".png", ".svg", ".txt"].iter().find_map(|end| word.text.strip_suffix(end)).unwrap_or(&word.text);
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || name.starts_with('.') || !name.chars().all(plain) {
        return Err((Some(word.column), "a name has letters, digits, - and _ only: frames are written into one folder".to_owned()));
    }
    Ok(name.to_owned())
}

/// A character as a terminal reports it.
fn typed(c: char) -> KeyEvent {
    let modifiers = if c.is_uppercase() { KeyModifiers::SHIFT } else { KeyModifiers::NONE };
    match c {
        '\t' => KeyEvent::new(KeyCode::Tab, KeyModifiers::NONE),
        _ => KeyEvent::new(KeyCode::Char(c), modifiers),
    }
}

/// `Down`, `Ctrl+P`, `Ctrl+Alt+x`, `Shift+Tab`, `F5`.
fn key(name: &str) -> Option<KeyEvent> {
    let mut modifiers = KeyModifiers::NONE;
    let mut rest = name;
    while let Some((first, behind)) = rest.split_once('+') {
        modifiers |= match first {
            "Ctrl" => KeyModifiers::CONTROL,
            "Alt" => KeyModifiers::ALT,
            "Shift" => KeyModifiers::SHIFT,
            _ => return None,
        };
        rest = behind;
    }
    if let Some((_, code)) = KEYS.iter().find(|(known, _)| *known == rest) {
        let code = if *code == KeyCode::Tab && modifiers.contains(KeyModifiers::SHIFT) { KeyCode::BackTab } else { *code };
        return Some(KeyEvent::new(code, modifiers));
    }
    if let Some(number) = rest.strip_prefix('F').and_then(|n| n.parse().ok()).filter(|n| (1..=12).contains(n)) {
        return Some(KeyEvent::new(KeyCode::F(number), modifiers));
    }
    let mut chars = rest.chars();
    let (Some(c), None) = (chars.next(), chars.next()) else { return None };
    // Without a modifier a letter is typed: a bare `x` is more likely a forgotten Type.
    if modifiers.is_empty() {
        return None;
    }
    // Terminals report Ctrl+P as the small letter: people write the large one.
    let small = modifiers.contains(KeyModifiers::CONTROL) && !modifiers.contains(KeyModifiers::SHIFT);
    let c = if small { c.to_ascii_lowercase() } else { c };
    Some(KeyEvent::new(KeyCode::Char(c), modifiers))
}

/// The last line of the regex crate's drawing is the reason.
fn broken_pattern(error: &regex::Error) -> String {
    let text = error.to_string();
    let reason = text.lines().last().unwrap_or_default().trim();
    format!("this pattern cannot be read: {}", reason.strip_prefix("error: ").unwrap_or(reason))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn keys(text: &str) -> Vec<(KeyCode, KeyModifiers)> {
        let tape = parse(text).unwrap_or_else(|errors| panic!("{errors:?}"));
        tape.steps
            .iter()
            .flat_map(|step| match &step.action {
                Action::Press { keys, .. } => keys.iter().map(|key| (key.code, key.modifiers)).collect(),
                _ => Vec::new(),
            })
            .collect()
    }

    #[test]
    fn keys_are_read_as_a_terminal_reports_them() {
        use KeyCode::{BackTab, Char, Down, Enter, Esc, F};
        const NONE: KeyModifiers = KeyModifiers::NONE;
        for (text, expected) in [
            ("Enter", vec![(Enter, NONE)]),
            ("Escape", vec![(Esc, NONE)]),
            ("Down 3", vec![(Down, NONE); 3]),
            ("Down@10ms 2", vec![(Down, NONE); 2]),
            ("Type \"aB\"", vec![(Char('a'), NONE), (Char('B'), KeyModifiers::SHIFT)]),
            ("Type '\"#'", vec![(Char('"'), NONE), (Char('#'), NONE)]),
            ("Type `it's`", "it's".chars().map(|c| (Char(c), NONE)).collect()),
            ("Ctrl+P", vec![(Char('p'), KeyModifiers::CONTROL)]),
            ("Alt+x", vec![(Char('x'), KeyModifiers::ALT)]),
            ("Ctrl+Alt+x", vec![(Char('x'), KeyModifiers::CONTROL | KeyModifiers::ALT)]),
            ("Shift+Tab", vec![(BackTab, KeyModifiers::SHIFT)]),
            ("F5", vec![(F(5), NONE)]),
            ("Space", vec![(Char(' '), NONE)]),
            ("Type \"3\" Enter # and so on", vec![(Char('3'), NONE), (Enter, NONE)]),
        ] {
            assert_eq!(keys(text), expected, "{text}");
        }
    }

    #[test]
    fn a_tape_has_a_size_a_theme_and_steps_with_their_lines() {
        let tape = parse("# demo\nOutput \"frames\"\nSet Width 80\nSet Height 24\nSet Theme \"light\"\nSet TypingSpeed 5ms\n\nType \"ab\"\nType@1s \"c\"\nSleep .5\nWait+Screen@2s /a\\/b\\n?c/\nWait /x/\nScreenshot overview.svg\n").expect("a tape");
        assert_eq!(
            (tape.width, tape.height, tape.theme.as_deref(), tape.outputs.as_slice()),
            (80, 24, Some("light"), &["frames".to_owned()][..])
        );
        assert_eq!(tape.steps.iter().map(|step| step.line).collect::<Vec<_>>(), [8, 9, 10, 11, 12, 13]);
        let paces: Vec<Duration> =
            tape.steps.iter().filter_map(|s| if let Action::Press { pace, .. } = s.action { Some(pace) } else { None }).collect();
        assert_eq!(paces, [Duration::from_millis(5), Duration::from_secs(1)]);
        assert!(matches!(tape.steps[2].action, Action::Sleep(d) if d == Duration::from_millis(500)));
        assert!(matches!(&tape.steps[3].action, Action::Wait { scope: Scope::Screen, timeout, .. } if *timeout == Duration::from_secs(2)));
        assert!(matches!(&tape.steps[4].action, Action::Wait { scope: Scope::Line, timeout, .. } if *timeout == Duration::from_secs(15)));
        assert!(matches!(&tape.steps[5].action, Action::Screenshot(name) if name == "overview"));
    }

    #[test]
    fn a_line_waits_for_one_line_and_a_screen_for_all_of_it() {
        for (wait, screen, met) in [
            ("Wait /one.*two/", "one\ntwo\n", false),
            ("Wait /^two$/", "one\ntwo\n", true),
            ("Wait+Screen /(?s)one.*two/", "one\ntwo\n", true),
            ("Wait+Screen /one.*two/", "one\ntwo\n", false),
            ("Wait /a\\/b/", "a/b\n", true),
        ] {
            let tape = parse(wait).expect("a tape");
            let Action::Wait { pattern, scope, .. } = &tape.steps[0].action else { panic!("{wait} waits") };
            assert_eq!(scope.has(pattern, screen), met, "{wait}");
        }
    }

    #[test]
    fn each_mistake_is_told_at_its_place() {
        for (text, told) in [
            ("Enter\n  Entre", "2:3: unknown command or key Entre: did you mean `Enter`?"),
            ("Tpye \"x\"", "1:1: unknown command or key Tpye: did you mean `Type`?"),
            ("x", "1:1: unknown command or key x"),
            ("Type hello", "1:1: Type needs a text in quotes"),
            ("Type \"hello", "1:6: the closing \" is missing"),
            ("Sleep soon", "1:1: soon is not a duration: write 500ms, 2s or 1m"),
            ("Sleep -1s", "1:1: -1s is not a duration: write 500ms, 2s or 1m"),
            ("Wait", "1:1: Wait needs a pattern: Wait /orders/"),
            ("Wait /(/", "1:6: this pattern cannot be read: unclosed group"),
            ("Screenshot ../x", "1:12: a name has letters, digits, - and _ only: frames are written into one folder"),
            ("Screenshot /x/", "1:1: Screenshot needs a name"),
            ("Set Width 1200", "1:11: expected cells, from 1 to 500"),
            ("Set FontSize 14", "1:5: unknown setting FontSize: there are Width, Height, Theme, TypingSpeed and WaitTimeout"),
            ("Enter\nSet Width 80", "2:5: Width is set before the first step"),
            ("Hide", "1:1: Hide is VHS, and means nothing without a terminal"),
            ("\"text\"", "1:1: a line begins with a command: Type \"text\", Enter, Sleep, Wait, Screenshot, Set"),
            ("Down 20000", "1:1: 20000 times is more than 10000"),
        ] {
            let errors = parse(text).expect_err(text);
            assert_eq!(errors.iter().map(ToString::to_string).collect::<Vec<_>>(), [told], "{text}");
        }
        assert_eq!(parse("Foo\nEnter\nBar").expect_err("errors").len(), 2);
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in any::<String>()) {
            let _ = parse(&text);
        }

        #[test]
        fn no_line_of_pieces_makes_the_reader_panic(
            pieces in proptest::collection::vec(proptest::sample::select(&[
                "Type", "@", "50ms", " ", "\"a\"", "'", "/", "(", "\\", "Wait", "+Screen", "Set ", "Width ", "9999999", "Ctrl+", "Shift+", "Tab", "\n", "#", "ü", "Sleep ", "1e999", "nan",
            ][..]), 0..30)
        ) {
            let _ = parse(&pieces.concat());
        }
    }
}
