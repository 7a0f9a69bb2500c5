//! What every system must do through its handles, proven on the real one.

mod smoke;
