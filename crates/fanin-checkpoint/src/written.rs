//! The result of writing a checkpoint.

/// Counts of the files and values that a process wrote, and of the existing files that it did not need to write.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    /// The number of files of the whole checkpoint, without the index.
    pub files: usize,
    /// The number of files that this process wrote, without the index. A partition of a single file counts as a file.
    pub written: usize,
    /// The number of files that this process did not write, because they existed already with the right content.
    pub kept: usize,
    /// The number of tensors in the files that `written` and `kept` count. A tensor that is split between files counts
    /// once in each of them.
    pub tensors: u64,
    /// The number of values that this process wrote to these files or found in them.
    pub values: u64,
    /// The number of bytes of the values that `values` counts.
    pub bytes: u64,
    /// The number of partitions of a single file that no process has written yet. When no partition is missing, the
    /// file is renamed to its final name.
    pub missing_partitions: usize,
}
