//! The arguments that have a fixed set of values.

use clap::ValueEnum;
use fanin_checkpoint::{FileLayout, StreamKind};

/// When to use colors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// Use colors on a terminal, unless NO_COLOR is set.
    Auto,
    /// Always use colors.
    Always,
    /// Never use colors.
    Never,
}

impl Color {
    /// Returns the value of `--color` in arguments that clap has rejected, or `Auto` if `--color` is not given.
    pub fn from_arguments(arguments: impl Iterator<Item = std::ffi::OsString>) -> Self {
        let mut arguments = arguments.map(|argument| argument.to_string_lossy().into_owned());
        let mut color = None;
        while let Some(argument) = arguments.next() {
            match argument.strip_prefix("--color") {
                Some("") => color = arguments.next(),
                Some(rest) => color = rest.strip_prefix('=').map(str::to_owned).or(color),
                None if argument == "--" => break,
                None => {}
            }
        }
        color.and_then(|color| Color::from_str(&color, false).ok()).unwrap_or(Color::Auto)
    }

    /// Applies this choice to the whole process.
    pub fn apply(self) {
        match self {
            Color::Auto => anstream::ColorChoice::Auto,
            Color::Always => anstream::ColorChoice::Always,
            Color::Never => anstream::ColorChoice::Never,
        }
        .write_global();
    }
}

/// The stream from which values are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Stream {
    /// Counter-based: a value depends only on the seed, the tensor's name and the index.
    Native,
    /// PyTorch's CPU generator (MT19937), bit for bit.
    Torch,
}

impl From<Stream> for StreamKind {
    fn from(stream: Stream) -> Self {
        match stream {
            Stream::Native => StreamKind::Native,
            Stream::Torch => StreamKind::Torch,
        }
    }
}

/// The file layout of a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Layout {
    /// The layout of Hugging Face: whole tensors in each file, and an index.
    Hf,
    /// The layout of torch.distributed.checkpoint in safetensors: each file contains rows of one or more tensors.
    Dcp,
}

impl From<Layout> for FileLayout {
    fn from(layout: Layout) -> Self {
        match layout {
            Layout::Hf => FileLayout::Hf,
            Layout::Dcp => FileLayout::Dcp,
        }
    }
}
