//! Whether a folder is safe to keep an executor in: local, ours, closed to others.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::sys::statfs::statfs;

use super::HomeError;

/// File systems on which locks or shared memory cannot be trusted, by their magic numbers (`statfs(2)`).
const NETWORK: [(i64, &str); 8] = [
    (0x6969, "NFS"),
    (0xFF53_4D42, "SMB"),
    (0xFE53_4D42, "SMB"),
    (0x517B, "SMB"),
    (0x0102_1997, "9P"),
    (0x00C3_6400, "Ceph"),
    (0x0BD0_0BD0, "Lustre"),
    (0x5346_414F, "AFS"),
];

/// Refuses a folder that is not safe.
pub(super) fn check(path: &Path) -> Result<(), HomeError> {
    let failed = |source| HomeError::Io { doing: "check", path: path.to_path_buf(), source };
    let metadata = fs::metadata(path).map_err(failed)?;
    if !metadata.is_dir() {
        return Err(HomeError::NotAFolder(path.to_path_buf()));
    }
    let kind = statfs(path).map_err(|errno| failed(errno.into()))?.filesystem_type().0;
    // The type's width differs between C libraries; the magic numbers are 32 bits.
    #[allow(clippy::cast_lossless, clippy::unnecessary_cast)]
    let magic = kind as i64 & 0xFFFF_FFFF;
    if let Some((_, kind)) = NETWORK.iter().find(|(number, _)| *number == magic) {
        return Err(HomeError::Network { path: path.to_path_buf(), kind });
    }
    let (owner, me) = (metadata.uid(), nix::unistd::geteuid().as_raw());
    if owner != me {
        return Err(HomeError::Owner { path: path.to_path_buf(), owner, me });
    }
    let mode = metadata.mode() & 0o7777;
    if mode & 0o022 != 0 {
        return Err(HomeError::Mode { path: path.to_path_buf(), mode });
    }
    Ok(())
}
