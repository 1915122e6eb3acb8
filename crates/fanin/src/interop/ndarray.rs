//! Fills arrays of the crate `ndarray`. The arrays can have any number of dimensions and any memory order. They can be
//! owned or borrowed.
//!
//! Matrices of two other crates can be filled without a special module:
//!
//! * nalgebra: pass the slice `matrix.as_mut_slice()` and the strides `[1, rows]` to [`TensorMut::strided`].
//! * faer: fill the columns one by one. `col_as_slice_mut` returns the slice of a column.

use ndarray::{Array, ArrayBase, DataMut, Dimension, ShapeBuilder};

use crate::dtype::Element;
use crate::error::Error;
use crate::init::Initializer;
use crate::plan::Plan;
use crate::shape::element_count;
use crate::streams::Stream;
use crate::tensor::TensorMut;

/// The trait of arrays that can be filled.
pub trait InitArray {
    /// Fills the array. Returns the plan, which contains any warnings.
    ///
    /// On the native stream, the value at an index does not depend on the memory order of the array. On the torch
    /// stream, the array gets the values of a torch tensor with the same strides.
    ///
    /// A view with gaps between its elements in memory is filled through a contiguous copy, because ndarray does not
    /// return such memory as a slice. On the torch stream, such a view therefore gets the values of a contiguous
    /// tensor.
    ///
    /// ```
    /// use fanin::{Native, init, interop::ndarray::InitArray as _};
    /// use ndarray::{Array2, s};
    /// let mut w = Array2::<f32>::zeros((8, 4));
    /// w.slice_mut(s![.., 1..3]).init(&init::orthogonal(), &mut Native::new(0).tensor("w"))?;
    /// assert!(w.column(0).iter().all(|x| *x == 0.0) && w[[0, 1]] != 0.0);
    /// # Ok::<(), fanin::Error>(())
    /// ```
    ///
    /// # Errors
    /// Returns the same errors as [`Initializer::resolve`] and [`Plan::fill`]. When an error is returned, nothing has
    /// been written.
    fn init(&mut self, init: &impl Initializer, stream: &mut dyn Stream) -> Result<Plan, Error>;
}

/// The trait of arrays that can be created and filled in one call.
pub trait FromInit<E, D: Dimension>: Sized {
    /// Returns a filled array of this shape. The array is row-major, or column-major if the shape is given as
    /// `shape.f()`.
    ///
    /// ```
    /// use fanin::{Native, init, interop::ndarray::FromInit as _};
    /// use ndarray::{Array4, ShapeBuilder as _};
    /// let w = Array4::<f32>::from_init((64, 3, 7, 7), &init::kaiming_normal(), &mut Native::new(0).tensor("conv1.weight"))?;
    /// let f = Array4::<f32>::from_init((64, 3, 7, 7).f(), &init::kaiming_normal(), &mut Native::new(0).tensor("conv1.weight"))?;
    /// assert_eq!(w, f);
    /// # Ok::<(), fanin::Error>(())
    /// ```
    ///
    /// # Errors
    /// Returns the same errors as [`InitArray::init`], and [`Error::ShapeOverflow`] if the shape is too large for an
    /// array.
    fn from_init(
        shape: impl ShapeBuilder<Dim = D>,
        init: &impl Initializer,
        stream: &mut dyn Stream,
    ) -> Result<Self, Error>;
}

impl<E: Element, S: DataMut<Elem = E>, D: Dimension> InitArray for ArrayBase<S, D> {
    fn init(&mut self, init: &impl Initializer, stream: &mut dyn Stream) -> Result<Plan, Error> {
        let shape = self.shape().to_vec();
        let strides = self.strides().to_vec();
        let reversed = shape.iter().zip(&strides).filter(|(size, stride)| **size > 0 && **stride < 0);
        let offset = reversed.map(|(size, stride)| (size - 1) * stride.unsigned_abs()).sum();
        if !shape.contains(&0)
            && let Some(memory) = self.as_slice_memory_order_mut()
        {
            return init.fill_tensor(TensorMut::strided(memory, &shape, &strides, offset)?, stream);
        }
        let mut copy = vec![E::default(); self.len()];
        let plan = init.fill(&mut copy, &shape, stream)?;
        self.iter_mut().zip(copy).for_each(|(element, value)| *element = value);
        Ok(plan)
    }
}

impl<E: Element, D: Dimension> FromInit<E, D> for Array<E, D> {
    fn from_init(
        shape: impl ShapeBuilder<Dim = D>,
        init: &impl Initializer,
        stream: &mut dyn Stream,
    ) -> Result<Self, Error> {
        let shape = shape.into_shape_with_order();
        let sizes = shape.raw_dim().slice().to_vec();
        let count = element_count(&sizes)?;
        let array = Array::from_shape_vec(shape, vec![E::default(); count]);
        let mut array = array.map_err(|_| Error::ShapeOverflow { shape: sizes })?;
        array.init(init, stream)?;
        Ok(array)
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array1, Array2, Array3, Axis, s};

    use super::*;
    use crate::{Native, Torch, init};

    #[test]
    fn values_do_not_depend_on_the_memory_order() {
        let stream = || Native::new(1).tensor("w");
        let expected = Array3::<f32>::from_init((5, 3, 4), &init::orthogonal(), &mut stream()).unwrap();
        let column_major =
            Array3::<f32>::from_init((5, 3, 4).f(), &init::orthogonal(), &mut stream()).unwrap();
        assert_eq!(expected, column_major);
        let mut transposed = Array3::<f32>::zeros((4, 3, 5));
        transposed.view_mut().reversed_axes().init(&init::orthogonal(), &mut stream()).unwrap();
        assert_eq!(transposed.reversed_axes(), expected);
        let mut inverted = Array3::<f32>::zeros((5, 3, 4));
        let mut view = inverted.view_mut();
        view.invert_axis(Axis(1));
        view.init(&init::orthogonal(), &mut stream()).unwrap();
        inverted.invert_axis(Axis(1));
        assert_eq!(inverted, expected);
        let mut gaps = Array3::<f32>::from_elem((5, 6, 4), 9.0);
        gaps.slice_mut(s![.., ..;2, ..]).init(&init::orthogonal(), &mut stream()).unwrap();
        assert_eq!(gaps.slice(s![.., ..;2, ..]), expected);
        assert!(gaps.slice(s![.., 1..;2, ..]).iter().all(|x| *x == 9.0));
    }

    #[test]
    fn arrays_can_be_filled_from_the_torch_stream_and_have_dynamic_dimensions_and_errors_are_returned() {
        let mut torch = Torch::new(0);
        let w = Array1::<f32>::from_init(3, &init::uniform(0.0, 1.0), &mut torch).unwrap();
        assert_eq!(w.to_vec(), [0.496_256_6, 0.7682218, 0.08847743]);
        let mut any = ndarray::ArrayD::<half::bf16>::from_elem(vec![2, 2, 2], half::bf16::ZERO);
        any.init(&init::ones(), &mut torch).unwrap();
        assert!(any.iter().all(|x| *x == half::bf16::ONE));
        let mut vector = Array1::<f64>::zeros(4);
        assert!(vector.init(&init::orthogonal(), &mut torch).is_err());
        let empty = Array2::<f32>::from_init((0, 4), &init::normal(0.0, 1.0), &mut torch).unwrap();
        assert_eq!(empty.len(), 0);
    }
}
