//! What a tensor looks like, without a plan: which distribution its values follow, or what else they are.
//!
//! A distribution is accepted if its Kolmogorov-Smirnov p-value is above 1e-5 (Massart's bound, and fitted parameters make the
//! distance smaller still) and if rows and columns are alike: their mean squares and means spread as those of
//! independent values do, within 6 standard errors. Training leaves rows of different size long before it bends the distribution.

use fanin::{AxisLayout, DType, Fan, Fans};

use super::distribution::Draw;
use super::orthogonal;
use super::repeats::{Repeats, Twice};
use super::sample::{Reference, Sample};
use super::tensor_view::TensorView;
use crate::error::Result;
use fanin_checkpoint::Checkpoint;

/// Values below which nothing can be told about a distribution.
const FEW: u64 = 64;

/// The kinds of tensors.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Kind {
    /// No values at all.
    #[default]
    Empty,
    /// An integer type.
    Integers,
    /// A type whose values are not read here.
    Unread,
    /// Every value the same.
    Constant(f64),
    /// Only zeros and ones.
    ZerosAndOnes,
    /// Fewer values than a distribution needs.
    Few,
    /// Drawn independently from a distribution; beside the zeros, if many are.
    Fresh(Draw),
    /// Computed, not drawn: every row the same, or sines and cosines.
    Table(&'static str),
    /// Orthogonal rows or columns of this length.
    Orthogonal(f64),
    /// No distribution of an initialization: trained, or another scheme.
    Other,
    /// Numbers that nobody computes: subnormal or astronomically large.
    Garbage,
}

/// What was found of a tensor.
#[derive(Debug, Clone, Default)]
pub struct Classification {
    /// What it looks like.
    pub look: Kind,
    /// What is wrong with it, whatever it is.
    pub problems: Vec<String>,
    /// What may be as it should be, and is worth a look.
    pub notes: Vec<String>,
    /// Rows of zeros.
    pub empty_rows: usize,
    /// Mean of the finite values.
    pub mean: f64,
    /// Their standard deviation.
    pub std: f64,
    /// Exact zeros.
    pub zeros: u64,
    /// A hash of all values.
    pub hash: u64,
}

/// Sums of one pass.
#[derive(Default)]
struct Sums {
    count: u64,
    wild: u64,
    infinite: u64,
    zeros: u64,
    ones: u64,
    odd: u64,
    sum: f64,
    squares: f64,
    min: f64,
    max: f64,
    at_min: u64,
    at_max: u64,
    hash: u64,
    rows: Vec<[f64; 2]>,
    columns: Vec<[f64; 2]>,
}

impl Sums {
    fn new(shape: &[usize]) -> Self {
        let rows = if shape.len() < 2 { 0 } else { shape[0] };
        let columns = if rows == 0 { 0 } else { shape[1..].iter().product() };
        let (rows, columns) = (vec![[0.0; 2]; rows], vec![[0.0; 2]; columns]);
        Sums { min: f64::INFINITY, max: f64::NEG_INFINITY, rows, columns, ..Sums::default() }
    }

    fn add(&mut self, from: usize, values: &[f64], subnormal: f64) {
        let width = self.columns.len().max(1);
        let (mut row, mut column) = (from / width, from % width);
        for &x in values {
            self.hash = (self.hash ^ x.to_bits()).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
            if x.is_finite() {
                self.count += 1;
                self.sum += x;
                self.squares += x * x;
                self.zeros += u64::from(x == 0.0);
                self.ones += u64::from(x == 1.0);
                self.odd += u64::from((x != 0.0 && x.abs() < subnormal) || x.abs() > 1e15);
                if x < self.min {
                    (self.min, self.at_min) = (x, 0);
                }
                if x > self.max {
                    (self.max, self.at_max) = (x, 0);
                }
                self.at_min += u64::from(x == self.min);
                self.at_max += u64::from(x == self.max);
                if !self.columns.is_empty() {
                    for sums in [&mut self.rows[row], &mut self.columns[column]] {
                        sums[0] += x;
                        sums[1] += x * x;
                    }
                }
            } else {
                self.infinite += u64::from(x.is_infinite());
                self.wild += 1;
            }
            column += 1;
            if column == width {
                (row, column) = (row + 1, 0);
            }
        }
    }

