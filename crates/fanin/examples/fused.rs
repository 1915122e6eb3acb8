//! Initializes the fused weight of grouped-query attention. The matrix has three blocks: the weights of the queries,
//! keys and values. Each block has separate fans.

use fanin::half::bf16;
use fanin::init::Init;
use fanin::{DType, Initializer as _, Native};

fn main() -> Result<(), fanin::Error> {
    let spec: Init =
        "blocks(1024: xavier_uniform, 256: xavier_uniform, 256: xavier_uniform(gain=0.5))".parse()?;
    let plan = spec.resolve(&[1536, 1024], DType::BF16)?;
    for block in plan.blocks() {
        let (row, plan) = (block.start()[0], block.plan());
        println!("from row {row:4}: {:?}, std {:.5}", plan.shape(), plan.std());
    }
    let mut weight = vec![bf16::ZERO; plan.len()];
    plan.fill(&mut weight, &mut Native::new(0).tensor("attn.qkv.weight"))?;
    let square: f64 = weight[1280 * 1024..].iter().map(|x| x.to_f64() * x.to_f64()).sum();
    assert!(((square / (256.0 * 1024.0)).sqrt() / plan.blocks()[2].plan().std() - 1.0).abs() < 0.01);
    Ok(())
}
