//! What takes the codes in tests: a web server for SMS and a mail server, each on a port of its own.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::{Email, Method, Settings, Sms, Smtp, Template};
use crate::lock::Mutex;

/// Longest that a test waits for a code.
const PATIENCE: Duration = Duration::from_secs(5);

/// A server and what it has taken.
pub(crate) struct Sink {
    pub(crate) port: u16,
    taken: Arc<Mutex<Vec<String>>>,
    serving: tokio::task::JoinHandle<()>,
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Sink {
    async fn serve<F: Future<Output = Option<String>> + Send + 'static>(
        answer: impl Fn(BufReader<TcpStream>, usize) -> F + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let taken = Arc::<Mutex<Vec<String>>>::default();
        let all = Arc::clone(&taken);
        let serving = tokio::spawn(async move {
            for n in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                let (all, answering) = (Arc::clone(&all), answer(BufReader::new(stream), n));
                tokio::spawn(async move {
                    if let Some(message) = answering.await {
                        all.lock().push(message);
                    }
                });
            }
        });
        Self { port, taken, serving }
    }

    /// A web server: the nth request (from 0) is answered with the nth of these statuses, the last of them for ever.
    pub(crate) async fn web(statuses: &'static [u16]) -> Self {
        Self::serve(move |mut stream, n| async move {
            let mut request = String::new();
            let mut length = 0;
            loop {
                let mut line = String::new();
                stream.read_line(&mut line).await.ok()?;
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().ok()?;
                }
                request.push_str(&line);
                if line == "\r\n" {
                    break;
                }
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).await.ok()?;
            request.push_str(&String::from_utf8(body).ok()?);
            let status = statuses.get(n).or(statuses.last()).unwrap();
            let answer =
                format!("HTTP/1.1 {status} Said\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.ok()?;
            Some(request)
        })
        .await
    }

    /// A mail server without TLS.
    pub(crate) async fn mail() -> Self {
        Self::serve(|mut stream, _| async move {
            let (mut mail, mut within) = (String::new(), false);
            stream.write_all(b"220 sink\r\n").await.ok()?;
            loop {
                let mut line = String::new();
                if stream.read_line(&mut line).await.ok()? == 0 {
                    return (!mail.is_empty()).then_some(mail);
                }
                let answer: &[u8] = match line.trim_end() {
                    "." if within => {
                        within = false;
                        b"250 taken\r\n"
                    }
                    _ if within => {
                        mail.push_str(&line);
                        continue;
                    }
                    "DATA" => {
                        within = true;
                        b"354 go on\r\n"
                    }
                    "QUIT" => b"221 bye\r\n",
                    _ => b"250 sink\r\n",
                };
                stream.write_all(answer).await.ok()?;
            }
        })
        .await
    }

    /// What was taken, once there are `n` of them.
    pub(crate) async fn taken(&self, n: usize) -> Vec<String> {
        let waited = tokio::time::timeout(PATIENCE, async {
            while self.taken.lock().len() < n {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        waited.await.unwrap_or_else(|_| panic!("not {n} but {} taken", self.taken.lock().len()));
        self.taken.lock().clone()
    }

    /// How many were taken so far.
    pub(crate) fn count(&self) -> usize {
        self.taken.lock().len()
    }
}

/// A gateway on this port.
pub(crate) fn sms(port: u16) -> Sms {
    Sms {
        url: Template::of_url(&format!("http://127.0.0.1:{port}/send?to={{phone}}")).unwrap(),
        method: Method::Post,
        headers: Vec::new(),
        body: Template::new(r#"{"code":"{code}"}"#),
        body_is_json: true,
    }
}

/// A mail server on this port.
pub(crate) fn email(port: u16) -> Email {
    Email {
        smtp: Smtp::read(&format!("smtp://127.0.0.1:{port}")).unwrap(),
        password: None,
        from: "Gatepost <gatepost@example.com>".parse().unwrap(),
    }
}

/// Both.
pub(crate) fn both(web: &Sink, mail: &Sink) -> Settings {
    Settings { email: Some(email(mail.port)), sms: Some(sms(web.port)), log: false }
}

/// The code in a message.
pub(crate) fn code_in(message: &str) -> String {
    let digits = |word: &&str| word.len() == 6 && word.bytes().all(|b| b.is_ascii_digit());
    message.split(|c: char| !c.is_ascii_alphanumeric()).find(digits).unwrap_or_else(|| panic!("no code in {message}")).to_owned()
}
