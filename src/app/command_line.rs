//! Commands that are copied: what shows the same in a shell, with the profile or URL that is open; or why no command does.

use super::model::{Model, Screen};
use super::screens::received::state::Kind;
use super::screens::traffic::state::Source;
use crate::domain::address::{Address, parse_message_address};
use crate::domain::envelope::Id;
use crate::domain::message::{Header, Outgoing};
use crate::domain::position::Bound;
use crate::domain::text::is_hidden;
use crate::domain::view::MessageView;
use std::time::Duration;

/// The words of a command behind `mqdeck`, or why there is none.
type Words = Result<Vec<String>, &'static str>;

const NOT_SHOWN: &str = "no command shows this channel: it has no messages to read";
const CALLED: &str = "a call needs its request: make the call, and copy the command from its replies";
const REQUEST: &str = "`rpc call` cannot send this request: only texts fit on a command line";
const UNSEEN: &str = "it has characters that nobody sees, and a shell would be given others";
const IDS: &str = "several ids are followed, and no place names the message that has them";

/// The command that shows the selection.
pub(crate) fn selected(model: &Model) -> Result<String, &'static str> {
    let view = model.message();
    let address = view.map(|view| view.address.clone()).or_else(|| model.target()).ok_or("nothing is selected")?;
    let several = model.screen == Screen::Traffic && model.traffic.addresses.len() > 1;
    let addresses = if several { model.traffic.addresses.clone() } else { vec![address] };
    of(model, &addresses, view.map(|view| &**view))
}

/// The command that shows these channels, or this message of them, as the screen does.
pub(crate) fn of(model: &Model, addresses: &[Address], view: Option<&MessageView>) -> Result<String, &'static str> {
    let words = match (model.screen, addresses) {
        (Screen::Received, [address, ..]) => received(model, address)?,
        (Screen::Traffic, _) => traffic(model, addresses, view)?,
        (_, [one]) => channel(model, one)?,
        _ => tail(addresses),
    };
    // What nobody sees is escaped on its way to the clipboard.
    let is_unseen = |word: &String| word.chars().any(|c| is_hidden(c) && !matches!(c, '\n' | '\t'));
    if words.iter().any(is_unseen) { Err(UNSEEN) } else { Ok(with_profile(model, &words)) }
}

/// A command with what has to be opened for it.
pub(crate) fn with_profile(model: &Model, words: &[String]) -> String {
    let options = model.profile.as_ref().map_or(&[][..], |profile| profile.opened.options.as_slice());
    let all: Vec<String> = options.iter().chain(words).map(|word| quoted(word)).collect();
    format!("mqdeck {}", all.join(" "))
}

/// A channel of the list: its live messages, else those that it keeps, else a look at those that wait in it.
fn channel(model: &Model, address: &Address) -> Words {
    let can = model.caps(address);
    Ok(match can {
        Some(can) if !can.tail && can.history => vec!["find".to_owned(), typed(address), String::new()],
        Some(can) if !can.tail && can.peek => vec!["peek".to_owned(), typed(address)],
        Some(can) if !can.tail => return Err(if can.call { CALLED } else { NOT_SHOWN }),
        _ => tail(std::slice::from_ref(address)),
    })
}

fn received(model: &Model, selected: &Address) -> Words {
    let received = &model.received;
    // The group of a channel that messages are received as has an address of its own.
    let address = received.address.as_ref().unwrap_or(selected);
    let command = match received.kind {
        Kind::Held => "receive",
        Kind::Looked => "peek",
        Kind::Replies => return call(address, received.call.as_ref().ok_or(CALLED)?),
    };
    let mut words = vec![command.to_owned(), typed(address)];
    words.extend(option("--limit", &received.wanted.to_string()));
    Ok(words)
}

