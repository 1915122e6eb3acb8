//! How a checkpoint is drawn, laid out in files, and shared between processes.

use std::num::NonZeroUsize;

/// Which stream the values come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StreamKind {
    /// The native stream: a value depends only on seed, tensor name and index.
    Native,
    /// The torch stream: PyTorch's CPU generator, bit for bit.
    Torch,
}

impl StreamKind {
    /// `native` or `torch`.
    pub const fn name(self) -> &'static str {
        match self {
            StreamKind::Native => "native",
            StreamKind::Torch => "torch",
        }
    }

    /// The stream of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [StreamKind::Native, StreamKind::Torch].into_iter().find(|stream| stream.name() == name)
    }
}

/// The layout of a checkpoint's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum FileLayout {
    /// Hugging Face's: whole tensors in each file, and an index.
    #[default]
    Hf,
    /// torch.distributed.checkpoint's: rows of tensors in each file, with their offsets in its header.
    Dcp,
}

impl FileLayout {
    /// `hf` or `dcp`.
    pub const fn name(self) -> &'static str {
        match self {
            FileLayout::Hf => "hf",
            FileLayout::Dcp => "dcp",
        }
    }

    /// The layout of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [FileLayout::Hf, FileLayout::Dcp].into_iter().find(|layout| layout.name() == name)
    }
}

/// One of several processes that write a checkpoint together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partition {
    /// The number of this process, from 1.
    pub number: usize,
    /// The number of processes.
    pub count: usize,
}

/// How a checkpoint is split into files, and the files between processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Partitioning {
    /// The most bytes of values in a file; `None` writes one file.
    pub max_shard_size: Option<u64>,
    /// The partition that this process writes: every `count`th file, or a range of the one file. `None` writes all.
    pub partition: Option<Partition>,
    /// The layout of the files.
    pub layout: FileLayout,
}

impl Partitioning {
    /// Whether the checkpoint is a folder of files.
    pub fn in_files(self) -> bool {
        self.max_shard_size.is_some() || self.layout == FileLayout::Dcp
    }

    /// What is written: a file, a range of a file, or a folder of files.
    pub fn form(self) -> Form {
        match self {
            _ if self.in_files() => Form::Files,
            Partitioning { partition: Some(_), .. } => Form::PartitionOfFile,
            _ => Form::File,
        }
    }
}

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One file.
    File,
    /// A range of one file. An existing file of that name may be the finished one.
    PartitionOfFile,
    /// A folder of files.
    Files,
}

/// What happens to existing files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Existing {
    /// They are replaced. Otherwise they are an error.
    pub force: bool,
    /// Those that are complete and correct are kept.
    pub resume: bool,
}

/// How the values are drawn.
#[derive(Debug, Clone, Copy)]
pub struct Draw {
    /// The stream.
    pub stream: StreamKind,
    /// Its seed.
    pub seed: u64,
    /// The number of threads; `None` uses all cores.
    pub threads: Option<NonZeroUsize>,
}

/// A number of bytes: `5GB`, `512 MiB`, `1.5e9`. As Hugging Face reads it, the case of the unit does not matter.
///
/// # Errors
/// What is no whole number of bytes.
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
    // Beyond 2^53 a float is no whole number of bytes any more, and no file is as large.
    let whole = bytes.filter(|bytes| (1.0..=9007199254740992.0).contains(bytes) && bytes.fract() == 0.0);
    whole
        .map(|bytes| bytes as u64)
        .ok_or_else(|| format!("{text:?} is no size: write a number of bytes, as 5GB, 512MiB or 1000000"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
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
