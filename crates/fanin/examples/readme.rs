//! The example of the README.

use fanin::{Fan, Native, Nonlinearity, init};

fn main() -> Result<(), fanin::Error> {
    let kaiming = init::kaiming_uniform().fan(Fan::Out).nonlinearity(Nonlinearity::Relu);
    let mut weight = vec![0f32; 256 * 128];
    kaiming.fill(&mut weight, &[256, 128], &mut Native::new(42).tensor("fc.weight"))?;
    println!("{:?}", &weight[..4]);
    Ok(())
}
