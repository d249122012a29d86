//! Listeners: TCP, TLS over it, and unix sockets, bound (or passed, and then taken over) before anything is served.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};

use rustix::net::sockopt::set_tcp_nodelay;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio_rustls::server::TlsStream;

use super::passed::{self, Passed};
use super::timers::Timers;
use super::tls::Tls;

/// Where a listener listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Listen {
    /// An address and port.
    Tcp(SocketAddr),
    /// A unix socket.
    Unix(PathBuf),
}

impl Listen {
    /// Whether only this machine can reach it.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().is_loopback(),
            Self::Unix(_) => true,
        }
    }
}

impl std::fmt::Display for Listen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A bound listener. It belongs to no runtime yet.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    /// Over TCP only.
    tls: Option<Tls>,
    /// Whether somebody else holds the socket as well: it stays when this process goes, with whatever waits in it.
    passed: bool,
}

/// A listener on the runtime that it accepts on.
#[derive(Debug)]
pub(super) enum Accepting {
    Tcp(TcpListener, Option<Tls>),
    Unix(UnixListener, #[expect(dead_code, reason = "it goes with it")] Option<SocketFile>),
}

/// A socket that listens, and is not waited for.
#[derive(Debug)]
enum Socket {
    /// Without delay, as is what it accepts.
    Tcp(std::net::TcpListener),
    Unix {
        listener: std::os::unix::net::UnixListener,
        /// Goes with it, unless it was passed.
        file: Option<SocketFile>,
    },
}

/// Who is at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// This address.
    Address(IpAddr),
    /// A process of this machine, by unix socket.
    Local,
}

/// An accepted connection, before anything was read: a handshake is not the accept loop's, which waits for nobody.
#[derive(Debug)]
pub(super) enum Accepted {
    /// On the runtime that accepted it.
    Here(TcpStream, Option<Tls>),
    /// On none.
    Tcp(std::net::TcpStream, Option<Tls>),
    /// On none.
    Unix(std::os::unix::net::UnixStream),
}

/// A connection that bytes go over.
#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    /// In a box because it is large, and most connections are of the other kinds.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Accepted {
    /// The connection on this runtime, once bytes can go over it; `None` where the handshake fails.
    pub(super) async fn open(self, timers: &Timers) -> Option<Stream> {
        let (stream, tls) = match self {
            Self::Here(stream, tls) => (stream, tls),
            Self::Tcp(stream, tls) => (TcpStream::from_std(stream).ok()?, tls),
            Self::Unix(stream) => return UnixStream::from_std(stream).ok().map(Stream::Unix),
        };
        match tls {
            None => Some(Stream::Tcp(stream)),
            Some(tls) => Some(Stream::Tls(Box::new(tls.handshake(stream, timers).await?))),
        }
    }

    /// The same, to be opened on another runtime than accepted it.
    pub(super) fn elsewhere(self) -> io::Result<Self> {
        match self {
            Self::Here(stream, tls) => Ok(Self::Tcp(stream.into_std()?, tls)),
            apart => Ok(apart),
        }
    }
}

/// Removes the socket's file when the listener goes.
#[derive(Debug)]
pub(super) struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A listener that could not be bound.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {listen}: {error}{hint}")]
pub struct BindError {
    listen: Listen,
    error: io::Error,
    hint: &'static str,
}

/// Takes over the socket that was passed for this address, or binds one.
///
/// # Errors
/// Where the address is taken or not allowed, with what to do.
pub async fn bind(listen: &Listen, passed: &mut Passed) -> Result<Listener, BindError> {
    let wrong = |error: io::Error| {
        let hint = match error.kind() {
            io::ErrorKind::AddrInUse => "; another program listens there: stop it, or choose another address",
            io::ErrorKind::PermissionDenied => "; not allowed: choose a port above 1023, or a directory this user may write",
            io::ErrorKind::NotFound => "; make its directory first",
            _ => "",
        };
        BindError { listen: listen.clone(), error, hint }
    };
    if let Some(socket) = passed.take(listen) {
        let socket = take_over(socket).map_err(wrong)?;
        return Ok(Listener { socket, tls: None, passed: true });
    }
    let socket = match listen {
        Listen::Tcp(address) => {
            let listener = TcpListener::bind(address).await.map_err(wrong)?;
            Socket::tcp(listener.into_std().map_err(wrong)?).map_err(wrong)?
        }
        Listen::Unix(path) => {
            remove_stale(path).await.map_err(wrong)?;
            let listener = UnixListener::bind(path).map_err(wrong)?;
            // the proxy runs as another user; the directory says who may come
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666)).map_err(wrong)?;
            Socket::Unix { listener: listener.into_std().map_err(wrong)?, file: Some(SocketFile(path.clone())) }
        }
    };
    Ok(Listener { socket, tls: None, passed: false })
}

