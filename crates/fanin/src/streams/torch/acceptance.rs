//! The test by which torch accepts or rejects uniform proposals in rejection sampling.

use super::rounded::Rounded;
use crate::dtype::{DType, Element};
use crate::math::ln;
use crate::simd::{Kernel, Level, SimdIsa, dispatch};

/// The test by which torch rejects uniform proposals. For each proposal there is a uniform draw on [0, 1). The proposal
/// is rejected if the draw is greater than the density at the proposal divided by the greatest density within the
/// bounds. The test compares the logarithms of the draw and of this quotient.
#[derive(Debug, Clone, Copy)]
pub(super) struct AcceptanceTest {
    mean: f64,
    std: f64,
    peak: f64,
}

impl AcceptanceTest {
    /// Creates the test for N(mean, std^2). `peak` is the logarithm of the greatest density within the bounds, without
    /// the normalization constant.
    pub(super) fn new<E: Element>(mean: f64, std: f64, peak: f64) -> Self {
        let steps = Rounded::new::<E>();
        // torch rounds a subtrahend to the element type, and a divisor to the type of the arithmetic.
        let of_type = |x: f64| if E::DTYPE == DType::F64 { x } else { steps.round(x) };
        Self { mean: of_type(mean), std: steps.scalar(std), peak: of_type(peak) }
    }

    /// Sets `rejected[k]` to whether the proposal `proposals[k]` is rejected. `draws[k]` is the uniform draw for this
    /// proposal.
    pub(super) fn test<E: Element>(self, level: Level, proposals: &[E], draws: &[E], rejected: &mut [bool]) {
        dispatch(level, Test { test: self, proposals, draws, rejected });
    }
}

/// The kernel of [`AcceptanceTest::test`].
struct Test<'a, E> {
    test: AcceptanceTest,
    proposals: &'a [E],
    draws: &'a [E],
    rejected: &'a mut [bool],
}

impl<E: Element> Kernel for Test<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<I: SimdIsa>(self) {
        let (proposals, last_proposals) = self.proposals.as_chunks::<LANES>();
        let (draws, last_draws) = self.draws.as_chunks::<LANES>();
        let (rejected, last_rejected) = self.rejected.as_chunks_mut::<LANES>();
        for ((proposals, draws), rejected) in proposals.iter().zip(draws).zip(rejected) {
            *rejected = self.test.lanes(proposals, draws);
        }
        if !last_rejected.is_empty() {
            let (mut proposals, mut draws) = ([E::default(); LANES], [E::from_f64(0.5); LANES]);
            proposals[..last_proposals.len()].copy_from_slice(last_proposals);
            draws[..last_draws.len()].copy_from_slice(last_draws);
            let rejected = self.test.lanes(&proposals, &draws);
            last_rejected.copy_from_slice(&rejected[..last_rejected.len()]);
        }
    }
}

/// Number of proposals that are tested together.
const LANES: usize = 32;

impl AcceptanceTest {
    /// Returns, for each proposal, whether it is rejected.
    ///
    /// A fast logarithm decides, unless a draw is so close to the density that the error of the fast logarithm could
    /// change a result. In that case the exact logarithm decides for all proposals.
    #[inline(always)]
    #[allow(
        clippy::disallowed_methods,
        reason = "torch calls a library's logarithm, and bit-identical values need the same results"
    )]
    fn lanes<E: Element>(self, proposals: &[E; LANES], draws: &[E; LANES]) -> [bool; LANES] {
        let (mut quick, mut exponents) = ([0f32; LANES], [0f32; LANES]);
        for lane in 0..LANES {
            exponents[lane] = self.exponent(proposals[lane]) as f32;
            quick[lane] = draws[lane].to_f64() as f32;
        }
        for quick in &mut quick {
            *quick = ln(quick.max(1e-30));
        }
        let (mut rejected, mut doubt) = ([false; LANES], false);
        for lane in 0..LANES {
            let (quick, exponent) = (quick[lane], exponents[lane]);
            let slack = 1e-5 - quick * if size_of::<E>() == 2 { 0.02 } else { 1e-5 };
            rejected[lane] = quick > exponent;
            doubt |= !((quick - exponent).abs() > slack && quick > -60.0);
        }
        if doubt {
            for lane in 0..LANES {
                let drawn = E::DTYPE.round(draws[lane].to_f64().ln());
                rejected[lane] = drawn > self.exponent(proposals[lane]);
            }
        }
        rejected
    }

    /// Returns the logarithm of the density at `proposal` relative to the peak, computed as torch computes it.
    #[inline(always)]
    fn exponent<E: Element>(self, proposal: E) -> f64 {
        let Self { mean, std, peak } = self;
        if E::DTYPE == DType::F32 {
            // Computing in f32 gives the same results as rounding each f64 step to f32, and takes less time.
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
