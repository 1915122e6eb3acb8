//! Computes with the values that a type can represent. The rounding interval of a stored value is the set of real
//! numbers that are rounded to it.

use fanin::half::{bf16, f16};
use fanin::{DType, Element as _, F8E4M3, F8E5M2};

/// Returns the neighbours of `x` in a type: the next smaller and the next larger value. `x` must be a finite value of
/// the type.
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

/// Like [`neighbours`], for the bits of a 16-bit type. `to_f64` converts bits to a value.
fn neighbours_16_bit(bits: u16, to_f64: impl Fn(u16) -> f64) -> (f64, f64) {
    let (sign, magnitude) = (bits & 0x8000, bits & 0x7fff);
    let away_from_zero = to_f64(sign | (magnitude + 1));
    // The two neighbours of zero are the smallest positive value and the negative of that value.
    let towards_zero = if magnitude == 0 { -away_from_zero } else { to_f64(sign | (magnitude - 1)) };
    (away_from_zero.min(towards_zero), away_from_zero.max(towards_zero))
}

/// Like [`neighbours`], for the bits of an 8-bit type. `to_f64` converts bits to a value.
///
/// In e4m3fn, NaN follows the largest value, 448. The function returns 480 in its place: as far from 448 as the other
/// neighbour, 416.
fn neighbours_8_bit(bits: u8, to_f64: impl Fn(u8) -> f64) -> (f64, f64) {
    let (sign, magnitude) = (bits & 0x80, bits & 0x7f);
    let value = to_f64(bits);
    let towards_zero = if magnitude == 0 { -to_f64(sign | 1) } else { to_f64(sign | (magnitude - 1)) };
    let next = to_f64(sign | (magnitude + 1));
    let away_from_zero = if next.is_nan() { value + (value - towards_zero) } else { next };
    (away_from_zero.min(towards_zero), away_from_zero.max(towards_zero))
}

/// Returns the two ends of the rounding interval of `x`. They are half-way to the neighbours of `x`. For f64, both ends
/// are `x` itself.
pub(crate) fn rounding_interval(dtype: DType, x: f64) -> (f64, f64) {
    let (below, above) = neighbours(dtype, x);
    if dtype == DType::F64 { (x, x) } else { (below / 2.0 + x / 2.0, x / 2.0 + above / 2.0) }
}

/// Returns the machine epsilon of a type: the distance from 1 to the next larger value.
pub(crate) fn epsilon(dtype: DType) -> f64 {
    neighbours(dtype, 1.0).1 - 1.0
}

/// Returns the smallest magnitude that is rounded to infinity. There are two exceptions. For e4m3fn, returns infinity,
/// because this type rounds all numbers above its largest value, 448, to 448. For f64, returns the largest finite f64
/// number, because the smallest magnitude that is rounded to infinity, 2^1024 - 2^970, is not an f64 number.
pub(crate) fn overflow(dtype: DType) -> f64 {
    match dtype {
        DType::F8E4M3 => f64::INFINITY,
        DType::F64 => f64::MAX,
        _ => {
            let largest = dtype.largest();
            largest + (largest - neighbours(dtype, largest).0) / 2.0
        }
    }
}

/// Divides the interval `from..to` into cells. Returns a pair for each cell: a value of the type as the
/// representative of the cell, and the bounds of the cell.
///
/// Where adjacent values of the type are at most `step` apart, a cell is about `step` wide and may contain several
/// values. Elsewhere, each value has its own cell: the interval of the numbers that are rounded to the value.
pub(crate) fn cells(dtype: DType, (from, to): (f64, f64), step: f64) -> Vec<(f64, (f64, f64))> {
    let largest = dtype.largest();
    let last = dtype.round(to.min(largest));
    let mut values = vec![dtype.round(from.max(-largest))];
    while let Some(&x) = values.last().filter(|x| **x < last) {
        // The sum with 0 turns -0 into 0.
        values.push(neighbours(dtype, x).1.max(dtype.round(x + step)).min(last) + 0.0);
    }
    let end = |x: f64, side: f64| {
        if dtype == DType::F8E4M3 && x.abs() == largest {
            f64::INFINITY * side
        } else {
            rounded_end(dtype, x, side)
        }
    };
    let cell = |k: usize| {
        let x = values[k];
        let below = if k == 0 { end(x, -1.0) } else { values[k - 1] / 2.0 + x / 2.0 };
        let above = values.get(k + 1).map_or_else(|| end(x, 1.0), |next| x / 2.0 + next / 2.0);
        (x, (below, above))
    };
    (0..values.len()).map(cell).collect()
}

/// Returns one end of the rounding interval of `x`: the lower end if `side` is -1, and the upper end if `side` is 1.
fn rounded_end(dtype: DType, x: f64, side: f64) -> f64 {
    let (below, above) = rounding_interval(dtype, x);
    if side < 0.0 { below } else { above }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_the_adjacent_values() {
        for dtype in [DType::F16, DType::BF16, DType::F8E4M3, DType::F8E5M2] {
            let largest = dtype.largest();
            let all: Vec<f64> = cells(dtype, (-largest, largest), 0.0).iter().map(|(x, _)| *x).collect();
            let zeros = all.iter().filter(|x| **x == 0.0).count();
            assert_eq!((all[0], all[all.len() - 1], zeros), (-largest, largest, 1), "{dtype}");
            for pair in all.windows(2) {
                assert_eq!(neighbours(dtype, pair[0]).1, pair[1]);
                assert_eq!(neighbours(dtype, pair[1]).0, pair[0]);
            }
        }
        assert_eq!(rounding_interval(DType::BF16, 1.0), (1.0 - 2f64.powi(-9), 1.0 + 2f64.powi(-8)));
        assert_eq!(rounding_interval(DType::F32, 1.0), (1.0 - 2f64.powi(-25), 1.0 + 2f64.powi(-24)));
    }
}
