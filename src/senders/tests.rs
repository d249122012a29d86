use secrecy::SecretString;

use super::sinks::{Sink, both, code_in, email, sms};
use super::*;

fn message(to: &str) -> Message {
    Message { to: to.to_owned(), code: Code::read("012345").unwrap(), good_for: Duration::from_secs(300) }
}

fn header(name: &'static str, value: &str) -> (http::HeaderName, SecretString) {
    (http::HeaderName::from_static(name), SecretString::from(value))
}

#[tokio::test]
async fn a_code_goes_to_the_gateway_and_another_to_the_mailbox() {
    let (web, mail) = (Sink::web(&[200]).await, Sink::mail().await);
    let senders = Senders::start(both(&web, &mail)).unwrap();
    assert!(senders.sends(Channel::Email) && senders.sends(Channel::Sms));
    senders.send(Channel::Sms, message("+4917612345678"));
    senders.send(Channel::Email, message("ann@example.com"));
    let request = web.taken(1).await.remove(0);
    assert!(request.starts_with("POST /send?to=%2B4917612345678 HTTP/1.1\r\n"), "{request}");
    assert!(request.to_ascii_lowercase().contains("content-type: application/json\r\n"), "{request}");
    assert!(request.ends_with("\r\n\r\n{\"code\":\"012345\"}"), "{request}");
    let sent = mail.taken(1).await.remove(0);
    assert!(sent.contains("To: ann@example.com\r\n") && sent.contains("From: Gatepost <gatepost@example.com>\r\n"), "{sent}");
    assert_eq!(code_in(sent.split_once("\r\n\r\n").unwrap().1), "012345");
}

#[tokio::test]
async fn as_fast2sms_wants_it() {
    let web = Sink::web(&[200]).await;
    let sms = Sms {
        url: Template::of_url(&format!("http://127.0.0.1:{}/dev/bulkV2", web.port)).unwrap(),
        headers: vec![header("authorization", "the-secret"), header("content-type", "application/x-www-form-urlencoded")],
        body: Template::new("route=otp&variables_values={code}&numbers={phone_digits}"),
        ..sms(web.port)
    };
    Senders::start(Settings { sms: Some(sms), ..Settings::default() }).unwrap().send(Channel::Sms, message("+919876543210"));
    let request = web.taken(1).await.remove(0);
    assert!(request.contains("authorization: the-secret\r\n"), "{request}");
    assert!(request.ends_with("\r\n\r\nroute=otp&variables_values=012345&numbers=919876543210"), "{request}");
}

#[tokio::test]
async fn as_twilio_wants_it() {
    let web = Sink::web(&[201]).await;
    let sms = Sms {
        url: Template::of_url(&format!("http://127.0.0.1:{}/2010-04-01/Accounts/AC1/Messages.json", web.port)).unwrap(),
        headers: vec![header("authorization", "Basic QUMxOnRva2Vu")],
        body: Template::new("To={phone}&From=%2B15005550006&Body=Your+code+is+{code}"),
        body_is_json: false,
        ..sms(web.port)
    };
    Senders::start(Settings { sms: Some(sms), ..Settings::default() }).unwrap().send(Channel::Sms, message("+4917612345678"));
    let request = web.taken(1).await.remove(0);
    assert!(request.to_ascii_lowercase().contains("content-type: application/x-www-form-urlencoded\r\n"), "{request}");
    assert!(request.ends_with("\r\n\r\nTo=%2B4917612345678&From=%2B15005550006&Body=Your+code+is+012345"), "{request}");
}

#[tokio::test]
async fn what_may_pass_is_tried_once_more_and_what_is_refused_is_not() {
    let cases: [(&'static [u16], usize); 5] = [(&[503, 200], 2), (&[503], 2), (&[401], 1), (&[302], 1), (&[200], 1)];
    for (statuses, requests) in cases {
        let web = Sink::web(statuses).await;
        let senders = Senders::start(Settings { sms: Some(sms(web.port)), ..Settings::default() }).unwrap();
        senders.send(Channel::Sms, message("+4917612345678"));
        web.taken(requests).await;
        tokio::time::sleep(AGAIN_AFTER * 2).await;
        assert_eq!(web.count(), requests, "{statuses:?}");
    }
}

#[tokio::test]
async fn without_a_sender_there_is_none_and_the_log_is_one_for_both() {
    let none = Senders::start(Settings::default()).unwrap();
    assert!(!none.sends(Channel::Email) && !none.sends(Channel::Sms));
    let log = Senders::start(Settings { log: true, ..Settings::default() }).unwrap();
    assert!(log.sends(Channel::Email) && log.sends(Channel::Sms));
}

#[tokio::test]
async fn a_channel_that_hangs_takes_a_bounded_number_and_never_waits() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let senders = Senders::start(Settings { email: Some(email(port)), ..Settings::default() }).unwrap();
    let begun = std::time::Instant::now();
    for _ in 0..3 * QUEUE {
        senders.send(Channel::Email, message("ann@example.com"));
    }
    assert!(begun.elapsed() < Duration::from_secs(1));
    assert_eq!(senders.queue(Channel::Email).unwrap().capacity(), 0);
}
