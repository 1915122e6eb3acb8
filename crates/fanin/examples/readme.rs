//! The example of the README.

use fanin::{Fan, Native, Nonlinearity, init};

fn main() -> Result<(), fanin::Error> {
    let kaiming = init::kaiming_uniform().fan(Fan::Out).nonlinearity(Nonlinearity::Relu);
    let seed = Native::new(42);
    let mut w = vec![0f32; 256 * 128];
    kaiming.fill(&mut w, &[256, 128], &mut seed.tensor("fc.weight"))?;
    // A fill of the last two rows alone gives bit-identical values.
    let mut rows = vec![0f32; 2 * 128];
    kaiming.fill_region(&mut rows, &[256, 128], &[254, 0], &[2, 128], &mut seed.tensor("fc.weight"))?;
    assert_eq!(rows, w[254 * 128..]);
    Ok(())
}
