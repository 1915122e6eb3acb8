//! Arguments with a fixed set of values.

use clap::ValueEnum;
use fanin_checkpoint::{FileLayout, StreamKind};

/// When to use colors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Color {
    /// Returns the value of `--color` in arguments that clap has rejected. `Auto` is the default.
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

/// The stream that values are drawn from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Stream {
    /// Counter-based: a value depends only on seed, tensor name and index.
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

/// The layout of a checkpoint's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Layout {
    /// The layout of Hugging Face: whole tensors in each file, and an index.
    Hf,
    /// The layout of torch.distributed.checkpoint in safetensors: rows of tensors in each file.
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
