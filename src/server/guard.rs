//! What stands between a gate's connection and hyper: the head's deadline, its number of lines, and the raw request line.
//!
//! hyper's own header timeout also ends idle connections, so it is not used on gates. No body is ever
//! read there, hence the bytes are heads and nothing else: a read that ends with an empty line leaves
//! none open, any other one starts the deadline.
//!
//! hyper reads a head of up to a hundred headers on the stack; for more it asks for memory with each request, which takes a
//! twentieth of what a whole check does. So a connection begins with the former, and whoever sends a longer head goes on with
//! the latter: its bytes are held back, the idle connection is taken over ([`Guarded::resumed`]), and hyper begins anew.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::listener::Stream;

/// A connection under guard.
pub(super) struct Guarded {
    stream: Stream,
    heads: Option<Heads>,
    turn: Arc<Turn>,
    /// Read, and not handed on: first the bytes that hyper gave back.
    held: Vec<u8>,
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
    lines: Lines,
}

/// Whose turn it is on a connection: whether bytes that come now begin a request.
#[derive(Debug, Default)]
pub(super) struct Turn(AtomicU8);

impl Turn {
    /// The client's.
    const ITS: u8 = 0;
    /// An answer is on its way.
    const OURS: u8 = 1;
    /// Nobody's any more: what comes belongs to a body that is not read.
    const OVER: u8 = 2;

    /// A request is handed on.
    pub(super) fn asked<B: hyper::body::Body>(&self, request: &hyper::Request<B>) {
        self.0.store(if request.body().is_end_stream() { Self::OURS } else { Self::OVER }, Ordering::Relaxed);
    }

    fn wrote(&self, all: bool) {
        let (from, to) = if all { (Self::OURS, Self::ITS) } else { (Self::ITS, Self::OURS) };
        // only the connection's own task looks at it
        if self.0.load(Ordering::Relaxed) == from {
            self.0.store(to, Ordering::Relaxed);
        }
    }

    fn is_its(&self) -> bool {
        self.0.load(Ordering::Relaxed) == Self::ITS
    }
}

/// How many lines heads may have.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lines {
    /// So many were seen since a head last ended; see [`FEW`].
    Counted(usize),
    /// More came, of a head: nothing is handed on.
    TooMany,
    /// More came while it was not the client's turn: the connection ends. No proxy does that.
    Misplaced,
    /// As many as hyper takes.
    Any,
}

/// Lines of a head, request line and empty line included, that hyper reads without asking for memory.
const FEW: usize = 100;

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
    /// `turn` is told of each request.
    pub(super) fn heads(stream: Stream, limit: Duration, raw_target: bool, turn: Arc<Turn>) -> Self {
        let line = raw_target.then_some(Line::Start);
        let heads = Heads { limit, tail: *b"\n\r\n", deadline: None, line, lines: Lines::Counted(0) };
        Self { heads: Some(heads), turn, ..Self::open(stream) }
    }

    /// The connection, where it ended only because a head has many lines: `unread` is what hyper had read of it. It goes on
    /// before a hyper that takes them all.
    pub(super) fn resumed(mut self, unread: &[u8]) -> Option<Self> {
        let heads = self.heads.as_mut().filter(|heads| heads.lines == Lines::TooMany)?;
        heads.lines = Lines::Any;
        self.held.splice(..0, unread.iter().copied());
        Some(self)
    }

    /// Guards nothing.
    pub(super) fn open(stream: Stream) -> Self {
        Self { stream, heads: None, turn: Arc::default(), held: Vec::new(), linger: None }
    }
}

