//! The screens and the table of them. What a screen shows is in its `state`, which knows nothing of the Model; what its keys do is beside
//! that, done to the Model.

pub mod channels;
pub mod dead_letters;
pub mod groups;
pub mod notices;
pub mod overview;
pub mod profiles;
pub mod publish;
pub mod received;
pub mod traffic;
pub mod wire_log;

use super::model::{Model, Screen};
use super::screen_state::ScreenState;
use crate::domain::address::Address;
use crate::domain::view::MessageView;
use std::sync::Arc;

/// The screens that can be gone to by name, in the order of the palette.
pub(super) const PLACES: &[Screen] = &[
    Screen::Overview,
    Screen::Channels,
    Screen::Traffic,
    Screen::Groups,
    Screen::DeadLetters,
    Screen::Received,
    Screen::Profiles,
    Screen::WireLog,
    Screen::Notices,
];

impl Screen {
    pub(super) fn state(self) -> &'static ScreenState {
        match self {
            Self::Welcome => &profiles::WELCOME,
            Self::Profiles => &profiles::STATE,
            Self::Overview => &overview::STATE,
            Self::Channels => &channels::STATE,
            Self::Traffic => &traffic::STATE,
            Self::Groups => &groups::STATE,
            Self::DeadLetters => &dead_letters::STATE,
            Self::Publish => &publish::STATE,
            Self::Received => &received::STATE,
            Self::WireLog => &wire_log::STATE,
            Self::Notices => &notices::STATE,
        }
    }

    /// Its name, as headings and lists show it.
    pub fn title(self) -> &'static str {
        self.state().title
    }
}

impl Model {
    /// The message that is selected, on a screen that has messages.
    pub fn message(&self) -> Option<&Arc<MessageView>> {
        (self.screen.state().reader?.message)(self)
    }

    /// The channel that a new message goes to.
    pub(super) fn target(&self) -> Option<Address> {
        (self.screen.state().channel)(self).ok().or_else(|| self.traffic.addresses.first().cloned())
    }
}
