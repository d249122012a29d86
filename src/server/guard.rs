//! What stands between a gate's connection and hyper: the head's deadline, its number of headers, and the raw request line.
//!
//! hyper's own header timeout also ends idle connections, so it is not used on gates. No body is ever
//! read there, hence the bytes are heads and nothing else: a read that ends with an empty line leaves
//! none open, any other one starts the deadline.
//!
//! hyper reads a head of up to a hundred headers on the stack; for more it asks for memory with each request, which takes a
//! twentieth of what a whole check does. So a connection begins with the former, and whoever sends a longer head goes on with
//! the latter: the 431 that hyper answers by itself is held back, the idle connection is taken over ([`Guarded::resumed`]), and
//! hyper reads the same head anew.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::listener::Stream;
use super::timers::Timers;

/// A connection under guard.
pub(super) struct Guarded {
    stream: Stream,
    heads: Option<Heads>,
    turn: Arc<Turn>,
    timers: Timers,
    /// Read by a hyper that gave it back, to be read by the next.
    again: Vec<u8>,
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
    /// Whether a head is half sent.
    is_open: bool,
    /// When such a one has to be complete; made for the first, and used again.
    deadline: Option<Pin<Box<Sleep>>>,
    /// Whether the request line is looked at, and whether the next byte belongs to one.
    line: Option<Line>,
    length: Length,
}

/// How many headers a head may have.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Length {
    /// As many as hyper reads without asking for memory.
    Few,
    /// One had more, and hyper's word about it was held back.
    TooMany,
    /// As many as hyper takes.
    Any,
}

/// Whose turn it is on a connection. Told by its own task alone.
#[derive(Debug, Default)]
pub(super) struct Turn(AtomicBool);

impl Turn {
    /// A request is handed on: what is written next answers it.
    pub(super) fn asked(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn wrote(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    /// Whether nobody asked: what is written now is hyper's own word about what it cannot read.
    fn is_nobodys(&self) -> bool {
        !self.0.load(Ordering::Relaxed)
    }
}

/// Whether it says that a head is too long (RFC 6585 §5), in whatever version of HTTP/1.
fn says_too_long(answer: &[u8]) -> bool {
    answer.strip_prefix(b"HTTP/1.").and_then(|rest| rest.get(1..)).is_some_and(|rest| rest.starts_with(b" 431 "))
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
    /// `turn` is told of each request.
    pub(super) fn heads(stream: Stream, limit: Duration, raw_target: bool, turn: Arc<Turn>, timers: Timers) -> Self {
        let line = raw_target.then_some(Line::Start);
        let heads = Heads { limit, tail: *b"\n\r\n", is_open: false, deadline: None, line, length: Length::Few };
        Self { heads: Some(heads), turn, ..Self::open(stream, timers) }
    }

    /// The connection, where it ended only because a head has many headers: `unread` is what hyper had read of it. It goes on
    /// before a hyper that takes them all.
    pub(super) fn resumed(mut self, unread: &[u8]) -> Option<Self> {
        let heads = self.heads.as_mut().filter(|heads| heads.length == Length::TooMany)?;
        heads.length = Length::Any;
        self.again = unread.to_vec();
        Some(self)
    }

    /// Guards nothing.
    pub(super) fn open(stream: Stream, timers: Timers) -> Self {
        Self { stream, heads: None, turn: Arc::default(), timers, again: Vec::new(), linger: None }
    }
}

impl Heads {
    /// Takes note of newly read bytes.
    fn saw(&mut self, bytes: &mut [u8], timers: &Timers) {
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
        if !complete && !self.is_open {
            let at = Instant::now() + self.limit;
            match &mut self.deadline {
                Some(deadline) => deadline.as_mut().reset(at),
                None => self.deadline = Some(Box::pin(timers.sleep_until(at))),
            }
        }
        self.is_open = !complete;
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
        if !this.again.is_empty() {
            let some = this.again.len().min(buf.remaining());
            buf.put_slice(&this.again.drain(..some).collect::<Vec<u8>>());
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(cx, buf);
        let Some(heads) = &mut this.heads else { return read };
        match read {
            Poll::Ready(Ok(())) => {
                if let Some(new) = buf.filled_mut().get_mut(before..).filter(|new| !new.is_empty()) {
                    heads.saw(new, &this.timers);
                }
                Poll::Ready(Ok(()))
            }
            Poll::Pending => match &mut heads.deadline {
                Some(deadline) if heads.is_open => deadline.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into())),
                _ => Poll::Pending,
            },
            failed => failed,
        }
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if let Some(heads) = this.heads.as_mut().filter(|_| this.turn.is_nobodys())
            && heads.length != Length::Any
            && says_too_long(buf)
        {
            heads.length = Length::TooMany;
            return Poll::Ready(Ok(buf.len()));
        }
        let written = Pin::new(&mut this.stream).poll_write(cx, buf);
        if written.is_ready() {
            this.turn.wrote();
        }
        written
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, bufs)
    }

