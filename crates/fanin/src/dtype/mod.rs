//! Element types, and the one place where a value is rounded to one.

mod float8;

pub use float8::{F8E4M3, F8E5M2};
use half::{bf16, f16};

/// An element type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum DType {
    /// IEEE 754 binary32.
    F32,
    /// IEEE 754 binary64.
    F64,
    /// IEEE 754 binary16.
    F16,
    /// The upper half of a binary32.
    BF16,
    /// `float8_e4m3fn`, see [`F8E4M3`].
    F8E4M3,
    /// `float8_e5m2`, see [`F8E5M2`].
    F8E5M2,
}

impl DType {
    /// Every element type.
    pub const ALL: [DType; 6] =
        [DType::F32, DType::F64, DType::F16, DType::BF16, DType::F8E4M3, DType::F8E5M2];

    /// `f32`, `f64`, `f16`, `bf16`, `f8_e4m3` or `f8_e5m2`.
    pub const fn name(self) -> &'static str {
        match self {
            DType::F32 => "f32",
            DType::F64 => "f64",
            DType::F16 => "f16",
            DType::BF16 => "bf16",
            DType::F8E4M3 => "f8_e4m3",
            DType::F8E5M2 => "f8_e5m2",
        }
    }

    /// Bytes a value takes.
    pub const fn size(self) -> usize {
        match self {
            DType::F64 => 8,
            DType::F32 => 4,
            DType::F16 | DType::BF16 => 2,
            DType::F8E4M3 | DType::F8E5M2 => 1,
        }
    }

    /// The largest finite value.
    pub const fn largest(self) -> f64 {
        match self {
            DType::F32 => f32::MAX as f64,
            DType::F64 => f64::MAX,
            DType::F16 => 65504.0,
            DType::BF16 => f32::from_bits(0x7f7f_0000) as f64,
            DType::F8E4M3 => 448.0,
            DType::F8E5M2 => 57344.0,
        }
    }

    /// `x` rounded to this type, to nearest, ties to even.
    ///
    /// Types narrower than f32 round the f32 nearest to `x`, as torch does with a Python number.
    #[inline]
    pub fn round(self, x: f64) -> f64 {
        match self {
            DType::F32 => x as f32 as f64,
            DType::F64 => x,
            DType::F16 => f16::from_f32(x as f32).to_f64(),
            DType::BF16 => bf16::from_f32(x as f32).to_f64(),
            DType::F8E4M3 => F8E4M3::from_f64(x).to_f64(),
            DType::F8E5M2 => F8E5M2::from_f64(x).to_f64(),
        }
    }

    /// The next value of this type above a finite `x` of this type.
    pub(crate) fn next_up(self, x: f64) -> f64 {
        match self {
            DType::F32 => (x as f32).next_up() as f64,
            DType::F64 => x.next_up(),
            DType::F16 => f16::from_bits(bits_above(f16::from_f64(x).to_bits())).to_f64(),
            DType::BF16 => bf16::from_bits(bits_above(bf16::from_f64(x).to_bits())).to_f64(),
            DType::F8E4M3 => F8E4M3::from_bits(byte_above(F8E4M3::from_f64(x).to_bits())).to_f64(),
            DType::F8E5M2 => F8E5M2::from_bits(byte_above(F8E5M2::from_f64(x).to_bits())).to_f64(),
        }
    }

    /// The next value of this type below a finite `x` of this type.
    pub(crate) fn next_down(self, x: f64) -> f64 {
        -self.next_up(-x)
    }
}

impl std::fmt::Display for DType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// The bits next above, of a float of sign and magnitude.
fn bits_above(bits: u16) -> u16 {
    match bits {
        0x8000 | 0 => 1,
        negative if negative & 0x8000 != 0 => negative - 1,
        positive => positive + 1,
    }
}

/// The same for eight bits.
fn byte_above(bits: u8) -> u8 {
    match bits {
        0x80 | 0 => 1,
        negative if negative & 0x80 != 0 => negative - 1,
        positive => positive + 1,
    }
}

mod sealed {
    pub trait Sealed: bytemuck::Pod {}
}

