//! `Spans`: which letters are in which state, in as few pieces as that takes. Letters are named by a lane and a number within it: a
//! partition and an offset, or where the source has no such places the how-manieth letter of the run it is.
//!
//! A span may have fewer letters than numbers, because a log has other messages between them. It can then be divided only where that
//! leaves no doubt about how many letters are on which side.

use super::letter::LetterState;
use std::collections::BTreeMap;

/// Some letters of one lane: those from `start` up to, but not including, `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub lane: u32,
    pub start: u64,
    pub end: u64,
    /// How many of these numbers are letters of the run.
    pub letters: u64,
}

impl Span {
    /// One letter.
    pub fn one(lane: u32, number: u64) -> Self {
        Self { lane, start: number, end: number.saturating_add(1), letters: 1 }
    }

    /// Letters without anything between them.
    pub fn all(lane: u32, start: u64, end: u64) -> Self {
        Self { lane, start, end, letters: end.saturating_sub(start) }
    }

    /// Whether it has at least one letter, and not more than it has room for.
    pub(super) fn is_sound(self) -> bool {
        self.start < self.end && (1..=self.end - self.start).contains(&self.letters)
    }
}

/// A span without its lane and its start, which it is kept by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Piece {
    end: u64,
    letters: u64,
    state: LetterState,
}

type Placed = (u64, Piece);
/// How many letters are taken from which state.
type Moved = Vec<(LetterState, u64)>;

/// The letters that are not open, by their lanes and the starts of their pieces. Pieces do not overlap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Spans {
    lanes: BTreeMap<u32, BTreeMap<u64, Piece>>,
}

/// What a change of a span is about to replace.
pub(super) struct Taken {
    pub moved: Moved,
    /// Where the first and the last of the pieces that it touches start and end.
    region: (u64, u64),
    /// What is left of them.
    rests: Vec<Placed>,
}

/// What was replaced, to put it back.
#[derive(Debug)]
pub(super) struct Replaced {
    lane: u32,
    region: (u64, u64),
    old: Vec<Placed>,
}

/// Why a span cannot be taken.
#[derive(Debug)]
pub(super) enum Untaken {
    /// Only a part of it is in any state but open.
    PartlyOpen,
    /// Its number of letters contradicts what is known, or leaves it open on which side the others are.
    Uncountable,
}

impl Spans {
    fn overlapping(&self, span: Span) -> Vec<Placed> {
        let Some(lane) = self.lanes.get(&span.lane) else { return Vec::new() };
        let backwards = lane.range(..span.end).rev().take_while(|(_, piece)| piece.end > span.start);
        let mut pieces: Vec<Placed> = backwards.map(|(start, piece)| (*start, *piece)).collect();
        pieces.reverse();
        pieces
    }

    /// The state of one letter.
    pub(super) fn state(&self, lane: u32, number: u64) -> LetterState {
        let last = self.lanes.get(&lane).and_then(|lane| lane.range(..=number).next_back());
        last.filter(|(_, piece)| piece.end > number).map_or(LetterState::Open, |(_, piece)| piece.state)
    }

