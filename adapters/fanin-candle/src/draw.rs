//! Draws the values of one tensor.

use candle_core::{DType, Device, Error, Result, Shape, Tensor, Var, WithDType};
use fanin::half::{bf16, f16};
use fanin::{Element, Initializer, Plan, Stream};

/// Draws the values of `init` and returns them as a tensor.
///
/// ```
/// use candle_core::{DType, Device};
/// use fanin::{Native, init};
/// let mut stream = Native::new(0).tensor("fc.weight");
/// let w = fanin_candle::tensor(&init::xavier_uniform(), (8, 4), DType::BF16, &Device::Cpu, &mut stream)?;
/// assert_eq!((w.dims(), w.dtype()), (&[8, 4][..], DType::BF16));
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Errors
/// Returns an error if `dtype` is not f32, f64, f16 or bf16; if the initializer does not fit the shape; if the stream
/// cannot draw the values; or if copying to the device fails.
pub fn tensor(
    init: &dyn Initializer,
    shape: impl Into<Shape>,
    dtype: DType,
    device: &Device,
    stream: &mut dyn Stream,
) -> Result<Tensor> {
    tensor_of(&resolve(init, &shape.into(), dtype)?, device, stream)
}

/// Draws the values of `init` and returns them as a variable. An optimizer can update the variable.
///
/// # Errors
/// Returns the same errors as [`tensor`].
pub fn var(
    init: &dyn Initializer,
    shape: impl Into<Shape>,
    dtype: DType,
    device: &Device,
    stream: &mut dyn Stream,
) -> Result<Var> {
    var_of(&resolve(init, &shape.into(), dtype)?, device, stream)
}

/// Replaces the values of a variable by values drawn from `init`. The dtype and the device of the variable do not
/// change. Tensors that share the variable's memory change too.
///
/// # Errors
/// Returns the same errors as [`tensor`]. After an error, the variable is unchanged.
pub fn fill(var: &Var, init: &dyn Initializer, stream: &mut dyn Stream) -> Result<()> {
    let plan = resolve(init, var.shape(), var.dtype())?;
    var.set(&tensor_of(&plan, var.device(), stream)?)
}

/// Adds the name of a parameter to an error.
pub(crate) fn with_name<T>(name: &str, result: Result<T>) -> Result<T> {
    result.map_err(|error| error.context(name.to_owned()))
}

pub(crate) fn resolve(init: &dyn Initializer, shape: &Shape, dtype: DType) -> Result<Plan> {
    let dtype = match dtype {
        DType::F32 => fanin::DType::F32,
        DType::F64 => fanin::DType::F64,
        DType::F16 => fanin::DType::F16,
        DType::BF16 => fanin::DType::BF16,
        other => candle_core::bail!("cannot draw values of dtype {other:?}: use f32, f64, f16 or bf16"),
    };
    init.resolve(shape.dims(), dtype).map_err(Error::wrap)
}

/// Draws the values of a plan, and returns them as a tensor.
pub(crate) fn tensor_of(plan: &Plan, device: &Device, stream: &mut dyn Stream) -> Result<Tensor> {
    draw(plan, device, stream, false)
}

/// Draws the values of a plan, and returns them as a variable.
pub(crate) fn var_of(plan: &Plan, device: &Device, stream: &mut dyn Stream) -> Result<Var> {
    Var::from_tensor(&draw(plan, device, stream, true)?)
}

fn draw(plan: &Plan, device: &Device, stream: &mut dyn Stream, is_variable: bool) -> Result<Tensor> {
    match plan.dtype() {
        fanin::DType::F32 => draw_as::<f32>(plan, device, stream, is_variable),
        fanin::DType::F64 => draw_as::<f64>(plan, device, stream, is_variable),
        fanin::DType::F16 => draw_as::<f16>(plan, device, stream, is_variable),
        fanin::DType::BF16 => draw_as::<bf16>(plan, device, stream, is_variable),
        other => candle_core::bail!("candle does not have dtype {other}: use f32, f64, f16 or bf16"),
    }
}

fn draw_as<E: Element + WithDType>(
    plan: &Plan,
    device: &Device,
    stream: &mut dyn Stream,
    is_variable: bool,
) -> Result<Tensor> {
    let mut values = vec![<E as Default>::default(); plan.len()];
    plan.fill(&mut values, stream).map_err(Error::wrap)?;
    // On the CPU, `Var::from_vec` and `Tensor::from_vec` do not copy the values. `Var::from_tensor` would copy them.
    if is_variable {
        return Ok(Var::from_vec(values, plan.shape(), device)?.into_inner());
    }
    Tensor::from_vec(values, plan.shape(), device)
}
