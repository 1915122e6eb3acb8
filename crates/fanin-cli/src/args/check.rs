//! Arguments of the commands that check checkpoints: `verify`, `audit` and `diff`.

use std::path::PathBuf;

use super::choices::Stream;
use super::value::{parse_alpha, parse_seed, parse_setting};

/// Arguments of `verify`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  fanin verify gpt2.safetensors --recipe gpt2
  fanin verify gpt2.safetensors --recipe gpt2 --seed 0
  fanin verify sharded/ --recipe my-recipe.toml --set n_layer=24 --json
  fanin verify start.safetensors --recipe my-recipe.toml --like trained.safetensors

Names, shapes and types:
  With the recipe of a built-in model, the checkpoint must have the names and shapes of this
  model. The types must be the types of the model, or one other floating-point type for all
  tensors. With a recipe file, names, shapes and types are compared only if --like is given.

Without --seed, distributions are checked:
  Constants are compared exactly. Random tensors are tested by range, mean, standard deviation,
  Kolmogorov-Smirnov distance, order, extremes and repeated values. Repeated values are equal
  rows, or 12 consecutive values that occur twice (in a tensor of more than 65,000 values, a
  thousandth of its values). Orthogonal matrices are tested by the product with their
  transpose, their zeros, and their largest and mean absolute entry.
  --alpha is the probability that a correct checkpoint fails in any of the tests.

With --seed, every value is also compared bit for bit.

Half-precision values of the torch stream:
  PyTorch's f16 and bf16 values deviate from their distribution in the far tails and at the
  bounds. For example, one in 512 bf16 uniform values is rounded to the upper bound and then
  replaced by the lower bound. Tensors with such values are reported, although the values are
  equal to PyTorch's.

Exit code: 0 if the checkpoint passes, 1 if it does not.")]
pub struct Verify {
    /// The checkpoint: a safetensors file, a folder, or a model.safetensors.index.json.
    pub file: PathBuf,
    /// The recipe to compare with: the name of a built-in model, or a recipe file.
    #[arg(long, value_name = "MODEL|RECIPE.toml")]
    pub recipe: String,
    /// Take the expected names, shapes and types from this file.
    ///
    /// The file is a checkpoint (a safetensors file, a folder or an index) or a manifest in JSON. The name of a
    /// built-in model can be given instead. The torch stream draws the tensors in the order of this file. The default
    /// is the built-in model to which the recipe belongs.
    #[arg(long, value_name = "FILE|MODEL")]
    pub like: Option<PathBuf>,
    /// Set a variable of the recipe. Can be given several times.
    #[arg(long = "set", value_name = "NAME=NUMBER", value_parser = parse_setting, allow_hyphen_values = true)]
    pub settings: Vec<(String, f64)>,
    /// Compare every value bit for bit with the value for this seed.
    #[arg(long, value_parser = parse_seed, allow_hyphen_values = true)]
    pub seed: Option<u64>,
    /// The stream from which the values were drawn.
    #[arg(long, default_value = "native", requires = "seed")]
    pub stream: Stream,
    /// The probability that a correct checkpoint fails the check.
    #[arg(long, default_value = "0.001", value_parser = parse_alpha, allow_negative_numbers = true)]
    pub alpha: f64,
    /// Accept tensors with equal values, such as tied weights that are stored twice.
    #[arg(long)]
    pub tied: bool,
    /// Print JSON instead of a table.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `audit`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  fanin audit model.safetensors
  fanin audit sharded/ --json

Defects:
  NaN, uninitialized memory, repeated values, the values of another tensor, and outliers are
  defects. Repeated values are equal rows, or 12 consecutive values that occur twice in a freshly
  initialized tensor (in a tensor of more than 65,000 values, a thousandth of its values). In
  any other tensor, two percent of the values must occur twice. Computed tables, such as
  position encodings, are recognized and are not defects.

Error rates:
  The audit was tested on 1848 tensors initialized by transformers and timm (9 models, 3 seeds,
  f32 and bf16). One tensor was not recognized as freshly initialized. One tensor was reported
  as a defect, because timm's trunc_normal_ had drawn a value 100 standard deviations from the
  mean. All of 288 artificial defects of 8 kinds in large matrices were found. A matrix that
  was trained for a few steps only can still look freshly initialized.

Exit code: 0 if there is no defect, 1 if there is one.")]
pub struct Audit {
    /// The checkpoint: a safetensors file, a folder, or a model.safetensors.index.json.
    pub file: PathBuf,
    /// Print JSON instead of a table.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `diff`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  fanin diff before.safetensors after.safetensors
  fanin diff sharded/ single.safetensors --json

The metadata, the order of the tensors and the split into files are not compared.

Exit code: 0 if all tensors have equal names, types, shapes and bytes, 1 if not.")]
pub struct Diff {
    /// The first checkpoint: a safetensors file, a folder, or a model.safetensors.index.json.
    pub a: PathBuf,
    /// The second checkpoint.
    pub b: PathBuf,
    /// Print JSON instead of a table.
    #[arg(long)]
    pub json: bool,
}
