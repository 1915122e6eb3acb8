//! The acceptance test for uniform proposals in torch's rejection sampling.

use std::marker::PhantomData;

use bytemuck::cast_slice;
use half::{bf16, f16};

use super::rounded::Rounded;
use super::wide::Wide;
use crate::dtype::{DType, Element};
use crate::math::ln;
use crate::simd::{Kernel, Level, SimdIsa, dispatch};

/// The acceptance test for uniform proposals in torch's rejection sampling. The test rejects a proposal x if u is
/// greater than `p(x) / p_max`. u is a uniform draw from [0, 1), p is the normal density, and p_max is the greatest
/// density between the bounds. The test compares logarithms.
#[derive(Debug, Clone, Copy)]
pub(super) struct AcceptanceTest {
    dtype: DType,
    mean: f64,
    std: f64,
    peak: f64,
}

impl AcceptanceTest {
    /// Creates the test for the distribution N(mean, std^2). `peak` is the greatest value of `-z^2 / 2` between the
    /// bounds, where `z = (x - mean) / std`.
    pub(super) fn new(dtype: DType, mean: f64, std: f64, peak: f64) -> Self {
        let steps = Rounded::new(dtype);
        // torch rounds `mean` and `peak` to the element type, but `std` only to the type of the arithmetic (f32 or
        // f64).
        let of_type = |x: f64| if dtype == DType::F64 { x } else { steps.round(x) };
        Self { dtype, mean: of_type(mean), std: steps.scalar(std), peak: of_type(peak) }
    }

    /// Sets `rejected[k]` to true if `proposals[k]` is rejected, and to false otherwise. `draws[k]` is the uniform draw
    /// for `proposals[k]`. Proposals and draws are first rounded to the element type.
    pub(super) fn test<W: Wide>(self, level: Level, proposals: &[W], draws: &[W], rejected: &mut [bool]) {
        match self.dtype {
            DType::F64 => {
                self.dispatch::<f64, f64>(level, cast_slice(proposals), cast_slice(draws), rejected)
            }
            DType::F16 => {
                self.dispatch::<f32, f16>(level, cast_slice(proposals), cast_slice(draws), rejected)
            }
            DType::BF16 => {
                self.dispatch::<f32, bf16>(level, cast_slice(proposals), cast_slice(draws), rejected)
            }
            _ => self.dispatch::<f32, f32>(level, cast_slice(proposals), cast_slice(draws), rejected),
        }
    }

    /// Implements [`AcceptanceTest::test`] for the element type `E`.
    fn dispatch<W: Wide, E: Element>(
        self,
        level: Level,
        proposals: &[W],
        draws: &[W],
        rejected: &mut [bool],
    ) {
        dispatch(level, Test::<W, E> { test: self, proposals, draws, rejected, rounded: PhantomData });
    }
}

/// The kernel of [`AcceptanceTest::test`] for the element type `E`.
struct Test<'a, W, E> {
    test: AcceptanceTest,
    proposals: &'a [W],
    draws: &'a [W],
    rejected: &'a mut [bool],
    rounded: PhantomData<E>,
}

impl<W: Wide, E: Element> Kernel for Test<'_, W, E> {
    type Output = ();

    #[inline(always)]
    fn run<I: SimdIsa>(self) {
        let chunks = self.proposals.chunks(LANES).zip(self.draws.chunks(LANES));
        for ((proposals, draws), rejected) in chunks.zip(self.rejected.chunks_mut(LANES)) {
            let (mut all_proposals, mut all_draws) = ([W::default(); LANES], [W::from_f64(0.5); LANES]);
            all_proposals[..proposals.len()].copy_from_slice(proposals);
            all_draws[..draws.len()].copy_from_slice(draws);
            let all = self.test.lanes::<W, E>(&all_proposals, &all_draws);
            rejected.copy_from_slice(&all[..rejected.len()]);
        }
    }
}

/// The number of proposals that are tested together.
const LANES: usize = 32;

impl AcceptanceTest {
    /// Returns true for each rejected proposal. The test uses a fast logarithm. If its error could change a result, all
    /// proposals are tested again with the logarithm of the C library.
    #[inline(always)]
    #[allow(
        clippy::disallowed_methods,
        reason = "torch calls a library's logarithm, and bit-identical values need the same results"
    )]
    fn lanes<W: Wide, E: Element>(self, proposals: &[W; LANES], draws: &[W; LANES]) -> [bool; LANES] {
        let rounded = |value: W| E::DTYPE.round(value.to_f64());
        let (mut quick, mut exponents) = ([0f32; LANES], [0f32; LANES]);
        for lane in 0..LANES {
            exponents[lane] = self.exponent::<E>(rounded(proposals[lane])) as f32;
            quick[lane] = rounded(draws[lane]) as f32;
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
                let drawn = E::DTYPE.round(rounded(draws[lane]).ln());
                rejected[lane] = drawn > self.exponent::<E>(rounded(proposals[lane]));
            }
        }
        rejected
    }

    /// Returns `ln(p(proposal) / p_max)` (see [`AcceptanceTest`]), computed by the same operations as in torch.
    #[inline(always)]
    fn exponent<E: Element>(self, proposal: f64) -> f64 {
        let Self { mean, std, peak, .. } = self;
        if E::DTYPE == DType::F32 {
            // f32 arithmetic gives the same results as f64 arithmetic with each step rounded to f32, and takes less
            // time.
            let x = (proposal as f32 - mean as f32) / std as f32;
            f64::from(x * x * -0.5 - peak as f32)
        } else {
            let round = |x: f64| E::DTYPE.round(x);
            let x = round(proposal - mean);
            let x = round(x / std);
            let x = round(x * x);
            let x = round(x * -0.5);
            round(x - peak)
        }
    }
}