/// The call with its request, where that can be written as texts.
fn call(address: &Address, (request, wait): &(Outgoing, Duration)) -> Words {
    let Outgoing { key: None, headers, payload: Some(payload), timestamp: None, options } = request else { return Err(REQUEST) };
    let payload = std::str::from_utf8(payload).map_err(|_| REQUEST)?;
    // Those are read from a file or from standard input.
    if !options.is_empty() || payload == "-" || payload.starts_with('@') {
        return Err(REQUEST);
    }
    let mut words = vec!["rpc".to_owned(), "call".to_owned(), typed(address)];
    words.extend(option("--timeout", &format!("{}s", wait.as_secs())));
    for Header { name, value } in headers {
        let name = std::str::from_utf8(name).ok().filter(|name| !name.contains('=')).ok_or(REQUEST)?;
        let value = value.as_deref().map(std::str::from_utf8).transpose().map_err(|_| REQUEST)?;
        words.push(value.map_or_else(|| format!("--header={name}"), |value| format!("--header={name}={value}")));
    }
    Ok(with_last(words, payload))
}

fn traffic(model: &Model, addresses: &[Address], view: Option<&MessageView>) -> Words {
    // What is not stored is in no place that could be gone to.
    if let Some(view) = view.filter(|view| view.message.position.is_lasting()) {
        let mut words = tail(std::slice::from_ref(&view.address));
        words.extend(option("--from", &Bound::At(view.message.position).to_string()));
        // A message that is gone must not be waited for.
        words.extend(option("--until", "latest").into_iter().chain(option("--limit", "1")));
        return Ok(words);
    }
    if let Source::Followed { ids, of } = &model.traffic.source {
        return follow(ids, of);
    }
    let own = view.map(|view| vec![view.address.clone()]);
    let addresses = own.as_deref().unwrap_or(addresses);
    let filter = &model.traffic.filter;
    let Source::History { text, .. } = &model.traffic.source else {
        let mut words = tail(addresses);
        words.extend((!filter.is_empty()).then(|| option("--where", filter)).into_iter().flatten());
        return Ok(words);
    };
    let (start, end) = text.split_once(" until ").map_or((text.as_str(), None), |(start, end)| (start, Some(end)));
    let mut options = option("--from", start.strip_prefix("from ").unwrap_or(start));
    // A search ends where history does, whether or not an end was named; it takes one channel.
    if let [one] = addresses {
        options.extend(end.into_iter().flat_map(|end| option("--until", end)));
        let mut words = vec!["find".to_owned(), typed(one)];
        if filter.starts_with('-') {
            words.extend(options);
            return Ok(with_last(words, filter));
        }
        words.push(filter.clone());
        words.extend(options);
        return Ok(words);
    }
    options.extend(option("--until", end.unwrap_or("latest")));
    options.extend((!filter.is_empty()).then(|| option("--where", filter)).into_iter().flatten());
    Ok(tail(addresses).into_iter().chain(options).collect())
}

/// The ids of the message in its place; of one that is stored nowhere the only id, around its time.
fn follow(ids: &[Id], of: &MessageView) -> Words {
    let follow = |what: String| vec!["follow".to_owned(), what];
    if of.message.position.is_lasting() {
        return Ok(follow(format!("{}#{}", typed(&of.address), of.message.position)));
    }
    let names_a_place = |id: &Id| parse_message_address(&id.text).is_ok_and(|(_, position)| position.is_some());
    match ids {
        [id] if !names_a_place(id) => {
            let around = of.message.timestamp.into_iter().flat_map(|time| option("--around", &time.to_string()));
            Ok(with_last(std::iter::once("follow".to_owned()).chain(around).collect(), &id.text))
        }
        [] => Err("its ids are not known yet"),
        _ => Err(IDS),
    }
}

fn tail(addresses: &[Address]) -> Vec<String> {
    std::iter::once("tail".to_owned()).chain(addresses.iter().map(typed)).collect()
}

/// An option with its value, in one word where the value would be taken for an option.
fn option(name: &str, value: &str) -> Vec<String> {
    if value.starts_with('-') { vec![format!("{name}={value}")] } else { vec![name.to_owned(), value.to_owned()] }
}

