//! One tensor: a plan drawn into memory, and the memory given to burn.

use burn_core::module::{Param, ParamId};
use burn_core::tensor::{DType, Device, Element as BurnElement, Tensor, TensorData};
use fanin::half::{bf16, f16};
use fanin::{Element, Initializer, Plan, Stream};
use fanin_recipe::{Error, Result};

use crate::axes::transposed;

/// A tensor of these values, in the axes as they are given.
///
/// # Errors
/// A shape that has not `D` axes; a type other than f32, f64, f16 and bf16; whatever the initializer finds wrong with the
/// shape, or the stream with the plan.
pub fn tensor<const D: usize>(
    init: &dyn Initializer,
    shape: [usize; D],
    dtype: DType,
    device: &Device,
    stream: &mut dyn Stream,
) -> Result<Tensor<D>> {
    let plan = init.resolve(&shape, drawn(dtype)?)?;
    Ok(Tensor::from_data(draw(&plan, stream, false)?, (device, dtype)))
}

/// A trainable parameter of these values, with an id of its own.
///
/// # Errors
/// As [`tensor`].
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

/// fanin's name for a type.
pub(crate) fn drawn(dtype: DType) -> Result<fanin::DType> {
    match dtype {
        DType::F32 | DType::Flex32 => Ok(fanin::DType::F32),
        DType::F64 => Ok(fanin::DType::F64),
        DType::F16 => Ok(fanin::DType::F16),
        DType::BF16 => Ok(fanin::DType::BF16),
        other => Err(Error::Request(format!("dtype {other:?} is not drawn: take f32, f64, f16 or bf16"))),
    }
}

/// The values of a plan, as data for burn; transposed if they are to be.
pub(crate) fn draw(plan: &Plan, stream: &mut dyn Stream, transpose: bool) -> Result<TensorData> {
    match plan.dtype() {
        fanin::DType::F32 => values::<f32>(plan, stream, transpose),
        fanin::DType::F64 => values::<f64>(plan, stream, transpose),
        fanin::DType::F16 => values::<f16>(plan, stream, transpose),
        fanin::DType::BF16 => values::<bf16>(plan, stream, transpose),
        other => Err(Error::Request(format!("{other} is not drawn here: take f32, f64, f16 or bf16"))),
    }
}

fn values<E: Element + BurnElement>(
    plan: &Plan,
    stream: &mut dyn Stream,
    transpose: bool,
) -> Result<TensorData> {
    let mut values = vec![<E as Default>::default(); plan.len()];
    plan.fill(&mut values, stream)?;
    let mut shape = plan.shape().to_vec();
    if transpose {
        values = transposed(&values, shape[0], shape[1]);
        shape.reverse();
    }
    Ok(TensorData::new(values, shape))
}

/// The transpose of a matrix.
pub(crate) fn turned(data: TensorData) -> Result<TensorData> {
    fn turn<E: BurnElement + Copy>(data: &TensorData) -> Result<TensorData> {
        let [rows, columns] = [data.shape().as_slice()[0], data.shape().as_slice()[1]];
        let values = data.as_slice::<E>().map_err(|error| Error::Request(format!("{error:?}")))?;
        Ok(TensorData::new(transposed(values, rows, columns), [columns, rows]))
    }
    match data.dtype() {
        DType::F64 => turn::<f64>(&data),
        DType::F16 => turn::<f16>(&data),
        DType::BF16 => turn::<bf16>(&data),
        _ => turn::<f32>(&data),
    }
}
