//! Truncated normal values by the two algorithms of torch: rejection (since version 2.12) and the inverse distribution
//! function (before version 2.12).

use super::acceptance::AcceptanceTest;
use super::cursor::Cursor;
use super::generator::Torch;
use super::interval::Interval;
use super::partition::Cost;
use super::rejection::{Trial, append_positions};
use super::rounded::Rounded;
use super::scattered::{BATCH, normals_at, uniforms_at};
use super::sequences::{ByGroups, CHECK_EVERY, Part};
use super::wide::{Wide, for_each_chunk};
use super::words::Groups;
use crate::cancel::check;
use crate::dtype::{DType, Values};
use crate::error::Error;
use crate::math::quantile64;
use crate::plan::{Distribution, Plan, Truncation};
use crate::region::RegionSlice;
use crate::rng::StateReader;
use crate::simd::{Kernel, Level, SimdIsa, U32X16_LANES, dispatch};

/// Returns the standard normal distribution function at `x`, by the same operations as in torch. A rounding difference
/// could change the result of [`proposes_normals`].
fn cdf(x: f64) -> f64 {
    (1.0 + libm::erf(x / 2f64.sqrt())) / 2.0
}

/// Returns true if torch draws normal proposals, and false if torch draws uniform proposals from [low, high].
fn proposes_normals(mean: f64, std: f64, low: f64, high: f64) -> bool {
    cdf((high - mean) / std) - cdf((low - mean) / std) > 0.3
}

/// Returns the error `BoundsOverflow` if torch cannot draw the uniform proposals that the plan needs. This is the case
/// if `low`, `high` or `high - low` is not finite in the plan's type.
pub(super) fn check_bounds(plan: &Plan) -> Result<(), Error> {
    if let Distribution::TruncatedNormal { mean, std, low, high, method } = plan.distribution()
        && method != Some(Truncation::InverseCdf)
        && !proposes_normals(mean, std, low, high)
    {
        let fits = |x: f64| x.is_finite() && x.abs() <= plan.dtype().largest();
        if !(fits(low) && fits(high) && fits(high - low)) {
            return Err(Error::BoundsOverflow {
                scheme: "trunc_normal",
                a: low,
                b: high,
                dtype: plan.dtype(),
            });
        }
    }
    Ok(())
}