fn take_over(socket: passed::Socket) -> io::Result<Socket> {
    match socket {
        passed::Socket::Tcp(tcp) => {
            tcp.set_nonblocking(true)?;
            Socket::tcp(tcp)
        }
        passed::Socket::Unix(unix) => {
            unix.set_nonblocking(true)?;
            Ok(Socket::Unix { listener: unix, file: None })
        }
    }
}

/// A socket file that nobody listens on is left over from a killed process.
async fn remove_stale(path: &std::path::Path) -> io::Result<()> {
    use std::os::unix::fs::FileTypeExt;
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => match UnixStream::connect(path).await {
            Ok(_) => Err(io::ErrorKind::AddrInUse.into()),
            Err(_) => std::fs::remove_file(path),
        },
        Ok(_) => Err(io::Error::new(io::ErrorKind::AlreadyExists, "a file that is no socket stands there")),
        Err(_) => Ok(()),
    }
}

impl Listener {
    /// The same with TLS, where a pair is given. A unix socket has none: only this machine reaches it.
    pub fn with_tls(self, tls: Option<Tls>) -> Self {
        let tls = tls.filter(|_| matches!(self.socket, Socket::Tcp(_)));
        Self { tls, ..self }
    }

    /// Whether the socket stays when this process goes.
    pub(super) fn is_passed(&self) -> bool {
        self.passed
    }

    /// Where it listens, for a TCP listener.
    pub fn local_addr(&self) -> Option<std::net::SocketAddr> {
        match &self.socket {
            Socket::Tcp(listener) => listener.local_addr().ok(),
            Socket::Unix { .. } => None,
        }
    }

    /// The same, accepting on the runtime that this is called on.
    pub(super) fn accepting(self) -> io::Result<Accepting> {
        Ok(match self.socket {
            Socket::Tcp(listener) => Accepting::Tcp(TcpListener::from_std(listener)?, self.tls),
            Socket::Unix { listener, file } => Accepting::Unix(UnixListener::from_std(listener)?, file),
        })
    }
}

impl Accepting {
    pub(super) async fn accept(&self) -> io::Result<(Accepted, Peer)> {
        match self {
            Self::Tcp(listener, tls) => {
                let (stream, address) = listener.accept().await?;
                Ok((Accepted::Here(stream, tls.clone()), Peer::Address(address.ip().to_canonical())))
            }
            Self::Unix(listener, _) => {
                let (stream, _) = listener.accept().await?;
                Ok((Accepted::Unix(stream.into_std()?), Peer::Local))
            }
        }
    }
}

impl Socket {
    /// Without delay, which is handed down to every connection.
    fn tcp(listener: std::net::TcpListener) -> io::Result<Self> {
        set_tcp_nodelay(&listener, true)?;
        Ok(Self::Tcp(listener))
    }
}

macro_rules! either {
    ($self:expr, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            Stream::Tcp($stream) => $call,
            Stream::Unix($stream) => $call,
            Stream::Tls($stream) => $call,
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        either!(self, stream => Pin::new(stream).poll_write(cx, buf))
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        either!(self, stream => Pin::new(stream).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_accepted_waits_for_nothing_and_goes_elsewhere() {
        let listener = bind(&Listen::Tcp("127.0.0.1:0".parse().unwrap()), &mut Passed::default()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let accepting = listener.accepting().unwrap();
        for is_here in [true, false] {
            let other = TcpStream::connect(address).await.unwrap();
            let (accepted, peer) = accepting.accept().await.unwrap();
            assert_eq!(peer, Peer::Address(address.ip()));
            let accepted = if is_here { accepted } else { accepted.elsewhere().unwrap() };
            let Some(Stream::Tcp(stream)) = accepted.open(&Timers::here()).await else { panic!("not opened") };
            assert!(stream.nodelay().unwrap());
            other.writable().await.unwrap();
            assert_eq!(other.try_write(b"hello").unwrap(), 5);
            stream.readable().await.unwrap();
            assert_eq!(stream.try_read(&mut [0; 8]).unwrap(), 5);
        }
    }
}
