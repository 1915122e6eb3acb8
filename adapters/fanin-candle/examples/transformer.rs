//! Initializes a model of candle-transformers on the torch stream, with each of two recipes. Prints the loss before
//! training. Also prints ln(256), the loss of a model that gives each of the 256 tokens the same probability.
//!
//! ```text
//! cargo run --release --example transformer -- gpt.safetensors
//! fanin verify gpt.safetensors --recipe gpt2 --like gpt.safetensors
//! ```

use candle_core::{DType, Device, Error, Result, Tensor};
use candle_nn::VarMap;
use candle_transformers::models::bigcode::{Config, GPTBigCode};
use fanin_candle::{Recipe, RecipeInit, SeedSource};

const VOCABULARY: usize = 256;
const BATCH: usize = 64;
const LENGTH: usize = 8;

/// A recipe with the default initialization of torch's layers. The embedding is drawn from N(0, 1), as in
/// `nn.Embedding`. The loss is large, because the embedding is also the output matrix.
const TORCH_DEFAULTS: &str = r#"
[init]
"*.ln_*.weight" = "ones"
"*.ln_*.bias"   = "zeros"
"*.w?e.weight"  = "normal(std=1)"
"*.weight"      = "linear_default"
"*.bias"        = "linear_default_bias(weight_fan_in)"
"#;

/// Returns the configuration of a small model with the layer names of GPT-2. All attention heads share one key head and
/// one value head.
fn config(layers: usize) -> Config {
    Config {
        vocab_size: VOCABULARY,
        max_position_embeddings: LENGTH,
        num_hidden_layers: layers,
        hidden_size: 32,
        layer_norm_epsilon: 1e-5,
        n_inner: None,
        num_attention_heads: 4,
        multi_query: true,
        use_cache: false,
    }
}

fn build(title: &str, init: &RecipeInit, layers: usize) -> Result<VarMap> {
    // The values are the same as in torch after torch.manual_seed(0), if torch draws the parameters in the order in
    // which the model requests them.
    let mut seed_source = SeedSource::torch(0);
    let (mut model, vars) =
        init.build(DType::F32, &Device::Cpu, &mut seed_source, |vb| GPTBigCode::load(vb, config(layers)))?;
    let token = |index: usize| (index * 2_654_435_761 / 256 % VOCABULARY) as u32;
    let tokens: Vec<u32> = (0..BATCH * LENGTH).map(token).collect();
    let next: Vec<u32> = (BATCH * LENGTH..BATCH * (LENGTH + 1)).map(token).collect();
    let logits = model.forward(&Tensor::from_vec(tokens, (BATCH, LENGTH), &Device::Cpu)?, 0)?;
    let next = Tensor::from_vec(next, BATCH, &Device::Cpu)?;
    let std = logits.flatten_all()?.var(0)?.sqrt()?.to_scalar::<f32>()?;
    let loss = candle_nn::loss::cross_entropy(&logits, &next)?.to_scalar::<f32>()?;
    println!("{title:<42} {layers:>6} {std:>14.3} {loss:>8.3}");
    Ok(vars)
}

fn main() -> Result<()> {
    let gpt2 = RecipeInit::built_in("gpt2")?;
    let torch = RecipeInit::new(Recipe::parse(TORCH_DEFAULTS, "torch.toml".as_ref()).map_err(Error::wrap)?);
    println!("{:<42} {:>6} {:>14} {:>8}", "ln 256 = 5.545", "layers", "std of logits", "loss");
    for layers in [2, 8, 32] {
        build("bad: the defaults of torch's layers", &torch, layers)?;
        let vars = build("good: the recipe of GPT-2", &gpt2, layers)?;
        if let Some(path) = std::env::args().nth(1).filter(|_| layers == 32) {
            vars.save(path)?;
        }
    }
    Ok(())
}
