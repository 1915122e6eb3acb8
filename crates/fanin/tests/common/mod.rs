//! Code that the test files share: a list of specs, and a buffer whose element type is chosen at run time.
//!
//! Formulas are tested exactly, on plans. Streams are tested by test vectors, by bitwise properties, and by statistical
//! tests with fixed seeds and a stated error rate. An example of a bitwise property: the values are the same at every
//! SIMD level. A test with a tolerance states the reason for the tolerance.

#![allow(dead_code, reason = "each test file uses only some of the items")]

use fanin::half::{bf16, f16};
use fanin::init::Init;
use fanin::{DType, Element, Error, F8E4M3, F8E5M2, Plan, Stream, TensorMut};

/// Specs, each with the shapes for which it is tested. The specs cover every distribution except `Arange` and `Mapped`.
/// They cover every regime of the truncated normal distribution.
pub const CATALOGUE: &[(&str, &[&[usize]])] = &[
    ("zeros", ANY),
    ("constant(-0.3)", ANY),
    ("uniform", ANY),
    ("uniform(-0.3, 0.7)", ANY),
    ("uniform(0.5, 0.5)", ANY),
    ("normal", ANY),
    ("normal(0.1, 0.02)", ANY),
    ("trunc_normal", ANY),
    ("trunc_normal(std=0.02, a=-0.06, b=0.06)", ANY),
    ("trunc_normal(a=-5, b=5)", ANY),
    ("trunc_normal(a=1, b=inf)", ANY),
    ("trunc_normal(a=-inf, b=-8)", ANY),
    ("trunc_normal(mean=1, std=0.1, a=2, b=2.5)", ANY),
    ("trunc_normal(a=1, b=1.001)", ANY),
    ("trunc_normal(a=-1.000000002, b=-1)", ANY),
    ("trunc_normal(a=6, b=6.00000001)", ANY),
    ("trunc_normal(a=0.25, b=0.2500000000001)", ANY),
    ("eye", MATRIX),
    ("sparse(0.3)", MATRIX),
    ("sparse(0.9, std=2)", MATRIX),
    ("dirac", KERNEL),
    ("dirac(groups=2)", &[&[4, 3, 3], &[6, 2, 3, 4], &[2, 1, 2, 2, 3]]),
    ("xavier_uniform(gain=tanh)", TWO_OR_MORE),
    ("xavier_normal", TWO_OR_MORE),
    ("kaiming_uniform(sqrt(5))", TWO_OR_MORE),
    ("kaiming_normal(mode=fan_out, nonlinearity=relu)", TWO_OR_MORE),
    ("orthogonal", TWO_OR_MORE),
    ("orthogonal(gain=relu)", &[&[7, 5], &[130, 67], &[67, 130]]),
    ("orthogonal(layout=in_out)", &[&[9, 7], &[5, 40], &[3, 5, 4]]),
    ("orthogonal(layout=kernel_in_out)", &[&[3, 5, 4], &[4, 3, 2, 5], &[40, 5]]),
    ("trunc_normal_tf(0.1, 0.02, corrected=true)", ANY),
    ("delta_orthogonal", &[&[5, 4, 3], &[6, 6, 2, 3], &[3, 2, 1, 2, 3]]),
    ("delta_orthogonal(gain=relu, layout=kernel_in_out)", &[&[3, 4, 5], &[3, 2, 2, 7]]),
    ("zero_hadamard", &[&[5, 9], &[9, 5], &[16, 3, 3, 2]]),
    ("idinit(0.5)", MATRIX),
    ("blocks(2: normal, 3: uniform(-1, 0), axis=-1)", &[&[5], &[70, 5], &[3, 2, 5]]),
    ("blocks(orthogonal, orthogonal(gain=2), zeros)", &[&[6, 4], &[9, 3, 2], &[3, 9]]),
    ("stacked(orthogonal)", &[&[3, 5, 4], &[2, 4, 3, 2]]),
    ("stacked(blocks(sparse(0.5), constant(2)), axis=-1)", &[&[2, 8, 5], &[6, 4, 3]]),
];

const ANY: &[&[usize]] =
    &[&[], &[1], &[17], &[64], &[200], &[9, 7], &[3, 5, 4], &[2, 3, 4, 5], &[2, 1, 3, 2, 7]];
const MATRIX: &[&[usize]] = &[&[1, 1], &[5, 9], &[9, 5], &[33, 40]];
const KERNEL: &[&[usize]] = &[&[4, 3, 3], &[5, 7, 2, 4], &[3, 3, 1, 2, 3]];
const TWO_OR_MORE: &[&[usize]] = &[&[1, 1], &[9, 7], &[5, 40], &[3, 5, 4], &[4, 3, 2, 5], &[2, 3, 1, 2, 3]];