/// A type of value that a fill can write: `f32`, `f64`, [`half::f16`], [`half::bf16`], [`F8E4M3`] or [`F8E5M2`].
pub trait Element:
    sealed::Sealed + Copy + Default + PartialEq + PartialOrd + std::fmt::Debug + Send + Sync + 'static
{
    /// Its name at run time.
    const DTYPE: DType;

    /// The same memory with the type named at run time.
    fn values(slice: &mut [Self]) -> Values<'_>;

    /// The value, exactly.
    fn to_f64(self) -> f64;

    /// The value nearest to `x`, ties to even; narrow types round the f32 nearest to `x`, as [`DType::round`] says.
    fn from_f64(x: f64) -> Self;

    /// Writes f32 values, each rounded once to nearest, ties to even. Branch-free, for the vectorizer.
    fn store(from: &[f32], to: &mut [Self]);
}

/// A mutable slice whose element type is known at run time.
#[derive(Debug)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each variant is its type")]
pub enum Values<'a> {
    F32(&'a mut [f32]),
    F64(&'a mut [f64]),
    F16(&'a mut [f16]),
    BF16(&'a mut [bf16]),
    F8E4M3(&'a mut [F8E4M3]),
    F8E5M2(&'a mut [F8E5M2]),
}

/// Runs the same generic code on whichever slice it is: `values!(these, slice => expression)`.
macro_rules! values {
    ($values:expr, $slice:ident => $body:expr) => {
        match $values {
            $crate::dtype::Values::F32($slice) => $body,
            $crate::dtype::Values::F64($slice) => $body,
            $crate::dtype::Values::F16($slice) => $body,
            $crate::dtype::Values::BF16($slice) => $body,
            $crate::dtype::Values::F8E4M3($slice) => $body,
            $crate::dtype::Values::F8E5M2($slice) => $body,
        }
    };
}
pub(crate) use values;

impl Values<'_> {
    /// The element type.
    pub fn dtype(&self) -> DType {
        match self {
            Values::F32(_) => DType::F32,
            Values::F64(_) => DType::F64,
            Values::F16(_) => DType::F16,
            Values::BF16(_) => DType::BF16,
            Values::F8E4M3(_) => DType::F8E4M3,
            Values::F8E5M2(_) => DType::F8E5M2,
        }
    }

    /// The number of values.
    pub fn len(&self) -> usize {
        values!(self, slice => slice.len())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The same memory, borrowed for a shorter time.
    pub fn reborrow(&mut self) -> Values<'_> {
        match self {
            Values::F32(slice) => Values::F32(slice),
            Values::F64(slice) => Values::F64(slice),
            Values::F16(slice) => Values::F16(slice),
            Values::BF16(slice) => Values::BF16(slice),
            Values::F8E4M3(slice) => Values::F8E4M3(slice),
            Values::F8E5M2(slice) => Values::F8E5M2(slice),
        }
    }
}

impl sealed::Sealed for f32 {}
impl Element for f32 {
    const DTYPE: DType = DType::F32;

    fn values(slice: &mut [Self]) -> Values<'_> {
        Values::F32(slice)
    }

    fn to_f64(self) -> f64 {
        self.into()
    }

    #[inline(always)]
    fn from_f64(x: f64) -> Self {
        x as f32
    }

    #[inline(always)]
    fn store(from: &[f32], to: &mut [Self]) {
        to.copy_from_slice(from);
    }
}

impl sealed::Sealed for f64 {}
impl Element for f64 {
    const DTYPE: DType = DType::F64;

    fn values(slice: &mut [Self]) -> Values<'_> {
        Values::F64(slice)
    }

    fn to_f64(self) -> f64 {
        self
    }

    #[inline(always)]
    fn from_f64(x: f64) -> Self {
        x
    }

    #[inline(always)]
    fn store(from: &[f32], to: &mut [Self]) {
        for (to, from) in to.iter_mut().zip(from) {
            *to = (*from).into();
        }
    }
}

impl sealed::Sealed for f16 {}
impl Element for f16 {
    const DTYPE: DType = DType::F16;

    fn values(slice: &mut [Self]) -> Values<'_> {
        Values::F16(slice)
    }

    fn to_f64(self) -> f64 {
        self.into()
    }

    #[inline(always)]
    fn from_f64(x: f64) -> Self {
        f16::from_bits(f16_bits(x as f32))
    }

    #[inline(always)]
    fn store(from: &[f32], to: &mut [Self]) {
        for (to, from) in to.iter_mut().zip(from) {
            *to = f16::from_bits(f16_bits(*from));
        }
    }
}

impl sealed::Sealed for bf16 {}
impl Element for bf16 {
    const DTYPE: DType = DType::BF16;

    fn values(slice: &mut [Self]) -> Values<'_> {
        Values::BF16(slice)
    }

    fn to_f64(self) -> f64 {
        self.into()
    }

    #[inline(always)]
    fn from_f64(x: f64) -> Self {
        bf16::from_bits(bf16_bits(x as f32))
    }

    #[inline(always)]
    fn store(from: &[f32], to: &mut [Self]) {
        for (to, from) in to.iter_mut().zip(from) {
            *to = bf16::from_bits(bf16_bits(*from));
        }
    }
}

