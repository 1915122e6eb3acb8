//! The torch stream over a checkpoint: in pieces where that gives the same bits, and passed over where another process
//! writes.

use std::collections::TryReserveError;

use fanin::{DType, Law, Plan, Stream as _, Torch, Truncation};

use super::values::Values;

/// torch transforms normals in groups of so many; fewer of them are drawn by pairs.
const GROUP: usize = 16;

/// The plans of stretches of a tensor's values, each of about `most` values, that filled one after another give the
/// tensor's; the tensor's own plan if it can be filled as a whole only.
pub(super) fn pieces(plan: &Plan, most: usize) -> Vec<Plan> {
    let most = (most / GROUP * GROUP).max(2 * GROUP);
    let cuts = matches!(plan.law(), Law::Constant { .. } | Law::Uniform { .. } | Law::Normal { .. });
    // A plan may carry another last bit for torch, which a plan of its law alone has not.
    let alike = |plan: &Plan| {
        let again = Plan::new(plan.shape(), plan.dtype(), plan.law()).ok()?;
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
    let piece = |count| Plan::new(&[count], plan.dtype(), plan.law()).expect("the whole has been planned");
    counts.into_iter().map(piece).collect()
}

/// Brings the generator to where filling this plan would leave it. Where the number of words that it takes is known they
/// are jumped over, in about a millisecond; rejection (`trunc_normal`) takes as many as it takes, and is carried out.
pub(super) fn pass_over(torch: &mut Torch, plan: &Plan, spare: &mut Values) -> Result<(), Trouble> {
    let count = plan.len();
    let each = |dtype| if dtype == DType::F64 { 2 } else { 1 };
    let normals = |dtype: DType| (count >= GROUP).then(|| words_of_normals(count, dtype));
    let words = match plan.law() {
        _ if plan.is_empty() => Some(0),
        Law::Constant { .. } | Law::Eye | Law::Dirac { .. } => Some(0),
        Law::Uniform { .. } | Law::TruncatedNormal { method: Some(Truncation::InverseCdf), .. } => {
            Some(each(plan.dtype()) * count as u64)
        }
        Law::Normal { .. } => normals(plan.dtype()),
        // A shuffle of each column takes a word for every row but the last.
        Law::Sparse { .. } => normals(plan.dtype())
            .map(|words| words + plan.shape()[1] as u64 * (plan.shape()[0] as u64).saturating_sub(1)),
        // The Gaussian matrix is f32 for the half types.
        Law::Orthogonal { .. } if plan.dtype() == DType::F64 => normals(DType::F64),
        Law::Orthogonal { .. } => normals(DType::F32),
        _ => None,
    };
    if let Some(words) = words {
        torch.skip(words);
        return Ok(());
    }
    spare.resize(plan.dtype(), count)?;
    Ok(spare.tensor(plan.shape()).and_then(|tensor| torch.fill(plan, tensor))?)
}

/// Words that a contiguous normal fill of sixteen values or more takes.
fn words_of_normals(count: usize, dtype: DType) -> u64 {
    let each = if dtype == DType::F64 { 2 } else { 1 };
    let over = count % GROUP;
    // What is over a multiple of sixteen costs sixteen values drawn again; half types draw it no other time.
    let drawn = if over == 0 || dtype.size() > 2 { count } else { count - over };
    each * (drawn + if over == 0 { 0 } else { GROUP }) as u64
}

/// Why a tensor could not be drawn.
pub(super) enum Trouble {
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
    use fanin::Initializer as _;
    use fanin::init::Init;

    use super::*;

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
    const SHAPES: [[usize; 2]; 8] = [[3, 5], [4, 4], [5, 5], [1, 17], [40, 3], [129, 31], [0, 4], [4, 0]];

    /// A generator in the middle of its work, with a normal kept back.
    fn generator() -> Torch {
        let mut torch = Torch::new(3);
        let mut values = [0f32; 3];
        fanin::init::normal(0.0, 1.0).fill(&mut values, &[3], &mut torch).unwrap();
        torch
    }

    #[test]
    fn passing_over_leaves_the_generator_where_filling_does() {
        let mut spare = Values::default();
        for spec in SPECS {
            for shape in SHAPES {
                for dtype in [DType::F32, DType::F64, DType::F16, DType::BF16] {
                    let Ok(plan) = Init::parse(spec).unwrap().resolve(&shape, dtype) else { continue };
                    let (mut filled, mut passed) = (generator(), generator());
                    let mut values = Values::new(dtype, plan.len()).unwrap();
                    filled.fill(&plan, values.tensor(&shape).unwrap()).unwrap();
                    assert!(pass_over(&mut passed, &plan, &mut spare).is_ok());
                    assert!(filled.state() == passed.state(), "{spec} {shape:?} {dtype}");
                }
            }
        }
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
