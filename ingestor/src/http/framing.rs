//! Requests whose length is given twice: by Content-Length and by Transfer-Encoding.
//!
//! Two programs on the way of such a request can disagree on where it ends, and take a part of it for another client's
//! request (RFC 9112 section 6.1). The HTTP library reads on by Transfer-Encoding and drops the other field before anything
//! else sees it, so this looks at the bytes of HTTP/1 connections on their way to it. Bodies are passed over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Bytes of a line that are looked at: a field's name, and a length.
const LINE: usize = 64;

/// Whether a request with two lengths has come on a connection.
#[derive(Debug, Clone, Default)]
pub(super) struct TwoLengths(Arc<AtomicBool>);

impl TwoLengths {
    pub(super) fn seen(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Follows the requests of a connection.
#[derive(Debug)]
pub(super) struct Framing {
    place: Place,
    line: Vec<u8>,
    /// What the head of the request says so far.
    length: Option<u64>,
    chunked: bool,
    found: TwoLengths,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In the first line of a head.
    Request,
    /// In its fields.
    Fields,
    /// In a body, or the data of a chunk and the line end after it.
    Body { left: u64, chunk: bool },
    /// In the line with the size of a chunk.
    ChunkSize,
    /// In the fields after the last chunk.
    Trailers,
    /// Not HTTP/1, or not any more: the HTTP library refuses what it cannot read.
    Lost,
}

impl Framing {
    pub(super) fn new(found: TwoLengths) -> Self {
        Self {
            place: Place::Request,
            line: Vec::with_capacity(LINE),
            length: None,
            chunked: false,
            found,
        }
    }

    /// Looks at bytes that have come.
    pub(super) fn came(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            bytes = match self.place {
                Place::Lost => return,
                Place::Body { left, chunk } => self.pass(bytes, left, chunk),
                _ => self.read_line(bytes),
            };
        }
    }

    fn pass<'b>(&mut self, bytes: &'b [u8], left: u64, chunk: bool) -> &'b [u8] {
        let passed = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        let left = left - passed as u64;
        self.place = match left {
            0 if chunk => Place::ChunkSize,
            0 => Place::Request,
            left => Place::Body { left, chunk },
        };
        &bytes[passed..]
    }

    /// Reads up to the end of the line, and looks at the line if that has come.
    fn read_line<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let part = &bytes[..end.unwrap_or(bytes.len())];
        let room = LINE.saturating_sub(self.line.len()).min(part.len());
        self.line.extend_from_slice(&part[..room]);
        let Some(end) = end else { return &[] };
        let mut line = std::mem::take(&mut self.line);
        let content = line.strip_suffix(b"\r").unwrap_or(&line);
        self.place = self.after(content);
        line.clear();
        self.line = line;
        &bytes[end + 1..]
    }

    fn after(&mut self, line: &[u8]) -> Place {
        match self.place {
            // Empty lines before a request are passed over.
            Place::Request if line.is_empty() => Place::Request,
            Place::Request if line.starts_with(b"PRI * HTTP/2") => Place::Lost,
            Place::Request => {
                (self.length, self.chunked) = (None, false);
                Place::Fields
            }
            Place::Fields if line.is_empty() => self.body(),
            Place::Fields => {
                self.field(line);
                Place::Fields
            }
            Place::ChunkSize => match chunk_size(line) {
                None => Place::Lost,
                Some(0) => Place::Trailers,
                // The data end with a line end of their own.
                Some(size) => Place::Body {
                    left: size.saturating_add(2),
                    chunk: true,
                },
            },
            Place::Trailers if line.is_empty() => Place::Request,
            place @ (Place::Trailers | Place::Body { .. } | Place::Lost) => place,
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

    fn body(&mut self) -> Place {
        match (self.length, self.chunked) {
            (Some(_), true) => {
                self.found.0.store(true, Ordering::Relaxed);
                Place::Lost
            }
            (_, true) => Place::ChunkSize,
            (Some(left @ 1..), false) => Place::Body { left, chunk: false },
            (Some(0) | None, false) => Place::Request,
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

    /// Whether a request with two lengths is found, however the bytes are cut.
    fn found(text: &str) -> bool {
        let cuts = [1, 2, 7, text.len()];
        let found: Vec<bool> = cuts
            .iter()
            .map(|size| {
                let found = TwoLengths::default();
                let mut framing = Framing::new(found.clone());
                text.as_bytes().chunks(*size).for_each(|piece| framing.came(piece));
                found.seen()
            })
            .collect();
        assert!(found.iter().all(|same| *same == found[0]), "{text}: {found:?}");
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
        let posted = format!("POST / HTTP/1.1\r\ncontent-length: {}\r\n\r\n{both}", both.len());
        assert!(!found(&posted));
        assert!(!found(&format!("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{both}")));
        assert!(!found(
            "GET / HTTP/1.1\r\nx-transfer-encoding: chunked\r\ncontent-length: 0\r\n\r\n"
        ));
    }
}
