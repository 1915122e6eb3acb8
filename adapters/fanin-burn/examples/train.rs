//! Trains a deep network from each of four initializations to fit a curve, and prints the losses.
//!
//! ```text
//! cargo run --release --example train
//! ```

use burn_core as burn;
use burn_core::module::Module;
use burn_core::tensor::{DType, Device, Tensor, activation::relu};
use burn_nn::{Linear, LinearConfig};
use burn_optim::{AdamConfig, GradientsParams};
use fanin_burn::{Recipe, RecipeInit, Result, SeedSource, tensor};

const DEPTH: usize = 12;
const WIDTH: usize = 48;
const STEPS: usize = 200;

#[derive(Module, Debug)]
struct Mlp {
    layers: Vec<Linear>,
}

impl Mlp {
    fn new(device: &Device) -> Self {
        let layer = |index: usize| {
            let width = |index: usize| if index == 0 || index == DEPTH { 1 } else { WIDTH };
            LinearConfig::new(width(index), width(index + 1)).init(device)
        };
        Self { layers: (0..DEPTH).map(layer).collect() }
    }

    fn forward(&self, mut x: Tensor<2>) -> Tensor<2> {
        let (last, layers) = self.layers.split_last().expect("there is at least one layer");
        for layer in layers {
            x = relu(layer.forward(x));
        }
        last.forward(x)
    }
}

fn train(title: &str, spec: &str, mut seed_source: SeedSource) -> Result<()> {
    let device = Device::flex().autodiff();
    let text = format!("[init]\n\"*.bias\" = \"zeros\"\n\"*.weight\" = \"{spec}\"");
    let init = RecipeInit::new(Recipe::parse(&text, "mlp.toml".as_ref())?);
    let mut model = init.module(Mlp::new(&device), &mut seed_source)?;
    let mut points = fanin::Native::new(0).tensor("x");
    let x = tensor(&fanin::init::uniform(-1.0, 1.0), [128, 1], DType::F32, &device, &mut points)?;
    let y = x.clone().mul_scalar(6.0).sin();
    let mut adam = AdamConfig::new().init();
    print!("{title:<48}");
    for step in 0..=STEPS {
        let loss = (model.forward(x.clone()) - y.clone()).powf_scalar(2.0).mean();
        if step % (STEPS / 4) == 0 {
            print!(" {:>10.4}", loss.clone().into_data().as_slice::<f32>().expect("the loss is f32")[0]);
        }
        let grads = GradientsParams::from_grads(loss.backward(), &model);
        model = adam.step(1e-3, model, grads);
    }
    println!();
    Ok(())
}

fn main() -> Result<()> {
    println!("{:<48} loss at step 0, {}, .. {STEPS}", format!("{DEPTH} layers of {WIDTH}, relu"), STEPS / 4);
    train("bad: normal(std=0.02), the signal vanishes", "normal(std=0.02)", SeedSource::native(0))?;
    train("bad: normal(std=0.5), the signal explodes", "normal(std=0.5)", SeedSource::native(0))?;
    let kaiming = "kaiming_normal(nonlinearity=relu)";
    train("good: kaiming_normal(nonlinearity=relu)", kaiming, SeedSource::native(0))?;
    train("good: the same on the torch stream", kaiming, SeedSource::torch(0))
}
