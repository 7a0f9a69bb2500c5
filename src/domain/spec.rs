//! What operations there can be, as data: their names, how much they can hurt, what they are done to, and the fields of their forms.

/// How much something can hurt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Risk {
    /// Changes nothing.
    Read,
    /// One message or one reversible change: confirmed by `y`.
    Reversible,
    /// Touches many messages or a whole group: confirmed by typing how many.
    Bulk,
    /// Takes something away for good: the profile must be armed, and the address is typed.
    Destroy,
}

impl Risk {
    pub const ALL: [Self; 4] = [Self::Read, Self::Reversible, Self::Bulk, Self::Destroy];

    /// Its word in machine output and files.
    pub fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Reversible => "reversible",
            Self::Bulk => "bulk",
            Self::Destroy => "destroy",
        }
    }
}

/// What an operation is done to; an address says which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// The whole system, or something of it that is not there yet: creating a channel.
    Integration,
    /// A channel of one of these kinds; of any where none is named.
    Channel(&'static [&'static str]),
    /// The group stands in the address's place of the channel, with the kind `group`: `events/group:payments`.
    Group,
}

impl Target {
    /// Whether it is done to channels of that kind.
    pub fn takes(self, kind: &str) -> bool {
        matches!(self, Self::Channel(kinds) if kinds.is_empty() || kinds.contains(&kind))
    }

    /// Whether it is done to channels.
    pub fn is_channel(self) -> bool {
        matches!(self, Self::Channel(_))
    }
}

/// One operation: its id, name, risk, the permission it needs and the fields of its form.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub struct OperationSpec {
    /// Stable name for permissions, audit and the command line: what it is about and what is done, `topic.create`. What is a command of its
    /// own has that command's name, `publish`.
    pub id: &'static str,
    pub title: &'static str,
    /// One line: what it does.
    pub help: &'static str,
    pub risk: Risk,
    pub permission: &'static str,
    pub on: Target,
    pub fields: &'static [Field],
}

impl OperationSpec {
    /// What it can hurt, what it is done to and the permission it needs. The names follow by [`OperationSpec::named`].
    pub const fn new(risk: Risk, on: Target, permission: &'static str) -> Self {
        Self { id: "", title: "", help: "", risk, permission, on, fields: &[] }
    }

    /// Its stable id, and its title in menus.
    pub const fn named(self, id: &'static str, title: &'static str) -> Self {
        Self { id, title, ..self }
    }

    /// One line: what it does.
    pub const fn help(self, help: &'static str) -> Self {
        Self { help, ..self }
    }

    /// The fields of its form; none without this.
    pub const fn asks(self, fields: &'static [Field]) -> Self {
        Self { fields, ..self }
    }
}

/// What a system's publish form asks beside headers, payload and its time.
#[derive(Debug, PartialEq, Eq)]
pub struct PublishSpec {
    /// Whether messages have keys here.
    pub key: bool,
    /// Whether a message without a payload means something here.
    pub tombstone: bool,
    pub timestamp: bool,
    pub fields: &'static [Field],
}

/// One field of a generic form.
#[derive(Debug, PartialEq, Eq)]
pub struct Field {
    pub id: &'static str,
    pub title: &'static str,
    /// One line: what it does, and its default.
    pub help: &'static str,
    pub input: Input,
}

/// How a field is filled in.
#[derive(Debug, PartialEq, Eq)]
pub enum Input {
    /// Any text.
    Text,
    /// A whole number within these bounds.
    Number { min: i64, max: i64 },
    /// One of these words; the first is the default.
    Choice(&'static [&'static str]),
}

impl Field {
    /// A field for any text.
    pub const fn text(id: &'static str, title: &'static str, help: &'static str) -> Self {
        Self { id, title, help, input: Input::Text }
    }

    /// A field for a whole number from `min` to `max`.
    pub const fn number(id: &'static str, title: &'static str, help: &'static str, min: i64, max: i64) -> Self {
        Self { id, title, help, input: Input::Number { min, max } }
    }

    /// A field for one of these words; the first is the default.
    pub const fn choice(id: &'static str, title: &'static str, help: &'static str, words: &'static [&'static str]) -> Self {
        Self { id, title, help, input: Input::Choice(words) }
    }

    /// Checks what was typed; the error says what would be right.
    pub fn check(&self, text: &str) -> Result<(), String> {
        match self.input {
            Input::Text => Ok(()),
            Input::Number { min, max } => match text.parse::<i64>() {
                Ok(n) if (min..=max).contains(&n) => Ok(()),
                _ => Err(format!("{}: `{text}` is not a whole number from {min} to {max}", self.title)),
            },
            Input::Choice(words) if words.contains(&text) => Ok(()),
            Input::Choice(words) => Err(format!("{}: `{text}` is not one of {}", self.title, words.join(", "))),
        }
    }
}
