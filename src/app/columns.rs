//! Columns of a table: which of them fit, and how wide they are. Used by update (hit test) and by draw.

/// One column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    pub title: &'static str,
    /// Below this it is left out.
    pub min: u16,
    /// It never needs more than this.
    pub max: u16,
    /// Numbers stand right.
    pub right: bool,
    /// Columns of the highest rank are left out first; rank 0 never is.
    pub rank: u8,
    /// Its part of the cells that are left over.
    pub weight: u16,
}

/// A column with its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Index into the columns given.
    pub index: usize,
    pub x: u16,
    pub width: u16,
}

/// Cells between two columns.
pub const GAP: u16 = 2;

impl Column {
    pub const fn left(title: &'static str, min: u16, max: u16, rank: u8) -> Self {
        Self { title, min, max, right: false, rank, weight: 1 }
    }

    pub const fn right(title: &'static str, width: u16, rank: u8) -> Self {
        Self { title, min: width, max: width, right: true, rank, weight: 0 }
    }

    /// Takes more of what is left over than the others.
    #[must_use]
    pub const fn grow(mut self, weight: u16) -> Self {
        self.weight = weight;
        self
    }
}

/// Places columns from `x` on in `width` cells: leaves out by rank what does not fit, then hands out the rest by weight.
pub fn fit(columns: &[Column], x: u16, width: u16) -> Vec<Placed> {
    let mut chosen: Vec<usize> = (0..columns.len()).collect();
    let need = |chosen: &[usize]| {
        chosen.iter().map(|i| u32::from(columns[*i].min)).sum::<u32>() + u32::from(GAP) * chosen.len().saturating_sub(1) as u32
    };
    while need(&chosen) > u32::from(width) {
        let worst = chosen.iter().copied().filter(|i| columns[*i].rank > 0).max_by_key(|i| (columns[*i].rank, *i));
        match worst {
            Some(worst) => chosen.retain(|i| *i != worst),
            None => break,
        }
    }
    let rest = u32::from(width).saturating_sub(need(&chosen)) as u16;
    let widths = hand_out(columns, &chosen, rest);
    let mut left = x;
    let end = x.saturating_add(width);
    let mut placed = Vec::with_capacity(chosen.len());
    for (index, width) in chosen.into_iter().zip(widths) {
        let width = width.min(end.saturating_sub(left));
        placed.push(Placed { index, x: left, width });
        left = left.saturating_add(width).saturating_add(GAP).min(end);
    }
    placed
}

/// The widths of the chosen columns after `rest` cells were given to those that can use them.
fn hand_out(columns: &[Column], chosen: &[usize], mut rest: u16) -> Vec<u16> {
    let mut widths: Vec<u16> = chosen.iter().map(|i| columns[*i].min).collect();
    while rest > 0 {
        let hungry: Vec<usize> =
            (0..chosen.len()).filter(|at| columns[chosen[*at]].weight > 0 && widths[*at] < columns[chosen[*at]].max).collect();
        let weights: u32 = hungry.iter().map(|at| u32::from(columns[chosen[*at]].weight)).sum();
        if weights == 0 {
            break;
        }
        let share = rest;
        for at in hungry {
            let column = &columns[chosen[at]];
            let part = (u32::from(share) * u32::from(column.weight) / weights).max(1) as u16;
            let more = part.min(column.max - widths[at]).min(rest);
            widths[at] += more;
            rest -= more;
        }
    }
    widths
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[Column] =
        &[Column::left("name", 10, 40, 0), Column::right("rate", 8, 1), Column::left("note", 10, 200, 2), Column::right("age", 6, 3)];

    #[test]
    fn what_matters_least_is_left_out_first_and_nothing_leaves_the_area() {
        let names = |width| fit(COLUMNS, 0, width).iter().map(|p| COLUMNS[p.index].title).collect::<Vec<_>>();
        assert_eq!(names(100), ["name", "rate", "note", "age"]);
        assert_eq!(names(39), ["name", "rate", "note"]);
        assert_eq!(names(25), ["name", "rate"]);
        assert_eq!(names(5), ["name"]);
        for width in 0..120 {
            assert!(fit(COLUMNS, 3, width).iter().all(|p| p.x + p.width <= 3 + width));
        }
    }
}
