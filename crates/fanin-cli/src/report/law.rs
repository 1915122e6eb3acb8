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
        other => format!("{other:?}"),
    }
}