    /// An answer of a gate is one small piece, and to write one costs the system less than to write a list of one.
    fn is_write_vectored(&self) -> bool {
        self.heads.is_none()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.heads.as_ref().is_some_and(|heads| heads.length == Length::TooMany) {
            return Poll::Ready(Ok(())); // it may go on
        }
        if this.linger.is_none() {
            std::task::ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
        }
        if let Some(deadline) = &mut this.linger
            && deadline.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Ok(()));
        }
        let mut scratch = [0; 4096];
        loop {
            let mut buf = ReadBuf::new(&mut scratch);
            match Pin::new(&mut this.stream).poll_read(cx, &mut buf) {
                Poll::Ready(Ok(())) if !buf.filled().is_empty() => {}
                // nobody sends any more, as on most connections that end: no timer is made
                Poll::Ready(_) => return Poll::Ready(Ok(())),
                Poll::Pending => break,
            }
        }
        // or there is more, and others have their turn first
        let timers = &this.timers;
        let deadline = this.linger.get_or_insert_with(|| Box::pin(timers.sleep_until(Instant::now() + LINGER)));
        deadline.as_mut().poll(cx).map(Ok)
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
        let mut guarded = Guarded::heads(Stream::Unix(stream), HEAD, false, Arc::default(), Timers::here());
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
            heads.saw(&mut bytes.as_bytes().to_vec(), &Timers::here());
            assert_eq!(heads.is_open, running, "{bytes:?}");
        }
    }

    /// What a gate's connection answers to these pieces, the other end closed after the last: each request that got through with its number
    /// of headers, or whatever else.
    async fn answered(pieces: &[&[u8]], status: u16) -> Vec<String> {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        theirs.set_nonblocking(true).unwrap();
        let mut theirs = tokio::net::UnixStream::from_std(theirs).unwrap();
        let (drain, _stopper) = super::super::Drain::new();
        let handler = move |request: hyper::Request<hyper::body::Incoming>, _| {
            let answer = http::Response::builder().status(status).header("counted", request.headers().len());
            std::future::ready(answer.body(http_body_util::Empty::<bytes::Bytes>::new()))
        };
        let from = super::super::Connection { peer: super::super::Peer::Local, number: 1 };
        let limits = super::super::Limits::Gate { raw_target: false };
        let accepted = super::super::Accepted::Unix(ours);
        let serving = tokio::spawn(super::super::connection(accepted, from, limits, Timers::here(), drain, Arc::new(handler)));
        for piece in pieces {
            theirs.write_all(piece).await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        theirs.shutdown().await.unwrap();
        let mut text = String::new();
        theirs.read_to_string(&mut text).await.unwrap();
        serving.await.unwrap();
        let told =
            |line: &str| line.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)).or(line.strip_prefix("counted: ")).map(str::to_owned);
        text.lines().filter_map(told).collect()
    }

    fn head(headers: usize) -> Vec<u8> {
        [b"GET / HTTP/1.1\r\n".to_vec(), b"x: y\r\n".repeat(headers), b"\r\n".to_vec()].concat()
    }

    #[tokio::test]
    async fn a_long_head_is_read_anew_whole_or_in_parts() {
        let (short, long) = (head(1), head(150));
        for at in [0, 10, 400, 700, long.len() - 1] {
            let (one, other) = long.split_at(at);
            // what follows is read by the hyper that took over
            let answers = answered(&[&short, one, other, &long, &short], 200).await;
            assert_eq!(answers, ["200", "1", "200", "150", "200", "150", "200", "1"], "{at}");
        }
        let pipelined = [short.as_slice(), &long, &short].concat();
        assert_eq!(answered(&[&pipelined], 200).await, ["200", "1", "200", "150", "200", "1"]);
    }

    #[tokio::test]
    async fn what_hyper_cannot_read_either_way_is_refused() {
        assert_eq!(answered(&[&head(1), &head(257), &head(1)], 200).await, ["200", "1", "431"]);
        let large = [b"GET / HTTP/1.1\r\nx: ".to_vec(), b"y".repeat(200_000), b"\r\n\r\n".to_vec()].concat();
        assert_eq!(answered(&[&large[..150_000]], 200).await, ["431"]);
        assert_eq!(answered(&[b"GET / HTTP/1.1\r\nx y\r\n\r\n"], 200).await, ["400"]);
        // HTTP/1.0 that stays open: hyper answers in kind
        let old = |headers: usize| {
            [b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n".to_vec(), b"x: y\r\n".repeat(headers), b"\r\n".to_vec()].concat()
        };
        assert_eq!(answered(&[&old(1), &old(150), &old(257)], 200).await, ["200", "2", "200", "151", "431"]);
    }

    #[tokio::test]
    async fn only_hypers_own_word_is_held_back() {
        assert_eq!(answered(&[&head(1), &head(150), &head(2)], 431).await, ["431", "1", "431", "150", "431", "2"]);
        for (answer, is) in [
            ("HTTP/1.1 431 Request Header Fields Too Large\r\n", true),
            ("HTTP/1.0 431 \r\n", true),
            ("HTTP/1.1 400 Bad Request\r\nx: 431 \r\n", false),
            ("HTTP/1.", false),
            ("", false),
        ] {
            assert_eq!(says_too_long(answer.as_bytes()), is, "{answer}");
        }
    }

    const HEAD: Duration = Duration::from_secs(10);
}
