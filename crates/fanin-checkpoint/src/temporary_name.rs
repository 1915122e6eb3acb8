//! The names of temporary files. The temporary file for the file NAME is `.fanin-NAME-RANDOM.unfinished` in the same
//! folder.

use std::ffi::OsString;
use std::fs::File;
use std::path::Path;

use crate::paths::parent_folder;

/// The suffix of every temporary name.
pub(crate) const SUFFIX: &str = ".unfinished";

/// The number of random letters and digits in a temporary name.
pub(crate) const RANDOM: usize = 6;

/// Returns the prefix of the temporary names for the file at `path`. File systems limit the length of a name, so the
/// end of a long file name is replaced by a hash of the whole name.
pub(crate) fn prefix(path: &Path) -> OsString {
    const MAX_CHARACTERS: usize = 40;
    let name = path.file_name().unwrap_or_default();
    let short = match name.to_str() {
        Some(name) if name.chars().count() <= MAX_CHARACTERS => name.to_owned(),
        _ => {
            let hash = blake3::hash(name.as_encoded_bytes()).to_hex();
            let begin: String = name.to_string_lossy().chars().take(MAX_CHARACTERS - 9).collect();
            format!("{begin}-{}", &hash[..8])
        }
    };
    format!(".fanin-{short}-").into()
}

/// Returns true if `name` is a temporary name with this prefix. The length of the random part is checked, because a
/// temporary name for the file `a-b` also begins with the prefix for the file `a`.
fn is_temporary(name: &[u8], prefix: &[u8]) -> bool {
    name.strip_prefix(prefix)
        .and_then(|rest| rest.strip_suffix(SUFFIX.as_bytes()))
        .is_some_and(|random| random.len() == RANDOM && random.iter().all(u8::is_ascii_alphanumeric))
}

/// Removes the temporary files for `path` that killed processes left. These are the files that no process has locked.
/// On a file system without locks, removes nothing.
pub(crate) fn remove_leftovers(path: &Path) {
    let prefix = prefix(path);
    let Ok(entries) = std::fs::read_dir(parent_folder(path)) else { return };
    for entry in entries.flatten() {
        if !is_temporary(entry.file_name().as_encoded_bytes(), prefix.as_encoded_bytes()) {
            continue;
        }
        // The temporary file is read-only if it replaces a read-only file. It is then opened for reading, which is
        // enough for a lock.
        let file = File::options().write(true).open(entry.path()).or_else(|_| File::open(entry.path()));
        if file.is_ok_and(|file| file.try_lock().is_ok()) {
            _ = std::fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn temporary_files_of_other_paths_are_not_removed() {
        let folder = tempfile::tempdir().unwrap();
        let long = |end: &str| format!("{}{end}", "l".repeat(60));
        let names = ["a".to_owned(), "a-b".to_owned(), "a-b-c".to_owned(), long("1"), long("2")];
        for name in &names {
            let path = folder.path().join(name);
            let leftovers: Vec<PathBuf> = names
                .iter()
                .map(|name| {
                    let mut leftover = prefix(Path::new(name));
                    leftover.push("aB3dE6.unfinished");
                    let leftover = folder.path().join(leftover);
                    std::fs::write(&leftover, "left").unwrap();
                    leftover
                })
                .collect();
            remove_leftovers(&path);
            let removed: Vec<&String> = names
                .iter()
                .zip(&leftovers)
                .filter(|(_, leftover)| !leftover.exists())
                .map(|(name, _)| name)
                .collect();
            assert_eq!(removed, [name]);
        }
    }
}
