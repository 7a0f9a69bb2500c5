//! The pure core with its effects attached: what the terminal's loop and `play` have in common.

use super::effects::{First, Performer};
use super::lanes::{Arrival, Inbox, Lanes};
use super::open::Opener;
use crate::app::{self, Effect, Event, Model, Start};
use crate::domain::time::Timestamp;
use std::time::Duration;

/// Arrivals taken at once, at most, so that a key never waits for a long queue.
const AT_ONCE: usize = 64;
/// How long the end may take without a word.
const PATIENT: Duration = Duration::from_secs(1);

pub(super) struct Core {
    pub(super) model: Model,
    pub(super) asked: Asked,
    pub(super) opener: Opener,
    performer: Performer,
}

/// Effects that only the owner of the terminal can perform.
#[derive(Default)]
pub(super) struct Asked {
    pub(super) quit: bool,
    pub(super) suspend: bool,
    pub(super) mouse: Option<bool>,
    pub(super) edit: Option<Effect>,
}

impl Core {
    pub(super) fn new(lanes: Lanes, opener: Opener, width: u16, height: u16, opening: bool, terminal: bool) -> Self {
        let (model, effects) =
            Model::new(Start { now: now(), zone: jiff::tz::TimeZone::system(), width, height, opening, seed: fastrand::u64(..) });
        let mut core = Self { model, asked: Asked::default(), opener: opener.clone(), performer: Performer::new(lanes, opener, terminal) };
        core.perform(effects);
        core
    }

    /// Opens what the program was started with.
    pub(super) fn start(&mut self, first: First) {
        self.performer.start(first);
        self.perform(Vec::new());
    }

    pub(super) fn event(&mut self, event: Event) {
        let effects = app::update(&mut self.model, event);
        self.perform(effects);
    }

    pub(super) fn tick(&mut self) {
        self.event(Event::Tick(now()));
    }

    /// How long until the model needs to know the time again.
    pub(super) fn deadline(&self) -> Duration {
        self.model.next_deadline().since(now())
    }

    /// Takes what came in and what else waits, so that one frame shows it all.
    pub(super) fn arrive(&mut self, first: Arrival, inbox: &mut Inbox) {
        self.tick();
        let mut next = Some(first);
        for _ in 0..AT_ONCE {
            match next {
                Some(Arrival::Event(generation, event)) if self.performer.concerns(generation, &event) => self.event(event),
                Some(Arrival::Event(..)) => {}
                Some(Arrival::Demo(demo)) => {
                    self.performer.demo_started(demo);
                    self.perform(Vec::new());
                }
                None => return,
            }
            next = inbox.ready();
        }
    }

    /// Begins nothing new and waits for what is under way; a signal meanwhile ends the waiting. Says so if that takes a while.
    #[expect(clippy::print_stderr, reason = "the terminal was given back, and somebody waits in front of it")]
    pub(super) async fn shutdown(&mut self) {
        let waits = async {
            tokio::time::sleep(PATIENT).await;
            eprintln!("mqdeck: waiting for changes under way; Ctrl-C ends at once, and the audit log names what is unknown then");
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = self.performer.shutdown() => {}
            () = waits => {}
        }
    }

    fn perform(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Quit => self.asked.quit = true,
                Effect::Suspend => self.asked.suspend = true,
                Effect::Mouse(on) => self.asked.mouse = Some(on),
                Effect::Edit { .. } => self.asked.edit = Some(effect),
                other => self.performer.perform(other),
            }
        }
        for event in self.performer.known() {
            self.event(event);
        }
    }
}

fn now() -> Timestamp {
    Timestamp(jiff::Timestamp::now().as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::TaskId;
    use crate::app::event::{JobUpdate, Level};
    use crate::domain::channel::Channel;
    use crate::domain::fault::{Fault, Kind};
    use crate::domain::health::Link;
    use crate::gateway::stage::profile;
    use crate::runtime::lanes::lanes;

    fn refused(cause: &str) -> Fault {
        Fault::new(Kind::Rejected, "publish to", "jobs/log", cause)
    }

    /// What the tasks of a profile say of themselves.
    fn events() -> Vec<Event> {
        let down = Link::Down { fault: refused("gone"), since: Timestamp(0), attempts: 1, retry_at: Timestamp(i64::MAX) };
        let update = JobUpdate { title: "export".into(), done: 1, total: None, end: None };
        vec![
            Event::Channels { integration: "jobs".into(), result: Ok(vec![Channel::named("staging-only", "topic")]) },
            Event::Link { integration: "jobs".into(), link: down },
            Event::Job { task: TaskId(900), update },
            Event::Notice(Level::Error, "the token of staging expires".into()),
        ]
    }

    /// What of that is on the screens.
    fn shown(core: &Core) -> (usize, bool, usize, bool) {
        let jobs = &core.model.integrations()[0];
        let told = core.model.notices.all.iter().any(|notice| notice.text.as_str().contains("staging expires"));
        (jobs.channels.len(), matches!(jobs.link, Link::Down { .. }), core.model.jobs.len(), told)
    }

    #[tokio::test]
    async fn what_a_closed_profile_still_says_changes_nothing_of_the_one_that_is_open() {
        let (lanes, mut inbox) = lanes();
        let mut core = Core::new(lanes, Opener::default(), 120, 40, true, false);
        for name in ["staging", "prod"] {
            core.performer.open(Ok(profile(name, &["jobs"])));
            core.perform(Vec::new());
        }
        assert_eq!(core.model.profile.as_ref().map(|profile| profile.opened.name.to_string()), Some("prod".to_owned()));
        for event in events() {
            core.arrive(Arrival::Event(1, event), &mut inbox);
        }
        assert_eq!(shown(&core), (0, false, 0, false), "integrations of both have one name");
        // What became of a change is told whichever profile it was made on.
        let result = Err(refused("the disk of staging is full"));
        core.arrive(Arrival::Event(1, Event::Published { task: TaskId(901), result }), &mut inbox);
        assert!(core.model.notices.all.iter().any(|notice| notice.text.as_str().contains("the disk of staging is full")));
        for event in events() {
            core.arrive(Arrival::Event(2, event), &mut inbox);
        }
        assert_eq!(shown(&core), (1, true, 1, true), "the same of the open one");
    }
}
