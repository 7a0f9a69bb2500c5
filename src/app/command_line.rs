//! Commands that are copied: what shows the same in a shell, with the profile or URL that is open.

use super::model::{Model, Screen};
use super::screens::received::state::Kind;
use super::screens::traffic::state::Source;
use crate::domain::address::Address;
use crate::domain::position::Bound;
use crate::domain::text::is_hidden;
use crate::domain::view::MessageView;

/// The command that shows the selection; `None` where there is none.
pub(crate) fn of(model: &Model, addresses: &[Address], view: Option<&MessageView>) -> Option<String> {
    let words = match model.screen {
        Screen::Received => received(model, addresses.first()?),
        Screen::Traffic => traffic(model, addresses, view)?,
        _ => tail(addresses)?,
    };
    Some(with_profile(model, &words))
}

/// A command with what has to be opened for it.
pub(crate) fn with_profile(model: &Model, words: &[String]) -> String {
    let options = model.profile.as_ref().map_or(&[][..], |profile| profile.opened.options.as_slice());
    let all: Vec<String> = options.iter().chain(words).map(|word| quoted(word)).collect();
    format!("mqdeck {}", all.join(" "))
}

fn received(model: &Model, address: &Address) -> Vec<String> {
    let of = model.received.of.as_ref().or(model.received.address.as_ref()).unwrap_or(address);
    let command: &[&str] = match model.received.kind {
        Kind::Held => &["receive"],
        Kind::Looked => &["peek"],
        Kind::Replies => &["rpc", "call"],
    };
    command.iter().map(|word| (*word).to_owned()).chain([typed(of)]).collect()
}

fn traffic(model: &Model, addresses: &[Address], view: Option<&MessageView>) -> Option<Vec<String>> {
    let option = |name: &str, value: &str| [name.to_owned(), value.to_owned()];
    // What is not stored is in no place that could be gone to.
    if let Some(view) = view.filter(|view| view.message.position.is_lasting()) {
        let mut words = tail(std::slice::from_ref(&view.address))?;
        words.extend(option("--from", &Bound::At(view.message.position).to_string()));
        // A message that is gone must not be waited for.
        words.extend(option("--until", "latest").into_iter().chain(option("--limit", "1")));
        return Some(words);
    }
    if let Source::Followed { ids } = &model.traffic.source {
        return Some(vec!["follow".to_owned(), ids.first()?.text.clone()]);
    }
    let own = view.map(|view| vec![view.address.clone()]);
    let addresses = own.as_deref().unwrap_or(addresses);
    let filter = &model.traffic.filter;
    let Source::History { text, .. } = &model.traffic.source else {
        let mut words = tail(addresses)?;
        words.extend((!filter.is_empty()).then(|| option("--where", filter)).into_iter().flatten());
        return Some(words);
    };
    let (start, end) = text.split_once(" until ").map_or((text.as_str(), None), |(start, end)| (start, Some(end)));
    // A search ends where history does, whether or not an end was named; it takes one channel.
    let mut words = match addresses {
        [one] => vec!["find".to_owned(), typed(one), filter.clone()],
        _ => tail(addresses)?,
    };
    words.extend(option("--from", start.strip_prefix("from ").unwrap_or(start)));
    words.extend(end.or((addresses.len() > 1).then_some("latest")).map(|end| option("--until", end)).into_iter().flatten());
    if addresses.len() > 1 && !filter.is_empty() {
        words.extend(option("--where", filter));
    }
    Some(words)
}

fn tail(addresses: &[Address]) -> Option<Vec<String>> {
    (!addresses.is_empty()).then(|| std::iter::once("tail".to_owned()).chain(addresses.iter().map(typed)).collect())
}

/// An address as it can be typed and pasted: what nobody sees is written by its bytes.
pub(crate) fn typed(address: &Address) -> String {
    let escaped = |c: char| c.encode_utf8(&mut [0; 4]).bytes().map(|byte| format!("\\x{byte:02x}")).collect::<String>();
    address.to_string().chars().map(|c| if is_hidden(c) { escaped(c) } else { c.to_string() }).collect()
}

/// A word as a shell takes it.
pub(crate) fn quoted(word: &str) -> String {
    let plain = word.chars().all(|c| c.is_ascii_alphanumeric() || "/._-@:+=,".contains(c));
    if plain && !word.is_empty() { word.to_owned() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}
