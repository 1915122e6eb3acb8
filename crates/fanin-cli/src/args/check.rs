//! Arguments of the commands that look at checkpoints.

use std::path::PathBuf;

use super::Stream;
use super::value::{parse_alpha, parse_seed, parse_setting};

/// Arguments of `verify`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  fanin verify gpt2.safetensors --recipe gpt2
  fanin verify gpt2.safetensors --recipe gpt2 --seed 0
  fanin verify sharded/ --recipe my-recipe.toml --set n_layer=24 --json
  fanin verify start.safetensors --recipe my-recipe.toml --like trained.safetensors

With a built-in model's recipe, the file must have that model's tensors: names, shapes and
types, which are the model's or one other floating-point type for all. --like names another
model or file to hold it against; one's own recipe alone says nothing of them.

Without a seed the distributions are checked: constants exactly; drawn tensors by range, mean, std,
Kolmogorov-Smirnov distance, order, the extremes and repeated stretches; orthogonal matrices by
their product, and by zeros, the greatest and the mean absolute entry, that they were drawn.
What stands twice in a tensor: rows of some values, and stretches anywhere of 12 values or,
in tensors beyond 65,000, of a thousandth of them.
All tests of a file together call a right one wrong in at most --alpha of all cases. With
a seed the bits are checked as well. Exit code 1 if something deviates. torch's own f16 and
bf16 draws do deviate, where few values of the type lie: far tails, and the places at a
bound: of bf16 uniforms the one in 512 that rounds to the upper bound becomes the lower one.
Such tensors are told, although their bits are torch's.")]
pub struct Verify {
    /// A safetensors file, a folder of them, or a model.safetensors.index.json.
    pub file: PathBuf,
    /// The recipe it should follow: a built-in model or a file.
    #[arg(long, value_name = "MODEL|RECIPE.toml")]
    pub recipe: String,
    /// The names, shapes and types that it should have, and the order in which torch's stream draws them: a safetensors
    /// file, folder or index, a manifest in JSON, or a built-in model. Left out, those of the built-in model whose recipe it
    /// is.
    #[arg(long, value_name = "FILE|MODEL")]
    pub like: Option<PathBuf>,
    /// Set a variable of the recipe.
    #[arg(long = "set", value_name = "NAME=NUMBER", value_parser = parse_setting, allow_hyphen_values = true)]
    pub settings: Vec<(String, f64)>,
    /// The seed it was made from: every value is compared to the bit.
    #[arg(long, value_parser = parse_seed, allow_hyphen_values = true)]
    pub seed: Option<u64>,
    /// Where its numbers came from.
    #[arg(long, default_value = "native", requires = "seed")]
    pub stream: Stream,
    /// How often a right checkpoint may be called wrong.
    #[arg(long, default_value = "0.001", value_parser = parse_alpha, allow_negative_numbers = true)]
    pub alpha: f64,
    /// Tensors of equal values are meant to be so: tied weights that are stored twice.
    #[arg(long)]
    pub tied: bool,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `audit`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  fanin audit model.safetensors
  fanin audit sharded/ --json

Exit code 1 if a tensor holds what no initialization or training leaves on purpose: NaN,
uninitialized memory, a repeated block, the values of another tensor, outliers. A repeated
block is 12 values of a freshly drawn tensor (a thousandth of one beyond 65,000), or two
equal rows; of others, two percent. Tables that are computed, as positions, are told as such.

How often it errs: of 1848 tensors as transformers and timm start them (9 models, 3 seeds, f32
and bf16) one was not taken for fresh, none was called wrong but one that was: a value of timm's
trunc_normal_ 100 std out. Of 288 damages in large matrices, of 8 kinds, none was missed. A matrix
trained a little may still look fresh: it did once in 9 looks at a small net.")]
pub struct Audit {
    /// A safetensors file, a folder of them, or a model.safetensors.index.json.
    pub file: PathBuf,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `diff`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  fanin diff before.safetensors after.safetensors
  fanin diff sharded/ whole.safetensors --json

Exit code 0 if every tensor has the same name, type, shape and bytes, else 1. Metadata,
order and sharding are not compared.")]
pub struct Diff {
    /// A safetensors file, a folder of them, or a model.safetensors.index.json.
    pub a: PathBuf,
    /// The other.
    pub b: PathBuf,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}