    /// How many standard errors the lines' means, and their mean squares, spread beyond what independent values do.
    fn unlike(&self, reference: &Reference) -> f64 {
        let moments = reference.moments;
        let square = moments.variance + moments.mean * moments.mean;
        let wide = moments.m4 - moments.variance * moments.variance;
        let mut worst = 0.0f64;
        for (lines, length) in [(&self.rows, self.columns.len()), (&self.columns, self.rows.len())] {
            // Below, the squares of the lines' sums are far from a chi-square distribution.
            if lines.len() < 8 || length < 32 || moments.mean.abs() > moments.variance.sqrt() {
                continue;
            }
            let n = length as f64;
            for (k, middle, variance) in [(0, moments.mean, moments.variance), (1, square, wide)] {
                let chi: f64 = lines.iter().map(|sums| (sums[k] / n - middle).powi(2) * n / variance).sum();
                // The terms' variance is 2 plus their excess kurtosis, at most that of a chi-square's mean square.
                let spread = 2.0 + 12.0 / n * if k == 1 { 4.0 } else { 1.0 };
                worst = worst.max((chi - lines.len() as f64) / (lines.len() as f64 * spread).sqrt());
            }
        }
        worst
    }
}

/// Looks at the tensor of that number.
///
/// # Errors
/// If the file cannot be read.
pub fn of(checkpoint: &Checkpoint, number: usize, mut seen: impl FnMut(usize)) -> Result<Classification> {
    let entry = checkpoint.manifest.entries[number].clone();
    let Some(dtype) = entry.dtype.float() else {
        let look = match entry.dtype.is_read() {
            _ if entry.values() == 0 => Kind::Empty,
            true => Kind::Integers,
            false => Kind::Unread,
        };
        return Ok(Classification { look, ..Classification::default() });
    };
    let mut repeats = Repeats::new(&entry.shape);
    let mut sums = Sums::new(&entry.shape);
    let subnormal = if dtype == DType::F16 || dtype.size() == 1 { 0.0 } else { 1e-30 };
    let mut at = 0;
    checkpoint.values(number, |values| {
        sums.add(at, values, subnormal);
        repeats.add(values);
        at += values.len();
        seen(values.len());
    })?;
    let n = sums.count as f64;
    let mean = sums.sum / n;
    let std = (sums.squares / n - mean * mean).max(0.0).sqrt();
    let empty = sums.rows.iter().filter(|row| row[1] == 0.0).count();
    let mut problems = Vec::new();
    if sums.count == 0 && sums.infinite > 0 && sums.infinite == sums.wild {
        problems.push("every value is infinite: an overflow?".to_owned());
    } else if sums.wild > 0 {
        problems.push(format!("{} of {} values are NaN or infinite", sums.wild, entry.values()));
    }
    let done = |look: Kind, mut problems: Vec<String>| {
        let twice = match look {
            Kind::Fresh(_) | Kind::Orthogonal(_) => repeats.any(),
            Kind::Table(_) => None,
            _ => repeats.large(),
        };
        problems.extend(twice.map(|twice| match twice {
            Twice::Stretch(first, second) => {
                format!("a block stands twice, at the indices {first} and {second}: two shards alike?")
            }
            Twice::Rows(first, second) => format!("the rows {first} and {second} are equal"),
        }));
        let mut notes = Vec::new();
        if look == Kind::Constant(0.0) && entry.shape.len() >= 2 && entry.values() > 1 {
            let zero = "every value of this matrix is 0: zero by plan, as a last layer or LoRA's B, or never written?";
            notes.push(zero.to_owned());
        }
        let zeros = sums.zeros;
        Classification { look, problems, notes, empty_rows: empty, mean, std, zeros, hash: sums.hash }
    };
    if entry.values() == 0 {
        return Ok(done(Kind::Empty, problems));
    }
    if sums.count == 0 {
        return Ok(done(Kind::Other, problems));
    }
    if sums.odd as f64 > 0.001 * n && sums.min < sums.max {
        problems.push(format!("{} values are subnormal or beyond 1e15: memory that nobody wrote?", sums.odd));
        return Ok(done(Kind::Garbage, problems));
    }
    if sums.min == sums.max {
        if sums.min != 0.0 && sums.min.abs() < subnormal {
            problems.push(format!("every value is {:.1e}, subnormal: memory that nobody wrote?", sums.min));
            return Ok(done(Kind::Garbage, problems));
        }
        return Ok(done(Kind::Constant(sums.min), problems));
    }
    if sums.zeros + sums.ones == sums.count {
        return Ok(done(Kind::ZerosAndOnes, problems));
    }
    if repeats.all_rows_equal() && sums.wild == 0 {
        let row = checkpoint.window(number, 0, sums.columns.len())?;
        if wanders(&row) {
            problems.push("every row is the same: drawn once, and repeated?".to_owned());
            return Ok(done(Kind::Other, problems));
        }
        return Ok(done(Kind::Table("every row the same"), problems));
    }
    if sums.count >= FEW && sums.max == 1.0 && sums.min >= -1.0 && sines(checkpoint, number, dtype)? {
        return Ok(done(Kind::Table("sines and cosines"), problems));
    }
    if sums.count < FEW {
        return Ok(done(Kind::Few, problems));
    }
    if entry.shape.len() >= 2 && entry.shape[0].min(sums.columns.len()) >= 2 && sums.wild == 0 {
        let gain = (sums.squares / entry.shape[0].min(sums.columns.len()) as f64).sqrt();
        if orthogonal::departure(&TensorView::whole(checkpoint, number), gain)? < orthogonal::tolerance(dtype)
        {
            return Ok(done(Kind::Orthogonal(gain), problems));
        }
    }
    // Zeros by plan (a padding row, `sparse`) are no part of the distribution.
    let sparse = sums.zeros as f64 > 1e-3 * n;
    let kept = if sparse { n - sums.zeros as f64 } else { n };
    let scale = |squares: f64, kept: f64| (squares / kept - (sums.sum / kept).powi(2)).max(0.0).sqrt();
    let spread = scale(sums.squares, kept);
    let middle = sums.sum / kept;
    let centre = if middle.abs() < 5.0 * spread / kept.sqrt() { 0.0 } else { middle };
    let mut found =
        fit(checkpoint, number, dtype, candidates(centre, spread, &sums, kept), sparse, f64::INFINITY)?;
    let limit = 6.5;
    let far = (sums.max - centre).max(centre - sums.min) / spread;
    let improbable = n * statrs::function::erf::erfc(far / std::f64::consts::SQRT_2) < 1e-6;
    if found.is_none() && improbable {
        // A few values far out hide the distribution of the rest, and stretch the scale by which they are far: trim, and again.
        let (mut scale, mut outside) = (spread, 0u64);
        for _ in 0..4 {
            let (mut squares, mut inside) = (0.0, 0u64);
            outside = 0;
            checkpoint.values(number, |values| {
                for &x in values.iter().filter(|x| x.is_finite() && !(sparse && **x == 0.0)) {
                    let away = x - centre;
                    if away.abs() <= limit * scale {
                        squares += away * away;
                        inside += 1;
                    } else {
                        outside += 1;
                    }
                }
            })?;
            scale = (squares / inside.max(1) as f64).sqrt();
        }
        if outside > 0 && (outside as f64) < 1e-3 * n {
            let around = vec![Draw::normal(centre, scale)];
            found = fit(checkpoint, number, dtype, around, sparse, limit * scale)?;
            if found.is_some() {
                problems.push(format!(
                    "{outside} of {} values lie up to {:.0} std out, where the distribution of the rest has none",
                    sums.count,
                    (sums.max - centre).max(centre - sums.min) / scale
                ));
            }
        }
    }
    let piled = if dtype == DType::F32 || dtype == DType::F64 {
        |at: u64, _: f64| at >= 5
    } else {
        |at: u64, n: f64| at as f64 > 0.02 * n
    };
    for (bound, at) in [(sums.min, sums.at_min), (sums.max, sums.at_max)] {
        if bound != 0.0 && piled(at, n) && (found.is_some() || at as f64 <= 0.2 * n) {
            problems
                .push(format!("{at} values are exactly {bound:.6e}, the outermost: piled up at a bound?"));
        }
    }
    // One row of zeros is a padding token's; more are a shard that nobody filled.
    if empty > 1 {
        problems.push(format!("{empty} of {} rows are all zeros: left unfilled?", sums.rows.len()));
    }
    let look = match found {
        Some(reference) if problems.is_empty() && !sparse && sums.unlike(&reference) > 6.0 => Kind::Other,
        Some(reference) => Kind::Fresh(reference.draw),
        None => Kind::Other,
    };
    Ok(done(look, problems))
}

