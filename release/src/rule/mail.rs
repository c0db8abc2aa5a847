/*!
What mail servers and addresses must be.
*/
use serin_policy::rule::Text;

use super::is_address;

/// The most who get a mail.
pub const MAX_RECIPIENTS: usize = 16;
/// Somebody's address.
pub const MAIL_ADDRESS: Text = Text::of(
    &[b'a'..=b'z', b'A'..=b'Z', b'0'..=b'9', b'.'..=b'.', b'_'..=b'_', b'+'..=b'+', b'-'..=b'-', b'@'..=b'@'],
    3..=254,
    "give a mail address, such as team@example.com",
)
.begin(&[b'a'..=b'z', b'A'..=b'Z', b'0'..=b'9'])
.end(&[b'a'..=b'z', b'A'..=b'Z', b'0'..=b'9']);
/// The address of a mail server, for `matches`.
pub const MAIL_SERVER_PATTERN: &str = "^smtps?://[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?$";
/// What to write where it is none.
pub const MAIL_SERVER: &str =
    "give a mail server, such as smtp://mail.example.com:587, or smtps:// for TLS from the first byte";
/// What to write where a user has no password.
pub const USER_HAS_PASSWORD: &str = "give a secretRef with their password, or leave user out";

/// Whether `text` is a mail server as [`MAIL_SERVER_PATTERN`] has it.
pub fn is_mail_server(text: &str) -> bool {
    let rest = text.strip_prefix("smtps://").or_else(|| text.strip_prefix("smtp://"));
    rest.is_some_and(|rest| !rest.contains('/') && is_address(&format!("http://{rest}")))
}
