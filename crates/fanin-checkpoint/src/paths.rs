//! Functions that find the folder of a file and follow symbolic links.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Returns the folder of a file. The folder of a bare file name is `.`.
pub(crate) fn parent_folder(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Returns the path at the end of a chain of symbolic links. The path need not exist. If `path` is not a symbolic link,
/// returns `path`.
///
/// # Errors
/// Returns an error if the links form a cycle or cannot be followed.
pub(crate) fn resolve_links(path: &Path) -> Result<PathBuf> {
    /// The maximum number of links that are followed. Linux has the same limit.
    const MAX_LINKS: usize = 40;
    if path.exists() {
        return if path.is_symlink() {
            path.canonicalize().map_err(Error::io("find", path))
        } else {
            Ok(path.into())
        };
    }
    // `canonicalize` fails if the file does not exist, so links to a missing file are followed one by one.
    let mut end = path.to_owned();
    for _ in 0..MAX_LINKS {
        match std::fs::read_link(&end) {
            Ok(next) => end = parent_folder(&end).join(next),
            Err(_) => return Ok(end),
        }
    }
    Err(Error::file(path, "the symbolic link leads to itself"))
}