/// Whether a row goes up and down as values drawn by chance do. Of n of these 2/3 (n - 2) are turning points; what is
/// computed goes up or down at length. Half of them is between the two: of 16 values 3 standard deviations from chance.
fn wanders(row: &[f64]) -> bool {
    let turns =
        row.windows(3).filter(|w| (w[1] > w[0]) != (w[2] > w[1]) && w[0] != w[1] && w[1] != w[2]).count();
    turns as f64 > row.len().saturating_sub(2) as f64 / 3.0
}

/// Whether the last axis has sines and cosines of the same angles: then the squares of a line of n add up to n/2, to
/// rounding. Lines of zeros, as for a class token, are left out.
fn sines(checkpoint: &Checkpoint, number: usize, dtype: DType) -> Result<bool> {
    let width = checkpoint.manifest.entries[number].shape.last().copied().unwrap_or_default();
    if width < 4 || !width.is_multiple_of(2) {
        return Ok(false);
    }
    let right = width as f64 / 2.0;
    let off = 1e-5 + 4.0 * dtype_step(dtype);
    let (mut squares, mut at, mut wrong, mut lines) = (0.0, 0, 0u64, 0u64);
    checkpoint.values(number, |values| {
        for x in values {
            squares += x * x;
            at += 1;
            if at == width {
                lines += u64::from(squares > 0.0);
                wrong += u64::from(squares > 0.0 && (squares / right - 1.0).abs() > off);
                (squares, at) = (0.0, 0);
            }
        }
    })?;
    Ok(wrong == 0 && lines > 0)
}

