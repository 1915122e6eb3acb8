//! The torch stream over a checkpoint: in pieces where that gives the same bits.

use std::collections::{HashMap, TryReserveError};

use fanin::{Distribution, Plan, Torch};

use fanin_recipe::recipe::Planned;

/// A chunk of a fill of normals that begins at a multiple of this number can be filled by itself.
const GROUP: usize = Torch::GROUP;

/// The plans of stretches of a tensor's values, each of about `most` values, that filled one after another give the
/// tensor's; the tensor's own plan if it can be filled as a whole only.
pub fn pieces(plan: &Plan, most: usize) -> Vec<Plan> {
    let most = (most / GROUP * GROUP).max(2 * GROUP);
    let cuts = matches!(
        plan.distribution(),
        Distribution::Constant { .. } | Distribution::Uniform { .. } | Distribution::Normal { .. }
    );
    // A plan may carry another last bit for torch, which a plan of its distribution alone has not.
    let alike = |plan: &Plan| {
        let again = Plan::new(plan.shape(), plan.dtype(), plan.distribution()).ok()?;
        let again = plan.fans().map_or(again.clone(), |fans| again.with_fans(fans));
        let known = again.warnings().len();
        Some(
            plan.warnings()
                .iter()
                .skip(known)
                .fold(again, |plan, warning| plan.with_warning(warning.clone())),
        )
    };
    if !cuts || plan.len() <= most || alike(plan).as_ref() != Some(plan) {
        return vec![plan.clone()];
    }
    let mut left = plan.len();
    let mut counts = Vec::new();
    while left > 0 {
        // The last sixteen values are drawn in a way of their own: they stay together.
        let now = if left > most && left - most < GROUP { most - GROUP } else { left.min(most) };
        counts.push(now);
        left -= now;
    }
    let piece =
        |count| Plan::new(&[count], plan.dtype(), plan.distribution()).expect("the whole has been planned");
    counts.into_iter().map(piece).collect()
}

/// torch's generator over the tensors of a checkpoint, one after another. Tied tensors are drawn once, where the first
/// of their names stands, as a loop over `named_parameters()` would; the others draw the same again.
#[derive(Debug)]
pub struct Sequence {
    torch: Torch,
    /// Of each tensor with several names, where the generator stood before it was drawn.
    before: HashMap<String, Option<Torch>>,
    again: Torch,
}

impl Sequence {
    /// For these tensors, in their order.
    pub fn new(seed: u64, planned: &[Planned]) -> Self {
        let shared = planned.iter().filter_map(|planned| planned.tied.clone());
        let before = shared.map(|name| (name, None)).collect();
        Self { torch: Torch::new(seed), before, again: Torch::new(seed) }
    }

    /// The generator that draws a tensor next.
    pub fn at(&mut self, planned: &Planned) -> &mut Torch {
        match self.before.get_mut(planned.source()) {
            Some(Some(before)) => {
                self.again = before.clone();
                &mut self.again
            }
            Some(first) => {
                *first = Some(self.torch.clone());
                &mut self.torch
            }
            None => &mut self.torch,
        }
    }

    /// Passes over a tensor's values.
    pub fn pass(&mut self, planned: &Planned, plan: &Plan) -> Result<(), fanin::Error> {
        match self.before.get(planned.source()) {
            Some(Some(_)) => Ok(()),
            _ => self.at(planned).advance_past(plan),
        }
    }
}

/// Why a tensor could not be drawn.
pub enum Trouble {
    /// There is no memory for it.
    Memory,
    /// The stream cannot carry out its plan.
    Draw(fanin::Error),
}

impl From<TryReserveError> for Trouble {
    fn from(_: TryReserveError) -> Self {
        Trouble::Memory
    }
}

impl From<fanin::Error> for Trouble {
    fn from(error: fanin::Error) -> Self {
        Trouble::Draw(error)
    }
}

#[cfg(test)]
mod tests {
    use fanin::init::Init;
    use fanin::{DType, Initializer as _, Stream as _};

    use super::*;
    use crate::values::Values;

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

    /// A generator in the middle of its work, with a normal kept back.
    fn generator() -> Torch {
        let mut torch = Torch::new(3);
        let mut values = [0f32; 3];
        fanin::init::normal(0.0, 1.0).fill(&mut values, &[3], &mut torch).unwrap();
        torch
    }

    #[test]
    fn pieces_have_the_bits_of_the_whole() {
        let mut cut = 0;
        for spec in SPECS {
            for shape in [[1, 64], [1, 65], [5, 13], [1, 79], [1, 80], [1, 95], [1, 97], [31, 33]] {
                for dtype in [DType::F32, DType::F64, DType::F16, DType::BF16] {
                    let Ok(plan) = Init::parse(spec).unwrap().resolve(&shape, dtype) else { continue };
                    let (mut whole, mut parts) = (generator(), generator());
                    let mut values = Values::new(dtype, plan.len()).unwrap();
                    whole.fill(&plan, values.tensor(&shape).unwrap()).unwrap();
                    let mut bytes = Vec::new();
                    let pieces = pieces(&plan, 64);
                    cut += usize::from(pieces.len() > 1);
                    for piece in pieces {
                        let mut part = Values::new(dtype, piece.len()).unwrap();
                        parts.fill(&piece, part.tensor(piece.shape()).unwrap()).unwrap();
                        bytes.extend_from_slice(&part.bytes());
                    }
                    assert!(bytes == values.bytes().as_ref(), "{spec} {shape:?} {dtype}");
                    assert!(whole.state() == parts.state(), "{spec} {shape:?} {dtype}");
                }
            }
        }
        assert!(cut > 50, "{cut}");
    }
}
