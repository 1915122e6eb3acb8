//! Arguments of `explain`, `schemes` and `recipe`.

use std::path::PathBuf;

use fanin::{AxisLayout, DType};

use super::value::{Shape, parse_layout, parse_shape};

/// Arguments of `explain`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  fanin explain 'kaiming_normal(mode=fan_out, nonlinearity=relu)' --shape 64,3,7,7
  fanin explain 'trunc_normal(std=0.02)' --shape 768,768 --json
  fanin explain xavier_uniform --shape 512,512 --nonlinearity tanh --layers 12,96
  fanin explain 'kaiming_normal(mode=fan_out)' --shape 128,16,3,3 --groups 4
  fanin explain kaiming_normal --shape 64,32,4,4 --layout conv_transpose
  fanin explain kaiming_normal --shape 3,3,32,64 --layout keras

The fans are computed from the shape, the axis layout and the number of groups. --layout states
which axes are inputs, outputs and kernel positions. The weight of a grouped convolution has
the input channels of one group only. The weight of a grouped transposed convolution has the
output channels of one group only.

The size of a signal is its mean square. It is computed for a sequence of wide layers with zero
biases, without normalization layers and skip connections. A normalization layer would reset
the mean square to 1.")]
pub struct Explain {
    /// The initializer: name(key=value, ...), with the names of torch.nn.init.
    pub spec: String,
    /// The shape of the tensor, for example 64,3,7,7. "scalar" is a tensor without axes.
    #[arg(long, value_parser = parse_shape, allow_hyphen_values = true)]
    pub shape: Shape,
    /// The type of the values: f32, f64, f16, bf16, f8_e4m3 or f8_e5m2.
    #[arg(long, default_value = "f32")]
    pub dtype: DType,
    /// The axis layout of the weight.
    ///
    /// out_in (also torch, linear, conv), in_out (conv_transpose, transposed), kernel_in_out (keras, jax, flax), or one
    /// letter for each axis, for example hwio. The default is the layout of the spec, or out_in if the spec has none.
    #[arg(long, value_name = "LAYOUT", value_parser = parse_layout)]
    pub layout: Option<AxisLayout>,
    /// The number of groups of the convolution.
    #[arg(long, value_name = "N", default_value = "1", allow_negative_numbers = true)]
    pub groups: usize,
    /// The activation function after the layer, for example relu, leaky_relu(0.2), tanh, gelu, silu, mish or sine(30).
    ///
    /// The default is the nonlinearity of the spec.
    #[arg(long, value_name = "NAME")]
    pub nonlinearity: Option<String>,
    /// The numbers of layers after which to report the size of the signal.
    #[arg(long, value_name = "N,N", default_value = "1,10,50", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=10_000))]
    #[arg(allow_hyphen_values = true)]
    pub layers: Vec<u32>,
    /// Print JSON instead of a table.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `recipe`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  fanin recipe model.safetensors > my-recipe.toml    # reads only the header
  fanin init my-recipe.toml --like model.safetensors --dry-run
  fanin recipe --schema > recipe.schema.json         # for completion in an editor

If the config.json beside the file names a model of transformers or timm that fanin knows, the
rules are those of the model's code. For one shard, the index beside the shard is read, and the
draft is for the whole model.

The draft is a valid recipe that covers every tensor and has no unused rule. A comment above each
rule gives the reason for the rule. A comment that begins with CHECK marks a guess: check the
rule before you use the recipe.

If the first line of a recipe is `#:schema ./recipe.schema.json`, editors complete and check the
recipe.")]
pub struct Draft {
    /// The tensors for which to draft a recipe: a checkpoint, a manifest in JSON, or the name of a built-in model.
    #[arg(required_unless_present = "schema")]
    pub file: Option<PathBuf>,
    /// Print the JSON schema of recipes instead of a draft.
    #[arg(long, conflicts_with = "file")]
    pub schema: bool,
}

/// Arguments of `schemes`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  fanin schemes
  fanin schemes kaiming_normal
  fanin schemes --json

An argument without a default, such as val in constant(val), must be given. n is the fan that
`mode` names. `fanin explain` shows what a spec does to a shape.")]
pub struct Schemes {
    /// Show only the scheme or the scaling factor of this name.
    pub name: Option<String>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}
