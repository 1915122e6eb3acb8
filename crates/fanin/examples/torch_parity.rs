//! Reproduces PyTorch's values bit for bit: the weight and the bias of
//! `torch.manual_seed(0); layer = torch.nn.Linear(4, 2)`.

use fanin::{Torch, init};

fn main() -> Result<(), fanin::Error> {
    let mut generator = Torch::new(0);
    let (mut weight, mut bias) = ([0f32; 8], [0f32; 2]);
    init::linear_default().fill(&mut weight, &[2, 4], &mut generator)?;
    init::linear_default_bias(4).fill(&mut bias, &[2], &mut generator)?;
    println!("weight {weight:?}\nbias   {bias:?}");
    // torch 2.15 prints -0.0037 for the first weight.
    assert!((weight[0] + 0.0037).abs() < 1e-4);
    Ok(())
}
