//! The result of writing a checkpoint.

/// What a process wrote of a checkpoint, and what it kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    /// The number of files of the whole checkpoint, without the index.
    pub files: usize,
    /// The number of files that this process wrote, without the index. A partition of one file counts as a file.
    pub written: usize,
    /// The number of files that existed already, complete and correct.
    pub kept: usize,
    /// The number of tensors in the files that were written or kept. A tensor that is split between files counts in each.
    pub tensors: u64,
    /// The number of values in these files.
    pub values: u64,
    /// The number of bytes of these values.
    pub bytes: u64,
    /// The number of partitions of a single file that are not written yet. The file is renamed to its final name when it
    /// is 0.
    pub missing_partitions: usize,
}