    /// Every piece, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Span, LetterState)> {
        self.lanes.iter().flat_map(|(lane, pieces)| {
            let span =
                |(start, piece): (&u64, &Piece)| (Span { lane: *lane, start: *start, end: piece.end, letters: piece.letters }, piece.state);
            pieces.iter().map(span)
        })
    }

    /// Behind the last letter of each lane that is not open.
    pub(super) fn ends(&self) -> impl Iterator<Item = (u32, u64)> {
        self.lanes.iter().filter_map(|(lane, pieces)| Some((*lane, pieces.last_key_value()?.1.end)))
    }

    pub(super) fn touches(&self, span: Span) -> bool {
        !self.overlapping(span).is_empty()
    }

    /// How many letters the pieces have in which the span lies, if it lies wholly in pieces of this state.
    pub(super) fn around(&self, span: Span, state: LetterState) -> Option<u64> {
        let pieces = self.overlapping(span);
        let alike = covers(&pieces, span) && pieces.iter().all(|(_, piece)| piece.state == state);
        alike.then(|| pieces.iter().map(|(_, piece)| piece.letters).sum())
    }

    /// What a change of this span would take from which states.
    pub(super) fn take(&self, span: Span) -> Result<Taken, Untaken> {
        let old = self.overlapping(span);
        let (Some((start, _)), Some((_, last))) = (old.first(), old.last()) else {
            return Ok(Taken { moved: vec![(LetterState::Open, span.letters)], region: (span.start, span.end), rests: Vec::new() });
        };
        if !covers(&old, span) {
            return Err(Untaken::PartlyOpen);
        }
        let region = (*start, last.end);
        let (moved, rests) = divide(&old, span).ok_or(Untaken::Uncountable)?;
        Ok(Taken { moved, region, rests })
    }

    /// Puts a span that was taken into another state. Pieces that nothing can divide any more become one with their neighbours.
    pub(super) fn put(&mut self, span: Span, state: LetterState, taken: Taken) -> Replaced {
        let Taken { mut region, rests: mut pieces, .. } = taken;
        if state != LetterState::Open {
            let mut new = (span.start, Piece { end: span.end, letters: span.letters, state });
            if state.is_final() {
                let lane = self.lanes.get(&span.lane);
                let before = lane.and_then(|lane| lane.range(..span.start).next_back());
                let behind = lane.and_then(|lane| lane.get_key_value(&span.end));
                if let Some((start, piece)) = before.filter(|(_, piece)| piece.end == span.start && piece.state == state) {
                    new = (*start, Piece { letters: new.1.letters + piece.letters, ..new.1 });
                }
                if let Some((_, piece)) = behind.filter(|(_, piece)| piece.state == state) {
                    new.1 = Piece { end: piece.end, letters: new.1.letters + piece.letters, state };
                }
            }
            region = (region.0.min(new.0), region.1.max(new.1.end));
            pieces.push(new);
        }
        let old = self.replace(span.lane, region, pieces);
        Replaced { lane: span.lane, region, old }
    }

    pub(super) fn put_back(&mut self, replaced: Replaced) {
        self.replace(replaced.lane, replaced.region, replaced.old);
    }

    /// Puts these pieces in the place of those that lie in a region; those.
    fn replace(&mut self, lane: u32, region: (u64, u64), pieces: Vec<Placed>) -> Vec<Placed> {
        let lane = self.lanes.entry(lane).or_default();
        // Nearly always one piece takes the place of one.
        if let [(start, new)] = pieces[..]
            && let Some(piece) = lane.get_mut(&start).filter(|piece| (start, piece.end) == region)
        {
            return vec![(start, std::mem::replace(piece, new))];
        }
        let old: Vec<Placed> = lane.range(region.0..region.1).map(|(start, piece)| (*start, *piece)).collect();
        for (start, _) in &old {
            lane.remove(start);
        }
        lane.extend(pieces);
        old
    }
}

/// Whether the pieces, which touch the span, leave none of its numbers out.
fn covers(pieces: &[Placed], span: Span) -> bool {
    let ends = pieces.first().zip(pieces.last());
    ends.is_some_and(|((start, _), (_, last))| *start <= span.start && last.end >= span.end)
        && pieces.windows(2).all(|pair| pair[0].1.end == pair[1].0)
}

/// How many letters of each piece are within the span, and what is left of the pieces outside of it.
fn divide(old: &[Placed], span: Span) -> Option<(Moved, Vec<Placed>)> {
    let room = |start: u64, end: u64| span.end.min(end).saturating_sub(span.start.max(start));
    let certain = |(start, piece): &Placed| {
        let (room, length) = (room(*start, piece.end), piece.end - start);
        if room == length { Some(piece.letters) } else { (piece.letters == length).then_some(room) }
    };
    let doubtful = old.iter().filter(|placed| certain(placed).is_none()).count();
    let others = span.letters.checked_sub(old.iter().filter_map(certain).sum())?;
    if doubtful > 1 || (doubtful == 0 && others > 0) {
        return None;
    }
    let (mut moved, mut rests) = (Vec::with_capacity(old.len()), Vec::new());
    for placed @ (start, piece) in old {
        let within = certain(placed).unwrap_or(others);
        let outside = piece.letters.checked_sub(within)?;
        let (before, behind) = (span.start.saturating_sub(*start), piece.end.saturating_sub(span.end));
        if within > room(*start, piece.end) || outside > before + behind {
            return None;
        }
        moved.push((piece.state, within));
        if before > 0 && behind > 0 && outside < before + behind && outside > 0 {
            return None;
        }
        // Of the two sides one is empty, or both are full, or nothing is left on either.
        let rest = |length: u64| length.min(outside);
        if rest(before) > 0 {
            rests.push((*start, Piece { end: span.start, letters: rest(before), ..*piece }));
        }
        if rest(behind) > 0 {
            rests.push((span.end, Piece { letters: rest(behind), ..*piece }));
        }
    }
    Some((moved, rests))
}
