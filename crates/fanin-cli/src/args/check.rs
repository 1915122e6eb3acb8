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
  Kolmogorov-Smirnov distance, extremes and repeated values, and for structure: correlations,
  rows and columns of another scale, large singular values, negated, permuted or transposed
  copies, and values that are related to the values of another tensor. Orthogonal matrices are
  tested by the product with their transpose, their zeros, and their largest and mean absolute
  entry. docs/checks.md lists the tests.
  --alpha is the probability that a correct checkpoint fails in any of the tests.
  Tensors that the recipe copies are compared bit for bit with --copy-from or --like. Tensors
  that were not checked are named, with the reason.

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
    /// built-in model can be given instead. The default is the built-in model that --recipe names. The torch stream
    /// draws the tensors in the order of this file.
    #[arg(long, value_name = "FILE|MODEL")]
    pub like: Option<PathBuf>,
    /// Compare the tensors of copy rules with this checkpoint. The default is --like, if it is a checkpoint.
    #[arg(long, value_name = "FILE")]
    pub copy_from: Option<PathBuf>,
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
    /// Accept a checkpoint that lacks tensors of the model, such as one of several shards.
    #[arg(long)]
    pub partial: bool,
    /// Print JSON instead of a table.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `audit`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  fanin audit model.safetensors
  fanin audit sharded/ --json

What is reported as a defect:
  NaN, uninitialized memory, parts that were never written, outliers, clamped values, repeated,
  negated, permuted or transposed blocks, and values that are related to those of another
  freshly initialized tensor. Computed tables, such as position encodings, are recognized. An
  embedding and an output layer with equal values are not a defect.

Trained or fresh:
  A tensor is called fresh if its values are an unchanged draw of torch's CPU generator or of the
  native stream, or if it has a million values or more that follow a known distribution and are
  independent of one another. A smaller tensor with such values is called compatible with fresh: it
  may be the draw of another generator, or trained a little. A tensor is called trained if its
  values are not independent, if only some of its rows are an unchanged draw, or if it has the
  values that torch draws under a common seed, with changes.

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
