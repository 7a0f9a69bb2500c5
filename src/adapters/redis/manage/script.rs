//! What is done only if everything is as it was planned: scripts, which the server runs in one piece.

use super::super::Redis;
use super::super::name::Key;
use super::super::value;
use super::Value;
use crate::domain::fault::{Fault, Kind};
use crate::domain::text::SafeText;
use redis::cmd;
use serde::{Deserialize, Serialize};

/// Something that has to be so still.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Condition {
    /// What is looked at: see [`GUARDED`].
    what: String,
    of: String,
    wanted: String,
}

impl Condition {
    /// The key holds a value of this type.
    pub(super) fn kind(kind: &str) -> Self {
        Self::of("type", "", kind)
    }

    /// So many entries are in the stream, and this is what XINFO STREAM says of it by that name.
    pub(super) fn length(length: u64) -> Self {
        Self::of("length", "", &length.to_string())
    }

    /// The command that counts what a key of its type holds answers this.
    pub(super) fn size(command: &str, size: &str) -> Self {
        Self::of("size", command, size)
    }

    /// XINFO STREAM tells this of the stream by that name.
    pub(super) fn stream(field: &str, wanted: &str) -> Self {
        Self::of("stream", field, wanted)
    }

    /// The group was given entries up to this one.
    pub(super) fn delivered(group: &Key, last: &str) -> Self {
        Self::of("delivered", &group.text(), last)
    }

    /// So many entries are pending in the group at most.
    pub(super) fn pending(group: &Key, most: u64) -> Self {
        Self::of("pending", &group.text(), &most.to_string())
    }

    /// It is the same stream still: it neither begins before this entry nor ends before that one, as one that was made anew would.
    pub(super) fn same(first: &str, last: &str) -> Self {
        Self::of("same", first, last)
    }

    /// Nothing is pending with a consumer of the group but these entries.
    pub(super) fn theirs(group: &Key, consumer: &Key, ids: impl Iterator<Item = String>) -> Self {
        let ids: Vec<String> = ids.collect();
        Self::of("theirs", &group.text(), &format!("{}\n{consumer}", ids.join(" ")))
    }

    fn of(what: &str, of: &str, wanted: &str) -> Self {
        Self { what: what.to_owned(), of: of.to_owned(), wanted: wanted.to_owned() }
    }
}

/// Looks at conditions, three words each, and sends a command if all of them hold; else it says which does not.
const GUARDED: &str = r"
local key, at = KEYS[1], 2
local function field(list, name)
  for i = 1, #list, 2 do if list[i] == name then return list[i + 1] end end
end
local function group(name)
  for _, one in ipairs(redis.call('XINFO', 'GROUPS', key)) do if field(one, 'name') == name then return one end end
end
local look = {}
function look.type(of, wanted) return redis.call('TYPE', key).ok end
function look.size(of, wanted) return tostring(redis.call(of, key)) end
function look.length(of, wanted) return tostring(redis.call('XLEN', key)) end
function look.stream(of, wanted) return tostring(field(redis.call('XINFO', 'STREAM', key), of)) end
function look.delivered(of, wanted)
  local one = group(of)
  return one and field(one, 'last-delivered-id')
end
function look.pending(of, wanted)
  local one = group(of)
  if not one then return false end
  local now = field(one, 'pending')
  return now <= tonumber(wanted) and wanted or tostring(now)
end
function look.theirs(of, wanted)
  local split, known = string.find(wanted, '\n', 1, true), {}
  for id in string.gmatch(string.sub(wanted, 1, split - 1), '%S+') do known[id] = true end
  for _, one in ipairs(redis.call('XPENDING', key, of, '-', '+', 10001, string.sub(wanted, split + 1))) do
    if not known[one[1]] then return one[1] end
  end
  return wanted
end
local function below(one, other)
  local function number(a, b) if #a ~= #b then return #a < #b end return a < b end
  local one_time, one_number = string.match(one, '(%d+)-(%d+)')
  local other_time, other_number = string.match(other, '(%d+)-(%d+)')
  if one_time ~= other_time then return number(one_time, other_time) end
  return number(one_number, other_number)
end
function look.same(of, wanted)
  local info = redis.call('XINFO', 'STREAM', key)
  local first, last = field(info, 'first-entry'), field(info, 'last-generated-id')
  if below(last, wanted) then return last end
  if first and below(first[1], of) then return first[1] end
  return wanted
end
if redis.call('EXISTS', key) == 0 then return {'gone'} end
for _ = 1, tonumber(ARGV[1]) do
  local now = look[ARGV[at]](ARGV[at + 1], ARGV[at + 2])
  if now ~= ARGV[at + 2] then return {'changed', ARGV[at], tostring(now)} end
  at = at + 3
end
return {'done', redis.call(unpack(ARGV, at))}
";

