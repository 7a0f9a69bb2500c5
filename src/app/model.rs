//! `Model`: everything a frame needs. Changed by [`super::update`] alone.

use super::changes::Changes;
use super::effect::{Effect, TaskId};
use super::event::{Level, Opened};
use super::integration::Integration;
use super::jobs::Job;
use super::overlays::Overlay;
use super::overlays::input::Filter;
pub use super::screen::Screen;
use super::screens::channels::state::Channels;
use super::screens::dead_letters::state::DeadLetters;
use super::screens::groups::state::Groups;
use super::screens::notices::state::Notices;
use super::screens::overview::state::Overview;
use super::screens::profiles::state::Profiles;
use super::screens::publish::state::Form;
use super::screens::received::state::Received;
use super::screens::traffic::state::Traffic;
use super::screens::wire_log::state::WireLog;
use crate::domain::address::Address;
use crate::domain::channel::{Caps, Channel};
use crate::domain::fault::Fault;
use crate::domain::operation::{PublishSpec, Risk};
use crate::domain::safety::Gate;
use crate::domain::text::SafeText;
use crate::domain::time::Timestamp;
use jiff::Zoned;
use jiff::tz::TimeZone;
use std::time::Duration;

/// Nothing is shown as loading before this, so that quick answers do not flash.
pub const PATIENCE: Duration = Duration::from_millis(150);
/// From this width on the detail stands beside the list.
const WIDE: u16 = 120;

/// What the program knows when the console starts.
#[derive(Clone, Debug)]
pub struct Start {
    pub now: Timestamp,
    /// The zone of clocks and of times typed.
    pub zone: TimeZone,
    pub width: u16,
    pub height: u16,
    /// A profile is being opened already; do not show the first-run screen.
    pub opening: bool,
    /// Where the ids of new messages begin: another number in each run.
    pub seed: u64,
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
    pub dead_letters: DeadLetters,
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
    /// What is shown comes from elsewhere than before, or has changed there: it is asked for once this event has been taken in.
    pub(super) refresh: bool,
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
    /// The first state.
    pub(super) fn at(start: Start) -> Self {
        let screen = if start.opening { Screen::Overview } else { Screen::Welcome };
        let profiles =
            Profiles { opening: start.opening.then(|| (SafeText::from("profile"), start.now)), asked_at: start.now, ..Profiles::default() };
        Self {
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
            dead_letters: DeadLetters::default(),
            form: None,
            received: Received::default(),
            wire: WireLog::default(),
            notices: Notices::default(),
            jobs: Vec::new(),
            changes: Changes::default(),
            mouse: false,
            cancelled_at: None,
            time_fingerprint: 0,
            refresh: false,
            next_task: 1,
            seed: start.seed,
            out: Vec::new(),
        }
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

    /// A channel that was listed.
    pub(super) fn channel(&self, address: &Address) -> Option<&Channel> {
        self.integration(&address.integration)?.channel(&address.within())
    }

    /// What a channel can do, if it was listed.
    pub(super) fn caps(&self, address: &Address) -> Option<Caps> {
        Some(self.channel(address)?.can)
    }

    /// What can be published to a channel, as far as its integration is known.
    pub(super) fn publishes(&self, address: &Address) -> Option<&'static PublishSpec> {
        self.integration(&address.integration)?.publishes.flatten()
    }

    /// Whether nothing is known of these channels by which their history could not be read.
    pub(super) fn keep_history(&self, addresses: &[Address]) -> bool {
        addresses.iter().all(|address| self.caps(address).is_none_or(|can| can.history))
    }

    /// Whether an operation of that risk may be carried out now.
    pub fn gate(&self, risk: Risk) -> Gate {
        self.profile.as_ref().map_or(Gate::ReadOnly, |profile| profile.opened.safety.gate(risk, self.changes.armed_until.is_some()))
    }

    /// The moment in the operator's zone, in which times are typed.
    pub(super) fn zoned(&self) -> Result<Zoned, String> {
        self.now.zoned(&self.zone).ok_or_else(|| "the clock of this machine is beyond the calendar".to_owned())
    }

    /// Whether the detail has room beside the list.
    pub fn is_wide(&self) -> bool {
        self.width >= WIDE
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

    pub(super) fn say(&mut self, level: Level, text: &str) {
        self.notices.say(level, text, self.now);
        self.touch();
    }

    pub(super) fn report(&mut self, fault: &Fault) {
        self.notices.fault(fault, self.now);
        self.touch();
    }

    /// Ends what a task does, and its row among the jobs.
    pub(super) fn stop(&mut self, task: TaskId) {
        self.effect(Effect::StopTask(task));
        self.job_ended(task);
    }

    pub(super) fn job_ended(&mut self, task: TaskId) {
        self.jobs.retain(|job| job.task != task);
    }

    /// What is typed at the moment takes all letters.
    pub fn is_typing(&self) -> bool {
        self.typing.is_some()
            || matches!(self.overlay, Some(Overlay::Palette(_) | Overlay::Prompt(_) | Overlay::Form(_) | Overlay::Plan(_)))
            || (self.overlay.is_none() && self.screen == Screen::Publish)
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
            self.refresh = true;
        }
        self.touch();
    }

    /// Back to where we came from.
    pub(super) fn go_back(&mut self) {
        if let Some(screen) = self.back.pop() {
            self.last = Some(self.screen);
            self.screen = screen;
            self.refresh = true;
            self.touch();
        }
    }
}
