//! Bytes as a hexdump: offset, sixteen bytes in hex, and what of them is ASCII.

use std::fmt::Write;

/// Bytes in one row.
pub const ROW: usize = 16;

/// Rows from `first` on, at most `count`, in the layout of `hexdump -C`.
pub fn rows(bytes: &[u8], first: usize, count: usize) -> impl Iterator<Item = String> {
    bytes.chunks(ROW).enumerate().skip(first).take(count).map(|(index, chunk)| row(index * ROW, chunk))
}

fn row(offset: usize, chunk: &[u8]) -> String {
    let mut out = format!("{offset:08x} ");
    for index in 0..ROW {
        if index % 8 == 0 {
            out.push(' ');
        }
        // Writing to a String cannot fail.
        let _ = match chunk.get(index) {
            Some(byte) => write!(out, "{byte:02x} "),
            None => write!(out, "   "),
        };
    }
    out.push_str(" |");
    out.extend(chunk.iter().map(|byte| if (0x20..0x7f).contains(byte) { char::from(*byte) } else { '.' }));
    out.push('|');
    out
}

/// The first bytes in hex, two digits each: `00 1f c4`; `…` where more follow.
pub fn start(bytes: &[u8], limit: usize) -> String {
    let shown: Vec<String> = bytes.iter().take(limit).map(|byte| format!("{byte:02x}")).collect();
    let more = if bytes.len() > limit { " …" } else { "" };
    shown.join(" ") + more
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_look_like_hexdump() {
        let bytes: Vec<u8> = (0x3a..0x4d).collect();
        assert_eq!(
            rows(&bytes, 0, 9).collect::<Vec<_>>(),
            [
                "00000000  3a 3b 3c 3d 3e 3f 40 41  42 43 44 45 46 47 48 49  |:;<=>?@ABCDEFGHI|",
                "00000010  4a 4b 4c                                          |JKL|",
            ]
        );
        assert_eq!(rows(&bytes, 1, 1).count(), 1);
        assert_eq!(rows(b"\x1b\xff", 0, 1).next().expect("a row").split('|').nth(1), Some(".."));
        assert_eq!(rows(b"", 0, 9).count(), 0);
    }

    #[test]
    fn the_start_says_when_more_follows() {
        assert_eq!(start(&[0, 0x1f, 0xc4], 3), "00 1f c4");
        assert_eq!(start(&[0, 0x1f, 0xc4], 2), "00 1f …");
    }
}
