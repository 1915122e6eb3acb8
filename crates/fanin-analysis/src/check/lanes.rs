//! Sums and extremes of many values. Separate partial results allow the compiler to use SIMD instructions.

const LANES: usize = 8;

/// Returns the smallest value, the largest value and the smallest magnitude of finite values.
pub(crate) fn extremes(values: &[f64]) -> (f64, f64, f64) {
    // Unlike `f64::min` and `f64::max`, these closures do not handle NaN. The compiler therefore makes a single
    // instruction of each.
    let least = |a: f64, b: f64| if b < a { b } else { a };
    let most = |a: f64, b: f64| if b > a { b } else { a };
    let (mut min, mut max) = ([f64::INFINITY; LANES], [f64::NEG_INFINITY; LANES]);
    let mut magnitude = min;
    let mut add = |k: usize, x: f64| {
        min[k] = least(min[k], x);
        max[k] = most(max[k], x);
        magnitude[k] = least(magnitude[k], x.abs());
    };
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks {
        (0..LANES).for_each(|k| add(k, chunk[k]));
    }
    rest.iter().for_each(|x| add(0, *x));
    let smallest = |lanes: [f64; LANES]| lanes.into_iter().fold(f64::INFINITY, f64::min);
    (smallest(min), max.into_iter().fold(f64::NEG_INFINITY, f64::max), smallest(magnitude))
}

/// Returns the sum of a function of the values.
pub(crate) fn sum_of(values: &[f64], function: impl Fn(f64) -> f64) -> f64 {
    let mut sums = [0.0; LANES];
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks {
        for k in 0..LANES {
            sums[k] += function(chunk[k]);
        }
    }
    sums.iter().sum::<f64>() + rest.iter().map(|x| function(*x)).sum::<f64>()
}

/// Returns the sum of a function of each value and the next one. `values` must not be empty.
pub(crate) fn sum_of_pairs(values: &[f64], function: impl Fn(f64, f64) -> f64) -> f64 {
    let mut sums = [0.0; LANES];
    let (firsts, first_rest) = values[..values.len() - 1].as_chunks::<LANES>();
    let (seconds, second_rest) = values[1..].as_chunks::<LANES>();
    for (first, second) in firsts.iter().zip(seconds) {
        for k in 0..LANES {
            sums[k] += function(first[k], second[k]);
        }
    }
    let rest = first_rest.iter().zip(second_rest);
    sums.iter().sum::<f64>() + rest.map(|(first, second)| function(*first, *second)).sum::<f64>()
}
