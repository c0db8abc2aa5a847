/*!
W3C baggage: reading the id out of it and sending the id on in it.

Services that forward trace context forward `baggage`, so an id put there at the edge keeps the whole call graph
on one version without a line of code. See <https://www.w3.org/TR/baggage/>.
*/

/// The first value of the member `key` in a `baggage` header that `accept` takes, percent-decoded.
pub fn find<T>(header: &[u8], key: &str, accept: impl Fn(&[u8]) -> Option<T>) -> Option<T> {
    header.split(|&byte| byte == b',').find_map(|member| {
        // Properties follow the value after a `;` and are not part of it.
        let pair = member.split(|&byte| byte == b';').next()?;
        let value = value_of(pair, key)?;
        accept(&percent_decode(value.trim_ascii())?)
    })
}

/// `header` without the member `key`; `None` when it has no such member.
pub fn without_member(header: &[u8], key: &str) -> Option<Vec<u8>> {
    let members = || header.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
    members().any(|member| value_of(member, key).is_some()).then(|| {
        let others = members().filter(|member| !member.is_empty() && value_of(member, key).is_none());
        others.collect::<Vec<_>>().join(&b',')
    })
}

/// `header` with the member `key` set to `value`, first, for readers drop what comes late in a long header (section 3.3.2),
/// and every other member as it was.
pub fn with_member(header: &[u8], key: &str, value: &[u8]) -> Vec<u8> {
    let without = without_member(header, key);
    let others = without.as_deref().unwrap_or(header).trim_ascii();
    let mut result = key.as_bytes().to_vec();
    result.push(b'=');
    for &byte in value {
        // Ids hold only characters that baggage allows, but for the one that escapes.
        if byte == b'%' {
            result.extend_from_slice(b"%25");
        } else {
            result.push(byte);
        }
    }
    if !others.is_empty() {
        result.push(b',');
        result.extend_from_slice(others);
    }
    result
}

/// What follows `key =` in a member, if it is that key's.
fn value_of<'m>(member: &'m [u8], key: &str) -> Option<&'m [u8]> {
    member.trim_ascii_start().strip_prefix(key.as_bytes())?.trim_ascii_start().strip_prefix(b"=")
}

/// `None` for a `%` that two hexadecimal digits do not follow.
fn percent_decode(value: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = value.iter().copied();
    let mut decoded = Vec::with_capacity(value.len());
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let mut digit = || bytes.next().and_then(|digit| char::from(digit).to_digit(16));
            let (high, low) = (digit()?, digit()?);
            decoded.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            decoded.push(byte);
        }
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(header: &str, expected: Option<&str>) {
        let found =
            find(header.as_bytes(), "serin", |value| Some(String::from_utf8_lossy(value).into_owned()));
        assert_eq!(found.as_deref(), expected, "{header:?}");
    }

    #[test]
    fn a_member_is_found_with_its_properties_left_out() {
        check("serin=a", Some("a"));
        check("k=v, serin = a;ttl=1 ,x=y", Some("a"));
        check("serin=a%20b", Some("a b"));
        check("serin=%zz,serin=b", Some("b"));
        check("serin=%4", None);
        check("serinade=a", None);
        check("", None);
    }

    #[test]
    fn setting_a_member_leaves_the_others_and_comes_back_as_it_was() {
        let header = with_member(b"k=v;p=1, serin=old ,x=y", "serin", b"50%");
        assert_eq!(header, b"serin=50%25,k=v;p=1,x=y");
        check(&String::from_utf8(header).unwrap(), Some("50%"));
        assert_eq!(with_member(b"", "serin", b"a"), b"serin=a");
    }
}
