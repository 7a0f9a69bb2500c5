//! Plans for streams and keys: what is deleted.

use super::super::Redis;
use super::super::entry::Id;
use super::super::history::{Edges, Effort};
use super::super::inspect::KEYS;
use super::super::name::{Glob, Key, Name};
use super::super::value;
use super::script::Condition;
use super::{Step, change};
use crate::domain::channel::Table;
use crate::domain::fault::{Fault, Kind};
use crate::domain::figure::Amount;
use crate::domain::operation::{Change, Request};
use crate::domain::text::SafeText;
use redis::cmd;

const GONE: &str = "this cannot be undone";
/// What counts the contents of a key, by its type.
const SIZES: &[(&str, &str)] =
    &[("string", "STRLEN"), ("list", "LLEN"), ("set", "SCARD"), ("zset", "ZCARD"), ("hash", "HLEN"), ("stream", "XLEN")];
/// How far a plan counts what it touches.
pub(super) const COUNTED: Effort = Effort { entries: 100_000, bytes: 64 * 1024 * 1024 };

pub(super) async fn trim(redis: &Redis, request: Request) -> Result<Change, Fault> {
    request.needed("before")?;
    let op = request.spec.id;
    let stream = redis.stream(op, &request.address.within()).await?;
    let edges = redis.edges(op, &stream).await?;
    let bound = request.place("before", "latest")?;
    // What is added from now on is never meant, whatever time is named.
    let first = redis.first(&stream, bound, &edges).await?.min(edges.last.next());
    let touches = match first.previous() {
        _ if first > edges.last => Amount::Exactly(edges.length),
        Some(last) => redis.count(&stream, Id::FIRST, Some(last), COUNTED).await?.0,
        None => Amount::Exactly(0),
    };
    let summary = format!("deletes {touches} of {} entries of {stream}: those before {first}", edges.length);
    let name = stream.text();
    let step =
        Step::guarded(&name, &name, same_stream(&edges).into_iter().collect(), &["XTRIM", &name, "MINID", "=", &first.to_string()], None);
    let mut notes = vec![SafeText::from(GONE)];
    notes.extend(redis.unread(&stream, first).await);
    Ok(Change { touches, notes, ..change(request, summary, &[step]) })
}

/// Entries below the end of a stream are never added, so nothing more can come among them, unless it is made anew.
pub(super) fn same_stream(edges: &Edges) -> Option<Condition> {
    edges.first.map(|first| Condition::same(&first.to_string(), &edges.last.to_string()))
}

pub(super) async fn delete_entries(redis: &Redis, request: Request) -> Result<Change, Fault> {
    let op = request.spec.id;
    let stream = redis.stream(op, &request.address.within()).await?;
    let ids = request.entry_ids()?;
    for id in &ids {
        let id = id.to_string();
        let found = redis.link.call(cmd("XRANGE").arg(&stream).arg(&id).arg(&id), op, &stream.text()).await?;
        if value::items(found).is_empty() {
            return Err(Fault::new(Kind::NotFound, op, stream.text(), format!("there is no entry {id}")));
        }
    }
    let (count, name) = (ids.len(), stream.text());
    let summary = format!("deletes {} of {stream}", if count == 1 { "1 entry".to_owned() } else { format!("{count} entries") });
    let ids = ids.iter().map(ToString::to_string);
    let steps: Vec<Step> = ids.map(|id| Step::send(&id, &["XDEL", &name, &id], Some(1))).collect();
    Ok(Change { touches: Amount::Exactly(count as u64), notes: vec![GONE.into()], ..change(request, summary, &steps) })
}

pub(super) async fn delete_keys(redis: &Redis, request: Request) -> Result<Change, Fault> {
    let op = request.spec.id;
    match redis.resolve(op, &request.address.within()).await? {
        Name::Stream(name) => delete_stream(redis, request, &name).await,
        Name::Key(glob) => delete_all(redis, request, &glob).await,
        Name::Channel(name) => Err(Fault::new(Kind::Usage, op, name.to_string(), "a pub/sub channel is nothing that could be deleted")),
    }
}

