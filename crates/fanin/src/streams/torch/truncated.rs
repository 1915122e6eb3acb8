//! Truncated normals, by torch's current algorithm and by the one before it.

use super::draw::{BULK, Cursor, Groups, UNWATCHED, words_each};
use super::partition::Cost;
use super::rejection::{Trial, marked};
use super::scattered::{TOGETHER, normals_at, uniforms_at};
use super::{Torch, is_double};
use crate::cancel::check;
use crate::dtype::{DType, Element};
use crate::error::Error;
use crate::math::{ln, quantile64};
use crate::plan::{Distribution, Plan, Truncation};
use crate::rng::StateReader;
use crate::simd::{Kernel, Level, SimdIsa, U32X16_LANES, dispatch};
use crate::streams::fill::Span;

/// `(1 + erf(x / sqrt 2)) / 2`, as torch writes it: it decides which branch is taken.
fn cdf(x: f64) -> f64 {
    (1.0 + libm::erf(x / 2f64.sqrt())) / 2.0
}

/// Whether proposals are normal, rather than uniform on the interval.
fn proposes_normals(mean: f64, std: f64, low: f64, high: f64) -> bool {
    cdf((high - mean) / std) - cdf((low - mean) / std) > 0.3
}

/// `Err` for cut-offs that torch's uniform proposals cannot have.
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

/// The memory of a fill as torch would see it.
#[derive(Debug, Clone, Copy)]
pub(super) struct MemoryLayout {
    /// It is contiguous, so normals are drawn by groups if there are enough.
    pub(super) bulk: bool,
    /// A fresh tensor like it is.
    pub(super) bulk_copy: bool,
}

impl MemoryLayout {
    /// Contiguous memory of so many values.
    pub(super) fn contiguous(count: usize) -> Self {
        Self { bulk: count >= BULK, bulk_copy: count >= BULK }
    }
}

/// A truncated normal distribution.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounded {
    pub(super) mean: f64,
    pub(super) std: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Torch {
    /// torch since 2.12: proposals for all places, and again for all until none lies outside; here for those that are
    /// outside alone. Gives the words that were passed for this span: others may want more.
    #[allow(clippy::disallowed_methods, reason = "torch squares by the C library's pow")]
    pub(super) fn truncated_by_rejection<E: Element>(
        &mut self,
        Bounded { mean, std, low, high }: Bounded,
        span: Span<'_>,
        count: usize,
        out: &mut [E],
        layout: MemoryLayout,
    ) -> u64 {
        if proposes_normals(mean, std, low, high) {
            let (low, high) = (E::from_f64(low), E::from_f64(high));
            let groups = Groups::<E>::new(count);
            let trial = Normals { level: self.level(), groups, distribution: (mean, std), low, high };
            if layout.bulk_copy {
                let before = if layout.bulk { 0 } else { self.normals((mean, std), span, count, out, false) };
                return before + self.reject(&trial, span, out, !layout.bulk);
            }
            // Few values, or strided memory: all of them are drawn in each pass.
            self.normals((mean, std), span, count, out, layout.bulk);
            let mut fresh = vec![E::default(); out.len()];
            while out.iter().any(|value| trial.is_outside(*value)) {
                self.serial_normal((mean, std), &mut fresh);
                for (value, fresh) in out.iter_mut().zip(&fresh) {
                    if trial.is_outside(*value) {
                        *value = *fresh;
                    }
                }
            }
            return 0;
        }
        let mode = low.max(high.min(mean));
        // Squared by the C library's pow, as Python squares; a compiler that sees the 2 multiplies instead.
        let peak = -0.5 * ((mode - mean) / std).powf(std::hint::black_box(2.0));
        let refused_if = RefusedIf::new::<E>(mean, std, peak);
        let trial = Proposals { level: self.level(), count, low, high, refused_if };
        self.reject(&trial, span, out, false)
    }

    /// torch before 2.12: uniform between the distribution's values at the cut-offs, inverse error function, scaled,
    /// shifted, clamped; each step rounded to the type. Gives the words that the whole takes.
    pub(super) fn truncated_by_inverse<E: Element>(
        &mut self,
        Bounded { mean, std, low, high }: Bounded,
        span: Span<'_>,
        count: usize,
        out: &mut [E],
    ) -> u64 {
        let [first, last] = [low, high].map(|bound| 2.0 * cdf((bound - mean) / std) - 1.0);
        let words = self.uniform((first, last), span, count, out);
        let steps = Rounded::new::<E>();
        let factor = std * 2f64.sqrt();
        for out in out.chunks_mut(UNWATCHED) {
            check();
            for value in out {
                let y = value.to_f64();
                let z = if y.abs() < 1.0 {
                    // The quantile at (1 + y) / 2, over sqrt 2.
                    quantile64(y / 2.0, (1.0 - y.abs()) / 2.0) / 2f64.sqrt()
                } else {
                    f64::INFINITY.copysign(y)
                };
                let x = steps.round(steps.round(z) * steps.scalar(factor));
                let x = steps.round(x + steps.scalar(mean));
                let x = if x < steps.round(low) { steps.round(low) } else { x };
                *value = E::from_f64(if x > steps.round(high) { steps.round(high) } else { x });
            }
        }
        words
    }
}

