/*!
E-mail, by SMTP. A password only ever goes over TLS; without one, a relay that knows no TLS is spoken to all the same.
*/
use lettre::address::Envelope;
use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use serin_release::notification::Mail;
use tokio::time::timeout;
use url::Url;

use super::courier::{ATTEMPT, TIMEOUT};
use super::{Delivered, Due, Failure, Message};
use crate::errors::chain;
use crate::http;
use crate::reach::port_of;

/// Sends `due`, with `password` if there is one. The mails of a run are one thread: returns the id of the first.
pub(super) async fn send(
    server: &Url,
    mail: &Mail,
    password: Option<&str>,
    due: &Due,
) -> Result<Delivered, Failure> {
    http::install_crypto();
    let host = server.host_str().ok_or_else(|| Failure::lasting("its address has no host"))?;
    let tls = || TlsParameters::new(host.to_owned()).map_err(|error| Failure::lasting(chain(&error)));
    let tls = match (server.scheme(), password) {
        ("smtps", _) => Tls::Wrapper(tls()?),
        (_, Some(_)) => Tls::Required(tls()?),
        (_, None) => Tls::Opportunistic(tls()?),
    };
    let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host)
        .port(port_of(server).unwrap_or_default())
        .hello_name(ClientId::Domain("serin".to_owned()))
        .timeout(Some(TIMEOUT))
        .tls(tls);
    if let Some(password) = password {
        let user = mail.user.clone().unwrap_or_else(|| mail.from.clone());
        transport = transport.credentials(Credentials::new(user, password.to_owned()));
    }
    let id = format!("<{}@serin>", due.message.id);
    let (envelope, text) = written(mail, &due.message, &id, due.thread.as_deref())?;
    // The library's own limit is for the connection alone: a server may take what it is told a byte a minute, or never end a line.
    let transport = transport.build();
    let sent = timeout(ATTEMPT, transport.send_raw(&envelope, &text)).await;
    match sent.map_err(|_| Failure::passing("the mail server does not come to an end"))? {
        Ok(_) => Ok(Some(due.thread.clone().unwrap_or(id))),
        // What a server says may be of somebody whom the Release must not read: its code is told.
        Err(error) => {
            let why = match error.status() {
                Some(code) => format!("the mail server answers {code}"),
                None if error.is_timeout() => "the mail server does not answer".to_owned(),
                None => format!("no mail server: {}", chain(&error)),
            };
            let again = !(error.is_permanent() || error.is_client());
            Err(Failure { why, again, after: None, given: None })
        }
    }
}

/// The mail, and who gets it.
fn written(
    mail: &Mail,
    message: &Message,
    id: &str,
    first: Option<&str>,
) -> Result<(Envelope, Vec<u8>), Failure> {
    let address = |text: &str| {
        text.parse::<Address>()
            .map(|address| Mailbox::new(None, address))
            .map_err(|error| Failure::lasting(format!("{text:?} is no address: {error}")))
    };
    let mut builder = lettre::Message::builder()
        .from(address(&mail.from)?)
        .subject(message.title())
        .message_id(Some(id.to_owned()))
        .header(ContentType::TEXT_PLAIN);
    for to in &mail.to {
        builder = builder.to(address(to)?);
    }
    if let Some(first) = first {
        builder = builder.in_reply_to(first.to_owned()).references(first.to_owned());
    }
    let made = builder.body(text(message)).map_err(|error| Failure::lasting(chain(&error)))?;
    Ok((made.envelope().clone(), made.formatted()))
}

/// What it says: the sentence, and how the release stands.
pub(super) fn text(message: &Message) -> String {
    let facts = message.facts().into_iter().map(|(name, value)| format!("{name}: {value}\n"));
    let link = message.link.iter().map(|link| format!("\n{link}\n"));
    [format!("{}\n\n", message.text)].into_iter().chain(facts).chain(link).collect()
}