/// The distribution N(mean, std^2) truncated to [low, high].
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounded {
    pub(super) mean: f64,
    pub(super) std: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Torch {
    /// Fills `out` with a part of a tensor of truncated normal values by rejection, as torch does since version 2.12.
    ///
    /// torch makes passes over the whole tensor, until every element has an accepted proposal. Each pass draws a new
    /// proposal for every element. This method advances the generator only past the passes that the values of the part
    /// need.
    ///
    /// Returns the number of random words of these passes. This number does not include passes in which torch draws the
    /// normal proposals one by one (see [`ByGroups`]), because no caller needs the number of their words.
    #[allow(clippy::disallowed_methods, reason = "torch squares by the C library's pow")]
    pub(super) fn truncated_by_rejection<W: Wide>(
        &mut self,
        Bounded { mean, std, low, high }: Bounded,
        part: Part<'_>,
        mut out: Values<'_>,
        by_groups: ByGroups,
    ) -> u64 {
        let Part { dtype, count, slice } = part;
        if proposes_normals(mean, std, low, high) {
            let groups = Groups::new(dtype, count);
            let trial = Normals::<W>::new(self.level(), (mean, std), groups, dtype, (low, high));
            if by_groups.copy {
                if !by_groups.tensor {
                    self.normals_one_by_one::<W>((mean, std), out.reborrow());
                }
                return self.reject(&trial, slice, out, !by_groups.tensor);
            }
            // There are few values, or the memory is strided, so torch draws all proposals one by one in every pass.
            self.normals::<W>((mean, std), part, out.reborrow(), by_groups.tensor);
            let length = out.len().max(1);
            for_each_chunk::<W>(self.level(), out, (length, true), &mut |_, out| {
                let mut fresh = vec![W::default(); out.len()];
                while out.iter().any(|value| trial.is_outside(*value)) {
                    self.normals_one_by_one::<W>((mean, std), W::values(&mut fresh));
                    for (value, fresh) in out.iter_mut().zip(&fresh) {
                        if trial.is_outside(*value) {
                            *value = *fresh;
                        }
                    }
                }
            });
            return 0;
        }
        let mode = low.max(high.min(mean));
        // Python computes the square by `pow` of the C library. Without `black_box`, the compiler would replace `pow`
        // by a multiplication.
        let peak = -0.5 * ((mode - mean) / std).powf(std::hint::black_box(2.0));
        let trial = Proposals {
            level: self.level(),
            count,
            proposals: Interval::new(dtype, (low, high)),
            draws: Interval::new(dtype, (0.0, 1.0)),
            test: AcceptanceTest::new(dtype, mean, std, peak),
        };
        self.reject::<W>(&trial, slice, out, false)
    }

    /// Fills `out` with a part of a tensor of truncated normal values by torch's algorithm before version 2.12.
    ///
    /// Each value is `mean + std * sqrt(2) * erfinv(y)`, clamped to [low, high]. `y` is uniform between
    /// `2 * cdf(a) - 1` and `2 * cdf(b) - 1`, with `a = (low - mean) / std` and `b = (high - mean) / std`. The result
    /// of each step is rounded to the element type.
    ///
    /// Advances the generator past the words for the whole tensor, and returns the number of these words.
    pub(super) fn truncated_by_inverse<W: Wide>(
        &mut self,
        Bounded { mean, std, low, high }: Bounded,
        part: Part<'_>,
        mut out: Values<'_>,
    ) -> u64 {
        let [first, last] = [low, high].map(|bound| 2.0 * cdf((bound - mean) / std) - 1.0);
        let words = self.uniforms::<W>((first, last), part, out.reborrow());
        let steps = Rounded::new(part.dtype);
        let factor = std * 2f64.sqrt();
        for_each_chunk::<W>(self.level(), out, (CHECK_EVERY, true), &mut |_, out| {
            check();
            for value in out {
                let y = value.to_f64();
                let z = if y.abs() < 1.0 {
                    // `erfinv(y)` is `quantile(p) / sqrt(2)`, where `p = (1 + y) / 2`. The arguments of `quantile64`
                    // are `p - 1/2` and `min(p, 1 - p)`.
                    quantile64(y / 2.0, (1.0 - y.abs()) / 2.0) / 2f64.sqrt()
                } else {
                    f64::INFINITY.copysign(y)
                };
                let x = steps.round(steps.round(z) * steps.scalar(factor));
                let x = steps.round(x + steps.scalar(mean));
                let x = if x < steps.round(low) { steps.round(low) } else { x };
                *value = W::from_f64(if x > steps.round(high) { steps.round(high) } else { x });
            }
        });
        words
    }
}

/// Normal proposals. A proposal is rejected if the proposal, rounded to the element type, is outside the bounds.
struct Normals<W> {
    level: Level,
    groups: Groups,
    distribution: (f64, f64),
    /// The least proposal that, rounded to the element type, equals the rounded lower bound.
    low: W,
    /// The greatest proposal that, rounded to the element type, equals the rounded upper bound.
    high: W,
}

impl<W: Wide> Normals<W> {
    fn new(
        level: Level,
        distribution: (f64, f64),
        groups: Groups,
        dtype: DType,
        (low, high): (f64, f64),
    ) -> Self {
        let low = W::rounding_to(dtype, dtype.round(low)).0;
        let high = W::rounding_to(dtype, dtype.round(high)).1;
        Self { level, groups, distribution, low, high }
    }

    /// Returns true if the proposal `value` is outside the bounds, and is therefore rejected.
    fn is_outside(&self, value: W) -> bool {
        value < self.low || value > self.high
    }
}

impl<W: Wide> Trial<W> for Normals<W> {
    fn words(&self) -> u64 {
        self.groups.total
    }

    fn cost(&self) -> Cost {
        Cost::of_bounded_normals::<W>()
    }

    fn sequences(&self) -> Vec<u64> {
        vec![0]
    }

    fn first_pass(
        &self,
        cursors: &mut [Cursor<'_, W>],
        slice: RegionSlice<'_>,
        out: &mut [W],
        rejected: &mut Vec<u32>,
    ) {
        slice.for_each_run(out, |first, out| cursors[0].normals(&self.groups, self.distribution, first, out));
        self.test(out, rejected);
    }

    fn test(&self, out: &[W], rejected: &mut Vec<u32>) {
        dispatch(self.level, Outside { values: out, low: self.low, high: self.high, positions: rejected });
    }

    fn later_pass(&self, readers: &mut [StateReader], indices: &[u64], out: &mut [W], rejected: &mut [bool]) {
        normals_at(self.level, &mut readers[0], &self.groups, indices, self.distribution, out);
        for (rejected, value) in rejected.iter_mut().zip(out) {
            *rejected = self.is_outside(*value);
        }
    }
}

/// The kernel that appends the positions of the values outside the bounds to `positions`.
struct Outside<'a, W> {
    values: &'a [W],
    low: W,
    high: W,
    positions: &'a mut Vec<u32>,
}

impl<W: Wide> Kernel for Outside<'_, W> {
    type Output = ();

    #[inline(always)]
    fn run<I: SimdIsa>(self) {
        const LANES: usize = 64;
        let Self { values, low, high, positions } = self;
        for (begin, values) in (0..).step_by(LANES).zip(values.chunks(LANES)) {
            let mut outside = 0u64;
            match bytemuck::try_cast_slice::<W, f32>(values) {
                Ok(values) if W::DTYPE == DType::F32 && values.len() == LANES => {
                    let (low, high) = (low.to_f64() as f32, high.to_f64() as f32);
                    for (number, values) in values.as_chunks().0.iter().enumerate() {
                        outside |= u64::from(I::outside_mask(values, low, high)) << (number * U32X16_LANES);
                    }
                }
                _ => {
                    for (lane, value) in values.iter().enumerate() {
                        outside |= u64::from(*value < low || *value > high) << lane;
                    }
                }
            }
            while outside != 0 {
                positions.push(begin + outside.trailing_zeros());
                outside &= outside - 1;
            }
        }
    }
}