/// A buffer whose element type is chosen at run time. Buffers are compared by their bits.
#[derive(Debug, Clone)]
pub enum Buffer {
    F32(Vec<f32>),
    F64(Vec<f64>),
    F16(Vec<f16>),
    BF16(Vec<bf16>),
    F8E4M3(Vec<F8E4M3>),
    F8E5M2(Vec<F8E5M2>),
}

/// Evaluates the expression `$body` for a `Buffer` of any element type. In `$body`, the variable `$slice` refers to
/// the vector of the values of the buffer `$buffer`.
#[macro_export]
macro_rules! each {
    ($buffer:expr, $slice:ident => $body:expr) => {
        match $buffer {
            $crate::common::Buffer::F32($slice) => $body,
            $crate::common::Buffer::F64($slice) => $body,
            $crate::common::Buffer::F16($slice) => $body,
            $crate::common::Buffer::BF16($slice) => $body,
            $crate::common::Buffer::F8E4M3($slice) => $body,
            $crate::common::Buffer::F8E5M2($slice) => $body,
        }
    };
}

impl Buffer {
    /// Returns a buffer of `count` elements, filled with the largest value of the type. No fill in these tests writes
    /// this value, so a test can detect elements that were not written.
    pub fn new(dtype: DType, count: usize) -> Self {
        match dtype {
            DType::F32 => Buffer::F32(vec![f32::MAX; count]),
            DType::F64 => Buffer::F64(vec![f64::MAX; count]),
            DType::F16 => Buffer::F16(vec![f16::MAX; count]),
            DType::BF16 => Buffer::BF16(vec![bf16::MAX; count]),
            DType::F8E4M3 => Buffer::F8E4M3(vec![F8E4M3::from_bits(0x7e); count]),
            _ => Buffer::F8E5M2(vec![F8E5M2::from_bits(0x7b); count]),
        }
    }

    pub fn to_f64(&self) -> Vec<f64> {
        each!(self, values => values.iter().map(|value| value.to_f64()).collect())
    }

    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Buffer::F32(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Buffer::F64(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Buffer::F16(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Buffer::BF16(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Buffer::F8E4M3(values) => values.iter().map(|value| value.to_bits()).collect(),
            Buffer::F8E5M2(values) => values.iter().map(|value| value.to_bits()).collect(),
        }
    }

    pub fn tensor(&mut self, shape: &[usize]) -> TensorMut<'_> {
        each!(self, values => TensorMut::contiguous(values, shape).unwrap())
    }

    pub fn strided(&mut self, shape: &[usize], strides: &[isize], offset: usize) -> TensorMut<'_> {
        each!(self, values => TensorMut::strided(values, shape, strides, offset).unwrap())
    }

    /// Returns the values at these row-major indices.
    pub fn at(&self, indices: &[usize]) -> Buffer {
        match self {
            Buffer::F32(values) => Buffer::F32(indices.iter().map(|&index| values[index]).collect()),
            Buffer::F64(values) => Buffer::F64(indices.iter().map(|&index| values[index]).collect()),
            Buffer::F16(values) => Buffer::F16(indices.iter().map(|&index| values[index]).collect()),
            Buffer::BF16(values) => Buffer::BF16(indices.iter().map(|&index| values[index]).collect()),
            Buffer::F8E4M3(values) => Buffer::F8E4M3(indices.iter().map(|&index| values[index]).collect()),
            Buffer::F8E5M2(values) => Buffer::F8E5M2(indices.iter().map(|&index| values[index]).collect()),
        }
    }
}

pub fn spec(text: &str) -> Init {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

pub fn plan(text: &str, shape: &[usize], dtype: DType) -> Result<Plan, Error> {
    fanin::Initializer::resolve(&spec(text), shape, dtype)
}

/// Returns the values of a whole tensor that is filled from `stream` with the spec `text`.
pub fn filled(text: &str, shape: &[usize], dtype: DType, stream: &mut dyn Stream) -> Buffer {
    let plan = plan(text, shape, dtype).unwrap();
    let mut buffer = Buffer::new(dtype, plan.len());
    stream.fill(&plan, buffer.tensor(shape)).unwrap();
    buffer
}

/// Returns the row-major index, in the whole tensor, of each element of a region. The region begins at `start`, and its
/// shape is `size`.
pub fn indices(shape: &[usize], start: &[usize], size: &[usize]) -> Vec<usize> {
    let mut indices = vec![0];
    for axis in 0..shape.len() {
        let along = start[axis]..start[axis] + size[axis];
        indices = indices.iter().flat_map(|&p| along.clone().map(move |k| p * shape[axis] + k)).collect();
    }
    indices
}
