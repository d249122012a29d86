//! `gatepost healthcheck`: asks the running program how it is, for containers that hold nothing but this program.
//!
//! Of the configuration it relies on the address of the metrics listener alone: a rules file that somebody just broke is refused
//! by the running program, which goes on with the old one, and must not be a reason to end it.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use crate::config::{self, BAD_CONFIGURATION, Environment};

/// For a connection, and for each piece of the answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Most of an answer that is read, in bytes.
const LONGEST: u64 = 4096;

/// Ask the running program whether it can decide; exit 0 if so, 1 if not.
///
/// It is asked at the metrics listener that the configuration names, `/readyz`, and has two seconds to answer. While it is
/// stopping, or while its token store does not answer, it is not ready.
#[derive(Debug, Args)]
pub struct HealthcheckCommand {
    /// Ask `/healthz` instead: whether the process answers at all, its stores aside.
    #[arg(long)]
    live: bool,
}

/// Runs the command.
pub fn run(command: &HealthcheckCommand, path: Option<&Path>, environment: &Environment) -> ExitCode {
    let address = match config::file::metrics_address(path, environment) {
        Ok(address) => reachable(address),
        Err(problems) => {
            problems.iter().for_each(|problem| say(&mut std::io::stderr(), &problem.to_string()));
            return ExitCode::from(BAD_CONFIGURATION);
        }
    };
    match ask(address, if command.live { "/healthz" } else { "/readyz" }) {
        Ok(answer) => {
            say(&mut std::io::stdout(), &answer);
            ExitCode::SUCCESS
        }
        Err(problem) => {
            say(&mut std::io::stderr(), &format!("gatepost: {problem}"));
            ExitCode::FAILURE
        }
    }
}

/// Where a listener on every address is found from here.
fn reachable(listener: SocketAddr) -> SocketAddr {
    let ip = match listener.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listener.port())
}

/// The body of a 200; otherwise what is wrong.
fn ask(address: SocketAddr, path: &str) -> Result<String, String> {
    let nobody = |error: std::io::Error| {
        format!("nothing answers at http://{address}{path}: {error}; is it running, and is `metrics.listen` of this configuration its own?")
    };
    let text = exchange(address, path).map_err(nobody)?;
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    match head.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..4)) {
        Some("200 ") => Ok(body.trim().to_owned()),
        Some("503 ") => Err(body.trim().to_owned()),
        _ => Err(format!("what answers at http://{address}{path} is not gatepost: `{}`", head.lines().next().unwrap_or_default())),
    }
}

fn exchange(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut answer = Vec::new();
    stream.take(LONGEST).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Prints a line; a reader that has gone away is no failure.
fn say(to: &mut dyn Write, line: &str) {
    let _ = writeln!(to, "{line}");
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// What is made of this answer, sent by a listener that then closes.
    fn told(answer: &'static str) -> Result<String, String> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 1024]).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
        });
        let told = ask(address, "/readyz");
        server.join().unwrap();
        told
    }

    #[test]
    fn only_a_200_is_healthy() {
        assert_eq!(told("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nready\n"), Ok("ready".to_owned()));
        assert_eq!(told("HTTP/1.1 503 Service Unavailable\r\n\r\nnot ready: stopping\n"), Err("not ready: stopping".to_owned()));
        for other in ["HTTP/1.1 404 Not Found\r\n\r\nhere are /metrics\n", "HTTP/1.1 2000 OK\r\n\r\n", "200 200 \r\n\r\n", "ready", ""] {
            assert!(told(other).unwrap_err().contains("is not gatepost"), "{other:?}");
        }
    }

    #[test]
    fn nobody_there_is_said_with_the_address() {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let told = ask(address, "/readyz").unwrap_err();
        assert!(told.contains(&address.to_string()) && told.contains("metrics.listen"), "{told}");
    }

    #[test]
    fn a_listener_on_every_address_is_asked_on_loopback() {
        for (listener, asked) in [("0.0.0.0:9464", "127.0.0.1:9464"), ("[::]:9464", "[::1]:9464"), ("10.0.0.5:1", "10.0.0.5:1")] {
            assert_eq!(reachable(listener.parse().unwrap()), asked.parse().unwrap());
        }
    }
}
