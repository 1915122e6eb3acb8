//! The values that a dtype can represent. A stored value stands for its rounding interval: all real numbers that round
//! to it.

use fanin::half::{bf16, f16};
use fanin::{DType, Element as _, F8E4M3, F8E5M2};

/// Returns the neighbours of `x` in the dtype: the next smaller and the next larger value. `x` must be a finite value
/// of the dtype.
pub(crate) fn neighbours(dtype: DType, x: f64) -> (f64, f64) {
    match dtype {
        DType::F64 => (x.next_down(), x.next_up()),
        DType::F16 => neighbours_16_bit(f16::from_f64(x).to_bits(), |bits| f16::from_bits(bits).to_f64()),
        DType::BF16 => neighbours_16_bit(bf16::from_f64(x).to_bits(), |bits| bf16::from_bits(bits).to_f64()),
        DType::F8E4M3 => {
            neighbours_8_bit(F8E4M3::from_f64(x).to_bits(), |bits| F8E4M3::from_bits(bits).to_f64())
        }
        DType::F8E5M2 => {
            neighbours_8_bit(F8E5M2::from_f64(x).to_bits(), |bits| F8E5M2::from_bits(bits).to_f64())
        }
        _ => ((x as f32).next_down().into(), (x as f32).next_up().into()),
    }
}

/// Returns the neighbours of the value with these 16 bits (sign and magnitude): the next smaller and the next larger
/// value. `to_f64` converts bits to a value.
fn neighbours_16_bit(bits: u16, to_f64: impl Fn(u16) -> f64) -> (f64, f64) {
    let (sign, magnitude) = (bits & 0x8000, bits & 0x7fff);
    let away_from_zero = to_f64(sign | (magnitude + 1));
    // The two neighbours of zero are the smallest positive value and the negative of that value.
    let towards_zero = if magnitude == 0 { -away_from_zero } else { to_f64(sign | (magnitude - 1)) };
    (away_from_zero.min(towards_zero), away_from_zero.max(towards_zero))
}

/// Returns the neighbours of the value with these 8 bits (sign and magnitude): the next smaller and the next larger
/// value. `to_f64` converts bits to a value.
///
/// In e4m3fn, the value of the largest magnitude has only one finite neighbour, because the next bit pattern is NaN. In
/// place of NaN, the function returns a number at the same distance on the other side of the value.
fn neighbours_8_bit(bits: u8, to_f64: impl Fn(u8) -> f64) -> (f64, f64) {
    let (sign, magnitude) = (bits & 0x80, bits & 0x7f);
    let value = to_f64(bits);
    let towards_zero = if magnitude == 0 { -to_f64(1) } else { to_f64(sign | (magnitude - 1)) };
    let next = to_f64(sign | (magnitude + 1));
    let away_from_zero = if next.is_nan() { value + (value - towards_zero) } else { next };
    (away_from_zero.min(towards_zero), away_from_zero.max(towards_zero))
}

/// Returns the ends of the interval of real numbers that round to `x`: half-way to the value below, and half-way to the
/// value above. For f64, both ends are `x` itself.
pub(crate) fn rounding_interval(dtype: DType, x: f64) -> (f64, f64) {
    let (below, above) = neighbours(dtype, x);
    if dtype == DType::F64 { (x, x) } else { ((below + x) / 2.0, (x + above) / 2.0) }
}

/// Returns the distance from 1 to the next larger value of the dtype (its machine epsilon).
pub(crate) fn epsilon(dtype: DType) -> f64 {
    neighbours(dtype, 1.0).1 - 1.0
}

/// Returns all finite values of a dtype of 16 or 8 bits in ascending order. Zero occurs once. Returns an empty vector
/// for wider dtypes.
pub(crate) fn values(dtype: DType) -> Vec<f64> {
    let to_f64: fn(u16) -> f64 = match dtype {
        DType::F16 => |bits| f16::from_bits(bits).to_f64(),
        DType::BF16 => |bits| bf16::from_bits(bits).to_f64(),
        DType::F8E4M3 => |bits| F8E4M3::from_bits(bits as u8).to_f64(),
        DType::F8E5M2 => |bits| F8E5M2::from_bits(bits as u8).to_f64(),
        _ => return Vec::new(),
    };
    let end = if dtype.size() == 1 { 0x80 } else { 0x8000 };
    let positive: Vec<f64> = (1..end).map(to_f64).take_while(|x| x.is_finite()).collect();
    positive.iter().rev().map(|x| -x).chain([0.0]).chain(positive.iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_the_adjacent_values() {
        for dtype in [DType::F16, DType::BF16, DType::F8E4M3, DType::F8E5M2] {
            let all = values(dtype);
            for pair in all.windows(2) {
                assert_eq!(neighbours(dtype, pair[0]).1, pair[1]);
                assert_eq!(neighbours(dtype, pair[1]).0, pair[0]);
            }
        }
        assert_eq!(rounding_interval(DType::BF16, 1.0), (1.0 - 2f64.powi(-9), 1.0 + 2f64.powi(-8)));
        assert_eq!(rounding_interval(DType::F32, 1.0), (1.0 - 2f64.powi(-25), 1.0 + 2f64.powi(-24)));
    }
}
