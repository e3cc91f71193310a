//! Relative paths that stay inside of the directory that they are found from: work directories, what is transferred,
//! what is cleaned up. Links are not looked at here: what lies on the disk is not known.

use thiserror::Error;

/// Why a path may lead out of its directory, or is none.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InsideError {
    /// Nothing is left of it.
    #[error("the path `{0}` names nothing")]
    Nothing(String),
    /// It begins at the root.
    #[error("the path `{0}` is not relative")]
    Absolute(String),
    /// A part of it is `..`.
    #[error("the path `{0}` contains `..`")]
    Upwards(String),
    /// It begins like somebody's home.
    #[error("`~` is not expanded in the path `{0}`")]
    Home(String),
    /// The first part of a work directory is digits alone.
    #[error("the path `{0}` begins with a number, which is the own directory of a job")]
    OfAJob(String),
}

impl InsideError {
    /// The way out, as an imperative.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Nothing(_) => "name a directory or file inside",
            Self::Absolute(_) | Self::Upwards(_) | Self::Home(_) => {
                "write a relative path that stays inside, such as `runs/first`"
            }
            Self::OfAJob(_) => "put a word before the number, such as `run-7`",
        }
    }
}

/// The parts of a relative path, joined anew, without `.` and doubled slashes; empty for the directory itself.
fn parts(text: &str) -> Result<String, InsideError> {
    if text.starts_with('/') {
        return Err(InsideError::Absolute(text.to_owned()));
    }
    if text == "~" || text.starts_with("~/") {
        return Err(InsideError::Home(text.to_owned()));
    }
    let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if parts.contains(&"..") { Err(InsideError::Upwards(text.to_owned())) } else { Ok(parts.join("/")) }
}

/// A path inside of a work directory; `.` is the work directory itself.
pub fn local(text: &str) -> Result<String, InsideError> {
    match parts(text)? {
        path if !path.is_empty() => Ok(path),
        _ if text.is_empty() => Err(InsideError::Nothing(text.to_owned())),
        _ => Ok(".".to_owned()),
    }
}

/// A pattern of paths inside of a work directory, which is not the whole of it.
pub fn pattern(text: &str) -> Result<String, InsideError> {
    named(text)
}

/// A path inside of the folder of the jobs. What begins with a number is refused: so are the jobs' own directories
/// called.
pub fn work_directory(text: &str) -> Result<String, InsideError> {
    let path = named(text)?;
    let first = path.split('/').next().unwrap_or_default();
    if first.bytes().all(|b| b.is_ascii_digit()) { Err(InsideError::OfAJob(text.to_owned())) } else { Ok(path) }
}

fn named(text: &str) -> Result<String, InsideError> {
    let path = parts(text)?;
    if path.is_empty() { Err(InsideError::Nothing(text.to_owned())) } else { Ok(path) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_inside_is_a_path() {
        assert_eq!(work_directory("runs//./a b/"), Ok("runs/a b".to_owned()));
        assert_eq!(work_directory("7x/7"), Ok("7x/7".to_owned()));
        assert_eq!(local("."), Ok(".".to_owned()));
        assert_eq!(local("./"), Ok(".".to_owned()));
        assert_eq!(local("..a/b.."), Ok("..a/b..".to_owned()));
        assert_eq!(pattern("*.tmp"), Ok("*.tmp".to_owned()));
    }

    #[test]
    fn what_leads_out_is_refused() {
        assert_eq!(work_directory(""), Err(InsideError::Nothing(String::new())));
        assert_eq!(work_directory("./"), Err(InsideError::Nothing("./".to_owned())));
        assert_eq!(work_directory("/etc"), Err(InsideError::Absolute("/etc".to_owned())));
        assert_eq!(work_directory("a/../../b"), Err(InsideError::Upwards("a/../../b".to_owned())));
        assert_eq!(work_directory("~/x"), Err(InsideError::Home("~/x".to_owned())));
        assert_eq!(work_directory("12/x"), Err(InsideError::OfAJob("12/x".to_owned())));
        assert_eq!(local(""), Err(InsideError::Nothing(String::new())));
        assert_eq!(local(".."), Err(InsideError::Upwards("..".to_owned())));
        assert_eq!(pattern("."), Err(InsideError::Nothing(".".to_owned())));
    }
}