/// Bits of the bf16 nearest to `x`, ties to even; a NaN becomes the quiet one of its sign.
#[inline(always)]
pub(crate) fn bf16_bits(x: f32) -> u16 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16;
    let nan = (bits >> 16) | 0x40;
    (if bits & 0x7fff_ffff > 0x7f80_0000 { nan } else { rounded }) as u16
}

/// Bits of the f16 nearest to `x`, ties to even; a NaN becomes the quiet one of its sign.
///
/// Below 2^-14 an f16 is subnormal: adding 1/2 to |x| lets the f32 adder round at 2^-24, the subnormal step, and
/// leaves the answer in the low bits. Above, rounding is an integer addition at bit 13, as for bf16; 2^16 less the
/// half step and more becomes infinite.
#[inline(always)]
pub(crate) fn f16_bits(x: f32) -> u16 {
    let bits = x.to_bits();
    let sign = (bits >> 16) & 0x8000;
    let magnitude = bits & 0x7fff_ffff;
    let subnormal = (f32::from_bits(magnitude) + 0.5).to_bits().wrapping_sub(0.5f32.to_bits());
    let rounded =
        magnitude.wrapping_add(0xfff + ((magnitude >> 13) & 1)).wrapping_sub((127 - 15) << 23) >> 13;
    let normal = if magnitude >= 0x477f_f000 { 0x7c00 } else { rounded };
    let finite = if magnitude < 0x3880_0000 { subnormal } else { normal };
    (sign | if magnitude > 0x7f80_0000 { 0x7e00 } else { finite }) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_and_its_neighbours_round_as_the_half_crate_rounds() {
        for bits in 0..=u16::MAX {
            for value in [f16::from_bits(bits).to_f32(), bf16::from_bits(bits).to_f32()] {
                // Each representable value, the midpoints to its neighbours, and one f32 step to either side.
                for offset in [0i32, 1, -1, 0x0fff, 0x1000, 0x1001, 0x7fff, 0x8000, 0x8001, 0x1fff] {
                    let x = f32::from_bits(value.to_bits().wrapping_add_signed(offset));
                    if x.is_nan() {
                        assert!(
                            f16::from_bits(f16_bits(x)).is_nan() && bf16::from_bits(bf16_bits(x)).is_nan()
                        );
                        continue;
                    }
                    assert_eq!(f16_bits(x), f16::from_f32_const(x).to_bits(), "f16({x:e})");
                    assert_eq!(bf16_bits(x), bf16::from_f32(x).to_bits(), "bf16({x:e})");
                }
            }
        }
    }

    #[test]
    fn neighbours_are_adjacent() {
        for dtype in DType::ALL {
            for x in [0.0, 1.0, -1.0, 0.5, -2.0, 3.0] {
                let up = dtype.next_up(x);
                assert!(up > x && dtype.round(up) == up && dtype.next_down(up) == x, "{dtype} {x} {up}");
                let middle = x + (up - x) / 2.0;
                assert!(
                    middle == x || middle == up || {
                        let r = dtype.round(middle);
                        r == x || r == up
                    }
                );
            }
        }
    }

    #[test]
    fn names_round_trip() {
        for dtype in DType::ALL {
            assert_eq!(dtype.name().parse(), Ok(dtype));
        }
        assert_eq!("torch.bfloat16".parse(), Ok(DType::BF16));
        assert_eq!("torch.float8_e4m3fn".parse(), Ok(DType::F8E4M3));
        assert_eq!("F8_E5M2".parse(), Ok(DType::F8E5M2));
        assert!("int8".parse::<DType>().is_err());
    }
}
