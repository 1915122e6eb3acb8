//! One tensor: a plan drawn into memory, and the memory given to candle.

use candle_core::{DType, Device, Error, Result, Shape, Tensor, Var, WithDType};
use fanin::half::{bf16, f16};
use fanin::{Element, Initializer, Plan, Stream};
use fanin_recipe::SeedSource;

/// A tensor of these values.
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
/// A type other than f32, f64, f16 and bf16; whatever the initializer finds wrong with the shape, or the stream with the
/// plan; what the device says to the copy.
pub fn tensor(
    init: &dyn Initializer,
    shape: impl Into<Shape>,
    dtype: DType,
    device: &Device,
    stream: &mut dyn Stream,
) -> Result<Tensor> {
    let plan = resolve(init, &shape.into(), dtype)?;
    tensor_of(&plan, device, stream)
}

/// What `draw` draws for the parameter of this name.
pub(crate) fn named<T>(
    numbers: &mut SeedSource,
    name: &str,
    draw: impl FnOnce(&mut dyn Stream) -> Result<T>,
) -> Result<T> {
    let drawn = numbers.with(name, |stream| draw(stream.map_err(Error::wrap)?));
    drawn.map_err(|error| error.context(name.to_owned()))
}

/// A variable of these values: what an optimizer changes.
///
/// # Errors
/// As [`tensor`].
pub fn var(
    init: &dyn Initializer,
    shape: impl Into<Shape>,
    dtype: DType,
    device: &Device,
    stream: &mut dyn Stream,
) -> Result<Var> {
    let plan = resolve(init, &shape.into(), dtype)?;
    var_of(&plan, device, stream)
}

/// Gives a variable new values, in its own type and on its own device. All that shares its memory sees them.
///
/// # Errors
/// As [`tensor`]; the variable has its old values then.
pub fn fill(var: &Var, init: &dyn Initializer, stream: &mut dyn Stream) -> Result<()> {
    let plan = resolve(init, var.shape(), var.dtype())?;
    var.set(&tensor_of(&plan, var.device(), stream)?)
}

pub(crate) fn tensor_of(plan: &Plan, device: &Device, stream: &mut dyn Stream) -> Result<Tensor> {
    draw(plan, stream, Made { device, variable: false })
}

pub(crate) fn var_of(plan: &Plan, device: &Device, stream: &mut dyn Stream) -> Result<Var> {
    Var::from_tensor(&draw(plan, stream, Made { device, variable: true })?)
}

pub(crate) fn resolve(init: &dyn Initializer, shape: &Shape, dtype: DType) -> Result<Plan> {
    init.resolve(shape.dims(), drawn(dtype)?).map_err(Error::wrap)
}

/// fanin's name for a type.
pub(crate) fn drawn(dtype: DType) -> Result<fanin::DType> {
    match dtype {
        DType::F32 => Ok(fanin::DType::F32),
        DType::F64 => Ok(fanin::DType::F64),
        DType::F16 => Ok(fanin::DType::F16),
        DType::BF16 => Ok(fanin::DType::BF16),
        other => candle_core::bail!("dtype {other:?} is not drawn: take f32, f64, f16 or bf16"),
    }
}

/// What is made of the values.
#[derive(Clone, Copy)]
struct Made<'a> {
    device: &'a Device,
    variable: bool,
}

impl Made<'_> {
    fn of<E: Element + WithDType>(self, plan: &Plan, stream: &mut dyn Stream) -> Result<Tensor> {
        let mut values = vec![<E as Default>::default(); plan.len()];
        plan.fill(&mut values, stream).map_err(Error::wrap)?;
        // The values move: on the CPU they stay where they are.
        if self.variable {
            return Ok(Var::from_vec(values, plan.shape(), self.device)?.into_inner());
        }
        Tensor::from_vec(values, plan.shape(), self.device)
    }
}

fn draw(plan: &Plan, stream: &mut dyn Stream, made: Made<'_>) -> Result<Tensor> {
    match plan.dtype() {
        fanin::DType::F32 => made.of::<f32>(plan, stream),
        fanin::DType::F64 => made.of::<f64>(plan, stream),
        fanin::DType::F16 => made.of::<f16>(plan, stream),
        fanin::DType::BF16 => made.of::<bf16>(plan, stream),
        other => candle_core::bail!("candle has no tensors of {other}: take f32, f64, f16 or bf16"),
    }
}
