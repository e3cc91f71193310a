//! Space set aside for a full disk: a script that fills it must still be stopped, and the wish to stop it be recorded.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;

use nix::fcntl::{FallocateFlags, fallocate};

use super::Home;

/// More than the record of a wish and its outcome takes.
const SIZE: i64 = 256 * 1024;

/// Sets the space aside, if that is not done. Where it cannot be had, there is none: no command fails for that.
pub fn keep(home: &Home) {
    let path = home.reserve();
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
    if let Ok(file) = made
        && fallocate(&file, FallocateFlags::empty(), 0, SIZE).is_err()
    {
        let _ = fs::remove_file(&path);
    }
}

/// Gives the space back to the disk; whether there was any.
pub fn spend(home: &Home) -> bool {
    fs::remove_file(home.reserve()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn the_reserve_takes_real_space_until_it_is_spent() {
        let temp = tempfile::tempdir().unwrap();
        let home = Home::create(temp.path()).unwrap();
        keep(&home);
        assert!(fs::metadata(home.reserve()).unwrap().blocks() * 512 >= SIZE.cast_unsigned());
        assert!(spend(&home));
        assert!(!spend(&home));
    }
}
