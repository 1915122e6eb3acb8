//! `TorchSequence`, the torch stream of a whole checkpoint. It draws the tensors in the order of the checkpoint.

use std::collections::HashMap;

use fanin::{Distribution, Plan, Torch};
use fanin_recipe::Planned;

/// The number of normal values that torch generates together. Each chunk of normal values must begin at a multiple of
/// this number.
const GROUP: usize = Torch::GROUP;

/// Splits a tensor with the plan `plan` into consecutive chunks of about `max_values` values, and returns the plans of
/// the chunks. Filled in order, the chunks have the values of the whole tensor. If the tensor cannot be split, returns
/// only `plan`.
pub(crate) fn chunk_plans(plan: &Plan, max_values: usize) -> Vec<Plan> {
    let max_values = (max_values / GROUP * GROUP).max(2 * GROUP);
    let divisible = matches!(
        plan.distribution(),
        Distribution::Constant { .. } | Distribution::Uniform { .. } | Distribution::Normal { .. }
    );
    if !divisible || plan.len() <= max_values || !is_given_by_distribution(plan) {
        return vec![plan.clone()];
    }
    let mut left = plan.len();
    let mut counts = Vec::new();
    while left > 0 {
        // torch generates the last 16 normal values together, even if they do not begin at a multiple of 16. They must
        // be in the same chunk.
        let short_rest = left > max_values && left - max_values < GROUP;
        let count = if short_rest { max_values - GROUP } else { left.min(max_values) };
        counts.push(count);
        left -= count;
    }
    let chunk = |count| {
        Plan::new(&[count], plan.dtype(), plan.distribution()).expect("the plan of the tensor is valid")
    };
    counts.into_iter().map(chunk).collect()
}

/// Returns true if `Plan::new` can rebuild `plan` from its shape, type and distribution. Fans and warnings are not
/// compared.
///
/// The result is false if the plan has a separate distribution for the torch stream, because `Plan::new` does not set
/// it.
fn is_given_by_distribution(plan: &Plan) -> bool {
    let Ok(again) = Plan::new(plan.shape(), plan.dtype(), plan.distribution()) else { return false };
    let again = match plan.fans() {
        Some(fans) => again.with_fans(fans),
        None => again,
    };
    let known = again.warnings().len();
    let again =
        plan.warnings().iter().skip(known).fold(again, |again, warning| again.with_warning(warning.clone()));
    again == *plan
}

/// PyTorch's generator, for all tensors of a checkpoint. The tensors are drawn one after another.
///
/// Tied tensors share their values. The values are drawn for the first tied tensor, as in a loop over
/// `named_parameters()`. For each later tied tensor, a copy of the generator draws the same values again. The copy is
/// made just before the values are drawn for the first tied tensor.
#[derive(Debug)]
pub struct TorchSequence {
    torch: Torch,
    /// For each group of tied tensors, a copy of the generator, made just before the values of the group are drawn.
    /// `None` until then. The key is the canonical name of the group ([`Planned::source`]).
    before: HashMap<String, Option<Torch>>,
    /// The generator that draws the values of a group of tied tensors again, for each tensor of the group after the
    /// first. For each such tensor, this generator is a new copy of the generator in `before`.
    repeat: Torch,
}

impl TorchSequence {
    /// Creates the sequence for the tensors `planned`. The caller must then draw or skip each tensor, in the order of
    /// `planned`.
    pub fn new(seed: u64, planned: &[Planned]) -> Self {
        let shared = planned.iter().filter_map(|planned| planned.tied.clone());
        let before = shared.map(|name| (name, None)).collect();
        Self { torch: Torch::new(seed), before, repeat: Torch::new(seed) }
    }

    /// Returns the generator that must draw the values of the next tensor, `planned`.
    pub fn generator(&mut self, planned: &Planned) -> &mut Torch {
        match self.before.get_mut(planned.source()) {
            Some(Some(before)) => {
                self.repeat = before.clone();
                &mut self.repeat
            }
            Some(first) => {
                *first = Some(self.torch.clone());
                &mut self.torch
            }
            None => &mut self.torch,
        }
    }

    /// Advances the generator past the values of the next tensor, `planned`. `plan` is the plan of this tensor.
    ///
    /// # Errors
    /// Returns an error if the torch stream cannot draw the values of `plan`, for example because it does not implement
    /// the algorithm. See [`Torch::advance_past`].
    pub fn skip(&mut self, planned: &Planned, plan: &Plan) -> Result<(), fanin::Error> {
        match self.before.get(planned.source()) {
            Some(Some(_)) => Ok(()),
            _ => self.generator(planned).advance_past(plan),
        }
    }
}

#[cfg(test)]
mod tests {
    use fanin::init::Init;
    use fanin::{DType, Initializer as _, Stream as _};

    use super::*;
    use crate::value_buffer::ValueBuffer;

    const SPECS: [&str; 10] = [
        "zeros",
        "uniform(a=-1, b=2)",
        "normal(mean=1, std=3)",
        "trunc_normal(std=0.5, a=-1, b=1)",
        "trunc_normal(std=1, a=3, b=4)",
        "trunc_normal(std=1, method=inverse_cdf)",
        "sparse(sparsity=0.3)",
        "orthogonal",
        "eye",
        "kaiming_normal(a=sqrt(5), nonlinearity=leaky_relu)",
    ];

    /// Returns a generator that has drawn 3 normal values, and therefore stores the second value of the last pair.
    fn generator() -> Torch {
        let mut torch = Torch::new(3);
        let mut values = [0f32; 3];
        fanin::init::normal(0.0, 1.0).fill(&mut values, &[3], &mut torch).unwrap();
        torch
    }

    #[test]
    fn chunks_have_the_values_of_the_whole_tensor() {
        let mut divided = 0;
        for spec in SPECS {
            for shape in [[1, 64], [1, 65], [5, 13], [1, 79], [1, 80], [1, 95], [1, 97], [31, 33]] {
                for dtype in [DType::F32, DType::F64, DType::F16, DType::BF16] {
                    let Ok(plan) = Init::parse(spec).unwrap().resolve(&shape, dtype) else { continue };
                    let (mut whole, mut chunked) = (generator(), generator());
                    let mut values = ValueBuffer::new(dtype, plan.len()).unwrap();
                    whole.fill(&plan, values.tensor(&shape).unwrap()).unwrap();
                    let mut bytes = Vec::new();
                    let chunks = chunk_plans(&plan, 64);
                    divided += usize::from(chunks.len() > 1);
                    for chunk in chunks {
                        let mut values = ValueBuffer::new(dtype, chunk.len()).unwrap();
                        chunked.fill(&chunk, values.tensor(chunk.shape()).unwrap()).unwrap();
                        bytes.extend_from_slice(&values.bytes());
                    }
                    assert!(bytes == values.bytes().as_ref(), "{spec} {shape:?} {dtype}");
                    assert!(whole.state() == chunked.state(), "{spec} {shape:?} {dtype}");
                }
            }
        }
        assert!(divided > 50, "{divided}");
    }
}
