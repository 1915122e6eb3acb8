//! Recognizes tensors that consist of blocks, such as the fused projections of an attention layer or a stack of
//! experts.

use fanin_checkpoint::Progress;
use fanin_recipe::text::short;

use super::kind::{Classification, Kind};
use super::scan::Scan;
use crate::check::orthogonal::{is_plausible, tolerance};
use crate::check::structure::Structure;
use crate::check::tensor_view::{TensorView, matrix};
use crate::error::Result;

/// The largest number of blocks of equal size into which a tensor is divided along an axis.
const MAX_BLOCKS: usize = 8;

/// If a tensor is divided into more blocks than this, each block must have at least the size `MIN_LINES` along the axis
/// of division. In a trained matrix, the rows have different distributions, and a few adjacent rows may fit one
/// distribution by chance.
const MAX_SMALL_BLOCKS: usize = 4;

/// If a tensor is divided into more than `MAX_SMALL_BLOCKS` blocks, each block must have at least this size along the
/// axis of division. This applies neither to the division of a stack into its matrices, nor if all blocks must be
/// orthogonal.
const MIN_LINES: usize = 12;

/// The largest number of matrices in a stack that is recognized. A stack is a tensor of three or more axes, divided
/// into matrices along its first axis.
const MAX_STACK: usize = 1024;

/// A tensor that was divided into blocks.
pub(super) struct Divided {
    /// The kind of the tensor.
    pub(super) kind: Kind,
    /// The description of the blocks.
    pub(super) description: String,
    /// Whether each block is orthogonal, constant, or an unchanged draw of a known generator.
    pub(super) unchanged: bool,
}

