//! Arguments of the commands that write checkpoints: `init` and `fill`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use fanin::DType;
use fanin_checkpoint::{PartitionArgument, parse_partition, parse_size};

use super::choices::{Layout, Stream};
use super::init_help::INIT_HELP;
use super::value::{Shape, output_parser, parse_seed, parse_setting, parse_shape, parse_threads};

/// The arguments that `init` and `fill` have in common.
#[derive(Debug, clap::Args)]
pub struct Output {
    /// The seed: a whole number from -2^63 to 2^64 - 1. As in PyTorch, -1 means 2^64 - 1. [default: 0]
    #[arg(long, value_parser = parse_seed, allow_hyphen_values = true)]
    pub seed: Option<u64>,
    /// The stream from which to draw values.
    #[arg(long, default_value = "native")]
    pub stream: Stream,
    /// The file or folder to write. In a folder, the file is named model.safetensors.
    #[arg(short, long, value_name = "OUT.safetensors|DIR", required_unless_present = "dry_run")]
    #[arg(value_parser = output_parser(), allow_hyphen_values = true)]
    pub output: Option<PathBuf>,
    /// The number of threads (default: one for each core). The values do not depend on this number.
    #[arg(long, value_name = "N", value_parser = parse_threads, allow_negative_numbers = true)]
    pub threads: Option<NonZeroUsize>,
    /// Replace existing files, and keep their permissions.
    #[arg(long)]
    pub force: bool,
    /// Show what would be written, but write nothing. With --output, also report an error that the write would cause.
    #[arg(long)]
    pub dry_run: bool,
}

/// Arguments of `init`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = INIT_HELP)]
pub struct Init {
    /// The name of a built-in model (see `fanin models`), a recipe file, or a replay file that fanin.torch.trace_init wrote.
    #[arg(value_name = "MODEL|RECIPE.toml")]
    pub recipe: String,
    /// Take the names, shapes and types of the tensors from this file.
    ///
    /// The file is a checkpoint (a safetensors file, a folder or an index) or a manifest in JSON. The name of a
    /// built-in model can be given instead. fanin reads the headers of a checkpoint. The values of a tensor are read
    /// only if a rule of the recipe copies them.
    #[arg(long, value_name = "FILE|MODEL")]
    pub like: Option<PathBuf>,
    /// The checkpoint from which rules with `copy` take values.
    ///
    /// The default is --like, if it is a checkpoint. A rule can copy from a tensor with another name, into a larger
    /// tensor, or into each tensor of a stack. See the examples below, and docs/recipes.md.
    #[arg(long, value_name = "FILE")]
    pub copy_from: Option<PathBuf>,
    /// Set a variable of the recipe. Can be given several times.
    #[arg(long = "set", value_name = "NAME=NUMBER", value_parser = parse_setting, allow_hyphen_values = true)]
    pub settings: Vec<(String, f64)>,
    /// The type of floating-point tensors: f32, f64, f16, bf16, f8_e4m3 or f8_e5m2.
    ///
    /// This type overrides the types of --like. The [dtype] rules of the recipe override this type. Integer tensors and
    /// copied tensors keep their types.
    #[arg(long)]
    pub dtype: Option<DType>,
    /// Print JSON instead of a table. Requires --dry-run.
    #[arg(long, requires = "dry_run")]
    pub json: bool,
    /// Split the checkpoint into files of at most this size, for example 5GB, 500MiB or 1000000.
    #[arg(long, value_name = "SIZE", value_parser = parse_size, allow_hyphen_values = true)]
    pub max_shard_size: Option<u64>,
    /// Write only the partition of process K of N (K from 1 to N). `auto` reads K and N from the environment variables
    /// of a launcher.
    #[arg(long, value_name = "K/N", value_parser = parse_partition, num_args = 0..=1, default_missing_value = "auto")]
    #[arg(alias = "shard")]
    pub part: Option<PartitionArgument>,
    /// The file layout of the checkpoint.
    #[arg(long, default_value = "hf")]
    pub layout: Layout,
    /// Keep existing files that are complete and correct.
    ///
    /// Each existing file is compared with what would be written. This takes about as long as writing. A file that
    /// differs is an error. With --force, such a file is replaced.
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

With --stream torch, the values are the same as after torch.manual_seed(SEED) and one call of a
function of torch.nn.init.")]
pub struct Fill {
    /// The initializer: name(key=value, ...), with the names of torch.nn.init.
    pub spec: String,
    /// The shape of the tensor, for example 64,3,7,7. "scalar" is a tensor without axes.
    #[arg(long, value_parser = parse_shape, allow_hyphen_values = true)]
    pub shape: Shape,
    /// The type of the values: f32, f64, f16, bf16, f8_e4m3 or f8_e5m2.
    #[arg(long, default_value = "f32")]
    pub dtype: DType,
    /// The name of the tensor. On the native stream, the values depend on this name.
    #[arg(long, default_value = "weight")]
    pub name: String,
    #[command(flatten)]
    #[allow(missing_docs, reason = "flattened: its fields are documented")]
    pub output: Output,
}
