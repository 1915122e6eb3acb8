//! Options for writing a checkpoint: random stream, seed, file layout, partition, and the treatment of existing files.

use std::num::NonZeroUsize;

/// The stream that the values are drawn from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StreamKind {
    /// The native stream: a counter-based generator (Philox). For a given plan, a value depends only on the seed, the
    /// tensor's name and the index of the value.
    Native,
    /// The torch stream: the same values as PyTorch's CPU generator (MT19937), bit for bit.
    Torch,
}

impl StreamKind {
    /// Returns `"native"` or `"torch"`.
    pub const fn name(self) -> &'static str {
        match self {
            StreamKind::Native => "native",
            StreamKind::Torch => "torch",
        }
    }

    /// Returns the stream with this name, or `None` if no stream has this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [StreamKind::Native, StreamKind::Torch].into_iter().find(|stream| stream.name() == name)
    }
}

/// The file layout of a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum FileLayout {
    /// The layout of Hugging Face: each file contains whole tensors, and an index names the file of each tensor.
    #[default]
    Hf,
    /// The layout of `torch.distributed.checkpoint`: a tensor can be split between files, by rows. For each tensor in a
    /// file, the header gives the index of the first row that the file contains.
    Dcp,
}

impl FileLayout {
    /// Returns `"hf"` or `"dcp"`.
    pub const fn name(self) -> &'static str {
        match self {
            FileLayout::Hf => "hf",
            FileLayout::Dcp => "dcp",
        }
    }

    /// Returns the file layout with this name, or `None` if no file layout has this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [FileLayout::Hf, FileLayout::Dcp].into_iter().find(|layout| layout.name() == name)
    }
}

/// One partition of a checkpoint. Several processes write the checkpoint together, and each writes one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partition {
    /// The number of the partition, from 1 to `count`.
    pub number: usize,
    /// The number of partitions, which is the number of processes.
    pub count: usize,
}

/// The options for splitting a checkpoint into files, and for splitting the work between processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Partitioning {
    /// The maximum number of bytes of values in a file. With `None`, there is no maximum. The `hf` layout then has one
    /// file, and the `dcp` layout has one file for each partition.
    pub max_shard_size: Option<u64>,
    /// The partition that this process writes. `None` writes the whole checkpoint.
    ///
    /// In a folder of files, the partition consists of the files `number`, `number + count`, `number + 2 * count` and
    /// so on. In a single file, the partition is a range of the values.
    pub partition: Option<Partition>,
    /// The layout of the files.
    pub layout: FileLayout,
}

impl Partitioning {
    /// Returns true if the checkpoint is a folder of files, and false if the checkpoint is a single file. The
    /// [`Target`](crate::Target) determines the name of a single file.
    pub fn is_folder(self) -> bool {
        self.max_shard_size.is_some() || self.layout == FileLayout::Dcp
    }

    /// Returns the form of the output that this process writes.
    pub fn form(self) -> OutputForm {
        match self {
            _ if self.is_folder() => OutputForm::Folder,
            Partitioning { partition: Some(_), .. } => OutputForm::PartitionOfFile,
            _ => OutputForm::File,
        }
    }
}

/// The form of the output that a process writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputForm {
    /// One file.
    File,
    /// One range of a file. Several processes write the file together, and each process writes one range. If the
    /// complete file already exists, for example from an earlier run, this process compares its values with the file.
    PartitionOfFile,
    /// One or more files in a folder.
    Folder,
}

/// The treatment of existing files. By default, an existing file is an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Existing {
    /// Replace existing files.
    pub force: bool,
    /// Keep existing files that are complete and correct. Any other existing file is an error, unless `force` is set.
    pub resume: bool,
}

/// The options for drawing values.
#[derive(Debug, Clone, Copy)]
pub struct Draw {
    /// The stream that the values are drawn from.
    pub stream: StreamKind,
    /// The seed of the stream.
    pub seed: u64,
    /// The number of threads that draw values. `None` means all cores. The values do not depend on the number of
    /// threads.
    pub threads: Option<NonZeroUsize>,
}

/// Parses a number of bytes, such as `5GB`, `512 MiB` or `1.5e9`. Units are case-insensitive, as in Hugging Face's
/// `max_shard_size`.
///
/// # Errors
/// Returns a message if `text` is not a whole number of bytes from 1 to 2^53.
pub fn parse_size(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, f64); 9] = [
        ("kib", 1024.0),
        ("mib", 1048576.0),
        ("gib", 1073741824.0),
        ("tib", 1099511627776.0),
        ("kb", 1e3),
        ("mb", 1e6),
        ("gb", 1e9),
        ("tb", 1e12),
        ("b", 1.0),
    ];
    let lower = text.trim().to_ascii_lowercase();
    let unit = UNITS.iter().find_map(|(unit, factor)| Some((lower.strip_suffix(unit)?, factor)));
    let (number, factor) = unit.unwrap_or((&lower, &1.0));
    let bytes = number.trim().parse::<f64>().ok().map(|number| number * factor);
    // Above 2^53, f64 cannot represent every whole number. No file is that large.
    let whole = bytes.filter(|bytes| (1.0..=9007199254740992.0).contains(bytes) && bytes.fract() == 0.0);
    whole.map(|bytes| bytes as u64).ok_or_else(|| {
        format!("{text:?} is not a size: expected a number of bytes such as 5GB, 512MiB or 1000000")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_parsed_with_decimal_and_binary_units() {
        for (text, size) in [
            ("5GB", 5_000_000_000),
            ("5gb", 5_000_000_000),
            ("1.5 GiB", 1_610_612_736),
            ("100", 100),
            ("7B", 7),
            ("512MiB", 536_870_912),
            ("2kb", 2000),
        ] {
            assert_eq!(parse_size(text), Ok(size), "{text}");
        }
        for text in ["", "0", "GB", "-1", "1.5", "5XB", "inf", "nan", "1e300TB", "5G"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }
}