/// Normals, refused outside the cut-offs.
struct Normals<E> {
    level: Level,
    groups: Groups<E>,
    distribution: (f64, f64),
    low: E,
    high: E,
}

impl<E: Element> Normals<E> {
    fn is_outside(&self, value: E) -> bool {
        value < self.low || value > self.high
    }
}

impl<E: Element> Trial<E> for Normals<E> {
    fn words(&self) -> u64 {
        self.groups.all
    }

    fn cost(&self) -> Cost {
        Cost::of_normals_inside::<E>()
    }

    fn sequences(&self) -> Vec<u64> {
        vec![0]
    }

    fn begin(&self, cursors: &mut [Cursor<'_, E>], span: Span<'_>, out: &mut [E], refused: &mut Vec<u32>) {
        span.each(out, |first, out| cursors[0].normals(&self.groups, self.distribution, first, out));
        self.test(out, refused);
    }

    fn test(&self, out: &[E], refused: &mut Vec<u32>) {
        dispatch(self.level, Outside { values: out, low: self.low, high: self.high, places: refused });
    }

    fn again(&self, walkers: &mut [StateReader], places: &[u64], out: &mut [E], refused: &mut [bool]) {
        normals_at(self.level, &mut walkers[0], &self.groups, places, self.distribution, out);
        for (refused, value) in refused.iter_mut().zip(out) {
            *refused = self.is_outside(*value);
        }
    }
}

/// Finds the places of values outside the cut-offs.
struct Outside<'a, E> {
    values: &'a [E],
    low: E,
    high: E,
    places: &'a mut Vec<u32>,
}

impl<E: Element> Kernel for Outside<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<I: SimdIsa>(self) {
        const LANES: usize = 64;
        let Self { values, low, high, places } = self;
        for (begin, values) in (0..).step_by(LANES).zip(values.chunks(LANES)) {
            let mut outside = 0u64;
            match bytemuck::try_cast_slice::<E, f32>(values) {
                Ok(values) if E::DTYPE == DType::F32 && values.len() == LANES => {
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
                places.push(begin + outside.trailing_zeros());
                outside &= outside - 1;
            }
        }
    }
}

/// Proposals of a first pass that are tested while they are in the nearest cache: of some whole states.
const NEAR: usize = 2496;

/// Uniform proposals, each with a number that decides whether it is refused.
struct Proposals {
    level: Level,
    count: usize,
    low: f64,
    high: f64,
    refused_if: RefusedIf,
}

impl<E: Element> Trial<E> for Proposals {
    fn words(&self) -> u64 {
        2 * words_each::<E>() * self.count as u64
    }

    fn cost(&self) -> Cost {
        Cost::of_proposals::<E>()
    }

    fn sequences(&self) -> Vec<u64> {
        vec![0, words_each::<E>() * self.count as u64]
    }

    fn begin(&self, cursors: &mut [Cursor<'_, E>], span: Span<'_>, out: &mut [E], refused: &mut Vec<u32>) {
        let [proposing, drawing] = cursors else { unreachable!("there are two sequences") };
        let (mut draws, mut marks) = ([E::default(); NEAR], [false; NEAR]);
        for (number, out) in out.chunks_mut(NEAR).enumerate() {
            let first = number * NEAR;
            let (draws, marks) = (&mut draws[..out.len()], &mut marks[..out.len()]);
            let span = span.part(first, out.len());
            span.each(out, |first, out| proposing.uniforms((self.low, self.high), first, out));
            span.each(draws, |first, out| drawing.uniforms((0.0, 1.0), first, out));
            self.refused_if.test(self.level, out, draws, marks);
            marked(marks, first as u32, refused);
        }
    }

    fn test(&self, _: &[E], _: &mut Vec<u32>) {
        unreachable!("a proposal is tested as it is drawn");
    }

    fn again(&self, walkers: &mut [StateReader], places: &[u64], out: &mut [E], refused: &mut [bool]) {
        let mut draws = [E::default(); TOGETHER];
        let [proposing, drawing] = walkers else { unreachable!("there are two sequences") };
        let parts = places.chunks(TOGETHER).zip(out.chunks_mut(TOGETHER)).zip(refused.chunks_mut(TOGETHER));
        for ((places, out), refused) in parts {
            let draws = &mut draws[..places.len()];
            uniforms_at(self.level, proposing, places, (self.low, self.high), out);
            uniforms_at(self.level, drawing, places, (0.0, 1.0), draws);
            self.refused_if.test(self.level, out, draws, refused);
        }
    }
}

/// The arithmetic of a tensor operation: in f32 (f64 for f64), rounded to the type after each step.
///
/// A sum, product, quotient or square of two f32 numbers computed in f64 and rounded to f32 is the f32 operation: f64
/// has more than twice the digits.
#[derive(Debug, Clone, Copy)]
struct Rounded {
    dtype: DType,
}

impl Rounded {
    fn new<E: Element>() -> Self {
        Self { dtype: E::DTYPE }
    }

