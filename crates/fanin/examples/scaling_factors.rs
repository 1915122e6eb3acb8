//! Uses scaling factors in specs, so that the standard deviations depend on the depth and width of the model.

use std::collections::BTreeMap;

use fanin::init::Init;
use fanin::{Initializer as _, Native};

fn main() -> Result<(), fanin::Error> {
    let variables = BTreeMap::from([("n_layer".to_owned(), 12.0), ("d".to_owned(), 256.0)]);
    let mut model = Native::new(0).model();
    for (name, shape, spec) in [
        ("wte.weight", [1000, 256], "normal(std=0.02)"),
        ("h.0.attn.weight", [768, 256], "normal(std=small_init(d))"),
        ("h.0.attn.proj.weight", [256, 256], "normal(std=wang_init(n_layer, d))"),
        ("h.0.mlp.proj.weight", [256, 1024], "normal(std=0.02*gpt2_residual(n_layer))"),
    ] {
        let mut values = vec![0f32; shape[0] * shape[1]];
        let init = Init::parse_with(spec, &variables)?;
        let plan = init.fill(&mut values, &shape, &mut model.tensor(name)?)?;
        println!("{name:22} {:?} std {:.6}  {init}", shape, plan.std());
    }
    Ok(())
}
