//! An address that messages are posted to: what may be one, and how much of it anybody may see. Nothing is looked up.

use std::net::Ipv6Addr;

use thiserror::Error;

/// Why a text is no address for messages. The text itself is not repeated: it may hold a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum UrlError {
    /// Another scheme, or none.
    #[error("a URL must begin with `http://` or `https://`")]
    Scheme,
    /// Nothing between the scheme and the path.
    #[error("the URL names no host")]
    NoHost,
    /// What stands there is no name and no address.
    #[error("the URL's host is not a name or an address")]
    Host,
    /// A port that is none.
    #[error("the URL's port is not a number from 1 to 65535")]
    Port,
    /// A character that has to be written as its code (RFC 3986, section 2).
    #[error("a URL may not contain {0:?}")]
    Character(char),
}

impl UrlError {
    /// What to do about it, where that is known.
    pub fn hint(self) -> Option<String> {
        let Self::Character(c) = self else { return None };
        let code: Vec<String> = c.to_string().bytes().map(|byte| format!("%{byte:02X}")).collect();
        Some(format!("write that character as `{}`", code.concat()))
    }
}

/// Makes sure that a text is the URL of a host that speaks HTTP.
pub fn check(text: &str) -> Result<(), UrlError> {
    parts(text).map(drop)
}

/// What of a URL may be seen: scheme and host. User, path and query may be secrets; that there is more is shown.
pub fn shown(text: &str) -> String {
    match parts(text) {
        Ok(Parts { scheme, host, more: false }) => format!("{scheme}://{host}"),
        Ok(Parts { scheme, host, more: true }) => format!("{scheme}://{host}/…"),
        Err(_) => "…".to_owned(),
    }
}

/// A URL taken apart.
struct Parts<'a> {
    scheme: &'a str,
    /// With its port.
    host: &'a str,
    /// Whether it has a user, a path or a query.
    more: bool,
}

fn parts(text: &str) -> Result<Parts<'_>, UrlError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-._~:/?#[]@!$&'()*+,;=%".contains(c);
    let (scheme, rest) =
        text.split_once("://").filter(|(scheme, _)| ["http", "https"].contains(scheme)).ok_or(UrlError::Scheme)?;
    if let Some(other) = text.chars().find(|c| !allowed(*c)) {
        return Err(UrlError::Character(other));
    }
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let (user, host) = authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
    let port = match host.strip_prefix('[').and_then(|inside| inside.split_once(']')) {
        Some((address, port)) => {
            address.parse::<Ipv6Addr>().map_err(|_| UrlError::Host)?;
            port
        }
        None => named(host)?,
    };
    match port.strip_prefix(':') {
        None if port.is_empty() => {}
        None => return Err(UrlError::Host),
        Some(digits) => {
            let good = digits.bytes().all(|digit| digit.is_ascii_digit()) && digits.parse::<u16>().is_ok_and(|n| n > 0);
            good.then_some(()).ok_or(UrlError::Port)?;
        }
    }
    Ok(Parts { scheme, host, more: user.is_some() || !matches!(path, "" | "/") })
}

/// What follows the name (or the address of four numbers) of a host.
fn named(host: &str) -> Result<&str, UrlError> {
    let (name, port) = host.split_at(host.find(':').unwrap_or(host.len()));
    if name.is_empty() {
        return Err(UrlError::NoHost);
    }
    let fine = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    if !name.chars().all(fine) || !name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return Err(UrlError::Host);
    }
    Ok(port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_a_scheme_of_the_web_and_a_host() {
        for good in [
            "http://x",
            "https://hooks.example/T0/B1?key=a%20b#c",
            "http://127.0.0.1:8377/",
            "https://user:secret@mail.example:443/x",
            "http://[::1]:80/x",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for (bad, error) in [
            ("", UrlError::Scheme),
            ("hooks.example/x", UrlError::Scheme),
            ("ftp://x", UrlError::Scheme),
            ("HTTP://x", UrlError::Scheme),
            ("http:/x", UrlError::Scheme),
            ("https://", UrlError::NoHost),
            ("https:///path", UrlError::NoHost),
            ("https://?q", UrlError::NoHost),
            ("https://user@/x", UrlError::NoHost),
            ("http://:80", UrlError::NoHost),
            ("http://..", UrlError::Host),
            ("http://[::1", UrlError::Host),
            ("http://[x]", UrlError::Host),
            ("http://[::1]x", UrlError::Host),
            ("http://a$b", UrlError::Host),
            ("http://x:", UrlError::Port),
            ("http://x:0", UrlError::Port),
            ("http://x:+80", UrlError::Port),
            ("http://x:65536", UrlError::Port),
            ("http://x/a b", UrlError::Character(' ')),
            ("http://x/\n", UrlError::Character('\n')),
            ("http://x\\@y/", UrlError::Character('\\')),
        ] {
            assert_eq!(check(bad), Err(error), "{bad}");
        }
        assert_eq!(UrlError::Character('ä').hint().as_deref(), Some("write that character as `%C3%A4`"));
    }

    #[test]
    fn what_may_be_a_secret_is_not_shown() {
        assert_eq!(shown("https://hooks.example"), "https://hooks.example");
        assert_eq!(shown("https://hooks.example/"), "https://hooks.example");
        for secret in ["/T0/B1", "?key=1", "#1"] {
            assert_eq!(shown(&format!("https://hooks.example:8443{secret}")), "https://hooks.example:8443/…");
        }
        assert_eq!(shown("https://user:secret@[::1]"), "https://[::1]/…");
        assert_eq!(shown("secret"), "…");
    }
}
