//! Distributions in words.

use fanin::{Distribution, Plan};

/// The distribution with its numbers.
pub fn text(plan: &Plan) -> String {
    match plan.distribution() {
        Distribution::Constant { value } => format!("{value} everywhere"),
        Distribution::Uniform { low, high } => format!("U[{low}, {high})"),
        Distribution::Normal { mean, std } => format!("N({mean}, {std}^2)"),
        Distribution::TruncatedNormal { mean, std, low, high, .. } => {
            format!("N({mean}, {std}^2) on [{low}, {high}]")
        }
        Distribution::Eye => "the identity matrix".to_owned(),
        Distribution::Dirac { groups } => format!("the identity of a convolution of {groups} groups"),
        Distribution::Orthogonal { gain } => {
            format!("{gain} times a Haar-distributed semi-orthogonal matrix")
        }
        Distribution::Sparse { zeros, std } => format!("N(0, {std}^2) with {zeros} zeros in every column"),
        Distribution::Hadamard { scale } => format!("+-{scale}, the signs of a Hadamard matrix"),
        Distribution::RepeatedEye { value } => format!("{value} where row = column modulo the columns"),
        Distribution::Blocks { .. } => parts(plan),
        other => format!("{other:?}"),
    }
}

/// The distributions of the parts, of like ones the first for all.
fn parts(plan: &Plan) -> String {
    let mut kinds: Vec<(String, usize)> = Vec::new();
    for part in plan.blocks() {
        let own = format!("{} {}", fanin_recipe::text::shape(part.plan().shape()), text(part.plan()));
        match kinds.iter_mut().find(|(kind, _)| *kind == own) {
            Some((_, count)) => *count += 1,
            None => kinds.push((own, 1)),
        }
    }
    let each = |(kind, count): &(String, usize)| {
        if *count == 1 { kind.clone() } else { format!("{count} of {kind}") }
    };
    kinds.iter().map(each).collect::<Vec<_>>().join("; ")
}
