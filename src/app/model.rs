//! `Model`: everything a frame needs. Changed by [`super::update`] alone.

use super::changes::Changes;
use super::clock;
use super::effect::{Effect, TaskId};
use super::event::Opened;
use super::integration::Integration;
use super::jobs::Job;
use super::overlays::Overlay;
use super::overlays::input::Filter;
use super::screens::channels::Channels;
use super::screens::groups::Groups;
use super::screens::notices::Notices;
use super::screens::overview::Overview;
use super::screens::profiles::Profiles;
use super::screens::publish::Form;
use super::screens::received::Received;
use super::screens::traffic::Traffic;
use super::screens::wire_log::WireLog;
use super::{Start, layout};
use crate::domain::text::SafeText;
use crate::domain::time::Timestamp;
use crate::domain::view::MessageView;
use jiff::tz::TimeZone;
use std::sync::Arc;

/// The screens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Screen {
    Welcome,
    Profiles,
    Overview,
    Channels,
    Traffic,
    Groups,
    Publish,
    /// Messages at hand: held, looked at, or replies.
    Received,
    WireLog,
    Notices,
}

/// The whole state of the console.
pub struct Model {
    /// Counts changes of what is shown: a frame is needed when it has changed since the last one.
    pub revision: u64,
    pub now: Timestamp,
    pub zone: TimeZone,
    pub width: u16,
    pub height: u16,
    pub screen: Screen,
    /// Where `Esc` goes back to.
    pub back: Vec<Screen>,
    /// What `-` goes to.
    pub last: Option<Screen>,
    pub overlay: Option<Overlay>,
    /// The filter being typed in row 2.
    pub typing: Option<Filter>,
    pub profiles: Profiles,
    pub profile: Option<Profile>,
    pub overview: Overview,
    pub channels: Channels,
    pub traffic: Traffic,
    pub groups: Groups,
    pub form: Option<Form>,
    pub received: Received,
    pub wire: WireLog,
    pub notices: Notices,
    pub jobs: Vec<Job>,
    pub changes: Changes,
    pub mouse: bool,
    /// When `Ctrl-C` was pressed with nothing left to cancel.
    pub(super) cancelled_at: Option<Timestamp>,
    /// The face of the clock and of every age that is shown, to see whether time alone changed the screen.
    pub(super) time_fingerprint: u64,
    pub(super) next_task: u64,
    /// The state of [`Model::random`].
    pub(super) seed: u64,
    pub(super) out: Vec<Effect>,
}

/// The profile that is open.
pub struct Profile {
    pub opened: Opened,
    pub integrations: Vec<Integration>,
}

impl Profile {
    /// How many integrations answer.
    pub fn up(&self) -> usize {
        self.integrations.iter().filter(|i| matches!(i.link, crate::domain::health::Link::Up { .. })).count()
    }
}

impl Model {
    /// The first state, with what is to be done at once.
    pub fn new(start: Start) -> (Self, Vec<Effect>) {
        let screen = if start.opening { Screen::Overview } else { Screen::Welcome };
        let profiles =
            Profiles { opening: start.opening.then(|| (SafeText::from("profile"), start.now)), asked_at: start.now, ..Profiles::default() };
        let mut model = Self {
            revision: 1,
            now: start.now,
            zone: start.zone,
            width: start.width,
            height: start.height,
            screen,
            back: Vec::new(),
            last: None,
            overlay: None,
            typing: None,
            profiles,
            profile: None,
            overview: Overview::default(),
            channels: Channels::default(),
            traffic: Traffic::default(),
            groups: Groups::default(),
            form: None,
            received: Received::default(),
            wire: WireLog::default(),
            notices: Notices::default(),
            jobs: Vec::new(),
            changes: Changes::default(),
            mouse: false,
            cancelled_at: None,
            time_fingerprint: 0,
            next_task: 1,
            seed: start.seed,
            out: Vec::new(),
        };
        model.time_fingerprint = clock::time_fingerprint(&model);
        (model, vec![Effect::LoadProfiles])
    }

    /// When a `Tick` is needed next: the next moment at which time alone changes what is shown. A minute away at most.
    pub fn next_deadline(&self) -> Timestamp {
        clock::next_deadline(self)
    }

    pub fn integration(&self, name: &str) -> Option<&Integration> {
        self.profile.as_ref()?.integrations.iter().find(|i| &*i.name == name)
    }

    pub(super) fn integration_mut(&mut self, name: &str) -> Option<&mut Integration> {
        self.profile.as_mut()?.integrations.iter_mut().find(|i| &*i.name == name)
    }

    pub fn integrations(&self) -> &[Integration] {
        self.profile.as_ref().map_or(&[], |profile| &profile.integrations)
    }

    pub(super) fn task(&mut self) -> TaskId {
        let task = TaskId(self.next_task);
        self.next_task += 1;
        task
    }

    /// Bits for a new id (splitmix64): the core has no chance of its own.
    pub(super) fn random(seed: &mut u64) -> u64 {
        *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (*seed ^ (*seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn effect(&mut self, effect: Effect) {
        self.out.push(effect);
    }

    pub(super) fn touch(&mut self) {
        self.revision += 1;
    }

    /// Rows that the list of this screen shows.
    pub fn page(&self) -> usize {
        layout::areas(self).map_or(1, |areas| usize::from(areas.list.height.saturating_sub(1)).max(1))
    }

    /// What is typed at the moment takes all letters.
    pub fn is_typing(&self) -> bool {
        self.typing.is_some()
            || matches!(self.overlay, Some(Overlay::Palette(_) | Overlay::Prompt(_) | Overlay::Form(_) | Overlay::Plan(_)))
            || (self.overlay.is_none() && self.screen == Screen::Publish)
    }

    /// The message that is selected, on a screen that has messages.
    pub fn message(&self) -> Option<&Arc<MessageView>> {
        (self.screen.state().message)(self)
    }

    /// Goes to a screen, remembering where we were.
    pub(super) fn go(&mut self, screen: Screen) {
        self.overlay = None;
        self.typing = None;
        if self.screen != screen {
            self.last = Some(self.screen);
            self.back.retain(|s| *s != screen);
            if self.screen != Screen::Welcome {
                self.back.push(self.screen);
            }
            self.screen = screen;
            self.watch();
        }
        self.touch();
    }

    /// Asks for fresh channel lists while a screen shows them, and for the wire log while that is shown; otherwise for nothing.
    pub(super) fn watch(&mut self) {
        let shown = if self.screen.state().lists_channels { self.integrations() } else { &[] };
        let wanted = shown.iter().map(|integration| integration.name.clone()).collect();
        self.effect(Effect::WatchChannels(wanted));
        let wire = if self.screen == Screen::WireLog { self.wire.wanted() } else { None };
        if wire.is_some() || self.wire.watching {
            self.wire.watching = wire.is_some();
            self.effect(Effect::WatchWire(wire));
        }
    }
}
