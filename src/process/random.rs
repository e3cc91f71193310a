//! Random bytes from the system, and ids made of them.

use std::fs::File;
use std::io::{self, Read};

use crate::domain::name::RunId;

use super::clock;

/// So many random bytes.
pub fn bytes<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// The id of a new run.
pub fn run_id() -> io::Result<RunId> {
    Ok(RunId::new(clock::now(), bytes()?))
}

/// The ids of so many new runs.
pub fn run_ids(many: usize) -> io::Result<Vec<RunId>> {
    let now = clock::now();
    let mut bytes = vec![[0; 16]; many];
    File::open("/dev/urandom")?.read_exact(bytes.as_flattened_mut())?;
    Ok(bytes.into_iter().map(|bytes| RunId::new(now, bytes)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_bytes_and_ids_differ() {
        assert_ne!(bytes::<16>().unwrap(), bytes::<16>().unwrap());
        assert_ne!(run_id().unwrap(), run_id().unwrap());
        let ids = run_ids(3).unwrap();
        assert!(ids.len() == 3 && ids[0] != ids[1] && ids[1] != ids[2] && ids[0].low64() != ids[1].low64());
        assert!(run_ids(0).unwrap().is_empty());
    }
}
