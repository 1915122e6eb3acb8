//! A deep network on one curve, started three ways: the loss tells which.
//!
//! ```text
//! cargo run --release --example train
//! ```

use candle_core::{DType, Device, Error, Result, Tensor};
use candle_nn::{Linear, Module as _, Optimizer as _, VarBuilder, VarMap, linear};
use fanin_candle::{Layers, SeedSource, Recipe, RecipeInit, tensor};

const DEPTH: usize = 12;
const WIDTH: usize = 48;
const STEPS: usize = 200;

/// A plain stack of layers: what it starts with is no business of its.
struct Mlp(Vec<Linear>);

impl Mlp {
    fn new(vb: VarBuilder) -> Result<Self> {
        let size = |layer: usize| if layer == 0 { 1 } else { WIDTH };
        let layer = |at: usize| {
            let out = if at + 1 == DEPTH { 1 } else { WIDTH };
            linear(size(at), out, vb.pp(format!("layers.{at}")))
        };
        Ok(Self((0..DEPTH).map(layer).collect::<Result<_>>()?))
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (last, layers) = self.0.split_last().expect("it is deep");
        let mut x = x.clone();
        for layer in layers {
            x = layer.forward(&x)?.relu()?;
        }
        last.forward(&x)
    }
}

fn train(what: &str, model: &Mlp, vars: &VarMap) -> Result<()> {
    let mut points = fanin::Native::new(0).tensor("x");
    let x = tensor(&fanin::init::uniform(-1.0, 1.0), (128, 1), DType::F32, &Device::Cpu, &mut points)?;
    let y = x.affine(6.0, 0.0)?.sin()?;
    let mut adam = candle_nn::AdamW::new_lr(vars.all_vars(), 1e-3)?;
    print!("{what:<48}");
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

fn by_recipe(what: &str, spec: &str) -> Result<()> {
    let text = format!("[init]\n\"*.bias\" = \"zeros\"\n\"*.weight\" = \"{spec}\"");
    let recipe = Recipe::parse(&text, "mlp.toml".as_ref()).map_err(Error::wrap)?;
    let mut numbers = SeedSource::native(0);
    let (model, vars) =
        RecipeInit::new(recipe).build(DType::F32, &Device::Cpu, &mut numbers, |vb| Mlp::new(vb))?;
    train(what, &model, &vars)
}

fn main() -> Result<()> {
    println!("{:<48} loss at step 0, {}, .. {STEPS}", format!("{DEPTH} layers of {WIDTH}, relu"), STEPS / 4);
    by_recipe("bad: normal(std=0.02), the signal dies", "normal(std=0.02)")?;
    by_recipe("bad: normal(std=0.5), it explodes", "normal(std=0.5)")?;
    by_recipe("good: kaiming_normal(nonlinearity=relu)", "kaiming_normal(nonlinearity=relu)")?;
    // No recipe: each layer as torch's nn.Linear starts it, with torch's numbers after torch.manual_seed(0).
    let layers = Layers::like_torch(SeedSource::torch(0));
    let model = Mlp::new(layers.var_builder(DType::F32, &Device::Cpu))?;
    train("torch's nn.Linear after torch.manual_seed(0)", &model, layers.var_map())
}
