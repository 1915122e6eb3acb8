//! Laws in words.

use fanin::{Law, Plan};

/// The law with its numbers.
pub fn text(plan: &Plan) -> String {
    match plan.law() {
        Law::Constant { value } => format!("{value} everywhere"),
        Law::Uniform { low, high } => format!("U[{low}, {high})"),
        Law::Normal { mean, std } => format!("N({mean}, {std}^2)"),
        Law::TruncatedNormal { mean, std, low, high, .. } => format!("N({mean}, {std}^2) on [{low}, {high}]"),
        Law::Eye => "the identity matrix".to_owned(),
        Law::Dirac { groups } => format!("the identity of a convolution of {groups} groups"),
        Law::Orthogonal { gain } => format!("{gain} times a Haar-distributed semi-orthogonal matrix"),
        Law::Sparse { zeros, std } => format!("N(0, {std}^2) with {zeros} zeros in every column"),
        Law::Hadamard { scale } => format!("+-{scale}, the signs of a Hadamard matrix"),
        Law::RepeatedEye { value } => format!("{value} where row = column modulo the columns"),
        Law::Parts { .. } => parts(plan),
        other => format!("{other:?}"),
    }
}

/// The laws of the parts, of like ones the first for all.
fn parts(plan: &Plan) -> String {
    let mut kinds: Vec<(String, usize)> = Vec::new();
    for part in plan.parts() {
        let own = format!("{} {}", super::numbers::shape(part.plan().shape()), text(part.plan()));
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