    /// The result of a step.
    fn round(self, x: f64) -> f64 {
        self.dtype.round(x)
    }

    /// A Python number as a step sees it.
    fn scalar(self, x: f64) -> f64 {
        if self.dtype == DType::F64 { x } else { x as f32 as f64 }
    }
}

/// torch's test of a proposal: the logarithm of the draw against that of the density, relative to its peak.
#[derive(Debug, Clone, Copy)]
struct RefusedIf {
    mean: f64,
    std: f64,
    peak: f64,
}

impl RefusedIf {
    fn new<E: Element>(mean: f64, std: f64, peak: f64) -> Self {
        let steps = Rounded::new::<E>();
        // What is subtracted is a number of the type; what divides is one of its arithmetic.
        let of_type = |x: f64| if is_double::<E>() { x } else { steps.round(x) };
        Self { mean: of_type(mean), std: steps.scalar(std), peak: of_type(peak) }
    }

    /// Tests as many proposals as there are verdicts.
    fn test<E: Element>(self, level: Level, proposals: &[E], draws: &[E], verdicts: &mut [bool]) {
        dispatch(level, Tests { refused: self, proposals, draws, verdicts });
    }
}

struct Tests<'a, E> {
    refused: RefusedIf,
    proposals: &'a [E],
    draws: &'a [E],
    verdicts: &'a mut [bool],
}

impl<E: Element> Kernel for Tests<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<I: SimdIsa>(self) {
        let (proposals, last_proposals) = self.proposals.as_chunks::<LANES>();
        let (draws, last_draws) = self.draws.as_chunks::<LANES>();
        let (verdicts, last_verdicts) = self.verdicts.as_chunks_mut::<LANES>();
        for ((proposals, draws), verdicts) in proposals.iter().zip(draws).zip(verdicts) {
            *verdicts = self.refused.lanes(proposals, draws);
        }
        if !last_verdicts.is_empty() {
            let (mut proposals, mut draws) = ([E::default(); LANES], [E::from_f64(0.5); LANES]);
            proposals[..last_proposals.len()].copy_from_slice(last_proposals);
            draws[..last_draws.len()].copy_from_slice(last_draws);
            let verdicts = self.refused.lanes(&proposals, &draws);
            last_verdicts.copy_from_slice(&verdicts[..last_verdicts.len()]);
        }
    }
}

/// Proposals that are tested together.
const LANES: usize = 32;

impl RefusedIf {
    #[inline(always)]
    #[allow(
        clippy::disallowed_methods,
        reason = "torch takes the logarithm from a library, and so must its mirror"
    )]
    fn lanes<E: Element>(self, proposals: &[E; LANES], draws: &[E; LANES]) -> [bool; LANES] {
        let (mut near, mut exponents) = ([0f32; LANES], [0f32; LANES]);
        for lane in 0..LANES {
            exponents[lane] = self.exponent(proposals[lane]) as f32;
            // A number whose logarithm is near enough to decide, but where the two are close.
            near[lane] = draws[lane].to_f64() as f32;
        }
        for near in &mut near {
            *near = ln(near.max(1e-30));
        }
        let (mut verdicts, mut doubt) = ([false; LANES], false);
        for lane in 0..LANES {
            let (near, exponent) = (near[lane], exponents[lane]);
            let slack = 1e-5 - near * if size_of::<E>() == 2 { 0.02 } else { 1e-5 };
            verdicts[lane] = near > exponent;
            doubt |= !((near - exponent).abs() > slack && near > -60.0);
        }
        if doubt {
            for lane in 0..LANES {
                let drawn = E::DTYPE.round(draws[lane].to_f64().ln());
                verdicts[lane] = drawn > self.exponent(proposals[lane]);
            }
        }
        verdicts
    }

    /// The logarithm of the density, relative to its peak, as torch computes it.
    #[inline(always)]
    fn exponent<E: Element>(self, proposal: E) -> f64 {
        let Self { mean, std, peak } = self;
        if E::DTYPE == DType::F32 {
            // Each step of f32 arithmetic, as it is.
            let x = (proposal.to_f64() as f32 - mean as f32) / std as f32;
            f64::from(x * x * -0.5 - peak as f32)
        } else {
            let round = |x: f64| E::DTYPE.round(x);
            let x = round(proposal.to_f64() - mean);
            let x = round(x / std);
            let x = round(x * x);
            let x = round(x * -0.5);
            round(x - peak)
        }
    }
}
