//! Checks that the disk has enough space for a checkpoint.

use std::path::Path;

use fanin_recipe::text;

use crate::error::{Error, Result};
use crate::target::Target;

/// Checks that the disk of the target has `bytes` bytes available. If the available space is unknown, the check passes.
///
/// # Errors
/// Returns an error that names the needed and the available number of bytes.
pub(crate) fn check(target: &Target, bytes: u64) -> Result {
    // The folder itself may not exist yet.
    let folder = target.folder().ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("."));
    match fs4::statvfs(folder) {
        // A file system with a total size of 0, such as /proc, is not a disk. No error is returned for it here, because
        // creating the file gives a better message.
        Ok(disk) if disk.total_space() > 0 && disk.available_space() < bytes => {
            let (needed, available) = (text::bytes(bytes), text::bytes(disk.available_space()));
            let message = format!(
                "{needed} are needed, but only {available} are available on the disk: nothing was written"
            );
            Err(Error::file(target.path(), message))
        }
        _ => Ok(()),
    }
}
