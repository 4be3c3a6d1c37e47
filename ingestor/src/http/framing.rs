//! Detection of requests that state their length twice: with Content-Length and with
//! Transfer-Encoding.
//!
//! If two programs process such a request one after the other, they can disagree on where it ends,
//! and treat a part of it as another client's request (RFC 9112 section 6.1). The HTTP library
//! follows Transfer-Encoding and drops the other field before any other code sees it. This module
//! therefore parses the bytes of HTTP/1 connections before the library does. It skips bodies.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Bytes of a line that are kept: enough for a field's name and a length.
const MAX_LINE_BYTES: usize = 64;

/// A flag that is set when a connection receives a request with two lengths.
#[derive(Debug, Clone, Default)]
pub(super) struct TwoLengths(Arc<AtomicBool>);

impl TwoLengths {
    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A parser that follows the requests of a connection.
#[derive(Debug)]
pub(super) struct Framing {
    state: ParserState,
    line: Vec<u8>,
    /// State from the head of the current request.
    length: Option<u64>,
    chunked: bool,
    found: TwoLengths,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ParserState {
    /// In the request line.
    Request,
    /// In the header fields.
    Fields,
    /// In a body, or in the data of a chunk and the line end after it.
    Body { left: u64, chunk: bool },
    /// In the line with the size of a chunk.
    ChunkSize,
    /// In the fields after the last chunk.
    Trailers,
    /// Not HTTP/1, or out of sync: the HTTP library rejects bytes that it cannot parse.
    Lost,
}

impl Framing {
    pub(super) fn new(found: TwoLengths) -> Self {
        Self {
            state: ParserState::Request,
            line: Vec::with_capacity(MAX_LINE_BYTES),
            length: None,
            chunked: false,
            found,
        }
    }

    /// Parses received bytes.
    pub(super) fn parse(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            bytes = match self.state {
                ParserState::Lost => return,
                ParserState::Body { left, chunk } => self.skip_body(bytes, left, chunk),
                _ => self.read_line(bytes),
            };
        }
    }

    fn skip_body<'b>(&mut self, bytes: &'b [u8], left: u64, chunk: bool) -> &'b [u8] {
        let passed = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        let left = left - passed as u64;
        self.state = match left {
            0 if chunk => ParserState::ChunkSize,
            0 => ParserState::Request,
            left => ParserState::Body { left, chunk },
        };
        &bytes[passed..]
    }

    /// Reads up to the end of the line, and parses the line once it is complete.
    fn read_line<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let part = &bytes[..end.unwrap_or(bytes.len())];
        let length = MAX_LINE_BYTES
            .saturating_sub(self.line.len())
            .min(part.len());
        self.line.extend_from_slice(&part[..length]);
        let Some(end) = end else { return &[] };
        let mut line = std::mem::take(&mut self.line);
        let content = line.strip_suffix(b"\r").unwrap_or(&line);
        self.state = self.next_state(content);
        line.clear();
        self.line = line;
        &bytes[end + 1..]
    }

    fn next_state(&mut self, line: &[u8]) -> ParserState {
        match self.state {
            // Empty lines before a request are allowed (RFC 9112 section 2.2).
            ParserState::Request if line.is_empty() => ParserState::Request,
            ParserState::Request if line.starts_with(b"PRI * HTTP/2") => ParserState::Lost,
            ParserState::Request => {
                (self.length, self.chunked) = (None, false);
                ParserState::Fields
            }
            ParserState::Fields if line.is_empty() => self.body(),
            ParserState::Fields => {
                self.field(line);
                ParserState::Fields
            }
            ParserState::ChunkSize => match chunk_size(line) {
                None => ParserState::Lost,
                Some(0) => ParserState::Trailers,
                // The chunk's data is followed by a line end of two bytes.
                Some(size) => ParserState::Body {
                    left: size.saturating_add(2),
                    chunk: true,
                },
            },
            ParserState::Trailers if line.is_empty() => ParserState::Request,
            state @ (ParserState::Trailers | ParserState::Body { .. } | ParserState::Lost) => state,
        }
    }

    fn field(&mut self, line: &[u8]) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            return;
        };
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.chunked = true;
        } else if name.eq_ignore_ascii_case(b"content-length") {
            let digits = std::str::from_utf8(value).ok().map(str::trim);
            self.length = Some(digits.and_then(|digits| digits.parse().ok()).unwrap_or(0));
        }
    }

    fn body(&mut self) -> ParserState {
        match (self.length, self.chunked) {
            (Some(_), true) => {
                // The connection is closed after this request, so its further bytes are not parsed.
                self.found.0.store(true, Ordering::Relaxed);
                ParserState::Lost
            }
            (_, true) => ParserState::ChunkSize,
            (Some(left @ 1..), false) => ParserState::Body { left, chunk: false },
            (Some(0) | None, false) => ParserState::Request,
        }
    }
}

fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.split(|byte| *byte == b';').next()?;
    u64::from_str_radix(std::str::from_utf8(digits).ok()?.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns whether a request with two lengths is found. The result has to be the same for all
    /// ways to split the bytes.
    fn found(text: &str) -> bool {
        let cuts = [1, 2, 7, text.len()];
        let found: Vec<bool> = cuts
            .iter()
            .map(|size| {
                let found = TwoLengths::default();
                let mut framing = Framing::new(found.clone());
                text.as_bytes()
                    .chunks(*size)
                    .for_each(|piece| framing.parse(piece));
                found.is_set()
            })
            .collect();
        assert!(
            found.iter().all(|same| *same == found[0]),
            "{text}: {found:?}"
        );
        found[0]
    }

    #[test]
    fn two_lengths_are_found_in_either_order_and_after_other_requests() {
        let head = "POST / HTTP/1.1\r\nhost: x\r\n";
        let both = "Content-Length: 3\r\ntransfer-encoding: chunked\r\n\r\n";
        let other = "TRANSFER-ENCODING: chunked\r\nx: y\r\ncontent-length: 3\r\n\r\n";
        assert!(found(&format!("{head}{both}")) && found(&format!("{head}{other}")));
        let long = format!("x-long: {}\r\n", "a".repeat(500));
        assert!(found(&format!("{head}{long}{both}")));
        for before in [
            "GET / HTTP/1.1\r\nhost: x\r\n\r\n",
            "POST / HTTP/1.1\r\ncontent-length: 5\r\n\r\nab\r\nc",
            "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3;x=y\r\na\r\n\r\n0\r\nt: u\r\n\r\n",
            "\r\nPOST / HTTP/1.1\ncontent-length: 0\n\n",
        ] {
            assert!(!found(before), "{before}");
            assert!(found(&format!("{before}{head}{both}")), "{before}");
        }
    }

    #[test]
    fn bodies_and_other_protocols_are_passed_over() {
        let both = "POST / HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n";
        let posted = format!(
            "POST / HTTP/1.1\r\ncontent-length: {}\r\n\r\n{both}",
            both.len()
        );
        assert!(!found(&posted));
        assert!(!found(&format!("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{both}")));
        assert!(!found(
            "GET / HTTP/1.1\r\nx-transfer-encoding: chunked\r\ncontent-length: 0\r\n\r\n"
        ));
    }
}
