//! Describes the distribution of a plan as text.

use fanin::{Distribution, Plan};

pub use crate::closed_form::short_numbers;

/// Returns the distribution of a plan with its parameters as text, such as `N(0, 0.02^2)`.
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
        Distribution::Arange { start, step } => format!("{start} + {step} * index along the last axis"),
        Distribution::Mapped { functions } => {
            let argument = plan.argument().map(text).unwrap_or_default();
            functions.iter().fold(argument, |inner, function| format!("{}({inner})", function.name()))
        }
        Distribution::Blocks { .. } => blocks(plan),
        other => format!("{other:?}"),
    }
}

/// Describes the shape and the distribution of each block of a plan. For example, `64 x 32 N(0, 0.02^2)` describes a
/// normally distributed block of shape 64 x 32. Semicolons separate the descriptions. Equal descriptions are listed
/// once, with the number of blocks: `2 of 64 x 32 N(0, 0.02^2)`.
fn blocks(plan: &Plan) -> String {
    let mut distinct: Vec<(String, usize)> = Vec::new();
    for block in plan.blocks() {
        let description =
            format!("{} {}", fanin_recipe::text::shape(block.plan().shape()), text(block.plan()));
        match distinct.iter_mut().find(|(known, _)| *known == description) {
            Some((_, count)) => *count += 1,
            None => distinct.push((description, 1)),
        }
    }
    let with_count = |(description, count): &(String, usize)| {
        if *count == 1 { description.clone() } else { format!("{count} of {description}") }
    };
    distinct.iter().map(with_count).collect::<Vec<_>>().join("; ")
}
