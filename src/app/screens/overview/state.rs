//! What the Overview holds.

use crate::app::columns::Column;
use crate::app::list::List;
use std::sync::Arc;

/// The overview's own state.
#[derive(Default)]
pub struct Overview {
    pub filter: String,
    pub list: List<Arc<str>>,
    /// Indexes of the integrations shown, in order.
    pub rows: Vec<usize>,
}

/// What the columns are; draw fills them in this order.
pub const COLUMNS: &[Column] = &[
    Column::left("integration", 12, 28, 0),
    Column::left("system", 8, 12, 3),
    Column::left("state", 12, 14, 0),
    Column::right("in/s", 7, 0),
    Column::left("", 8, 8, 2),
    Column::right("lag", 11, 1),
    Column::right("channels", 8, 3),
    Column::right("latency", 8, 2),
    Column::left("endpoint", 20, 60, 4).grow(2),
];
