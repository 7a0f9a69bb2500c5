//! Which groups read a topic, for those who are about to take something away from under them.

use super::KafkaManage;
use crate::adapters::session::Groups;
use crate::domain::figure::grouped;
use crate::domain::group::{Group, GroupOffset};
use crate::domain::text::SafeText;
use std::sync::Arc;

/// Groups that are named in a note; of the rest only the number is told.
const NAMED: usize = 5;

/// A group with its positions in one topic.
pub(super) struct Reader {
    group: Group,
    group_offsets: Vec<GroupOffset>,
}

/// The groups that have a position or a member in a topic, and whether that is all that could be told.
pub(super) struct Readers {
    readers: Vec<Reader>,
    whole: bool,
}

impl Readers {
    pub(super) async fn of(manage: &KafkaManage, topic: &str) -> Self {
        let unknown = Self { readers: Vec::new(), whole: false };
        let Ok(listing) = manage.groups.groups().await else { return unknown };
        let names: Vec<Arc<str>> = listing.groups.iter().map(|group| Arc::clone(&group.name)).collect();
        let Ok(told) = manage.groups.group_offsets(&names).await else { return unknown };
        let mut whole = listing.gaps.is_empty();
        let mut readers = Vec::new();
        for (group, group_offsets) in listing.groups.into_iter().zip(told) {
            match group_offsets {
                Ok(group_offsets) => {
                    let group_offsets: Vec<_> = group_offsets.into_iter().filter(|group_offset| &*group_offset.channel == topic).collect();
                    if !group_offsets.is_empty() {
                        readers.push(Reader { group, group_offsets });
                    }
                }
                Err(_) => whole = false,
            }
        }
        Self { readers, whole }
    }

    /// What of them is to be known when everything before these offsets goes.
    pub(super) fn notes(&self, before: &[(i32, i64)]) -> Vec<SafeText> {
        let mut notes = Vec::new();
        let mut reading: Vec<_> = self.readers.iter().map(|reader| (reader.unread(before), reader)).collect();
        reading.retain(|(unread, reader)| *unread > 0 || reader.group.members.is_some_and(|members| members > 0));
        reading.sort_by_key(|(unread, reader)| (std::cmp::Reverse(*unread), Arc::clone(&reader.group.name)));
        for (unread, reader) in reading.iter().take(NAMED) {
            let active = match reader.group.members {
                Some(0) | None => String::new(),
                Some(members) => format!(", {}", super::counted(members, "active member")),
            };
            let unread =
                if *unread > 0 { format!("≤ {} of these not read yet", grouped(*unread)) } else { "has read all of these".to_owned() };
            notes.push(format!("group {}: {unread}{active}", reader.group.name).into());
        }
        if reading.len() > NAMED {
            notes.push(
                format!(
                    "and {} that have not read all of it or have members",
                    super::counted((reading.len() - NAMED) as i64, "more group")
                )
                .into(),
            );
        }
        if !self.whole {
            notes.push("not every group could be asked: others may still have to read it".into());
        }
        notes
    }
}

impl Reader {
    fn unread(&self, before: &[(i32, i64)]) -> u64 {
        let unread = self.group_offsets.iter().filter_map(|group_offset| {
            let (_, until) = before.iter().find(|(partition, _)| Some(*partition) == group_offset.partition)?;
            let from = group_offset.committed?.max(group_offset.start.unwrap_or(0));
            u64::try_from(until - from).ok()
        });
        unread.sum()
    }
}
