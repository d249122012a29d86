use std::convert::Infallible;
use std::net::SocketAddr;

use http_body_util::Empty;
use hyper::body::Incoming;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;

use super::*;
use crate::server::{Connection, Cores, Drain, Limits, Listen, Passed, bind, serve};

struct Made {
    cert: String,
    key: String,
    der: CertificateDer<'static>,
}

fn made() -> Made {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    Made { cert: made.cert.pem(), key: made.signing_key.serialize_pem(), der: made.cert.der().clone() }
}

fn why_not(certificates: &str, key: &str) -> PairError {
    Pair::read(certificates, key).unwrap_err()
}

#[test]
fn a_pair_is_a_chain_and_the_key_of_its_first_certificate() {
    let (one, two) = (made(), made());
    assert!(Pair::read(&one.cert, &one.key).is_ok());
    assert!(Pair::read(&format!("{}{}", one.cert, two.cert), &one.key).is_ok(), "the others are the chain");
    assert!(Pair::read(&format!("{}{}", one.key, one.cert), &format!("{}{}", one.cert, one.key)).is_ok(), "both in one file");
    assert_eq!(why_not(&format!("{}{}", two.cert, one.cert), &one.key), PairError::Mismatch);
    assert_eq!(why_not(&one.cert, &two.key), PairError::Mismatch);
}

#[test]
fn what_is_wrong_is_told_with_the_half_it_is_in() {
    let Made { cert, key, .. } = made();
    let certificate = |what: &str| PairError::Certificate(what.into());
    let of_key = |what: &str| PairError::Key(what.into());
    assert_eq!(why_not("", &key), certificate("no certificate in it"));
    assert_eq!(why_not(&key, &key), certificate("no certificate in it"));
    assert_eq!(why_not("-----BEGIN CERTIFICATE-----\nAAAA\n", &key), certificate("a PEM section without its end"));
    assert_eq!(
        why_not("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n", &key),
        certificate("a PEM section that is not base64")
    );
    assert!(
        matches!(why_not("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", &key), PairError::Certificate(what) if what.starts_with("its first certificate cannot be used"))
    );
    assert_eq!(why_not(&cert, ""), of_key("no private key in it"));
    assert_eq!(why_not(&cert, &cert), of_key("no private key in it"));
    assert!(
        matches!(why_not(&cert, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"), PairError::Key(what) if what.starts_with("the key cannot be used"))
    );
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    assert_eq!(why_not(&cert, encrypted), of_key("the key is encrypted, and nobody is there to type its password"));
}

#[test]
fn a_pair_is_mute() {
    let Made { cert, key, .. } = made();
    assert_eq!(format!("{:?}", Tls::new(Pair::read(&cert, &key).unwrap())).matches("Pair").count(), 1);
    assert!(!format!("{:?}", Pair::read(&cert, &key).unwrap()).contains("key"));
}

/// A gate that answers 200 to everything, and which certificates are trusted by those who ask it.
struct Scene {
    address: SocketAddr,
    tls: Tls,
    _stopper: crate::server::Stopper,
}

impl Scene {
    async fn new(made: &Made) -> Self {
        let tls = Tls::new(Pair::read(&made.cert, &made.key).unwrap());
        let listener =
            bind(&Listen::Tcp("127.0.0.1:0".parse().unwrap()), &mut Passed::default()).await.unwrap().with_tls(Some(tls.clone()));
        let address = listener.local_addr().unwrap();
        let (drain, stopper) = Drain::new();
        let handler =
            |_: hyper::Request<Incoming>, _: Connection| async { Ok::<_, Infallible>(http::Response::new(Empty::<bytes::Bytes>::new())) };
        tokio::spawn(serve(listener, Limits::Gate { raw_target: true }, Arc::new(Cores::here()), drain, Arc::new(handler)).unwrap());
        Self { address, tls, _stopper: stopper }
    }

    async fn connect(
        &self,
        trusted: &Made,
        version: &'static SupportedProtocolVersion,
        alpn: &[&[u8]],
    ) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(trusted.der.clone()).unwrap();
        let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        let stream = TcpStream::connect(self.address).await.unwrap();
        TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), stream).await
    }
}

