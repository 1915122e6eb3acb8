//! The arguments as they are typed. What they mean is settled in [`crate::command`].

mod check;
mod explain;
mod value;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use fanin::DType;
use fanin_checkpoint::{FileLayout, PartitionArgument, StreamKind, parse_partition, parse_size};

pub use check::{Audit, Diff, Verify};
pub use explain::{Draft, Explain};
pub use value::Shape;
use value::{output_parser, parse_seed, parse_setting, parse_shape, parse_threads};

/// Weight initialization for neural networks: initial checkpoints from a recipe and a seed.
#[derive(Debug, Parser)]
#[command(name = "fanin", version, propagate_version = true, arg_required_else_help = true)]
#[command(
    after_help = "Exit code: 0 good, 1 the answer is no, 2 bad usage or input; stopped by a signal 128 and its
number: 129 SIGHUP, 130 SIGINT (Ctrl-C), 143 SIGTERM. What was ignored at the start, as under
nohup, stays ignored.
`fanin COMMAND --help` has examples."
)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// No progress and no warnings on standard error.
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// When to colour.
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: Color,
}

/// When to colour.
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
    /// What `--color` says among arguments that may be wrong otherwise.
    pub fn asked_for(arguments: impl Iterator<Item = std::ffi::OsString>) -> Self {
        let mut arguments = arguments.map(|argument| argument.to_string_lossy().into_owned());
        let mut asked = None;
        while let Some(argument) = arguments.next() {
            match argument.strip_prefix("--color") {
                Some("") => asked = arguments.next(),
                Some(rest) => asked = rest.strip_prefix('=').map(str::to_owned).or(asked),
                None if argument == "--" => break,
                None => {}
            }
        }
        asked.and_then(|asked| Color::from_str(&asked, false).ok()).unwrap_or(Color::Auto)
    }

    /// Makes it so for the whole process.
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
    /// Write one tensor.
    Fill(Fill),
    /// Show what a checkpoint holds, tensor by tensor.
    Inspect(Inspect),
    /// Say whether a checkpoint is what its recipe says: its distributions and, with a seed, its bits.
    Verify(Verify),
    /// Say what each tensor of a checkpoint looks like, without a recipe.
    Audit(Audit),
    /// Say how two checkpoints differ.
    Diff(Diff),
    /// Say what a spec does to a shape: fans, gain, std, bounds, formula, source.
    Explain(Explain),
    /// Draft a recipe for a checkpoint, from its names and shapes.
    Recipe(Draft),
    /// List the built-in models, or show one.
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

/// Which stream the values come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Stream {
    /// By seed, tensor name and index: the same however the work is split.
    Native,
    /// PyTorch's CPU generator, bit for bit.
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
    /// Hugging Face's: whole tensors in each file, and an index.
    Hf,
    /// torch.distributed.checkpoint's, in safetensors: rows of tensors in each file, with their offsets in its header.
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

/// The numbers' source and the file they go to: what `init` and `fill` have in common.
#[derive(Debug, clap::Args)]
pub struct Output {
    /// The seed: any 64-bit number, negative ones as torch takes them.
    #[arg(long, default_value = "0", value_parser = parse_seed, allow_hyphen_values = true)]
    pub seed: u64,
    /// Where the numbers come from.
    #[arg(long, default_value = "native")]
    pub stream: Stream,
    /// The file to write. A folder gets model.safetensors.
    #[arg(short, long, value_name = "OUT.safetensors|DIR", required_unless_present = "dry_run")]
    #[arg(value_parser = output_parser(), allow_hyphen_values = true)]
    pub output: Option<PathBuf>,
    /// Draw on so many threads; all cores if left out. The values are the same.
    #[arg(long, value_name = "N", value_parser = parse_threads, allow_negative_numbers = true)]
    pub threads: Option<NonZeroUsize>,
    /// Replace an existing file. The new one has its permissions.
    #[arg(long)]
    pub force: bool,
    /// Show what would be written, and write nothing. With -o, say what would be in the way.
    #[arg(long)]
    pub dry_run: bool,
}

