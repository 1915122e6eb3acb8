//! The arguments of the command line. [`crate::command`] carries them out.

mod check;
mod explain;
mod init_help;
mod value;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use fanin::DType;
use fanin_checkpoint::{FileLayout, PartitionArgument, StreamKind, parse_partition, parse_size};

pub use check::{Audit, Diff, Verify};
pub use explain::{Draft, Explain};
use init_help::INIT_HELP;
pub use value::Shape;
use value::{output_parser, parse_seed, parse_setting, parse_shape, parse_threads};

/// Initialize the weights of neural networks: write, check and explain initial checkpoints.
#[derive(Debug, Parser)]
#[command(name = "fanin", version, propagate_version = true, arg_required_else_help = true)]
#[command(after_help = "Run `fanin COMMAND --help` for examples.

Exit code:
  0    success
  1    check failed (verify, audit, diff)
  2    invalid arguments or input
  128 + N if stopped by signal N: 129 SIGHUP, 130 SIGINT (Ctrl-C), 143 SIGTERM. Signals that
       are ignored when fanin starts, as under nohup, stay ignored.")]
pub struct Args {
    /// The command.
    #[command(subcommand)]
    pub command: Command,
    /// Do not print progress, warnings and summaries to standard error.
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// When to use colors.
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: Color,
}

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
    /// Returns the value of `--color` among arguments that clap did not accept.
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

    /// Sets the use of colors for the whole process.
    pub fn apply(self) {
        match self {
            Color::Auto => anstream::ColorChoice::Auto,
            Color::Always => anstream::ColorChoice::Always,
            Color::Never => anstream::ColorChoice::Never,
        }
        .write_global();
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write an initial checkpoint from a recipe and a seed.
    Init(Init),
    /// Write a checkpoint of one tensor.
    Fill(Fill),
    /// Show the tensors of a checkpoint and their statistics.
    Inspect(Inspect),
    /// Check a checkpoint against its recipe: the distributions and, with --seed, the exact values.
    Verify(Verify),
    /// Check a checkpoint without a recipe: recognize how each tensor was initialized, and report defects.
    Audit(Audit),
    /// Compare two checkpoints, tensor by tensor.
    Diff(Diff),
    /// Explain what an initializer does to a shape: fans, gain, std, bounds, formula, source.
    Explain(Explain),
    /// Draft a recipe from the names and shapes of a checkpoint.
    Recipe(Draft),
    /// List the built-in models, or show one of them.
    Models(Models),
    /// Print a completion script for a shell.
    #[command(after_long_help = "Examples:
  fanin completions bash > ~/.local/share/bash-completion/completions/fanin
  fanin completions zsh > ~/.zfunc/_fanin
  fanin completions fish > ~/.config/fish/completions/fanin.fish")]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
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

/// Arguments that `init` and `fill` have in common: where values come from, and where they go.
#[derive(Debug, clap::Args)]
pub struct Output {
    /// The seed: a whole number from -2^63 to 2^64 - 1. A negative seed is the one that PyTorch takes it for.
    #[arg(long, default_value = "0", value_parser = parse_seed, allow_hyphen_values = true)]
    pub seed: u64,
    /// The stream to draw values from.
    #[arg(long, default_value = "native")]
    pub stream: Stream,
    /// The file or folder to write. In a folder, the file is model.safetensors.
    #[arg(short, long, value_name = "OUT.safetensors|DIR", required_unless_present = "dry_run")]
    #[arg(value_parser = output_parser(), allow_hyphen_values = true)]
    pub output: Option<PathBuf>,
    /// The number of threads. By default all cores are used. The values do not depend on it.
    #[arg(long, value_name = "N", value_parser = parse_threads, allow_negative_numbers = true)]
    pub threads: Option<NonZeroUsize>,
    /// Replace existing files, and keep their permissions.
    #[arg(long)]
    pub force: bool,
    /// Show what would be written without writing it. With --output, also report what would prevent it.
    #[arg(long)]
    pub dry_run: bool,
}

/// Arguments of `init`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = INIT_HELP)]
pub struct Init {
    /// The name of a built-in model (see `fanin models`), or a recipe file.
    #[arg(value_name = "MODEL|RECIPE.toml")]
    pub recipe: String,
    /// Take the names, shapes and types of the tensors from this file.
    ///
    /// The file is a checkpoint (a safetensors file, a folder or an index; only headers are read), a manifest in JSON, or
    /// the name of a built-in model.
    #[arg(long, value_name = "FILE|MODEL")]
    pub like: Option<PathBuf>,
    /// Set a variable of the recipe. Can be given several times.
    #[arg(long = "set", value_name = "NAME=NUMBER", value_parser = parse_setting, allow_hyphen_values = true)]
    pub settings: Vec<(String, f64)>,
    /// The type of floating-point tensors: f32, f64, f16, bf16, f8_e4m3 or f8_e5m2.
    ///
    /// It is overridden by the [dtype] rules of the recipe, and overrides the types of --like. Integer tensors keep their
    /// types.
    #[arg(long)]
    pub dtype: Option<DType>,
    /// Print JSON instead of a table. Requires --dry-run.
    #[arg(long, requires = "dry_run")]
    pub json: bool,
    /// Split the checkpoint into files of at most this size, for example 5GB, 500MiB or 1000000.
    #[arg(long, value_name = "SIZE", value_parser = parse_size, allow_hyphen_values = true)]
    pub max_shard_size: Option<u64>,
    /// Write only the partition of the K-th of N processes, counted from 1. `auto` asks the launcher.
    #[arg(long, value_name = "K/N", value_parser = parse_partition, num_args = 0..=1, default_missing_value = "auto")]
    #[arg(alias = "shard")]
    pub part: Option<PartitionArgument>,
    /// The layout of the checkpoint's files.
    #[arg(long, default_value = "hf")]
    pub layout: Layout,
    /// Keep existing files that are complete and correct.
    ///
    /// Each existing file is read, its values are drawn again, and both are compared. A file that differs is an error, or
    /// is replaced with --force.
    #[arg(long)]
    pub resume: bool,
    #[command(flatten)]
    #[allow(missing_docs, reason = "flattened: its fields are documented")]
    pub output: Output,
}

/// Arguments of `fill`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  fanin fill 'kaiming_uniform(a=sqrt(5))' --shape 64,3,7,7 -o w.safetensors
  fanin fill 'orthogonal(gain=relu)' --shape 512,512 --stream torch -o w.safetensors
  fanin fill 'trunc_normal(std=0.02, a=-0.04, b=0.04)' --shape 1000 --seed=-1 -o b.safetensors

With --stream torch, the values are those of torch.manual_seed(SEED) followed by one call of
torch.nn.init.")]
pub struct Fill {
    /// The initializer: name(key=value, ...), with the names of torch.nn.init.
    pub spec: String,
    /// The shape of the tensor: 64,3,7,7, or scalar.
    #[arg(long, value_parser = parse_shape, allow_hyphen_values = true)]
    pub shape: Shape,
    /// The type of the values: f32, f64, f16, bf16, f8_e4m3 or f8_e5m2.
    #[arg(long, default_value = "f32")]
    pub dtype: DType,
    /// The name of the tensor. On the native stream, the values depend on it.
    #[arg(long, default_value = "weight")]
    pub name: String,
    #[command(flatten)]
    #[allow(missing_docs, reason = "flattened: its fields are documented")]
    pub output: Output,
}

/// Arguments of `inspect`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  fanin inspect gpt2.safetensors
  fanin inspect gpt2.safetensors --recipe gpt2
  fanin inspect gpt2/ --recipe gpt2
  fanin inspect gpt2.safetensors --recipe gpt2 --html report.html
  fanin inspect start.safetensors --recipe my-recipe.toml --set n_layer=24 --json

Warnings report NaN and infinities. With --recipe, they also report values outside of the
planned bounds, and a mean or std that is more than 5 standard errors from the planned one.
`fanin verify` makes the full tests and has an exit code.

docs/inspect.schema.json is the JSON schema of the output of --json. The page of --html is one
file that needs no network: warnings, a table that can be sorted and filtered, histograms with
the planned density, standard deviations by depth, norms and condition numbers.")]
pub struct Inspect {
    /// The checkpoint: a safetensors file, a folder, or a model.safetensors.index.json.
    pub file: PathBuf,
    /// Compare with a recipe: the name of a built-in model, or a recipe file.
    ///
    /// Adds the scheme, the planned mean and the planned std to the table.
    #[arg(long, value_name = "MODEL|RECIPE.toml")]
    pub recipe: Option<String>,
    /// Set a variable of the recipe. Can be given several times.
    #[arg(long = "set", value_name = "NAME=NUMBER", value_parser = parse_setting, allow_hyphen_values = true)]
    #[arg(requires = "recipe")]
    pub settings: Vec<(String, f64)>,
    /// Print JSON instead of a table, including histograms and singular values.
    #[arg(long)]
    pub json: bool,
    /// Write an HTML page with charts to this file instead of printing a table.
    ///
    /// An existing page of fanin is replaced. Any other existing file is an error.
    #[arg(long, value_name = "REPORT.html")]
    pub html: Option<PathBuf>,
    /// Do not compute singular values, which take most of the time of --json and --html.
    #[arg(long)]
    pub no_spectra: bool,
}

/// Arguments of `models`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  fanin models
  fanin models gpt2 --recipe > my-gpt2.toml      # the start of your own recipe
  fanin models gpt2 --manifest > gpt2.json       # names, shapes and types, for --like")]
pub struct Models {
    /// Show only this model.
    pub name: Option<String>,
    /// Print the model's recipe.
    #[arg(long, requires = "name", conflicts_with_all = ["manifest", "json"])]
    pub recipe: bool,
    /// Print the model's manifest.
    #[arg(long, requires = "name", conflicts_with = "json")]
    pub manifest: bool,
    /// Print JSON instead of a table.
    #[arg(long)]
    pub json: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_definitions_of_the_command_line_are_consistent() {
        Args::command().debug_assert();
    }
}