/// The distributions that the moments allow.
fn candidates(centre: f64, spread: f64, sums: &Sums, kept: f64) -> Vec<Draw> {
    let mut distributions = Vec::new();
    // The outermost of n values of a uniform lie 1/n of its width from its bounds.
    let reach = (sums.max - centre).max(centre - sums.min) * (1.0 + 1.0 / kept);
    if (reach / 3f64.sqrt() / spread - 1.0).abs() < 0.05 + 3.0 / kept.sqrt() {
        distributions.push(Draw::Uniform { low: centre - reach, high: centre + reach });
    }
    // Cut normals before whole ones: a whole one that fits a cut one's values fits by a small count only.
    for cut in [2.0, 3.0] {
        // The std that is left of 1 by a cut there.
        let left = if cut == 2.0 { 0.879_625_66 } else { 0.986_578_28 };
        let std = spread / left;
        if reach <= cut * std * 1.02 && reach >= cut * std * 0.98 {
            distributions.push(Draw::Normal { mean: centre, std, low: centre - reach, high: centre + reach });
        }
    }
    distributions.push(Draw::normal(centre, spread));
    distributions
}

/// The first of these distributions that the values within `reach` of its mean follow.
fn fit(
    checkpoint: &Checkpoint,
    number: usize,
    dtype: DType,
    distributions: Vec<Draw>,
    sparse: bool,
    reach: f64,
) -> Result<Option<Reference>> {
    let references: Vec<Reference> =
        distributions.into_iter().map(|draw| Reference::new(draw, dtype)).collect();
    let mut samples: Vec<Sample> =
        references.iter().map(|reference| Sample::new(reference, sparse)).collect();
    checkpoint.values(number, |values| {
        let near: Vec<f64>;
        let values = if reach.is_finite() {
            near = values.iter().copied().filter(|x| x.abs() <= reach).collect();
            &near
        } else {
            values
        };
        samples.iter_mut().zip(&references).for_each(|(sample, reference)| sample.add(reference, values));
    })?;
    Ok(references
        .into_iter()
        .zip(samples)
        .find(|(reference, sample)| {
            let distance = sample.distance(reference).0;
            let n = sample.count as f64;
            let tails = sample
                .tests(reference)
                .into_iter()
                .all(|o| !["tail", "outlier"].contains(&o.test) || o.p > 1e-6);
            2.0 * (-2.0 * n * distance * distance).exp() > 1e-5 && tails
        })
        .map(|(reference, _)| reference))
}

