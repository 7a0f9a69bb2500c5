//! Redis's own protocol, spoken by the tests: every byte of a name or a value is sent and read as it is.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// A connection to one server.
pub(crate) struct Resp(BufReader<TcpStream>);

/// What a server answers.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Reply {
    Nil,
    Int(i64),
    Text(Vec<u8>),
    Error(String),
    List(Vec<Reply>),
}

impl Resp {
    pub(crate) fn open(address: &str) -> Self {
        let stream = TcpStream::connect(address).expect("the server is there");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a limit");
        Self(BufReader::new(stream))
    }

    /// Sends a command; its answer.
    pub(crate) fn call(&mut self, words: &[&[u8]]) -> Reply {
        let mut command = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            command.extend(format!("${}\r\n", word.len()).bytes());
            command.extend(*word);
            command.extend(b"\r\n");
        }
        self.0.get_mut().write_all(&command).expect("it listens");
        self.reply()
    }

    /// The same with words that are texts; an error ends the test.
    pub(crate) fn say(&mut self, words: &[&str]) -> Reply {
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        match self.call(&words) {
            Reply::Error(error) => panic!("{error}"),
            reply => reply,
        }
    }

    fn reply(&mut self) -> Reply {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("an answer");
        let (kind, rest) = line.trim_end().split_at(1);
        match kind {
            "+" => Reply::Text(rest.as_bytes().to_vec()),
            "-" => Reply::Error(rest.to_owned()),
            ":" => Reply::Int(rest.parse().expect("a number")),
            "$" => match usize::try_from(rest.parse::<i64>().expect("a length")) {
                Ok(length) => {
                    let mut text = vec![0; length + 2];
                    self.0.read_exact(&mut text).expect("an answer");
                    text.truncate(length);
                    Reply::Text(text)
                }
                Err(_) => Reply::Nil,
            },
            "*" => match usize::try_from(rest.parse::<i64>().expect("a length")) {
                Ok(length) => Reply::List((0..length).map(|_| self.reply()).collect()),
                Err(_) => Reply::Nil,
            },
            other => panic!("{other}{rest}"),
        }
    }
}

impl Reply {
    pub(crate) fn items(self) -> Vec<Reply> {
        if let Self::List(items) = self { items } else { panic!("{self:?}") }
    }

    pub(crate) fn bytes(self) -> Vec<u8> {
        if let Self::Text(text) = self { text } else { panic!("{self:?}") }
    }

    pub(crate) fn text(self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }
}
