//! The far end of a transfer as it is written: a path, `host:path`, or a URL. Nothing is looked up.

use std::path::Path;

use thiserror::Error;

use super::url::{self, UrlError};

/// Where something is brought from, or taken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remote {
    /// An absolute path on this machine.
    Local(String),
    /// A path on a machine that is reached through ssh; a relative one begins at the home there.
    Host {
        /// `host`, `user@host`.
        host: String,
        /// The path.
        path: String,
    },
    /// A URL that is fetched.
    Web(String),
}

/// Why a text names no remote.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RemoteError {
    /// Nothing is named.
    #[error("it names nothing")]
    Nothing,
    /// A scheme that is not known.
    #[error("`{0}://` is not known")]
    Scheme(String),
    /// No host's name, or one that would be read as an option.
    #[error("`{0}` is not the name of a host")]
    Host(String),
    /// What is no URL.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// A character that no path has.
    #[error("it contains a NUL character")]
    Nul,
    /// The directory that it is found from is no text.
    #[error("the directory that it is found from is not UTF-8")]
    NotText,
}

impl RemoteError {
    /// The way out, as an imperative.
    pub fn hint(&self) -> String {
        match self {
            Self::Url(error) => error.hint().unwrap_or_else(|| "write a URL such as `https://host/file`".to_owned()),
            Self::Host(text) => format!("for a file of that name write `./{text}…`"),
            Self::Nothing | Self::Scheme(_) | Self::Nul | Self::NotText => {
                "write a path, `host:/path`, or a URL with `http://` or `https://`".to_owned()
            }
        }
    }
}

impl Remote {
    /// Reads a remote; a relative path is found from `base`.
    pub fn parse(text: &str, base: &Path) -> Result<Self, RemoteError> {
        if text.contains('\0') {
            return Err(RemoteError::Nul);
        }
        if text.is_empty() {
            return Err(RemoteError::Nothing);
        }
        if let Some((scheme, _)) = text.split_once("://")
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
        {
            if !matches!(scheme, "http" | "https") {
                return Err(RemoteError::Scheme(scheme.to_owned()));
            }
            url::check(text)?;
            return Ok(Self::Web(text.to_owned()));
        }
        if let Some((host, path)) = host_of(text) {
            return match path {
                _ if !is_host(host) || path.starts_with(':') => Err(RemoteError::Host(host.to_owned())),
                "" => Err(RemoteError::Nothing),
                path => Ok(Self::Host { host: host.to_owned(), path: path.to_owned() }),
            };
        }
        let path = base.join(text);
        path.to_str().map(|path| Self::Local(path.to_owned())).ok_or(RemoteError::NotText)
    }

    /// The name of the file or directory that it names; none for a root, or what only names a directory to put
    /// something into.
    pub fn name(&self) -> Option<&str> {
        let path = match self {
            Self::Local(path) | Self::Host { path, .. } => path,
            Self::Web(url) => url.split_once("://")?.1.split(['?', '#']).next()?.split_once('/')?.1,
        };
        path.rsplit('/').next().filter(|name| !matches!(*name, "" | "." | ".."))
    }

    /// Whether it names a directory to put something into, by ending with a slash.
    pub fn is_into(&self) -> bool {
        match self {
            Self::Local(path) | Self::Host { path, .. } => path.ends_with('/'),
            Self::Web(_) => false,
        }
    }

    /// What of it anybody may see: of a URL neither user nor query, which may be secrets.
    pub fn shown(&self) -> String {
        match self {
            Self::Local(path) => path.clone(),
            Self::Host { host, path } => format!("{host}:{path}"),
            Self::Web(text) => {
                let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
                let end = rest.find(['?', '#']).unwrap_or(rest.len());
                let (rest, query) = rest.split_at(end);
                let authority = rest.find('/').unwrap_or(rest.len());
                let (authority, path) = rest.split_at(authority);
                let host = authority.rsplit('@').next().unwrap_or_default();
                let more = if query.is_empty() { "" } else { "?…" };
                format!("{scheme}://{host}{path}{more}")
            }
        }
    }

    /// The text that it is kept as, and read from again.
    pub fn text(&self) -> String {
        match self {
            Self::Local(path) => path.clone(),
            Self::Host { host, path } => format!("{host}:{path}"),
            Self::Web(text) => text.clone(),
        }
    }
}

/// The host and the path, where there is a colon before the first slash.
fn host_of(text: &str) -> Option<(&str, &str)> {
    let from = if text.contains('[') { text.find(']').unwrap_or(0) } else { 0 };
    let colon = from + text.get(from..)?.find(':')?;
    let (host, path) = text.split_at(colon);
    (!host.contains('/')).then(|| (host, path.strip_prefix(':').unwrap_or(path)))
}

fn is_host(host: &str) -> bool {
    let (user, name) = host.split_once('@').unwrap_or(("x", host));
    let inner = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    let fits = |text: &str, also: &[u8]| {
        !text.is_empty()
            && !text.starts_with('-')
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b) || also.contains(&b))
    };
    fits(user, b"") && inner.map_or_else(|| fits(name, b""), |inner| fits(inner, b":%"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Remote, RemoteError> {
        Remote::parse(text, Path::new("/wd"))
    }

    #[test]
    fn a_remote_is_a_path_a_host_or_a_url() {
        assert_eq!(parsed("a b.csv"), Ok(Remote::Local("/wd/a b.csv".into())));
        assert_eq!(parsed("/data/"), Ok(Remote::Local("/data/".into())));
        assert_eq!(parsed("./a:b"), Ok(Remote::Local("/wd/./a:b".into())));
        let host = |host: &str, path: &str| Ok(Remote::Host { host: host.into(), path: path.into() });
        assert_eq!(parsed("box:/data/x"), host("box", "/data/x"));
        assert_eq!(parsed("me@box.org:x"), host("me@box.org", "x"));
        assert_eq!(parsed("me@[::1]:/x"), host("me@[::1]", "/x"));
        assert_eq!(parsed("https://a/b"), Ok(Remote::Web("https://a/b".into())));
    }

    #[test]
    fn what_is_none_is_refused() {
        assert_eq!(parsed(""), Err(RemoteError::Nothing));
        assert_eq!(parsed("box:"), Err(RemoteError::Nothing));
        assert_eq!(parsed("-oProxyCommand=x:/y"), Err(RemoteError::Host("-oProxyCommand=x".into())));
        assert_eq!(parsed("box::module"), Err(RemoteError::Host("box".into())));
        assert_eq!(parsed("s3://bucket/x"), Err(RemoteError::Scheme("s3".into())));
        assert_eq!(parsed("http:///x"), Err(RemoteError::Url(UrlError::NoHost)));
    }

    #[test]
    fn what_it_names_and_what_may_be_seen_of_it() {
        let named = |text: &str| parsed(text).unwrap().name().map(str::to_owned);
        assert_eq!(named("/data/x.csv").as_deref(), Some("x.csv"));
        assert_eq!(named("box:x").as_deref(), Some("x"));
        assert_eq!(named("http://a/b/c.gz?k=v").as_deref(), Some("c.gz"));
        assert_eq!([named("/data/"), named("http://a"), named("http://a/?x=/y")], [None, None, None]);
        assert!(parsed("/data/").unwrap().is_into() && !parsed("/data").unwrap().is_into());
        assert_eq!(parsed("https://me:pw@a:8/b/c?token=x").unwrap().shown(), "https://a:8/b/c?…");
    }
}
