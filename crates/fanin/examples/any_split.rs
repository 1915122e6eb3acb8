//! Fills only rows 300 to 399 of a matrix, from the native stream. Compares them with the same rows of the whole
//! matrix.

use fanin::{DType, Native, Stream as _, TensorMut, init};

fn main() -> Result<(), fanin::Error> {
    let (seed, shape) = (Native::new(42), [1000, 64]);
    let plan = init::orthogonal().resolve(&shape, DType::F32)?;
    let mut whole = vec![0f32; 1000 * 64];
    plan.fill(&mut whole, &mut seed.tensor("fc.weight"))?;
    let mut shard = vec![0f32; 100 * 64];
    let memory = TensorMut::contiguous(&mut shard, &[100, 64])?;
    seed.tensor("fc.weight").fill_region(&plan, &[300, 0], memory)?;
    assert_eq!(shard, whole[300 * 64..400 * 64]);
    println!("100 of {} rows are bit-identical to those of the whole matrix", shape[0]);
    Ok(())
}
