//! Sockets that somebody else has bound and keeps: systemd for a `.socket` unit, or whoever starts one process after another on
//! the same sockets (`LISTEN_FDS` and `LISTEN_PID`, sd_listen_fds(3)). What connects while no process accepts waits in them.
//!
//! INVARIANT: a socket serves the listener whose address it is bound to, whatever its name or place. What a listener is protected
//! by was decided by the address that the configuration names; a socket of another address must not slip in under it.

use std::io;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;

use listenfd::ListenFd;

use super::listener::Listen;

/// Sockets that no listener has taken yet.
#[derive(Debug, Default)]
pub struct Passed(Vec<(Listen, Socket)>);

#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// A socket that was passed and cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum PassedError {
    /// Of another kind.
    #[error(
        "socket {0} of those that were passed (LISTEN_FDS) is not a TCP or unix socket that listens; write ListenStream= in the socket unit"
    )]
    Kind(usize),
    /// Of an address that the configuration does not name.
    #[error("a socket for {0} was passed (LISTEN_FDS), and nothing in the configuration listens there; write the same address in both")]
    Unclaimed(Listen),
    /// It cannot be asked for its address.
    #[error("a socket that was passed (LISTEN_FDS): {0}")]
    System(#[from] io::Error),
}

impl Passed {
    /// Those of this process; to be called once, and before it has threads, because the variables are taken out of the environment.
    ///
    /// # Errors
    /// Where one is of a kind that cannot be served.
    pub fn of_process() -> Result<Self, PassedError> {
        let mut fds = ListenFd::from_env();
        (0..fds.len()).map(|number| taken(&mut fds, number)).collect::<Result<_, _>>().map(Self)
    }

    /// The one that is bound to this address.
    pub(super) fn take(&mut self, listen: &Listen) -> Option<Socket> {
        let at = self.0.iter().position(|(bound, _)| bound == listen)?;
        Some(self.0.swap_remove(at).1)
    }

    /// Whether every one was taken: whoever connects to one that nobody serves would wait for ever.
    ///
    /// # Errors
    /// Where one is left.
    pub fn all_taken(&self) -> Result<(), PassedError> {
        self.0.first().map_or(Ok(()), |(listen, _)| Err(PassedError::Unclaimed(listen.clone())))
    }
}

fn taken(fds: &mut ListenFd, number: usize) -> Result<(Listen, Socket), PassedError> {
    // the crate answers an error, and leaves the socket where it is, if it is of the other kind
    let (listen, socket) = if let Ok(Some(tcp)) = fds.take_tcp_listener(number) {
        (Some(Listen::Tcp(tcp.local_addr()?)), Socket::Tcp(tcp))
    } else if let Ok(Some(unix)) = fds.take_unix_listener(number) {
        (unix.local_addr()?.as_pathname().map(|path| Listen::Unix(path.into())), Socket::Unix(unix))
    } else {
        return Err(PassedError::Kind(number));
    };
    match listen {
        Some(listen) if listens(&socket)? => Ok((listen, socket)),
        _ => Err(PassedError::Kind(number)),
    }
}

fn listens(socket: &Socket) -> io::Result<bool> {
    let fd = match socket {
        Socket::Tcp(tcp) => tcp.as_fd(),
        Socket::Unix(unix) => unix.as_fd(),
    };
    Ok(rustix::net::sockopt::socket_acceptconn(fd)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_taken_by_its_address_alone() {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = tcp.local_addr().unwrap();
        let mut passed = Passed(vec![(Listen::Tcp(address), Socket::Tcp(tcp))]);
        let everywhere = Listen::Tcp(([0, 0, 0, 0], address.port()).into());
        assert!(passed.take(&everywhere).is_none());
        assert!(passed.all_taken().unwrap_err().to_string().contains(&address.to_string()));
        assert!(passed.take(&Listen::Tcp(address)).is_some());
        assert!(passed.all_taken().is_ok() && passed.take(&Listen::Tcp(address)).is_none());
    }

    #[test]
    fn a_socket_that_does_not_listen_is_told_from_one_that_does() {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let connected = std::net::TcpStream::connect(tcp.local_addr().unwrap()).unwrap();
        assert!(listens(&Socket::Tcp(tcp)).unwrap());
        assert!(!listens(&Socket::Tcp(std::os::fd::OwnedFd::from(connected).into())).unwrap());
    }
}
