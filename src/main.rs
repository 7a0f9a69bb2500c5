//! The program: parse, load, run, restore the terminal.

fn main() {}
