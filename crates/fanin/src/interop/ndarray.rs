//! Arrays of the crate `ndarray`: any dimension, any owner of the data, any order in memory.
//!
//! nalgebra's and faer's matrices need nothing of their own: both give their storage as a slice with strides
//! (`matrix.as_mut_slice()` with strides `[1, rows]`, faer's `col_as_slice_mut` column by column), which is what
//! [`TensorMut::strided`] takes.

use ndarray::{Array, ArrayBase, DataMut, Dimension, ShapeBuilder};

use crate::dtype::Element;
use crate::error::Error;
use crate::init::Initializer;
use crate::plan::Plan;
use crate::streams::Stream;
use crate::tensor::TensorMut;

/// Filling what is there.
pub trait InitArray {
    /// Fills the array, and gives back the plan it followed, with its warnings.
    ///
    /// The value at an index is that of a row-major tensor, whatever the order in memory. A view with gaps, which ndarray
    /// shows nobody as memory, is filled by way of a copy; on torch's stream its values are those of a contiguous tensor.
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
    /// As [`Initializer::resolve`] and [`Plan::fill`]; nothing has been written then.
    fn init(&mut self, init: &impl Initializer, stream: &mut dyn Stream) -> Result<Plan, Error>;
}

/// Making what is not there yet.
pub trait FromInit<E, D: Dimension>: Sized {
    /// An array of this shape, row-major or column-major (`shape.f()`), filled.
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
    /// As [`InitArray::init`]; `ShapeOverflow` for a shape that no array has.
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
        let backwards = shape.iter().zip(&strides).filter(|(size, stride)| **size > 0 && **stride < 0);
        let offset = backwards.map(|(size, stride)| (size - 1) * stride.unsigned_abs()).sum();
        if !shape.contains(&0)
            && let Some(memory) = self.as_slice_memory_order_mut()
        {
            return init.fill_tensor(TensorMut::strided(memory, &shape, &strides, offset)?, stream);
        }
        let mut copy = vec![E::default(); self.len()];
        let plan = init.fill(&mut copy, &shape, stream)?;
        self.iter_mut().zip(copy).for_each(|(place, value)| *place = value);
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
        let count = crate::shape::element_count(&sizes)?;
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
    fn an_index_has_its_value_in_any_order_of_memory() {
        let stream = || Native::new(1).tensor("w");
        let right = Array3::<f32>::from_init((5, 3, 4), &init::orthogonal(), &mut stream()).unwrap();
        let column_major =
            Array3::<f32>::from_init((5, 3, 4).f(), &init::orthogonal(), &mut stream()).unwrap();
        assert_eq!(right, column_major);
        let mut turned = Array3::<f32>::zeros((4, 3, 5));
        turned.view_mut().reversed_axes().init(&init::orthogonal(), &mut stream()).unwrap();
        assert_eq!(turned.reversed_axes(), right);
        let mut backwards = Array3::<f32>::zeros((5, 3, 4));
        let mut view = backwards.view_mut();
        view.invert_axis(Axis(1));
        view.init(&init::orthogonal(), &mut stream()).unwrap();
        backwards.invert_axis(Axis(1));
        assert_eq!(backwards, right);
        let mut gaps = Array3::<f32>::from_elem((5, 6, 4), 9.0);
        gaps.slice_mut(s![.., ..;2, ..]).init(&init::orthogonal(), &mut stream()).unwrap();
        assert_eq!(gaps.slice(s![.., ..;2, ..]), right);
        assert!(gaps.slice(s![.., 1..;2, ..]).iter().all(|x| *x == 9.0));
    }

    #[test]
    fn torchs_stream_dynamic_dimensions_and_errors() {
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
