//! What stands between a gate's connection and hyper: the head's deadline, and the raw request line.
//!
//! hyper's own header timeout also ends idle connections, so it is not used on gates. No body is ever
//! read there, hence the bytes are heads and nothing else: a read that ends with an empty line leaves
//! none open, any other one starts the deadline.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::listener::Stream;

/// A connection under guard.
pub(super) struct Guarded {
    stream: Stream,
    heads: Option<Heads>,
    /// Runs once the write side is shut. Closing with unread bytes would reset the connection and could take the
    /// answer with it (to a request whose announced body is on its way), so what still comes is thrown away.
    linger: Option<Pin<Box<Sleep>>>,
}

/// How long what still comes is thrown away.
const LINGER: Duration = Duration::from_millis(500);

struct Heads {
    limit: Duration,
    /// The last bytes read.
    tail: [u8; 3],
    /// Runs while a head is half sent.
    deadline: Option<Pin<Box<Sleep>>>,
    /// Whether the request line is looked at, and whether the next byte belongs to one.
    line: Option<Line>,
}

/// Where in a head the reader stands, for gates whose request line carries the original URI.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Line {
    /// Before the request line: empty lines are skipped by the parser, too.
    Start,
    /// In the request line.
    Request,
    /// In a header line, not at its beginning.
    Header,
    /// At the beginning of a line after the first; a `\r` changes nothing.
    Begin,
}

impl Guarded {
    /// Guards heads: each must be complete within `limit` of its first byte.
    pub(super) fn heads(stream: Stream, limit: Duration, raw_target: bool) -> Self {
        let heads = Heads { limit, tail: *b"\n\r\n", deadline: None, line: raw_target.then_some(Line::Start) };
        Self { stream, heads: Some(heads), linger: None }
    }

    /// Guards nothing.
    pub(super) fn open(stream: Stream) -> Self {
        Self { stream, heads: None, linger: None }
    }
}

impl Heads {
    /// Takes note of newly read bytes.
    fn saw(&mut self, bytes: &mut [u8]) {
        if let Some(line) = &mut self.line {
            *line = spoil_fragments(*line, bytes);
        }
        for byte in bytes.iter().rev().take(3).rev() {
            let [_, second, third] = self.tail;
            self.tail = [second, third, *byte];
        }
        let complete = self.tail.ends_with(b"\n\n") || self.tail == *b"\n\r\n";
        if complete {
            self.deadline = None;
        } else if self.deadline.is_none() {
            self.deadline = Some(Box::pin(sleep_until(Instant::now() + self.limit)));
        }
    }
}

/// hyper's URI drops `#` and what follows (CVE-2021-32779 is that very thing): turned into a byte that no URI may
/// hold, the line is refused with 400 instead.
fn spoil_fragments(mut line: Line, bytes: &mut [u8]) -> Line {
    for byte in bytes {
        line = match (line, *byte) {
            (Line::Start, b'\r' | b'\n') | (Line::Begin, b'\n') => Line::Start,
            (Line::Start | Line::Request, b'#') => {
                *byte = 0;
                Line::Request
            }
            (Line::Request | Line::Header, b'\n') | (Line::Begin, b'\r') => Line::Begin,
            (Line::Start | Line::Request, _) => Line::Request,
            (Line::Begin | Line::Header, _) => Line::Header,
        };
    }
    line
}

impl AsyncRead for Guarded {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(cx, buf);
        let Some(heads) = &mut this.heads else { return read };
        match read {
            Poll::Ready(Ok(())) => {
                if let Some(new) = buf.filled_mut().get_mut(before..).filter(|new| !new.is_empty()) {
                    heads.saw(new);
                }
                Poll::Ready(Ok(()))
            }
            Poll::Pending => match &mut heads.deadline {
                Some(deadline) => deadline.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into())),
                None => Poll::Pending,
            },
            failed => failed,
        }
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.linger.is_none() {
            std::task::ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
        }
        let deadline = this.linger.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + LINGER)));
        if deadline.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        let mut scratch = [0; 4096];
        loop {
            let mut buf = ReadBuf::new(&mut scratch);
            match Pin::new(&mut this.stream).poll_read(cx, &mut buf) {
                Poll::Ready(Ok(())) if !buf.filled().is_empty() => {}
                Poll::Ready(_) => return Poll::Ready(Ok(())),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn spoiled(chunks: &[&str]) -> String {
        let mut line = Line::Start;
        chunks
            .iter()
            .map(|chunk| {
                let mut bytes = chunk.as_bytes().to_vec();
                line = spoil_fragments(line, &mut bytes);
                String::from_utf8(bytes).unwrap()
            })
            .collect()
    }

    #[test]
    fn fragments_in_request_lines_only() {
        assert_eq!(spoiled(&["GET /a#b HTTP/1.1\r\nx: #\r\n\r\nGET /c#"]), "GET /a\0b HTTP/1.1\r\nx: #\r\n\r\nGET /c\0");
        assert_eq!(spoiled(&["GET /a HTTP/1.1\nx: #\n\nGET #"]), "GET /a HTTP/1.1\nx: #\n\nGET \0");
        assert_eq!(spoiled(&["GET /a HTTP/1.1\r\n\r", "\nGET #"]), "GET /a HTTP/1.1\r\n\r\nGET \0");
    }

    #[test]
    fn empty_lines_before_a_request_line_hide_nothing() {
        for before in ["\r\n", "\n", "\r\n\r\n", "\n\n\r\n"] {
            assert_eq!(spoiled(&[before, "GET /a#b HTTP/1.1\r\n\r\n"]), format!("{before}GET /a\0b HTTP/1.1\r\n\r\n"));
            let second = format!("GET /a HTTP/1.1\r\nx: y\r\n\r\n{before}GET /a#b");
            assert_eq!(spoiled(&[&second]), second.replace('#', "\0"));
        }
    }

    proptest! {
        #[test]
        fn chunks_make_no_difference(text in "(GET /#a HTTP/1\\.1|x: #|\r\n|\n|\r\n\r\n){0,8}", at in 0usize..40) {
            let at = at.min(text.len());
            prop_assert_eq!(spoiled(&[&text]), spoiled(&[&text[..at], &text[at..]]));
        }
    }

    #[tokio::test]
    async fn only_a_half_sent_head_has_a_deadline() {
        let (stream, _other) = tokio::net::UnixStream::pair().unwrap();
        let mut guarded = Guarded::heads(Stream::Unix(stream), HEAD, false);
        let heads = guarded.heads.as_mut().unwrap();
        for (bytes, running) in [
            ("G", true),
            ("ET / HTTP/1.1\r\n", true),
            ("\r", true),
            ("\n", false),
            ("GET / HTTP/1.1\r\nx: y\r\n\r\n", false),
            ("\n", false),
            ("G", true),
            ("\n\n", false),
        ] {
            heads.saw(&mut bytes.as_bytes().to_vec());
            assert_eq!(heads.deadline.is_some(), running, "{bytes:?}");
        }
    }

    const HEAD: Duration = Duration::from_secs(10);
}