/// The schemes whose std for this shape is within 4 standard errors of the one measured, likeliest first. `sparse` is the
/// part that is zero, where zeros are scattered over the tensor.
pub fn schemes(draw: &Draw, shape: &[usize], values: u64, dtype: DType, sparse: Option<f64>) -> Vec<String> {
    let moments = draw.moments(dtype);
    let std = moments.variance.sqrt();
    let (uniform, cut) = (matches!(draw, Draw::Uniform { .. }), !draw.is_normal());
    // Relative standard error of a std; a uniform's comes from its reach, and is better.
    let error = if uniform { 4.0 / values as f64 } else { 3.0 / (2.0 * values as f64).sqrt() }
        + 4e-3 * f64::from(u8::from(dtype == DType::BF16))
        + 3e-2 * f64::from(u8::from(dtype.size() == 1));
    let matches = |wanted: f64| (std / wanted - 1.0).abs() < error.max(1e-6) * 1.4;
    let mut found = Vec::new();
    // The fixed stds in use.
    const FIXED: [f64; 7] = [0.02, 0.01, 1.0, 0.1, 0.05, 0.006, 1e-6];
    let fixed = || FIXED.into_iter().filter(|fixed| matches(*fixed) && draw.is_normal());
    if let Some(part) = sparse {
        found.extend(fixed().map(|fixed| format!("sparse(sparsity={part:.2}, std={fixed})")));
        return found;
    }
    if moments.mean.abs() > 1e-6 * std {
        // A gain about 1; about another mean no scheme is known.
        if (moments.mean - 1.0).abs() < 5.0 * std / (values as f64).sqrt() + dtype_step(dtype) {
            found.extend(fixed().map(|fixed| format!("normal(mean=1, std={fixed})")));
        }
        return found;
    }
    if let Ok(fans) = AxisLayout::OutIn.fans(shape) {
        let Fans { fan_in, fan_out } = fans;
        let kind = if uniform { "uniform" } else { "normal" };
        let both = (2.0 / (fan_in + fan_out) as f64).sqrt();
        let mut named = vec![(both, format!("xavier_{kind}"))];
        for (fan, size) in [(Fan::In, fan_in), (Fan::Out, fan_out)] {
            let root = 1.0 / (size as f64).sqrt();
            named.push((root, format!("kaiming_{kind}(mode={fan}, nonlinearity=linear), LeCun's")));
            named.push((root * 2f64.sqrt(), format!("kaiming_{kind}(mode={fan}, nonlinearity=relu)")));
            named.push((
                root / 3f64.sqrt(),
                format!("kaiming_{kind}(mode={fan}, a=sqrt(5)), torch's default"),
            ));
        }
        found.extend(named.into_iter().filter(|(wanted, _)| matches(*wanted)).map(|(_, name)| name));
    }
    if !uniform {
        for fixed in FIXED {
            if matches(fixed) {
                found.push(format!("normal(std={fixed})"));
            }
            if cut && matches(fixed * 0.879_625_66) {
                found.push(format!("trunc_normal(std={fixed}, a=-2 std, b=2 std)"));
            }
        }
        let depths: Vec<u32> =
            (2..=96).filter(|&depth| matches(0.02 / f64::from(2 * depth).sqrt())).collect();
        if let [depth] = depths[..] {
            found.push(format!(
                "normal(std=0.02/sqrt(2*{depth})), as for residual projections of {depth} blocks"
            ));
        }
    }
    found
}

/// The distance from 1 to the next value.
fn dtype_step(dtype: DType) -> f64 {
    super::grid::neighbours(dtype, 1.0).1 - 1.0
}
