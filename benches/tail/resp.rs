//! As much of Redis's protocol (RESP2) as a publisher and a bare reader need.

/// A command as it goes over the wire.
pub(super) fn command(words: &[&str]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
    bytes
}

/// The end of the value that begins at `at`; `None` if it is not all there.
pub(super) fn end(bytes: &[u8], at: usize) -> Option<usize> {
    let (number, mut end_) = number(bytes, at)?;
    match bytes[at] {
        b'$' => {
            let end_ = end_ + usize::try_from(number + 2).unwrap_or(0);
            (end_ <= bytes.len()).then_some(end_)
        }
        b'*' => {
            for _ in 0..number {
                end_ = end(bytes, end_)?;
            }
            Some(end_)
        }
        _ => Some(end_),
    }
}

/// The number of the line that begins at `at` with a sign for its kind, and where the next line begins.
pub(super) fn number(bytes: &[u8], at: usize) -> Option<(i64, usize)> {
    let line = bytes.get(at..)?;
    let length = memchr::memchr(b'\n', line)?;
    let text = std::str::from_utf8(&line[1..length - 1]).unwrap_or_default();
    Some((text.parse().unwrap_or(0), at + length + 1))
}