/// The number of proposals that the first pass draws and then tests at a time. They fit in the L1 cache. The number is
/// a multiple of 624, the number of words in a state of the generator.
const IN_CACHE: usize = 2496;

/// Uniform proposals. Each proposal has a uniform draw from [0, 1), which decides whether the proposal is accepted.
struct Proposals {
    level: Level,
    count: usize,
    proposals: Interval,
    draws: Interval,
    test: AcceptanceTest,
}

impl<W: Wide> Trial<W> for Proposals {
    fn words(&self) -> u64 {
        2 * W::WORDS * self.count as u64
    }

    fn cost(&self) -> Cost {
        Cost::of_proposals::<W>()
    }

    fn sequences(&self) -> Vec<u64> {
        vec![0, W::WORDS * self.count as u64]
    }

    fn first_pass(
        &self,
        cursors: &mut [Cursor<'_, W>],
        slice: RegionSlice<'_>,
        out: &mut [W],
        rejected: &mut Vec<u32>,
    ) {
        let [proposing, drawing] = cursors else { unreachable!("a pass has two sequences") };
        let (mut draws, mut flags) = ([W::default(); IN_CACHE], [false; IN_CACHE]);
        for (number, out) in out.chunks_mut(IN_CACHE).enumerate() {
            let first = number * IN_CACHE;
            let (draws, flags) = (&mut draws[..out.len()], &mut flags[..out.len()]);
            let slice = slice.slice(first, out.len());
            slice.for_each_run(out, |first, out| proposing.uniforms(self.proposals, first, out));
            slice.for_each_run(draws, |first, out| drawing.uniforms(self.draws, first, out));
            self.test.test(self.level, out, draws, flags);
            append_positions(flags, first as u32, rejected);
        }
    }

    fn test(&self, _: &[W], _: &mut Vec<u32>) {
        unreachable!("only `first_pass` draws the first pass of uniform proposals");
    }

    fn later_pass(&self, readers: &mut [StateReader], indices: &[u64], out: &mut [W], rejected: &mut [bool]) {
        let mut draws = [W::default(); BATCH];
        let [proposing, drawing] = readers else { unreachable!("a pass has two sequences") };
        let chunks = indices.chunks(BATCH).zip(out.chunks_mut(BATCH)).zip(rejected.chunks_mut(BATCH));
        for ((indices, out), rejected) in chunks {
            let draws = &mut draws[..indices.len()];
            uniforms_at(self.level, proposing, indices, self.proposals, out);
            uniforms_at(self.level, drawing, indices, self.draws, draws);
            self.test.test(self.level, out, draws, rejected);
        }
    }
}