async fn delete_stream(redis: &Redis, request: Request, stream: &Key) -> Result<Change, Fault> {
    let edges = redis.edges(request.spec.id, stream).await?;
    let name = stream.text();
    let mut conditions = vec![Condition::kind("stream"), Condition::length(edges.length)];
    if edges.exact {
        conditions.push(Condition::stream("last-generated-id", &edges.last.to_string()));
    }
    let step = Step::guarded(&name, &name, conditions, &["UNLINK", &name], Some(1));
    let summary = format!("deletes {name} with everything in it");
    let mut notes = vec![SafeText::from(GONE)];
    let groups = redis.groups_of(request.spec.id, stream).await.map_or(0, |groups| groups.len());
    if groups > 0 {
        notes.push(SafeText::from(format!("its consumer groups are deleted with it: {groups}")));
    }
    let table = Table { title: "keys", columns: vec!["key", "type"], rows: vec![vec![SafeText::new(&name), "stream".into()]] };
    Ok(Change { tables: vec![table], touches: Amount::Exactly(edges.length), notes, ..change(request, summary, &[step]) })
}

async fn delete_all(redis: &Redis, request: Request, glob: &Glob) -> Result<Change, Fault> {
    let op = request.spec.id;
    let found = redis.keys(op, glob, KEYS).await?;
    let target = glob.to_string();
    if let Some(fault) = found.unseen {
        let cause = format!("not every server of the cluster can be seen, so not every key that is meant: {}", fault.cause);
        return Err(Fault::new(fault.kind, op, target, cause).next("name single keys"));
    }
    if !found.whole {
        let cause = format!("more than {KEYS} keys are meant by it");
        return Err(Fault::new(Kind::Rejected, op, target, cause).next("name them by a narrower pattern"));
    }
    if found.keys.is_empty() {
        let next = if glob.is_pattern() { "look at the pattern" } else { "look at the name" };
        return Err(Fault::new(Kind::NotFound, op, target, "there is no such key").next(next));
    }
    let asked: Vec<_> = found.keys.iter().map(|key| cmd("TYPE").arg(key).to_owned()).collect();
    let answers = redis.link.all(&asked, op, &target).await;
    let kinds = answers.into_iter().map(|kind| kind.map(|kind| value::text(&kind).unwrap_or_default()));
    let kinds: Vec<String> = kinds.collect::<Result<_, _>>()?;
    let sizes = sizes(redis, op, &found.keys, &kinds).await;
    let summary = match &found.keys[..] {
        [key] => format!("deletes {key} with everything in it"),
        keys => format!("deletes {} keys with everything in them", keys.len()),
    };
    let named = || found.keys.iter().map(Key::text).zip(&kinds);
    let rows = named().map(|(key, kind)| vec![SafeText::new(&key), SafeText::new(kind)]).collect();
    let step = |((key, kind), size): ((String, &String), Option<Condition>)| {
        let conditions = std::iter::once(Condition::kind(kind)).chain(size).collect();
        Step::guarded(&key, &key, conditions, &["UNLINK", &key], Some(1))
    };
    let steps: Vec<Step> = named().zip(sizes).map(step).collect();
    Ok(Change {
        tables: vec![Table { title: "keys", columns: vec!["key", "type"], rows }],
        touches: Amount::Exactly(found.keys.len() as u64),
        notes: vec![
            GONE.into(),
            "a key whose type or size is another by then is left alone; one whose value alone is another is not".into(),
        ],
        ..change(request, summary, &steps)
    })
}

/// What has to hold still of each key's size; `None` where it cannot be counted.
async fn sizes(redis: &Redis, op: &'static str, keys: &[Key], kinds: &[String]) -> Vec<Option<Condition>> {
    let count = |kind: &String| SIZES.iter().find(|(known, _)| known == kind).map(|(_, command)| *command);
    let asked: Vec<_> = keys.iter().zip(kinds).filter_map(|(key, kind)| Some(cmd(count(kind)?).arg(key).to_owned())).collect();
    let mut answers = redis.link.all(&asked, op, "").await.into_iter();
    let size = |kind: &String| {
        let command = count(kind)?;
        Some(Condition::size(command, &value::int(&answers.next()?.ok()?)?.to_string()))
    };
    kinds.iter().map(size).collect()
}
