//! The number of words that a fill draws from the generator, and the positions of these words.

use super::generator::Torch;
use crate::dtype::DType;
use crate::error::Error;
use crate::plan::{Distribution, Plan, Truncation};

/// The number of normal values that torch transforms together by the Box-Muller transform. The first half of their
/// words gives the radii, the second half the angles.
pub(super) const GROUP: usize = Torch::GROUP;

/// The minimum length of a contiguous normal fill that torch draws in groups of [`GROUP`] values. torch draws the
/// values of shorter fills one by one.
pub(super) const BULK: usize = GROUP;

/// Computes [`Torch::words`] for a plan that the stream can fill. An 8-bit plan takes as many words as an f32 plan.
pub(super) fn words_of(plan: &Plan) -> Option<u64> {
    let (dtype, count) = (plan.dtype(), plan.len());
    let normals = |dtype| match count {
        0 => Some(0),
        BULK.. => Some(words_of_normals(dtype, count)),
        _ => None,
    };
    match plan.distribution() {
        Distribution::Constant { .. } | Distribution::Eye | Distribution::Dirac { .. } => Some(0),
        Distribution::Hadamard { .. } | Distribution::RepeatedEye { .. } | Distribution::Arange { .. } => {
            Some(0)
        }
        // The torch stream applies functions only to values that are computed without random words.
        Distribution::Mapped { .. } => Some(0),
        Distribution::Uniform { .. } => Some(words_of_uniforms(dtype, count)),
        Distribution::TruncatedNormal { method: Some(Truncation::InverseCdf), .. } => {
            Some(words_of_uniforms(dtype, count))
        }
        Distribution::TruncatedNormal { .. } => (count == 0).then_some(0),
        Distribution::Normal { .. } => normals(dtype),
        Distribution::Sparse { .. } => Some(normals(dtype)? + words_of_permutations(plan.matrix())),
        Distribution::Orthogonal { .. } => normals(orthogonal_dtype(dtype)),
        Distribution::Blocks { .. } => {
            let mut words = plan.blocks().iter().map(|block| words_of(block.plan()));
            words.try_fold(0u64, |sum, words| sum.checked_add(words?))
        }
    }
}

/// Returns the error `ShapeOverflow` if a fill takes too many words. The number of words of a normal fill must fit in
/// 64 bits. A pass of rejection sampling can take at most 2^60 words, because [`StateReader`](crate::rng::StateReader)
/// counts the words of two passes in `i64`.
pub(super) fn check_countable(plan: &Plan) -> Result<(), Error> {
    let words = u128::from(words_per_value(plan.dtype()));
    let (values, again) = (plan.len() as u128, GROUP as u128);
    let countable = match plan.distribution() {
        Distribution::TruncatedNormal { method: None | Some(Truncation::Rejection), .. } => {
            words * values <= 1 << 60
        }
        Distribution::Normal { .. } | Distribution::Orthogonal { .. } => {
            u64::try_from(words * (values + again)).is_ok()
        }
        // For the permutations, torch draws less than one word for each value.
        Distribution::Sparse { .. } => u64::try_from(words * (values + again) + values).is_ok(),
        _ => true,
    };
    if countable { Ok(()) } else { Err(Error::ShapeOverflow { shape: plan.shape().to_vec() }) }
}

/// Returns the number of words that torch draws for one value of the type `dtype`.
pub(super) const fn words_per_value(dtype: DType) -> u64 {
    if matches!(dtype, DType::F64) { 2 } else { 1 }
}

/// Returns the type in which the values of a tensor of type `dtype` are drawn. torch cannot draw 8-bit values, so they
/// are drawn in f32 and then rounded.
pub(super) fn drawn_dtype(dtype: DType) -> DType {
    if dtype.size() == 1 { DType::F32 } else { dtype }
}

/// Returns the type in which the Gaussian matrix of an orthogonal plan is drawn: f64 for f64, and f32 for all other
/// types.
pub(super) fn orthogonal_dtype(dtype: DType) -> DType {
    if dtype == DType::F64 { DType::F64 } else { DType::F32 }
}

/// Returns the number of words that torch draws for `count` uniform values.
pub(super) fn words_of_uniforms(dtype: DType, count: usize) -> u64 {
    words_per_value(dtype) * count as u64
}

/// Returns the number of words that torch draws for `count` normal values, if it draws the values in groups.
fn words_of_normals(dtype: DType, count: usize) -> u64 {
    Groups::new(dtype, count).total
}

/// Returns the number of words that torch draws for the positions of the zeros of a sparse matrix. torch draws one
/// permutation of the rows for each column.
pub(super) fn words_of_permutations((rows, columns): (usize, usize)) -> u64 {
    columns as u64 * words_of_permutation(rows)
}

/// Returns the number of words that torch draws for a permutation of `rows` rows: one for each row except the last.
pub(super) fn words_of_permutation(rows: usize) -> u64 {
    rows.saturating_sub(1) as u64
}

/// The positions of the random words in a fill of normally distributed values. torch draws the values of this fill in
/// groups of [`GROUP`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Groups {
    /// The number of values of the fill.
    count: usize,
    /// The number of words of a group.
    pub(super) words: usize,
    /// The position of the first word of the extra group. If `count` is not a multiple of sixteen, torch draws the last
    /// sixteen values again at the end of the fill, as an extra group. `None` if there is no extra group.
    last: Option<u64>,
    /// The number of words of the whole fill.
    pub(super) total: u64,
}

impl Groups {
    /// Computes how torch divides a normal fill into groups. `count`, the number of values, must be at least sixteen.
    pub(super) fn new(dtype: DType, count: usize) -> Self {
        let each = words_per_value(dtype);
        let words = each as usize * GROUP;
        // torch first draws words for all values (f32 and f64) or only for the complete groups (f16 and bf16). The
        // words of the extra group follow (see `Groups::last`).
        let drawn = if dtype.size() == 2 { count / GROUP * GROUP } else { count };
        let drawn = each * drawn as u64;
        let last = (!count.is_multiple_of(GROUP)).then_some(drawn);
        let total = last.map_or(drawn, |last| last + words as u64);
        Self { count, words, last, total }
    }

    /// Counts the values that torch draws in row-major order. The count starts with the value at `index`. If torch
    /// draws the last sixteen values again as an extra group (see the field `last`), these sixteen values are not
    /// counted.
    pub(super) fn left_in_order(&self, index: u64) -> usize {
        let end = if self.last.is_some() { self.count - GROUP } else { self.count };
        (end as u64).saturating_sub(index) as usize
    }

    /// Returns the group of the value at `index`: the position of the group's first word, and the value's position in
    /// the group.
    pub(super) fn of(&self, index: u64) -> (u64, usize) {
        match self.last {
            Some(last) if self.left_in_order(index) == 0 => {
                (last, (index - (self.count - GROUP) as u64) as usize)
            }
            _ => (index / GROUP as u64 * self.words as u64, (index % GROUP as u64) as usize),
        }
    }
}
