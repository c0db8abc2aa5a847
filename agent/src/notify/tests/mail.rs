//! A mail server that takes only what RFC 5321 has, in its order.

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::*;
use serin_release::notification::Mail;

/// What it answers to the recipients.
#[derive(Clone, Copy)]
struct Server {
    recipients: &'static str,
}

/// Serves one after the other, and hands on each mail with its envelope.
async fn begin(server: Server) -> (Url, UnboundedReceiver<String>) {
    let (taken, mails) = unbounded_channel();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("smtp://{}", listener.local_addr().unwrap())).unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            serve(client, server, &taken).await;
        }
    });
    (url, mails)
}

/// One session, until the client goes.
async fn serve(client: TcpStream, server: Server, taken: &UnboundedSender<String>) -> Option<()> {
    let mut client = BufReader::new(client);
    client.write_all(b"220 mail.example.com ESMTP\r\n").await.ok()?;
    let (mut mail, mut expected) = (String::new(), "EHLO ");
    loop {
        let mut line = String::new();
        if client.read_line(&mut line).await.ok()? == 0 {
            return Some(());
        }
        assert!(line.ends_with("\r\n"), "{line:?}");
        let is_next = line.starts_with(expected) || (expected == "DATA" && line.starts_with("RCPT TO:<"));
        assert!(is_next || line == "QUIT\r\n", "{line:?}, where {expected:?} comes");
        // Neither STARTTLS nor AUTH is offered.
        let answer = match line.split([' ', ':', '\r']).next() {
            Some("EHLO") => {
                expected = "MAIL FROM:<";
                "250-mail.example.com\r\n250 8BITMIME\r\n"
            }
            Some("MAIL") => {
                expected = "RCPT TO:<";
                "250 OK\r\n"
            }
            Some("RCPT") => {
                expected = "DATA";
                server.recipients
            }
            Some("DATA") => {
                expected = "MAIL FROM:<";
                client.write_all(b"354 go on\r\n").await.ok()?;
                while !mail.ends_with("\r\n.\r\n") {
                    client.read_line(&mut mail).await.ok()?;
                }
                taken.send(std::mem::take(&mut mail)).ok()?;
                "250 taken\r\n"
            }
            Some("QUIT") => "221 bye\r\n",
            _ => "503 not now\r\n",
        };
        if !matches!(line.split(' ').next(), Some("DATA\r\n" | "QUIT\r\n" | "EHLO")) {
            mail.push_str(&line);
        }
        client.write_all(answer.as_bytes()).await.ok()?;
    }
}

fn channel(url: &Url, password: Option<()>) -> Channel<()> {
    let to = ["ann@example.com", "bob@example.com"].map(str::to_owned).into();
    let mail = Mail { from: "serin@example.com".to_owned(), to, user: None };
    Channel::Email { url: url.to_string(), mail, password }
}

async fn bring(url: &Url, password: Option<()>, due: &Due) -> Result<Option<String>, Failure> {
    let check = |address: &str| Url::parse(address).map_err(|error| error.to_string());
    let secret = password.map(|()| "the-password");
    Courier::new().unwrap().bring(due, &channel(url, password), secret, check).await
}

#[tokio::test]
async fn a_mail_is_as_the_protocol_has_it_and_those_of_a_run_are_a_thread() {
    let (url, mut mails) = begin(Server { recipients: "250 OK\r\n" }).await;
    let thread = bring(&url, None, &due(step(), None)).await.unwrap();
    assert_eq!(thread.as_deref(), Some("<8f1e-7@serin>"));
    bring(&url, None, &due(rollback(), thread.as_deref())).await.unwrap();
    let mails = [mails.recv().await.unwrap(), mails.recv().await.unwrap()];
    for part in [
        "MAIL FROM:<serin@example.com>",
        "RCPT TO:<ann@example.com>\r\nRCPT TO:<bob@example.com>\r\n",
        "\r\nMessage-ID: <8f1e-7@serin>\r\n",
        "\r\nSubject: shop/shop: rolled back\r\n",
        "\r\nReferences: <8f1e-7@serin>\r\n",
        "\r\nDate: ",
    ] {
        assert!(mails[1].contains(part), "{part:?}: {}", mails[1]);
    }
    assert!(!mails[0].contains("References"), "{}", mails[0]);
}

#[tokio::test]
async fn a_server_that_refuses_is_left_alone_and_one_that_is_busy_is_not() {
    for (recipients, again) in [("550 no such user here\r\n", false), ("450 busy\r\n", true)] {
        let (url, _) = begin(Server { recipients }).await;
        let failure = bring(&url, None, &due(step(), None)).await.unwrap_err();
        assert!(failure.again == again && !failure.why.contains("no such user"), "{failure:?}");
        assert!(failure.why.starts_with("the mail server answers "), "{failure:?}");
    }
}

#[tokio::test]
async fn a_password_goes_nowhere_without_tls() {
    let (url, mut mails) = begin(Server { recipients: "250 OK\r\n" }).await;
    let failure = bring(&url, Some(()), &due(step(), None)).await.unwrap_err();
    assert!(!failure.why.contains("the-password"), "{failure:?}");
    assert!(mails.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_comes_to_no_end_is_left_and_tried_again() {
    for line in ["", "220 ", "220-more\r\n"] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("smtp://{}", listener.local_addr().unwrap())).unwrap();
        tokio::spawn(async move {
            let (mut client, _) = listener.accept().await.unwrap();
            while client.write_all(line.as_bytes()).await.is_ok() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
        let due = due(step(), None);
        let brought = tokio::time::timeout(Duration::from_secs(19), bring(&url, None, &due)).await;
        let failure = brought.expect("it is over before the next attempt").unwrap_err();
        assert!(failure.again, "{line:?}: {failure:?}");
    }
}
