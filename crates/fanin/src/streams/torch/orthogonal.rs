//! `orthogonal` on the torch stream: the QR factorization of a Gaussian matrix.

use super::generator::Torch;
use super::sequences::{ByGroups, Part};
use super::wide::Wide;
use crate::dtype::{Element, Values, values};
use crate::error::Error;
use crate::linalg::{qr::haar, real::Real};
use crate::plan::Plan;
use crate::region::Region;
use crate::streams::checks::check_memory;
use crate::tensor::{Order, TensorMut};

impl Torch {
    /// Fills `tensor` with an orthogonal matrix times `gain`. The plan must not be empty.
    ///
    /// # Errors
    /// `Memory` if the Gaussian matrix and its factors cannot be allocated.
    pub(super) fn fill_orthogonal(
        &mut self,
        plan: &Plan,
        gain: f64,
        tensor: &mut TensorMut<'_>,
    ) -> Result<(), Error> {
        let (rows, columns) = plan.matrix();
        check_memory(plan, 3 * rows as u128 * columns as u128)?;
        tensor.write_in(Order::Index, |memory| match memory {
            Values::F64(out) => self.orthogonal(plan, gain, out),
            other => values!(other, out => self.orthogonal(plan, gain as f32, out)),
        });
        Ok(())
    }

    /// Draws a Gaussian matrix, and writes the orthogonal matrix that [`haar`] computes from it, times `gain`, to
    /// `out`. `T` is the type of the arithmetic.
    fn orthogonal<T: Wide + Real, E: Element>(&mut self, plan: &Plan, gain: T, out: &mut [E]) {
        let count = plan.len();
        let mut gaussian = vec![T::default(); count];
        let by_groups = ByGroups::contiguous(count).tensor;
        let whole = Region::whole(&[count]);
        let part = Part { dtype: T::DTYPE, count, slice: whole.all() };
        self.normals::<T>((0.0, 1.0), part, T::values(&mut gaussian), by_groups);
        haar(gaussian, plan.matrix(), gain, self.level(), self.threads, out);
    }
}
