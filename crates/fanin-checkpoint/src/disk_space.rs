//! The check that the disk has enough free space for a checkpoint.

use std::path::Path;

use fanin_recipe::text;

use crate::error::{Error, Result};
use crate::target::Target;

/// Checks that the target's disk has at least `bytes` bytes of free space. If the free space is unknown, the check
/// passes.
///
/// # Errors
/// Returns an error if there is less free space. The error states the needed and the available number of bytes.
pub(crate) fn check(target: &Target, bytes: u64) -> Result {
    // The target's folder may not exist yet, so the closest existing parent folder is used.
    let folder = target.folder().ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("."));
    match fs4::statvfs(folder) {
        // A file system with a total size of 0, such as /proc, passes the check. Creating the file then gives a better
        // error message.
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
