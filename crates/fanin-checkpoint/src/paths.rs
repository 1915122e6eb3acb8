//! Functions on paths: the folder of a file, and the end of a chain of symbolic links.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Returns the folder of a file; `.` for a bare file name.
pub(crate) fn parent_folder(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Returns the path that a symbolic link leads to, whether or not a file exists there. Any other path is returned
/// unchanged.
///
/// # Errors
/// Returns an error if the links form a cycle or cannot be followed.
pub(crate) fn resolve_links(path: &Path) -> Result<PathBuf> {
    /// The maximum number of links that Linux follows.
    const MAX_LINKS: usize = 40;
    if path.exists() {
        return if path.is_symlink() {
            path.canonicalize().map_err(Error::io("find", path))
        } else {
            Ok(path.into())
        };
    }
    // `canonicalize` needs an existing file, so dangling links are followed here.
    let mut end = path.to_owned();
    for _ in 0..MAX_LINKS {
        match std::fs::read_link(&end) {
            Ok(next) => end = parent_folder(&end).join(next),
            Err(_) => return Ok(end),
        }
    }
    Err(Error::file(path, "the symbolic link leads to itself"))
}