impl Heads {
    /// Takes note of newly read bytes.
    fn saw(&mut self, bytes: &mut [u8]) {
        if let Some(line) = &mut self.line {
            *line = spoil_fragments(*line, bytes);
        }
        if let [.., first, second, third] = *bytes {
            self.tail = [first, second, third];
        } else {
            for byte in bytes.iter() {
                let [_, second, third] = self.tail;
                self.tail = [second, third, *byte];
            }
        }
        let complete = self.tail.ends_with(b"\n\n") || self.tail == *b"\n\r\n";
        if let Lines::Counted(before) = self.lines {
            self.lines = match before + memchr::memchr_iter(b'\n', bytes).count() {
                many if many > FEW => Lines::TooMany,
                _ if complete => Lines::Counted(0),
                few => Lines::Counted(few),
            };
        }
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
        if !this.held.is_empty() {
            let some = this.held.len().min(buf.remaining());
            buf.put_slice(&this.held.drain(..some).collect::<Vec<u8>>());
            return Poll::Ready(Ok(()));
        }
        let read = Pin::new(&mut this.stream).poll_read(cx, buf);
        let Some(heads) = &mut this.heads else { return read };
        match read {
            Poll::Ready(Ok(())) => {
                if let Some(new) = buf.filled_mut().get_mut(before..).filter(|new| !new.is_empty()) {
                    heads.saw(new);
                    if heads.lines == Lines::TooMany {
                        if !this.turn.is_its() {
                            heads.lines = Lines::Misplaced;
                        }
                        this.held.extend_from_slice(new);
                        buf.set_filled(before);
                        return Poll::Ready(Err(io::Error::other("a head of many lines")));
                    }
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
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(cx, buf);
        this.turn.wrote(written.is_ready());
        written
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, bufs);
        this.turn.wrote(written.is_ready());
        written
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.heads.as_ref().is_some_and(|heads| heads.lines == Lines::TooMany) {
            return Poll::Ready(Ok(())); // it may go on
        }
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
        let mut guarded = Guarded::heads(Stream::Unix(stream), HEAD, false, Arc::default());
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

    /// What comes out of a guarded connection until it fails, the failure, and the connection.
    async fn read(guarded: &mut Guarded, sent: &[&[u8]], other: &mut tokio::net::UnixStream) -> Vec<u8> {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut read = Vec::new();
        for bytes in sent {
            other.write_all(bytes).await.unwrap();
            let mut buffer = [0; 4096];
            match guarded.read(&mut buffer).await {
                Ok(count) => read.extend_from_slice(&buffer[..count]),
                Err(_) => break,
            }
        }
        read
    }

    #[tokio::test]
    async fn a_head_of_many_lines_is_held_back_whole_or_in_part() {
        let short = b"GET / HTTP/1.1\r\nx: y\r\n\r\n".as_slice();
        let (start, rest) = (b"GET / HTTP/1.1\r\nx: y\r\n".as_slice(), [b"x: y\r\n".repeat(99), b"\r\n".to_vec()].concat());
        let whole = [start, &rest].concat();
        for (sent, unread, handed_on) in
            [(vec![short, &whole], b"".as_slice(), [short, &whole].concat()), (vec![short, start, &rest], start, [short, start].concat())]
        {
            let (stream, mut other) = tokio::net::UnixStream::pair().unwrap();
            let mut guarded = Guarded::heads(Stream::Unix(stream), HEAD, false, Arc::default());
            let before = read(&mut guarded, &sent, &mut other).await;
            assert!(handed_on.starts_with(&before) && before.starts_with(short), "{}", before.len());
            let mut guarded = guarded.resumed(unread).unwrap();
            let mut after = vec![0; whole.len()];
            tokio::io::AsyncReadExt::read_exact(&mut guarded, &mut after).await.unwrap();
            assert_eq!(after, whole);
            // from here on nothing is counted
            assert_eq!(read(&mut guarded, &[&whole, short], &mut other).await, [&whole, short].concat());
            assert!(guarded.resumed(b"").is_none());
        }
    }

    #[tokio::test]
    async fn what_comes_out_of_turn_never_goes_on() {
        let lines = b"\r\n".repeat(200);
        for length in [None, Some("200")] {
            let (stream, mut other) = tokio::net::UnixStream::pair().unwrap();
            let turn = Arc::new(Turn::default());
            let mut guarded = Guarded::heads(Stream::Unix(stream), HEAD, false, turn.clone());
            let body = http_body_util::Full::new(bytes::Bytes::from_static(if length.is_some() { b"x" } else { b"" }));
            turn.asked(&hyper::Request::new(body));
            if length.is_some() {
                // the answer is out, and its request had a body
                tokio::io::AsyncWriteExt::write_all(&mut guarded, b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            }
            assert_eq!(read(&mut guarded, &[&lines], &mut other).await, b"");
            assert!(guarded.resumed(b"").is_none(), "{length:?}");
        }
    }

    const HEAD: Duration = Duration::from_secs(10);
}
