//! What the keys of the Traffic screen do: opening channels, moving, holding, the detail pane.

use super::detail::{self, Detail};
use super::{Focus, Source, start};
use crate::app::effect::Effect;
use crate::app::layout;
use crate::app::list::Step;
use crate::app::model::{Model, Screen};
use crate::domain::address::Address;

/// Shows these channels live.
pub(crate) fn open(model: &mut Model, addresses: Vec<Address>) {
    model.go(Screen::Traffic);
    let same = model.traffic.addresses == addresses && model.traffic.is_live() && model.traffic.task.is_some();
    if same || addresses.is_empty() {
        return;
    }
    if model.traffic.addresses != addresses {
        model.traffic.filter.clear();
    }
    model.traffic.addresses = addresses;
    start(model, Source::Live);
}

/// Moves in the list or in the detail. The first move holds a live list: nothing moves under the cursor.
pub(crate) fn step(model: &mut Model, step: Step) {
    if model.traffic.focus == Focus::Detail {
        let page = layout::detail_page(model);
        if let Some(detail) = &mut model.traffic.detail {
            detail.step(step, page);
        }
    } else {
        let page = model.page();
        let traffic = &mut model.traffic;
        let len = traffic.window.len();
        if len == 0 {
            return;
        }
        if traffic.is_live() {
            traffic.hold = true;
        }
        let mut list = std::mem::take(&mut traffic.list);
        list.step(step, len, page, |row| traffic.key_at(row));
        traffic.list = list;
        let wide = layout::is_wide(model);
        if wide || model.traffic.detail.is_some() {
            show(model);
        }
    }
    model.touch();
}

/// Shows the selected message in the detail pane.
pub(crate) fn show(model: &mut Model) {
    let Some(view) = model.traffic.selected().cloned() else { return };
    if model.traffic.detail.as_ref().is_some_and(|detail| detail.view.id == view.id) {
        return;
    }
    if view.message.payload.is_some() {
        model.effect(Effect::Decode { id: view.id, integration: view.address.integration.clone(), message: view.message.clone() });
    }
    let hex = model.traffic.detail.as_ref().is_some_and(|detail| detail.hex);
    model.traffic.detail = Some(Detail::new(view, hex));
}

/// Enter: the message, then its parts.
pub(crate) fn enter(model: &mut Model) {
    if model.traffic.focus == Focus::Detail {
        if let Some(detail) = &mut model.traffic.detail {
            detail.toggle();
        }
    } else if model.traffic.detail.is_some() {
        model.traffic.focus = Focus::Detail;
    } else {
        if model.traffic.list.row().is_none() {
            step(model, Step::Top);
        }
        show(model);
        if !layout::is_wide(model) {
            model.traffic.focus = Focus::Detail;
        }
    }
    model.touch();
}

/// Esc: out of the detail, then of its pane, then the list runs again. False if there was nothing to leave.
pub(crate) fn leave(model: &mut Model) -> bool {
    let wide = layout::is_wide(model);
    let traffic = &mut model.traffic;
    if traffic.focus == Focus::Detail {
        traffic.focus = Focus::List;
        if !wide {
            traffic.detail = None;
        }
    } else if traffic.detail.take().is_some() {
        // The list keeps its place.
    } else if traffic.before.is_some() {
        super::follow::leave(model);
    } else if traffic.hold {
        traffic.run();
    } else {
        return false;
    }
    model.touch();
    true
}

/// Builds the rows of the detail pane anew if what they depend on has changed.
pub(crate) fn settle(model: &mut Model) {
    let width = layout::detail_width(model);
    let height = layout::detail_page(model);
    let zone = model.zone.clone();
    let pane = if model.screen == Screen::Received { &mut model.received.detail } else { &mut model.traffic.detail };
    let Some(pane) = pane else { return };
    if pane.built_for != Some((width, pane.version)) {
        pane.rows = detail::rows(pane, width, &zone);
        pane.built_for = Some((width, pane.version));
    }
    pane.settle(height);
}
