//! `orthogonal` on the torch stream: the QR factorization of a Gaussian matrix.

use super::generator::Torch;
use crate::error::Error;
use crate::plan::Plan;
use crate::tensor::TensorMut;
#[cfg(feature = "qr")]
use crate::{
    cancel::check,
    dtype::{Element, Values, values},
    region::Region,
    streams::checks::check_memory,
    tensor::Order,
};

#[cfg(feature = "qr")]
impl Torch {
    /// Fills `tensor` with an orthogonal matrix times `gain`. The plan must not be empty.
    ///
    /// # Errors
    /// `Memory` if the Gaussian matrix and its factor cannot be allocated.
    pub(super) fn fill_orthogonal(
        &mut self,
        plan: &Plan,
        gain: f64,
        tensor: &mut TensorMut<'_>,
    ) -> Result<(), Error> {
        let (rows, columns) = plan.matrix();
        check_memory(plan, 2 * rows as u128 * columns as u128)?;
        let (memory, offsets) = tensor.offsets(Order::Index);
        match memory {
            Values::F64(memory) => {
                let q = self.orthogonal(rows, columns, gain);
                offsets.zip(q).for_each(|(offset, value)| memory[offset] = value);
            }
            other => {
                let q = self.orthogonal(rows, columns, gain as f32);
                values!(other, memory => {
                    offsets.zip(q).for_each(|(offset, value)| memory[offset] = Element::from_f64(value.into()));
                });
            }
        }
        Ok(())
    }

    /// Returns `gain * Q` of a Gaussian matrix, row-major, in the arithmetic of `T`.
    fn orthogonal<T>(&mut self, rows: usize, columns: usize, gain: T) -> Vec<T>
    where
        T: Element + crate::linalg::Real + faer::traits::ComplexField,
    {
        let count = rows * columns;
        let mut gaussian = vec![T::default(); count];
        let by_groups = super::sequences::ByGroups::contiguous(count).tensor;
        self.normals((0.0, 1.0), Region::whole(&[count]).all(), count, &mut gaussian, by_groups);
        let mut q = crate::linalg::qr::haar(gaussian, rows, columns);
        // The factorization itself cannot be cancelled.
        check();
        q.iter_mut().for_each(|value| *value *= gain);
        q
    }
}

#[cfg(not(feature = "qr"))]
impl Torch {
    /// Returns an error: the build has no QR factorization.
    pub(super) fn fill_orthogonal(&mut self, _: &Plan, _: f64, _: &mut TensorMut<'_>) -> Result<(), Error> {
        Err(Error::Feature { what: "orthogonal on the torch stream", feature: "qr" })
    }
}