/// The status line that a request gets.
async fn ask(stream: &mut (impl AsyncReadExt + AsyncWriteExt + Unpin), target: &str) -> String {
    stream.write_all(format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).await.unwrap();
        answer.push(byte[0]);
    }
    String::from_utf8(answer).unwrap().lines().next().unwrap().to_owned()
}

const TLS_1_2: &SupportedProtocolVersion = &rustls::version::TLS12;
const TLS_1_3: &SupportedProtocolVersion = &rustls::version::TLS13;

#[tokio::test]
async fn both_versions_are_served_and_only_http_1() {
    let made = made();
    let scene = Scene::new(&made).await;
    for version in [TLS_1_2, TLS_1_3] {
        for (alpn, chosen) in [(&[][..], None), (&[b"http/1.1".as_slice()], Some(HTTP_1)), (&[b"h2", b"http/1.1"], Some(HTTP_1))] {
            let mut stream = scene.connect(&made, version, alpn).await.unwrap();
            assert_eq!(stream.get_ref().1.alpn_protocol(), chosen);
            assert_eq!(ask(&mut stream, "/a").await, "HTTP/1.1 200 OK");
            assert_eq!(ask(&mut stream, "/b").await, "HTTP/1.1 200 OK", "and goes on");
        }
        assert!(scene.connect(&made, version, &[b"h2"]).await.is_err());
    }
}

#[tokio::test]
async fn the_request_line_is_judged_as_it_is_after_decryption() {
    let made = made();
    let scene = Scene::new(&made).await;
    let mut stream = scene.connect(&made, TLS_1_3, &[]).await.unwrap();
    assert_eq!(ask(&mut stream, "/verify/a").await, "HTTP/1.1 200 OK");
    assert_eq!(ask(&mut stream, "/verify/a#b").await, "HTTP/1.1 400 Bad Request");
}

#[tokio::test]
async fn who_does_not_shake_hands_keeps_nobody_waiting() {
    let made = made();
    let scene = Scene::new(&made).await;
    let mut silent = Vec::new();
    for _ in 0..50 {
        silent.push(TcpStream::connect(scene.address).await.unwrap());
    }
    let mut stream = scene.connect(&made, TLS_1_3, &[]).await.unwrap();
    assert_eq!(ask(&mut stream, "/").await, "HTTP/1.1 200 OK");
}

#[tokio::test]
async fn plain_http_gets_nothing() {
    let made = made();
    let scene = Scene::new(&made).await;
    let mut stream = TcpStream::connect(scene.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
}

#[tokio::test]
async fn a_handshake_has_ten_seconds() {
    let made = made();
    let scene = Scene::new(&made).await;
    let mut silent = TcpStream::connect(scene.address).await.unwrap();
    let began = std::time::Instant::now();
    assert_eq!(silent.read(&mut [0; 8]).await.unwrap_or(0), 0);
    assert!(began.elapsed() >= HANDSHAKE_TIMEOUT, "{:?}", began.elapsed());
}

#[tokio::test]
async fn another_pair_serves_who_comes_after_it() {
    let (one, two) = (made(), made());
    let scene = Scene::new(&one).await;
    let mut before = scene.connect(&one, TLS_1_3, &[]).await.unwrap();
    assert_eq!(ask(&mut before, "/").await, "HTTP/1.1 200 OK");
    scene.tls.replace(Pair::read(&two.cert, &two.key).unwrap());
    assert!(scene.connect(&one, TLS_1_3, &[]).await.is_err());
    let mut after = scene.connect(&two, TLS_1_3, &[]).await.unwrap();
    assert_eq!(ask(&mut after, "/").await, "HTTP/1.1 200 OK");
    assert_eq!(ask(&mut before, "/").await, "HTTP/1.1 200 OK", "nothing is cut off");
}