/// A function that classifies one block of a tensor. The function is passed as an argument so that this module and the
/// function's module do not import each other.
type Classify = dyn Fn(&Scan<'_>) -> Result<Classification>;

/// Divides a tensor into blocks of equal size along one axis, if each block is of the kind `Fresh`, `Orthogonal` or
/// `Constant`. Returns `None` for other tensors.
///
/// A division into blocks is tried if `structure` shows that the mean squares of slices along the axis differ within
/// the tensor, but not within the blocks. If the scale of a few matrices of a stack differs from the scale of the
/// others, a message is added to `problems`.
///
/// # Errors
/// Returns an error if the file cannot be read.
pub(super) fn of(
    scan: &Scan<'_>,
    structure: &Structure,
    classify: &Classify,
    problems: &mut Vec<String>,
) -> Result<Option<Divided>> {
    let shape = scan.shape();
    for (axis, count) in divisions(shape) {
        let is_stack = shape.len() > 2 && (axis, count) == (0, shape[0]);
        if !is_stack && count > MAX_SMALL_BLOCKS && shape[axis] / count < MIN_LINES {
            continue;
        }
        let alike =
            !structure.is_alike_in_blocks(shape, axis, 1) && structure.is_alike_in_blocks(shape, axis, count);
        if alike && let Some(found) = divided(scan, (axis, count), false, classify, problems)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// Divides a tensor into blocks of equal size along one axis, if all blocks are orthogonal. Returns `None` for other
/// tensors.
///
/// `whole` is whether the tensor as a whole is orthogonal. If `whole` is true, some divisions always give orthogonal
/// blocks. Such divisions prove nothing and are left out. If the scale of a few matrices of a stack differs from the
/// scale of the others, a message is added to `problems`.
///
/// # Errors
/// Returns an error if the file cannot be read.
pub(super) fn orthogonal(
    scan: &Scan<'_>,
    whole: bool,
    classify: &Classify,
    problems: &mut Vec<String>,
) -> Result<Option<Divided>> {
    let (rows, columns) = scan.matrix();
    let stack = scan.shape().len() > 2;
    // If square orthogonal matrices are stacked vertically, the columns of the result are orthogonal too. Several such
    // matrices could therefore be taken for one block. To avoid this, blocks that are longer along the divided axis
    // than along the other axis are tried last. If the tensor has more than two axes, it is a stack of matrices, and
    // the division into the single matrices is tried first.
    let mut divisions = divisions(scan.shape());
    divisions.retain(|&(axis, _)| !whole || stack || if axis == 0 { rows > columns } else { columns > rows });
    let is_long = |&(axis, count): &(usize, usize)| match axis {
        0 if count == rows => false,
        0 => rows / count > columns,
        _ => columns / count > rows,
    };
    divisions.sort_by_key(|division| (is_long(division), stack && *division != (0, rows)));
    for (axis, count) in divisions {
        if can_be_orthogonal(&block(scan, axis, count, 0), scan)?
            && let Some(found) = divided(scan, (axis, count), true, classify, problems)?
        {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// A classified block, or consecutive blocks of the same distribution.
struct Group {
    kind: Kind,
    /// The standard deviation of the values of the first block.
    std: f64,
    /// The standard error of `std`.
    error: f64,
    /// The number of blocks.
    blocks: usize,
}

impl Group {
    /// Returns whether `other` has the same distribution. The two measured standard deviations may differ by chance.
    fn is_like(&self, other: &Self) -> bool {
        let same_kind = match (self.kind, other.kind) {
            (Kind::Fresh(a), Kind::Fresh(b)) => {
                std::mem::discriminant(&a) == std::mem::discriminant(&b) && a.is_normal() == b.is_normal()
            }
            (a, b) => return a.description() == b.description(),
        };
        same_kind && self.has_scale_of(other)
    }

    /// Returns whether the difference of the two standard deviations is below 5 standard errors.
    fn has_scale_of(&self, other: &Self) -> bool {
        (self.std - other.std).abs() < 5.0 * self.error.hypot(other.error)
    }
}

/// Classifies each of the `count` blocks along `axis`.
///
/// Returns `None` if a block has a kind other than `Fresh`, `Orthogonal` and `Constant`, or if a block has problems. If
/// `orthogonal` is true, all blocks must be orthogonal. If `orthogonal` is false, the blocks must have at least two
/// distributions, unless they are the matrices of a stack. If the scale of a few matrices of a stack differs from the
/// scale of the others, a message is added to `problems`.
fn divided(
    scan: &Scan<'_>,
    (axis, count): (usize, usize),
    orthogonal: bool,
    classify: &Classify,
    problems: &mut Vec<String>,
) -> Result<Option<Divided>> {
    let mut blocks: Vec<Group> = Vec::new();
    let mut unchanged = true;
    for number in 0..count {
        let view = block(scan, axis, count, number);
        let found = classify(&Scan::of(view, scan.dtype, &() as &dyn Progress)?)?;
        let known = match found.kind {
            Kind::Orthogonal(_) => true,
            Kind::Fresh(_) | Kind::Constant(_) => !orthogonal,
            _ => false,
        };
        if !known || !found.problems.is_empty() {
            return Ok(None);
        }
        unchanged &= found.unchanged || !matches!(found.kind, Kind::Fresh(_));
        let std = found.std.unwrap_or_default();
        let error = std / (2.0 * scan.count() as f64 / count as f64).sqrt();
        blocks.push(Group { kind: found.kind, std, error, blocks: 1 });
    }
    let stacked = scan.shape().len() > 2 && count == scan.shape()[0] && axis == 0;
    if stacked {
        problems.extend(other_scale(&blocks));
    }
    let mut groups: Vec<Group> = Vec::new();
    for block in blocks {
        match groups.last_mut() {
            Some(last) if last.is_like(&block) => last.blocks += 1,
            _ => groups.push(block),
        }
    }
    let text = |group: &Group| match group.blocks {
        1 => group.kind.description(),
        count => format!("{}, count={count}", group.kind.description()),
    };
    let texts: Vec<String> = groups.iter().map(text).collect();
    let axis_text = if axis == 0 { String::new() } else { format!("; axis={axis}") };
    let description = match &groups[..] {
        [one] if stacked => format!("stacked({})", one.kind.description()),
        // All blocks follow one distribution, but the whole tensor does not. The division into blocks does not
        // explain this.
        [_] if !orthogonal => return Ok(None),
        _ => format!("blocks({}{axis_text})", texts.join("; ")),
    };
    Ok(Some(Divided { kind: Kind::Blocks { axis, count }, description, unchanged }))
}

/// Returns a message if up to a quarter of the matrices of a stack have another standard deviation than the median
/// matrix. If the scale depends on the depth, more matrices differ, and there is no message.
fn other_scale(blocks: &[Group]) -> Option<String> {
    let mut sorted: Vec<&Group> = blocks.iter().collect();
    sorted.sort_by(|a, b| a.std.total_cmp(&b.std));
    let middle = sorted[sorted.len() / 2];
    let others: Vec<usize> = (0..blocks.len()).filter(|&n| !middle.has_scale_of(&blocks[n])).collect();
    let &first = others.first().filter(|_| others.len() * 4 <= blocks.len())?;
    let count = blocks.len();
    Some(format!(
        "matrix {first} of {count} has another scale than most: its std is {}, theirs {}",
        short(blocks[first].std),
        short(middle.std)
    ))
}

/// Returns the ways to divide a tensor of this shape into blocks of equal size. Each way is an axis and a number of
/// blocks. The division of a stack into its matrices comes last.
fn divisions(shape: &[usize]) -> Vec<(usize, usize)> {
    if shape.len() < 2 {
        return Vec::new();
    }
    let mut divisions = Vec::new();
    for (axis, &size) in shape.iter().enumerate() {
        let counts = (2..=MAX_BLOCKS).filter(|count| size.is_multiple_of(*count));
        divisions.extend(counts.map(|count| (axis, count)));
    }
    if shape.len() > 2 && (2..=MAX_STACK).contains(&shape[0]) {
        divisions.push((0, shape[0]));
    }
    divisions
}

/// Returns whether all blocks can be orthogonal matrices with the same gain. The function computes the gain from the
/// norm of the whole tensor, and compares the norm of one row or column of `first`, the first block, with this gain.
fn can_be_orthogonal(first: &TensorView<'_>, scan: &Scan<'_>) -> Result<bool> {
    let (rows, columns) = matrix(first.shape());
    if rows.min(columns) < 2 || scan.summary.non_finite > 0 {
        return Ok(false);
    }
    let entry = scan.summary.norm() / (scan.count() as f64).sqrt();
    let gain = entry * (rows.max(columns) as f64).sqrt();
    match tolerance(scan.dtype, entry) {
        Some(tolerance) => {
            let squares = scan.squares_of_first_line(first)?;
            Ok(squares.is_none_or(|squares| is_plausible(squares, gain, tolerance)))
        }
        None => Ok(false),
    }
}

/// Returns a view of block `number` of `count` blocks along `axis`. A block of size 1 along the axis is a view without
/// this axis.
fn block<'a>(scan: &Scan<'a>, axis: usize, count: usize, number: usize) -> TensorView<'a> {
    let size = scan.shape()[axis] / count;
    let block = scan.view.slice(axis, number * size..(number + 1) * size);
    if size == 1 { block.without_axis(axis) } else { block }
}
