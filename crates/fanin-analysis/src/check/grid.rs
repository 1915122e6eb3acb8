//! The grid of values that a type has. A value of the file stands for its cell: all reals that round to it.

use fanin::half::{bf16, f16};
use fanin::{DType, Element as _, F8E4M3, F8E5M2};

/// The values next below and above `x`, which is a finite value of the type.
pub fn neighbours(dtype: DType, x: f64) -> (f64, f64) {
    match dtype {
        DType::F64 => (x.next_down(), x.next_up()),
        DType::F16 => half(f16::from_f64(x).to_bits(), |bits| f16::from_bits(bits).to_f64()),
        DType::BF16 => half(bf16::from_f64(x).to_bits(), |bits| bf16::from_bits(bits).to_f64()),
        DType::F8E4M3 => eighth(F8E4M3::from_f64(x).to_bits(), |bits| F8E4M3::from_bits(bits).to_f64()),
        DType::F8E5M2 => eighth(F8E5M2::from_f64(x).to_bits(), |bits| F8E5M2::from_bits(bits).to_f64()),
        _ => ((x as f32).next_down().into(), (x as f32).next_up().into()),
    }
}

/// The same for 16 bits of sign and magnitude.
fn half(bits: u16, wide: impl Fn(u16) -> f64) -> (f64, f64) {
    let (sign, magnitude) = (bits & 0x8000, bits & 0x7fff);
    let away = wide(sign | (magnitude + 1));
    // Zero's neighbour on the other side is the least value of the other sign.
    let back = if magnitude == 0 { -away } else { wide(sign | (magnitude - 1)) };
    (away.min(back), away.max(back))
}

/// The same for 8 bits. e4m3fn has a NaN where its next value would be: its step goes on.
fn eighth(bits: u8, wide: impl Fn(u8) -> f64) -> (f64, f64) {
    let (sign, magnitude) = (bits & 0x80, bits & 0x7f);
    let here = wide(bits);
    let back = if magnitude == 0 { -wide(1) } else { wide(sign | (magnitude - 1)) };
    let next = wide(sign | (magnitude + 1));
    let away = if next.is_nan() { here + (here - back) } else { next };
    (away.min(back), away.max(back))
}

/// The reals that round to `x`: from half-way to the value below to half-way to the one above.
pub fn cell(dtype: DType, x: f64) -> (f64, f64) {
    let (below, above) = neighbours(dtype, x);
    if dtype == DType::F64 { (x, x) } else { ((below + x) / 2.0, (x + above) / 2.0) }
}

/// All finite values of a type of 16 or 8 bits, ascending, zero once; nothing for wider types.
pub fn values(dtype: DType) -> Vec<f64> {
    let wide: fn(u16) -> f64 = match dtype {
        DType::F16 => |bits| f16::from_bits(bits).to_f64(),
        DType::BF16 => |bits| bf16::from_bits(bits).to_f64(),
        DType::F8E4M3 => |bits| F8E4M3::from_bits(bits as u8).to_f64(),
        DType::F8E5M2 => |bits| F8E5M2::from_bits(bits as u8).to_f64(),
        _ => return Vec::new(),
    };
    let end = if dtype.size() == 1 { 0x80 } else { 0x8000 };
    let positive: Vec<f64> = (1..end).map(wide).take_while(|x| x.is_finite()).collect();
    positive.iter().rev().map(|x| -x).chain([0.0]).chain(positive.iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_follow_one_another() {
        for dtype in [DType::F16, DType::BF16, DType::F8E4M3, DType::F8E5M2] {
            let all = values(dtype);
            for pair in all.windows(2) {
                assert_eq!(neighbours(dtype, pair[0]).1, pair[1]);
                assert_eq!(neighbours(dtype, pair[1]).0, pair[0]);
            }
        }
        assert_eq!(cell(DType::BF16, 1.0), (1.0 - 2f64.powi(-9), 1.0 + 2f64.powi(-8)));
        assert_eq!(cell(DType::F32, 1.0), (1.0 - 2f64.powi(-25), 1.0 + 2f64.powi(-24)));
    }
}
