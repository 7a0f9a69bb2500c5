//! The screens that there are. What each is for the rest of the console is its row in `screens`.

/// The screens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Screen {
    Welcome,
    Profiles,
    Overview,
    Channels,
    Traffic,
    Groups,
    DeadLetters,
    Publish,
    /// Messages at hand: held, looked at, or replies.
    Received,
    WireLog,
    Notices,
}
