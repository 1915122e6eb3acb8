//! The result of writing a checkpoint.

/// The numbers of files, tensors and values that a process wrote, or that already existed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    /// The number of files of the whole checkpoint, without the index.
    pub files: usize,
    /// The number of files that this process wrote, without the index. If several processes write a single file, each
    /// process counts its partition as one file.
    pub written: usize,
    /// The number of files that this process did not write, because they already existed with the correct content.
    pub kept: usize,
    /// The number of tensors in the files that this process wrote or kept (see the fields `written` and `kept`). A
    /// tensor that is split between files is counted once for each of these files. If several processes write a single
    /// file, only tensors with values in the partition of this process are counted.
    pub tensors: u64,
    /// The number of values in the files that this process wrote or kept (see the fields `written` and `kept`). If
    /// several processes write a single file, only the values in the partition of this process are counted.
    pub values: u64,
    /// The total size in bytes of the values that are counted in the field `values`.
    pub bytes: u64,
    /// The number of partitions that are not written yet. The file has its final name when this number is 0. The number
    /// is always 0 unless several processes write a single file.
    pub missing_partitions: usize,
}