/// Arguments of `init`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  fanin init gpt2 --seed 0 -o gpt2.safetensors
  fanin init gpt2 --set wpe_std=0.01 --dry-run        # a table of what would be written
  fanin init llama-3.2-1b --dtype bf16 -o start/
  fanin init my-recipe.toml --like trained.safetensors --seed 7 -o start.safetensors
  fanin init resnet50 --stream torch --seed 0 -o resnet50.safetensors
  fanin init llama-3.1-8b --max-shard-size 5GB -o start/ --resume

A recipe is a TOML file; the first pattern that matches a parameter's name wins:
  [vars]
  n_layer = 12
  [init]
  \"*.bias\"          = \"zeros\"
  \"*.c_proj.weight\" = \"normal(std=0.02/sqrt(2*n_layer))\"
  \"*\"               = \"normal(std=0.02)\"
In the arithmetic, fan_in and fan_out are those of the parameter itself.
A parameter that no rule matches is an error, and so is a rule that matches nothing.
Instead of a spec: \"arange\" counts along the last axis, \"copy\" takes the values that the
file of --like has, \"skip\" leaves a tensor out. A recipe may extend another, choose types
by pattern, and tie tensors; docs/recipes.md has the whole of it, `fanin recipe` drafts one.

The type of a tensor is what the first rule of [dtype] says that matches it, else --dtype,
else the manifest's. Integers keep theirs.

With --stream torch, tensors are drawn one after another in the file's order from one
generator, as a PyTorch loop over state_dict() would.

Shards, in the layout of Hugging Face:
  fanin init llama-3.1-8b --max-shard-size 5GB -o start/
writes start/model-00001-of-00004.safetensors and so on, and start/model.safetensors.index.json;
what fits one shard is start/model.safetensors. A tensor that is larger has a shard to itself.

