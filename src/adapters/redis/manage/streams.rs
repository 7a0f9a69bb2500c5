//! Plans for streams and keys: what is deleted.

use super::super::Redis;
use super::super::inspect::KEYS;
use super::super::name::{Name, is_pattern};
use super::super::value;
use super::{Steps, change, groups, step};
use crate::domain::channel::Table;
use crate::domain::fault::{Fault, Kind};
use crate::domain::figure::Amount;
use crate::domain::operation::{Change, Request};
use crate::domain::position::Bound;
use crate::domain::text::SafeText;
use redis::cmd;

const GONE: &str = "this cannot be undone";

pub(super) async fn trim(redis: &Redis, request: Request) -> Result<Change, Fault> {
    request.needed("before")?;
    let stream = redis.stream(request.spec.id, &request.address.within()).await?;
    let edges = redis.edges(request.spec.id, &stream).await?;
    let bound = request.place("before", "latest")?;
    let first = redis.first(&stream, bound, &edges).await?;
    let touches = match bound {
        Bound::Latest => Amount::Exactly(edges.length),
        Bound::BeforeEnd(kept) => Amount::Exactly(edges.length.saturating_sub(kept)),
        _ => match first.previous() {
            Some(last) => redis.count_between(&stream, super::super::entry::Id::FIRST, last).await?,
            None => Amount::Exactly(0),
        },
    };
    let summary = format!("deletes {touches} of {} entries of {stream}: those before {first}", edges.length);
    let steps = Steps { stands: None, commands: vec![step(&stream, &["XTRIM", &stream, "MINID", "=", &first.to_string()])] };
    let mut notes = vec![SafeText::from(GONE)];
    notes.extend(redis.unread(&stream, first).await);
    Ok(Change { touches, notes, ..change(request, summary, &steps) })
}

pub(super) async fn delete_entries(redis: &Redis, request: Request) -> Result<Change, Fault> {
    let op = request.spec.id;
    let stream = redis.stream(op, &request.address.within()).await?;
    let ids = groups::ids(&request)?;
    for id in &ids {
        let id = id.to_string();
        let found = redis.link.call(cmd("XRANGE").arg(&stream).arg(&id).arg(&id), op, &stream).await?;
        if value::items(found).is_empty() {
            return Err(Fault::new(Kind::NotFound, op, stream, format!("there is no entry {id}")));
        }
    }
    let words: Vec<String> = ids.iter().map(ToString::to_string).collect();
    let summary = format!("deletes {} entries of {stream}", ids.len());
    let commands = words.iter().map(|id| step(id, &["XDEL", &stream, id])).collect();
    let steps = Steps { stands: None, commands };
    Ok(Change { touches: Amount::Exactly(ids.len() as u64), notes: vec![GONE.into()], ..change(request, summary, &steps) })
}

pub(super) async fn delete_keys(redis: &Redis, request: Request) -> Result<Change, Fault> {
    let op = request.spec.id;
    let (keys, touches) = match redis.resolve(op, &request.address.within()).await? {
        Name::Stream(name) => {
            let length = redis.edges(op, &name).await?.length;
            (vec![name], Amount::Exactly(length))
        }
        Name::Key(pattern) => {
            let (keys, whole) = redis.keys(&pattern, KEYS).await?;
            if !whole {
                return Err(Fault::new(Kind::Rejected, op, pattern, format!("more than {KEYS} keys are meant by it"))
                    .next("name them by a narrower pattern"));
            }
            if keys.is_empty() {
                let next = if is_pattern(&pattern) { "look at the pattern" } else { "look at the name" };
                return Err(Fault::new(Kind::NotFound, op, pattern, "there is no such key").next(next));
            }
            let count = keys.len() as u64;
            (keys, Amount::Exactly(count))
        }
        Name::Channel(name) => {
            return Err(Fault::new(Kind::Usage, op, name, "a pub/sub channel is nothing that could be deleted"));
        }
    };
    let summary = match &keys[..] {
        [key] => format!("deletes {key} with everything in it"),
        keys => format!("deletes {} keys with everything in them", keys.len()),
    };
    let rows = keys.iter().map(|key| vec![SafeText::new(key)]).collect();
    let commands = keys.iter().map(|key| step(key, &["UNLINK", key])).collect();
    Ok(Change {
        tables: vec![Table { title: "keys", columns: vec!["key"], rows }],
        touches,
        notes: vec![GONE.into()],
        ..change(request, summary, &Steps { stands: None, commands })
    })
}
