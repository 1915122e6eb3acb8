//! Trains a deep network from each of four initializations to fit a curve, and prints the losses.
//!
//! ```text
//! cargo run --release --example train
//! ```

use candle_core::{DType, Device, Error, Result, Tensor};
use candle_nn::{Linear, Module as _, Optimizer as _, VarBuilder, VarMap, linear};
use fanin_candle::{Layers, Recipe, RecipeInit, SeedSource, tensor};

const DEPTH: usize = 12;
const WIDTH: usize = 48;
const STEPS: usize = 200;

/// A stack of layers. The code of the model does not mention initialization.
struct Mlp(Vec<Linear>);

impl Mlp {
    fn new(vb: VarBuilder) -> Result<Self> {
        let size = |layer: usize| if layer == 0 { 1 } else { WIDTH };
        let layer = |index: usize| {
            let out = if index + 1 == DEPTH { 1 } else { WIDTH };
            linear(size(index), out, vb.pp(format!("layers.{index}")))
        };
        Ok(Self((0..DEPTH).map(layer).collect::<Result<_>>()?))
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (last, layers) = self.0.split_last().expect("there is at least one layer");
        let mut x = x.clone();
        for layer in layers {
            x = layer.forward(&x)?.relu()?;
        }
        last.forward(&x)
    }
}

fn train(title: &str, model: &Mlp, vars: &VarMap) -> Result<()> {
    let mut points = fanin::Native::new(0).tensor("x");
    let x = tensor(&fanin::init::uniform(-1.0, 1.0), (128, 1), DType::F32, &Device::Cpu, &mut points)?;
    let y = x.affine(6.0, 0.0)?.sin()?;
    let mut adam = candle_nn::AdamW::new_lr(vars.all_vars(), 1e-3)?;
    print!("{title:<48}");
    for step in 0..=STEPS {
        let loss = model.forward(&x)?.sub(&y)?.sqr()?.mean_all()?;
        if step % (STEPS / 4) == 0 {
            print!(" {:>10.4}", loss.to_scalar::<f32>()?);
        }
        adam.backward_step(&loss)?;
    }
    println!();
    Ok(())
}

fn train_by_recipe(title: &str, spec: &str) -> Result<()> {
    let text = format!("[init]\n\"*.bias\" = \"zeros\"\n\"*.weight\" = \"{spec}\"");
    let recipe = Recipe::parse(&text, "mlp.toml".as_ref()).map_err(Error::wrap)?;
    let mut seed_source = SeedSource::native(0);
    let (model, vars) =
        RecipeInit::new(recipe).build(DType::F32, &Device::Cpu, &mut seed_source, |vb| Mlp::new(vb))?;
    train(title, &model, &vars)
}

fn main() -> Result<()> {
    println!("{:<48} loss at step 0, {}, .. {STEPS}", format!("{DEPTH} layers of {WIDTH}, relu"), STEPS / 4);
    train_by_recipe("bad: normal(std=0.02), the signal vanishes", "normal(std=0.02)")?;
    train_by_recipe("bad: normal(std=0.5), the signal explodes", "normal(std=0.5)")?;
    train_by_recipe("good: kaiming_normal(nonlinearity=relu)", "kaiming_normal(nonlinearity=relu)")?;
    // Without a recipe, the layers get the default initialization of torch's nn.Linear. The values are the same as in
    // torch after torch.manual_seed(0).
    let layers = Layers::torch_defaults(SeedSource::torch(0));
    let model = Mlp::new(layers.var_builder(DType::F32, &Device::Cpu))?;
    train("torch's nn.Linear after torch.manual_seed(0)", &model, layers.var_map())
}
