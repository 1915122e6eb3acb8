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

/// If a tensor is divided into at most this many blocks, the blocks may be smaller than `MIN_LINES`.
const MAX_SMALL_BLOCKS: usize = 4;

/// The smallest size of a block along the axis of division, if there are more than `MAX_SMALL_BLOCKS` blocks. The limit
/// is needed because a few adjacent rows of a trained matrix sometimes fit one distribution by chance. The limit does
/// not apply to orthogonal blocks or to the matrices of a stack.
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

/// A function that classifies one block of a tensor. It is passed as an argument to avoid a circular import.
type Classify = dyn Fn(&Scan<'_>) -> Result<Classification>;

/// Divides a tensor into blocks of equal size along one axis. Each block is `Fresh`, `Orthogonal` or `Constant`.
/// Returns `None` if there is no such division.
///
/// A division is tried only if the mean squares of the slices along the axis differ between blocks, but are equal
/// within each block (up to random differences). The argument `structure` contains these mean squares.
///
/// If a few matrices of a stack (see `MAX_STACK`) have another scale than the rest, adds a message to `problems`.
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

/// Divides a tensor into orthogonal blocks of equal size along one axis. Returns `None` if there is no such division.
///
/// The argument `whole` is true if the tensor as a whole is an orthogonal matrix. Some divisions of an orthogonal
/// matrix always give orthogonal blocks: for example, the division of a wide matrix into blocks of rows. If `whole` is
/// true, such divisions are not tried.
///
/// If a few matrices of a stack (see `MAX_STACK`) have another scale than the rest, adds a message to `problems`.
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
    // Two square orthogonal matrices, one above the other, look like one orthogonal block: its columns are orthogonal
    // too. Blocks that are longer along the divided axis than along the other axis are therefore tried last. The
    // division of a stack into its matrices is tried first.
    let mut divisions = divisions(scan.shape());
    divisions.retain(|&(axis, count)| {
        let into_matrices = stack && (axis, count) == (0, rows);
        !whole || into_matrices || if axis == 0 { rows > columns } else { columns > rows }
    });
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

/// Divides a tensor into `count` blocks along `axis`, and classifies each block. The argument `orthogonal` is true if
/// every block must be orthogonal. If the blocks are the matrices of a stack (see `MAX_STACK`), and a few matrices have
/// another scale than the rest, adds a message to `problems`.
///
/// Returns `None` in three cases:
/// - A block has problems, or is not `Fresh`, `Orthogonal` or `Constant`.
/// - The argument `orthogonal` is true, and a block is not `Orthogonal`.
/// - The argument `orthogonal` is false, all blocks have the same distribution, and the blocks are not the matrices of
///   a stack.
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

/// Returns a message if a few matrices of a stack (at most a quarter) have another standard deviation than the median
/// matrix. If more matrices differ, the scale may depend on the depth.
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

/// Returns `false` if a quick test shows that the blocks are not orthogonal matrices with the same gain. The test reads
/// only a part of `first`, the first block: two rows, or one column if the block has more rows than columns.
fn can_be_orthogonal(first: &TensorView<'_>, scan: &Scan<'_>) -> Result<bool> {
    let (rows, columns) = matrix(first.shape());
    if rows.min(columns) < 2 || scan.summary.non_finite > 0 {
        return Ok(false);
    }
    let entry = scan.summary.norm() / (scan.count() as f64).sqrt();
    let gain = entry * (rows.max(columns) as f64).sqrt();
    match tolerance(scan.dtype, entry) {
        Some(tolerance) => {
            let products = scan.products_of_first_lines(first)?;
            Ok(products.is_none_or(|products| is_plausible(products, gain, tolerance)))
        }
        None => Ok(false),
    }
}

/// Returns a view of one block of a tensor that is divided into `count` blocks along `axis`. The argument `number` is
/// the index of the block. If the blocks have size 1 along `axis`, the view does not have this axis.
fn block<'a>(scan: &Scan<'a>, axis: usize, count: usize, number: usize) -> TensorView<'a> {
    let size = scan.shape()[axis] / count;
    let block = scan.view.slice(axis, number * size..(number + 1) * size);
    if size == 1 { block.without_axis(axis) } else { block }
}
