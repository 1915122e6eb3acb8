//! `store`, which rounds computed f32 values to the element type of a tensor.

use crate::dtype::{Element, Values};
use crate::simd::{Kernel, Level, SimdIsa, dispatch};

/// Rounds the values of `exact` to the type of `out`, and writes the results to `out`.
pub(super) fn store(level: Level, exact: &[f32], out: Values<'_>) {
    match out {
        Values::F32(out) => out.copy_from_slice(exact),
        Values::F64(out) => Element::store(exact, out),
        Values::F16(out) => dispatch(level, Store { exact, out }),
        Values::BF16(out) => dispatch(level, Store { exact, out }),
        Values::F8E4M3(out) => dispatch(level, Store { exact, out }),
        Values::F8E5M2(out) => dispatch(level, Store { exact, out }),
    }
}

/// The kernel of [`store`].
struct Store<'a, E> {
    exact: &'a [f32],
    out: &'a mut [E],
}

impl<E: Element> Kernel for Store<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<I: SimdIsa>(self) {
        E::store(self.exact, self.out);
    }
}
