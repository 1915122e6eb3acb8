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
  With the recipe of a built-in model, the checkpoint must have the names and shapes of that
  model, and its types or one other floating-point type for all tensors. With a recipe file,
  names, shapes and types are compared only if --like gives them.

Without --seed, distributions are checked:
  Constants are compared exactly. Drawn tensors are tested by range, mean, standard deviation,
  Kolmogorov-Smirnov distance, order, extremes and repeated values. Orthogonal matrices are
  tested by their product, their zeros, and their largest and mean absolute entry. Repeated
  values are equal rows, and any 12 consecutive values that occur twice (in a tensor of more
  than 65,000 values, a thousandth of its values).
  --alpha is the probability that a correct checkpoint fails, over all tests together.

With --seed, every value is compared bit for bit as well.

Half-precision values of the torch stream:
  PyTorch's own f16 and bf16 values deviate from their distribution in the far tails and at
  the bounds: one in 512 bf16 uniform values is rounded to the upper bound and then replaced
  by the lower one. Such tensors are reported, although they are equal to PyTorch's.

Exit code: 0 if the checkpoint passes, 1 if it does not.")]
pub struct Verify {
    /// The checkpoint: a safetensors file, a folder, or a model.safetensors.index.json.
    pub file: PathBuf,
    /// The recipe to compare with: the name of a built-in model, or a recipe file.
    #[arg(long, value_name = "MODEL|RECIPE.toml")]
    pub recipe: String,
    /// Take the expected names, shapes and types from this file.
    ///
    /// The file is a checkpoint (a safetensors file, a folder or an index), a manifest in JSON, or the name of a
    /// built-in model. The torch stream draws the tensors in the order of this file. The default is the built-in model
    /// that the recipe belongs to.
    #[arg(long, value_name = "FILE|MODEL")]
    pub like: Option<PathBuf>,
    /// Set a variable of the recipe. Can be given several times.
    #[arg(long = "set", value_name = "NAME=NUMBER", value_parser = parse_setting, allow_hyphen_values = true)]
    pub settings: Vec<(String, f64)>,
    /// Compare every value bit for bit with the value that this seed gives.
    #[arg(long, value_parser = parse_seed, allow_hyphen_values = true)]
    pub seed: Option<u64>,
    /// The stream that the values were drawn from.
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

What is reported as a defect:
  NaN, uninitialized memory, a repeated block, the values of another tensor, outliers. A
  repeated block is two equal rows, or 12 consecutive values that occur twice in a freshly
  initialized tensor (in one of more than 65,000 values, a thousandth of its values). In any
  other tensor it is two percent of the values. Computed tables, such as position encodings,
  are recognized.

How often it is wrong:
  Of 1848 tensors as transformers and timm initialize them (9 models, 3 seeds, f32 and bf16),
  one was not recognized as freshly initialized, and one was reported as a defect: a value of
  timm's trunc_normal_ that is 100 standard deviations from the mean. Of 288 defects of 8
  kinds, made in large matrices, all were found. A matrix that was trained only a little can
  still look freshly initialized.

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

Metadata, the order of tensors and the split into files are not compared.

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
