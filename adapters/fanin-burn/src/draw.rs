//! Draws the values of one tensor.

use burn_core::module::{Param, ParamId};
use burn_core::tensor::{DType, Device, Element as BurnElement, Tensor, TensorData};
use fanin::half::{bf16, f16};
use fanin::{Element, Initializer, Plan, Stream};
use fanin_recipe::{Error, Result};

use crate::axes::transposed;

/// Draws the values of `init` and returns them as a tensor of shape `shape`.
///
/// The tensor is not transposed. The weight of a `Linear` has the shape `[in, out]` in burn, so its `init` needs the
/// axis layout `in_out`.
///
/// # Errors
/// Returns an error if `dtype` is not f32, flex32, f64, f16 or bf16; if the initializer does not fit the shape; or if
/// the stream cannot draw the values.
pub fn tensor<const D: usize>(
    init: &dyn Initializer,
    shape: [usize; D],
    dtype: DType,
    device: &Device,
    stream: &mut dyn Stream,
) -> Result<Tensor<D>> {
    let plan = init.resolve(&shape, fanin_dtype(dtype)?)?;
    Ok(Tensor::from_data(draw(&plan, stream)?, (device, dtype)))
}

/// Draws the values of `init` and returns them as a trainable parameter with a new id.
///
/// # Errors
/// Returns the same errors as [`tensor`].
pub fn param<const D: usize>(
    init: &dyn Initializer,
    shape: [usize; D],
    dtype: DType,
    device: &Device,
    stream: &mut dyn Stream,
) -> Result<Param<Tensor<D>>> {
    let mut param = Param::from_tensor(tensor(init, shape, dtype, device, stream)?);
    param.id = ParamId::new();
    Ok(param)
}

/// Returns the fanin dtype in which the values of a burn dtype are drawn.
pub(crate) fn fanin_dtype(dtype: DType) -> Result<fanin::DType> {
    match dtype {
        DType::F32 | DType::Flex32 => Ok(fanin::DType::F32),
        DType::F64 => Ok(fanin::DType::F64),
        DType::F16 => Ok(fanin::DType::F16),
        DType::BF16 => Ok(fanin::DType::BF16),
        other => {
            Err(Error::Request(format!("cannot draw values of dtype {other:?}: use f32, f64, f16 or bf16")))
        }
    }
}

/// Draws the values of a plan. The axes of the returned values are in the order of the plan's shape.
pub(crate) fn draw(plan: &Plan, stream: &mut dyn Stream) -> Result<TensorData> {
    match plan.dtype() {
        fanin::DType::F32 => draw_as::<f32>(plan, stream),
        fanin::DType::F64 => draw_as::<f64>(plan, stream),
        fanin::DType::F16 => draw_as::<f16>(plan, stream),
        fanin::DType::BF16 => draw_as::<bf16>(plan, stream),
        other => Err(Error::Request(format!("burn does not have dtype {other}: use f32, f64, f16 or bf16"))),
    }
}

fn draw_as<E: Element + BurnElement>(plan: &Plan, stream: &mut dyn Stream) -> Result<TensorData> {
    let mut values = vec![<E as Default>::default(); plan.len()];
    plan.fill(&mut values, stream)?;
    Ok(TensorData::new(values, plan.shape().to_vec()))
}

pub(crate) fn transpose_data(data: TensorData) -> Result<TensorData> {
    fn transpose_as<E: BurnElement + Copy>(data: &TensorData) -> Result<TensorData> {
        let [rows, columns] = [data.shape().as_slice()[0], data.shape().as_slice()[1]];
        let values = data.as_slice::<E>().map_err(|error| Error::Request(format!("{error:?}")))?;
        Ok(TensorData::new(transposed(values, rows, columns), [columns, rows]))
    }
    match data.dtype() {
        DType::F64 => transpose_as::<f64>(&data),
        DType::F16 => transpose_as::<f16>(&data),
        DType::BF16 => transpose_as::<bf16>(&data),
        _ => transpose_as::<f32>(&data),
    }
}
