//! Arguments of the commands that explain and draft.

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

The fans are those of the layer: which axes are inputs, outputs and taps is what --layout
says, and a grouped convolution's weight has the channels of one group on one of them. What
happens to a signal is for wide layers one after another, with biases 0 and no norms or
shortcuts between them: a norm after each layer sets the signal to 1 again.")]
pub struct Explain {
    /// What to explain: name(key=value, ...), in torch's words.
    pub spec: String,
    /// The sizes of the axes, as 64,3,7,7; `scalar` has none.
    #[arg(long, value_parser = parse_shape, allow_hyphen_values = true)]
    pub shape: Shape,
    /// The type of the values: f32, f64, f16 or bf16.
    #[arg(long, default_value = "f32")]
    pub dtype: DType,
    /// Which axis is which: out_in (torch, linear, conv), in_out (conv_transpose), kernel_in_out (keras, jax), or a letter an axis (hwio).
    #[arg(long, value_name = "LAYOUT", value_parser = parse_layout)]
    pub layout: Option<AxisLayout>,
    /// Groups of the convolution.
    #[arg(long, value_name = "N", default_value = "1", allow_negative_numbers = true)]
    pub groups: usize,
    /// What follows the layer, if not what the spec says: relu, leaky_relu(0.2), tanh, gelu, silu, mish, sine(30) ...
    #[arg(long, value_name = "NAME")]
    pub nonlinearity: Option<String>,
    /// Numbers of layers to follow a signal through.
    #[arg(long, value_name = "N,N", default_value = "1,10,50", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=10_000))]
    #[arg(allow_hyphen_values = true)]
    pub layers: Vec<u32>,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `recipe`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  fanin recipe model.safetensors > my-recipe.toml    # only the header is read
  fanin init my-recipe.toml --like model.safetensors --dry-run
  fanin recipe --schema > recipe.schema.json         # for completion in an editor

A draft is for a person to read: each rule says why it is there and what it is about, and
what begins with CHECK is a guess. It parses, covers every tensor and has no unused rule. With
`#:schema ./recipe.schema.json` as its first line, editors complete and check a recipe.")]
pub struct Draft {
    /// A safetensors file, a folder of them, an index, a manifest in JSON, or a built-in model.
    #[arg(required_unless_present = "schema")]
    pub file: Option<PathBuf>,
    /// Print the JSON schema of recipes instead.
    #[arg(long, conflicts_with = "file")]
    pub schema: bool,
}
