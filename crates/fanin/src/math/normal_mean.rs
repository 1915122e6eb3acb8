//! The mean of a function of a standard normal variate, by quadrature with a fixed order of operations.

/// The positive nodes of the Gauss-Legendre rule with eight points on [-1, 1], each with its weight. The negative nodes
/// have the same weights.
const GAUSS_LEGENDRE: [(f64, f64); 4] = [
    (0.183_434_642_495_649_8, 0.362_683_783_378_362),
    (0.525_532_409_916_329, 0.313_706_645_877_887_3),
    (0.796_666_477_413_626_7, 0.222_381_034_453_374_48),
    (0.960_289_856_497_536_3, 0.101_228_536_290_376_26),
];

/// The upper bound of the integration interval. The lower bound is `-REACH`. Outside the interval, the standard normal
/// density is less than 1e-40.
const REACH: i32 = 14;

/// Returns E[f(z)], the mean of `f(z)` for z ~ N(0, 1), by adaptive Gauss-Legendre quadrature.
///
/// The integration interval (see [`REACH`]) is divided into panels of width 1/2. A panel is split in half until the
/// integral over the panel agrees with the sum of the integrals over both halves.
pub(crate) fn normal_mean(f: impl Fn(f64) -> f64) -> f64 {
    let weighted = |z: f64| f(z) * (libm::exp(-z * z / 2.0) / std::f64::consts::TAU.sqrt());
    let panel = |low: f64, high: f64| {
        let (middle, half) = ((low + high) / 2.0, (high - low) / 2.0);
        half * GAUSS_LEGENDRE
            .iter()
            .map(|(x, w)| w * (weighted(middle - half * x) + weighted(middle + half * x)))
            .sum::<f64>()
    };
    // After this number of panels, no further panel is split. The number is enough for about thirty kinks. Without a
    // limit, a function that is nowhere smooth would take very long.
    let mut budget = 20_000;
    let mut sum = 0.0;
    for k in -2 * REACH..2 * REACH {
        let (low, high) = (f64::from(k) / 2.0, f64::from(k + 1) / 2.0);
        let mut pending = vec![(low, high, panel(low, high), 0)];
        while let Some((low, high, whole, depth)) = pending.pop() {
            let middle = (low + high) / 2.0;
            let (left, right) = (panel(low, middle), panel(middle, high));
            let close = (left + right - whole).abs() <= 1e-15 + 1e-14 * (left.abs() + right.abs());
            budget -= 1;
            if close || depth == 48 || budget < 0 || !whole.is_finite() {
                sum += left + right;
            } else {
                pending.push((middle, high, right, depth + 1));
                pending.push((low, middle, left, depth + 1));
            }
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_of_powers_and_of_functions_with_kinks_and_steps_are_accurate() {
        for (found, expected) in [
            (normal_mean(|_| 1.0), 1.0),
            (normal_mean(|z| z * z), 1.0),
            (normal_mean(|z| z * z * z * z), 3.0),
            (normal_mean(|z| z.abs()), (2.0 / std::f64::consts::PI).sqrt()),
            (normal_mean(|z| if z > 0.3 { 1.0 } else { 0.0 }), 0.382_088_577_811_047_3),
        ] {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
    }
}
