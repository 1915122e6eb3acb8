//! Arguments of the commands that show checkpoints and models: `inspect` and `models`.

use std::path::PathBuf;

use super::value::parse_setting;

/// Arguments of `inspect`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  fanin inspect gpt2.safetensors
  fanin inspect gpt2.safetensors --recipe gpt2
  fanin inspect gpt2/ --recipe gpt2
  fanin inspect gpt2.safetensors --recipe gpt2 --html report.html
  fanin inspect start.safetensors --recipe my-recipe.toml --set n_layer=24 --json

Warnings report NaN and infinities. With --recipe, warnings also report values outside of the
planned bounds, and a mean or std that differs from the plan by more than 5 standard errors.
`fanin verify` makes all tests, and its exit code is 1 if a test fails.

docs/inspect.schema.json is the JSON schema of the output of --json. --html writes a page that
needs no network. The page has the warnings, a table that can be sorted and filtered, histograms
with the planned density, standard deviations by depth, norms and condition numbers.")]
pub struct Inspect {
    /// The checkpoint: a safetensors file, a folder, or a model.safetensors.index.json.
    pub file: PathBuf,
    /// Compare with a recipe: the name of a built-in model, or a recipe file.
    ///
    /// The table then has three more columns: the scheme, the planned mean and the planned std.
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
    /// If the file exists and is a page of fanin, it is replaced. Any other existing file is an error.
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