/// A last argument that may look like an option.
fn with_last(mut words: Vec<String>, last: &str) -> Vec<String> {
    words.extend(last.starts_with('-').then(|| "--".to_owned()));
    words.push(last.to_owned());
    words
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::event::{Opened, OpenedIntegration};
    use crate::app::{Event, Start, update};
    use crate::domain::channel::{Caps, Channel};
    use crate::domain::envelope::IdKind;
    use crate::domain::message::{Message, Stamp};
    use crate::domain::position::Position;
    use crate::domain::safety::Safety;
    use crate::domain::time::Timestamp;
    use crate::domain::view::Preview;
    use bytes::Bytes;
    use clap::Parser;
    use std::sync::Arc;

    fn at(channel: &str) -> Address {
        Address::new("events", channel)
    }

    /// The list of channels, of every kind that there is.
    fn model() -> Model {
        let start = Start { now: Timestamp(1_000), zone: jiff::tz::TimeZone::UTC, width: 120, height: 40, opening: false, seed: 7 };
        let (mut model, _) = Model::new(start);
        let integration = OpenedIntegration { name: "events".into(), system: "Kafka", endpoint: "one:9092".into() };
        let opened = Opened {
            name: "p".into(),
            options: vec!["--profile".into(), "p".into()],
            demo: false,
            safety: Safety::default(),
            unverified_tls: false,
            integrations: vec![integration],
            show: None,
        };
        update(&mut model, Event::ProfileOpened(opened));
        let channel = |name: &str, can: Caps| Channel { can, ..Channel::named(name, "channel") };
        let can = Caps::default();
        let channels = vec![
            channel("exchange", Caps { publish: true, ..can }),
            channel("kept", Caps { history: true, ..can }),
            channel("log", Caps { tail: true, history: true, ..can }),
            channel("service", Caps { call: true, ..can }),
            channel("tasks", Caps { peek: true, hold: true, ..can }),
        ];
        update(&mut model, Event::Channels { integration: "events".into(), result: Ok(channels) });
        model.screen = Screen::Channels;
        model
    }

    /// The words of a command as a shell takes them, which the program must be able to read.
    fn words(command: &str) -> Vec<String> {
        let printed = command.replacen("mqdeck", "printf '%s\\0'", 1);
        let printed = std::process::Command::new("sh").args(["-c", &printed]).output().expect("a shell").stdout;
        let text = String::from_utf8(printed).expect("text");
        let words: Vec<String> = text.split_terminator('\0').map(str::to_owned).collect();
        let read = crate::cli::Cli::try_parse_from(std::iter::once("mqdeck").chain(words.iter().map(String::as_str)));
        assert!(read.is_ok(), "{command}: {}", read.err().map(|error| error.to_string()).unwrap_or_default());
        words
    }

    fn copied(model: &Model, address: &Address) -> Result<String, &'static str> {
        let command = of(model, std::slice::from_ref(address), None)?;
        words(&command);
        Ok(command)
    }

    #[test]
    fn a_channel_is_copied_as_the_command_that_reads_it_and_where_there_is_none_the_reason_is_given() {
        let model = model();
        for (channel, command) in [
            ("log", Ok("tail events/log")),
            ("not-listed", Ok("tail events/not-listed")),
            ("kept", Ok("find events/kept ''")),
            ("tasks", Ok("peek events/tasks")),
            ("service", Err(CALLED)),
            ("exchange", Err(NOT_SHOWN)),
        ] {
            assert_eq!(copied(&model, &at(channel)), command.map(|command| format!("mqdeck --profile p {command}")), "{channel}");
        }
    }

    #[test]
    fn messages_at_hand_are_copied_as_the_command_that_got_them_and_as_many() {
        let mut model = model();
        model.screen = Screen::Received;
        model.received.wanted = 7;
        for (kind, of, address, command) in [
            (Kind::Looked, None, "tasks", "peek events/tasks --limit 7"),
            (Kind::Held, Some("tasks"), "tasks", "receive events/tasks --limit 7"),
            (Kind::Held, Some("stream:jobs"), "group:jobs/workers", "receive events/group:jobs/workers --limit 7"),
        ] {
            (model.received.kind, model.received.of, model.received.address) = (kind, of.map(at), Some(at(address)));
            assert_eq!(
                copied(&model, &at("tasks")),
                Ok(format!("mqdeck --profile p {command}")),
                "what was received, not what it was listed as"
            );
        }
    }

    #[test]
    fn a_call_is_copied_with_its_request_and_not_at_all_where_a_command_cannot_make_it() {
        let header = |name: &'static str, value: Option<&'static [u8]>| Header { name: name.into(), value: value.map(Bytes::from_static) };
        let call = |payload: &'static [u8]| Outgoing { payload: Some(payload.into()), ..Outgoing::default() };
        let with = |headers: Vec<Header>| Outgoing { headers, ..call(b"ping") };
        let mut model = model();
        (model.screen, model.received.kind, model.received.address) = (Screen::Received, Kind::Replies, Some(at("service")));
        assert_eq!(copied(&model, &at("service")), Err(CALLED), "no request is known");
        for (request, last) in [
            (call(b"{\"a\": 1,\n\t\"b\": \"it's\"}"), Some(&["{\"a\": 1,\n\t\"b\": \"it's\"}"][..])),
            (call(b""), Some(&[""])),
            (call(b"--help"), Some(&["--", "--help"])),
            (
                with(vec![header("a", Some(b"1=2")), header("-b", Some(b"")), header("c", None)]),
                Some(&["--header=a=1=2", "--header=-b=", "--header=c", "ping"]),
            ),
            (call(b"@file"), None),
            (call(b"-"), None),
            (call(b"\xff"), None),
            (with(vec![header("a=b", Some(b"1"))]), None),
            (with(vec![header("a", Some(b"\xff"))]), None),
            (Outgoing { key: Some("k".into()), ..call(b"ping") }, None),
            (Outgoing::default(), None),
        ] {
            model.received.call = Some((request.clone(), Duration::from_secs(3)));
            let copied = copied(&model, &at("service")).map(|command| words(&command));
            let beginning = ["--profile", "p", "rpc", "call", "events/service", "--timeout", "3s"];
            let expected = last.map(|last| beginning.iter().chain(last).map(|word| (*word).to_owned()).collect());
            assert_eq!(copied, expected.ok_or(REQUEST), "{request:?}");
        }
    }

    #[test]
    fn followed_ids_are_copied_by_the_message_that_has_them_or_where_there_is_one_by_that() {
        let view = |position: Position| {
            let message = Message {
                channel: "log".into(),
                position,
                timestamp: Some(Timestamp(60_000)),
                stamp: Stamp::Seen,
                key: None,
                headers: Vec::new(),
                payload: None,
            };
            Arc::new(MessageView {
                id: 1,
                address: at("log"),
                tenant: None,
                key: None,
                preview: Preview::Tombstone,
                size: 0,
                message,
                whole: true,
            })
        };
        let ids = |texts: &[&str]| texts.iter().map(|text| Id { kind: IdKind::Correlation, text: (*text).to_owned() }).collect::<Vec<_>>();
        let (stored, seen) = (view(Position::Sequence(4)), view(Position::Arrival(4)));
        let mut model = model();
        model.screen = Screen::Traffic;
        for (of, ids, command) in [
            (&stored, ids(&["a", "b"]), Ok("follow 'events/log#4'")),
            (&seen, ids(&["a b"]), Ok("follow --around 1970-01-01T00:01:00.000Z 'a b'")),
            (&seen, ids(&["-a"]), Ok("follow --around 1970-01-01T00:01:00.000Z -- -a")),
            (&seen, ids(&["a", "b"]), Err(IDS)),
            (&seen, ids(&["events/log#7"]), Err(IDS)),
            (&seen, ids(&[]), Err("its ids are not known yet")),
        ] {
            model.traffic.source = Source::Followed { ids, of: of.clone() };
            assert_eq!(copied(&model, &at("log")), command.map(|command| format!("mqdeck --profile p {command}")));
        }
    }

    #[test]
    fn a_query_that_looks_like_an_option_is_copied_as_a_query_and_what_nobody_sees_not_at_all() {
        let mut model = model();
        model.screen = Screen::Traffic;
        let history = Source::History { range: crate::domain::position::Range::between(None, None), text: "end-5".to_owned() };
        for (source, filter, command) in [
            (&Source::Live, "-x", Ok("tail events/log --where=-x")),
            (&history, "-x", Ok("find events/log --from end-5 -- -x")),
            (&history, "x", Ok("find events/log x --from end-5")),
            (&history, "a\u{202e}b", Err(UNSEEN)),
        ] {
            (model.traffic.source, model.traffic.filter) = (source.clone(), filter.to_owned());
            assert_eq!(copied(&model, &at("log")), command.map(|command| format!("mqdeck --profile p {command}")));
        }
    }
}