/// Claims pending entries one by one: only what is still with the consumer that it was planned for, and is still in the stream. XCLAIM would
/// take an entry that was deleted off the pending list without a word.
const CLAIM: &str = r"
local key, group, consumer, idle = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local said = {}
for i = 4, #ARGV, 2 do
  local id = ARGV[i]
  local one = redis.call('XPENDING', key, group, id, id, 1)[1]
  local word = 'claimed'
  if not one then word = 'acknowledged'
  elseif one[2] ~= ARGV[i + 1] then word = 'moved'
  elseif #redis.call('XRANGE', key, id, id) == 0 then word = 'deleted'
  elseif #redis.call('XCLAIM', key, group, consumer, idle, id, 'JUSTID') == 0 then word = 'busy' end
  said[#said + 1] = word
end
return said
";

/// What became of an entry that was not claimed.
const NOT_CLAIMED: &[(&str, Kind, &str)] = &[
    ("acknowledged", Kind::NotFound, "it is not pending any more: it was acknowledged meanwhile"),
    ("moved", Kind::Rejected, "another consumer has it now: nothing was done"),
    ("deleted", Kind::NotFound, "it was deleted from the stream: it stays pending, and nothing is left of it to claim"),
    ("busy", Kind::Rejected, "it was given out again meanwhile, and is not idle for so long: nothing was done"),
];

impl Redis {
    /// Sends a command if the conditions hold, in one step; its answer.
    pub(super) async fn guarded(&self, op: &'static str, key: &str, conditions: &[Condition], words: &[String]) -> Result<Value, Fault> {
        let mut command = cmd("EVAL");
        command.arg(GUARDED).arg(1).arg(Key::parse(key)).arg(conditions.len());
        for condition in conditions {
            command.arg(&condition.what).arg(Key::parse(&condition.of)).arg(Key::parse(&condition.wanted));
        }
        for word in words {
            command.arg(Key::parse(word));
        }
        let mut said = value::items(self.link.call(&command, op, key).await.map_err(no_scripts)?).into_iter();
        let word = said.next().as_ref().and_then(value::text).unwrap_or_default();
        if word == "done" {
            return Ok(said.next().unwrap_or_default());
        }
        let mut detail = || said.next().as_ref().and_then(value::text).unwrap_or_default();
        let (kind, cause) = match word.as_str() {
            "changed" => (Kind::Rejected, format!("it has changed since the plan was made ({}: {})", detail(), detail())),
            _ => (Kind::NotFound, "it is not there any more".to_owned()),
        };
        Err(Fault::new(kind, op, key, cause).next("nothing was done: plan it again"))
    }

    /// Claims these entries; what became of each that was not, and how many were.
    pub(super) async fn claim(
        &self,
        op: &'static str,
        part: SafeText,
        [stream, group, consumer, idle]: [&str; 4],
        entries: &[(String, String)],
    ) -> Vec<(SafeText, Result<SafeText, Fault>)> {
        let mut command = cmd("EVAL");
        command.arg(CLAIM).arg(1);
        for word in [stream, group, consumer, idle] {
            command.arg(Key::parse(word));
        }
        for (id, from) in entries {
            command.arg(id).arg(Key::parse(from));
        }
        let said = match self.link.call(&command, op, stream).await.map_err(no_scripts) {
            Ok(said) => value::items(said),
            Err(fault) => return vec![(part, Err(fault))],
        };
        let words = said.iter().map(|word| value::text(word).unwrap_or_default());
        let not_claimed = entries.iter().zip(words.clone()).filter_map(|((id, _), word)| {
            let (_, kind, cause) = NOT_CLAIMED.iter().find(|(known, ..)| *known == word)?;
            Some((SafeText::new(id), Err(Fault::new(*kind, op, id.as_str(), *cause))))
        });
        let claimed = words.filter(|word| word == "claimed").count();
        let first = (claimed > 0).then(|| (part, Ok(SafeText::from(format!("{claimed} claimed")))));
        first.into_iter().chain(not_claimed).collect()
    }
}

/// A user without scripts cannot change what others change at the same time.
fn no_scripts(fault: Fault) -> Fault {
    if fault.kind != Kind::Forbidden {
        return fault;
    }
    let next = format!("{}; it is checked and done in one step, for which the user needs EVAL beside the command itself", fault.next);
    Fault { next: next.into(), ..fault }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_answers_with_a_word_that_is_known() {
        for (word, ..) in NOT_CLAIMED {
            assert!(CLAIM.contains(&format!("'{word}'")), "{word}");
        }
        let key = Key::parse("g");
        for condition in [
            Condition::kind("x"),
            Condition::length(1),
            Condition::size("LLEN", "1"),
            Condition::stream("f", "1"),
            Condition::same("1-0", "2-0"),
            Condition::delivered(&key, "1-0"),
            Condition::pending(&key, 1),
            Condition::theirs(&key, &key, std::iter::empty()),
        ] {
            assert!(GUARDED.contains(&format!("function look.{}(", condition.what)), "{condition:?}");
        }
    }
}
