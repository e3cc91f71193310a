//! An error with its causes, in one line: for a diary, a record, a message.

use std::error::Error;

/// What an error says, and each of its causes after a colon.
pub fn in_one_line(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text += &format!(": {cause}");
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot open the door")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn each_cause_follows_its_error() {
        assert_eq!(in_one_line(&Outer(std::io::Error::other("no key"))), "cannot open the door: no key");
    }
}