n processes share the work with --part k/n, and do not talk to each other: together they
write, byte for byte, what one process writes. Any of them may be killed and run again, or run
twice. One file they write together, each its stretch: it lies in OUT.safetensors.HASH.parts/
until the last of them is done, and then takes its name. With --max-shard-size they share the
files, every n-th each; each writes the index, always the same bytes.
`--part auto` asks the launcher: SLURM_ARRAY_TASK_ID and _COUNT, SLURM_PROCID under srun, RANK
and WORLD_SIZE (torchrun), Open MPI, MPICH and Intel MPI, AWS Batch; a Kubernetes job does not
say how many there are: --part auto/4.
  array   sbatch --array=1-4 --wrap 'fanin init llama-3.1-8b -o start.safetensors --part auto'
  Slurm   srun -n 4 fanin init llama-3.1-8b --max-shard-size 1GB -o start/ --part auto
  MPI     mpirun -n 4 fanin init llama-3.1-8b -o start.safetensors --part auto
  Ray     ray.get([ray.remote(max_retries=3)(fanin.write_checkpoint).remote(\"llama-3.1-8b\",
              \"start.safetensors\", part=(k, 4)) for k in range(1, 5)])
--layout dcp writes what torch.distributed.checkpoint's HuggingFaceStorageReader loads on any
number of ranks, and consolidate_safetensors_files takes: a file for each part, or files of
--max-shard-size, between which a large tensor is cut.
  fanin init llama-3.1-8b --layout dcp --max-shard-size 5GB -o start/
With --stream torch a process jumps over what the others draw, a millisecond a tensor; only
trunc_normal, whose rejections are not known beforehand, is drawn by every process.

A file has a temporary name until all of it is on the disk. An interrupted or killed run leaves
whole files only (and, killed, a hidden *.unfinished that the next run removes). --resume goes
on: files that are there are compared with what would be written, to the last byte (they are
read and drawn again, which is about as fast as reading them), and are kept if they are equal.
A link is followed: what it names is written, and it goes on pointing there.")]
pub struct Init {
    /// A built-in model (see `fanin models`) or a recipe file.
    #[arg(value_name = "MODEL|RECIPE.toml")]
    pub recipe: String,
    /// Names, shapes and types: safetensors (only headers are read; a file, folder or index), a manifest in JSON,
    /// or a built-in model.
    #[arg(long, value_name = "FILE")]
    pub like: Option<PathBuf>,
    /// Set a variable of the recipe.
    #[arg(long = "set", value_name = "NAME=NUMBER", value_parser = parse_setting, allow_hyphen_values = true)]
    pub settings: Vec<(String, f64)>,
    /// The type of every floating-point tensor that no dtype rule names, instead of the manifest's.
    #[arg(long)]
    pub dtype: Option<DType>,
    /// As JSON, with --dry-run.
    #[arg(long, requires = "dry_run")]
    pub json: bool,
    /// Write shards of at most so many bytes to the folder -o: 5GB, 500MiB, 1000000.
    #[arg(long, value_name = "SIZE", value_parser = parse_size, allow_hyphen_values = true)]
    pub max_shard_size: Option<u64>,
    /// Write the part of the k-th of n processes only, from 1; `auto` asks the launcher.
    #[arg(long, value_name = "K/N", value_parser = parse_partition, num_args = 0..=1, default_missing_value = "auto")]
    #[arg(alias = "shard")]
    pub part: Option<PartitionArgument>,
    /// How the files are laid out.
    #[arg(long, default_value = "hf")]
    pub layout: Layout,
    /// Keep files that are there, complete and right: each is read and drawn again.
    #[arg(long)]
    pub resume: bool,
    #[command(flatten)]
    #[allow(missing_docs, reason = "flattened: its fields speak for themselves")]
    pub output: Output,
}

/// Arguments of `fill`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  fanin fill 'kaiming_uniform(a=sqrt(5))' --shape 64,3,7,7 -o w.safetensors
  fanin fill 'orthogonal(gain=relu)' --shape 512,512 --stream torch -o w.safetensors
  fanin fill 'trunc_normal(std=0.02, a=-0.04, b=0.04)' --shape 1000 --seed=-1 -o b.safetensors

With --stream torch this is torch.manual_seed(SEED) followed by the one call.")]
pub struct Fill {
    /// What to write: name(key=value, ...), in torch's words.
    pub spec: String,
    /// The sizes of the axes, as 64,3,7,7; `scalar` has none.
    #[arg(long, value_parser = parse_shape, allow_hyphen_values = true)]
    pub shape: Shape,
    /// The type of the values: f32, f64, f16 or bf16.
    #[arg(long, default_value = "f32")]
    pub dtype: DType,
    /// The tensor's name: on the native stream other names have other values.
    #[arg(long, default_value = "weight")]
    pub name: String,
    #[command(flatten)]
    #[allow(missing_docs, reason = "flattened: its fields speak for themselves")]
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

Warnings name NaN and infinities; with a recipe also what lies outside its bounds, or more
than 5 standard errors from its mean or std. `fanin verify` has the full tests, and an exit
code. The members of the JSON are described in docs/inspect.schema.json.

The page of --html is one file that needs no network: warnings, a table that sorts and filters,
histograms against the planned density, stds by depth, norms and condition numbers.")]
pub struct Inspect {
    /// A safetensors file, a folder of them, or a model.safetensors.index.json.
    pub file: PathBuf,
    /// The recipe it should follow: a built-in model or a file. Adds the scheme and the planned std.
    #[arg(long, value_name = "MODEL|RECIPE.toml")]
    pub recipe: Option<String>,
    /// Set a variable of the recipe.
    #[arg(long = "set", value_name = "NAME=NUMBER", value_parser = parse_setting, allow_hyphen_values = true)]
    #[arg(requires = "recipe")]
    pub settings: Vec<(String, f64)>,
    /// As JSON: all that the table has, totals, warnings, histograms with the planned counts, singular values.
    #[arg(long)]
    pub json: bool,
    /// Write the same as a page, with charts, to this file. An older page there is replaced; nothing else is.
    #[arg(long, value_name = "REPORT.html")]
    pub html: Option<PathBuf>,
    /// No singular values: they take most of the time. The table has none anyway.
    #[arg(long)]
    pub no_spectra: bool,
}

/// Arguments of `models`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  fanin models
  fanin models gpt2 --recipe > my-gpt2.toml      # start a recipe of your own
  fanin models gpt2 --manifest > gpt2.json       # its names, shapes and types, for --like")]
pub struct Models {
    /// Show this one.
    pub name: Option<String>,
    /// Print its recipe.
    #[arg(long, requires = "name", conflicts_with_all = ["manifest", "json"])]
    pub recipe: bool,
    /// Print its manifest.
    #[arg(long, requires = "name", conflicts_with = "json")]
    pub manifest: bool,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }
}
