//! Statistical tests of the distributions, with fixed seeds. Most samples have 1,000,000 values.
//!
//! Each Kolmogorov-Smirnov test has the significance level 1e-4 (D * sqrt(n) < 2.2253). This file has about a hundred
//! of these tests, so a correct stream fails for about 1 % of all seeds. The seeds are fixed, so a failure means that
//! the stream has changed.
//!
//! Other tests check what a Kolmogorov-Smirnov test does not detect: errors in the tails, in the number of distinct
//! values, in the number of values at a bound, or in the number of zeros.

mod common;

use common::filled;
use fanin::{DType, Native};
use statrs::distribution::{ContinuousCDF, Normal};

/// The number of values of a sample.
const N: usize = 1_000_000;
/// The quantile of the Kolmogorov distribution at 1 - 1e-4.
const KS: f64 = 2.2253;

/// Returns P(Z <= z) for a standard normal variable Z.
fn standard(z: f64) -> f64 {
    // For z <= 0, the result has full relative precision. For z > 0, its absolute error is about 1e-16.
    if z > 0.0 { 1.0 - libm::erfc(z / 2f64.sqrt()) / 2.0 } else { libm::erfc(-z / 2f64.sqrt()) / 2.0 }
}

/// Returns sqrt(n) times the largest distance between the empirical distribution function of `sample` and `cdf`.
fn distance(mut sample: Vec<f64>, cdf: impl Fn(f64) -> f64) -> f64 {
    sample.sort_by(f64::total_cmp);
    let n = sample.len() as f64;
    let mut worst = 0f64;
    let mut at = 0;
    while at < sample.len() {
        // Values of a narrow type are often equal. `cdf` is therefore compared with the empirical distribution function
        // just below and at each distinct value.
        let end = at + sample[at..].partition_point(|&x| x == sample[at]);
        let p = cdf(sample[at]);
        worst = worst.max((p - at as f64 / n).abs()).max((end as f64 / n - p).abs());
        at = end;
    }
    worst * n.sqrt()
}

/// Returns `N` values of a spec from the native stream, with a fixed seed.
fn draw(spec: &str, dtype: DType) -> Vec<f64> {
    filled(spec, &[N], dtype, &mut Native::new(2026).tensor(spec)).to_f64()
}

/// Returns the number of distinct values.
fn distinct(sample: &[f64]) -> usize {
    let mut bits: Vec<u64> = sample.iter().map(|x| x.to_bits()).collect();
    bits.sort_unstable();
    bits.dedup();
    bits.len()
}

#[test]
fn uniform_values_have_their_distribution() {
    for (low, high) in [(0.0, 1.0), (-0.1, 0.1), (-0.3, 0.7), (1.0, 1.5)] {
        for dtype in [DType::F32, DType::F64] {
            let sample = draw(&format!("uniform({low}, {high})"), dtype);
            assert!(sample.iter().all(|&x| low <= x && x < high));
            let d = distance(sample.clone(), |x| ((x - low) / (high - low)).clamp(0.0, 1.0));
            assert!(d < KS, "{low} {high} {dtype}: {d}");
            let different = distinct(&sample);
            // A million draws from 2^22 values give about 890,000 distinct values (birthday problem). There are 2^22
            // f32 values in [1, 1.5), and more in the other intervals. In f64, all draws are expected to be distinct.
            let least = if dtype == DType::F64 { N } else { 880_000 };
            assert!(different >= least, "{low} {high} {dtype}: {different} distinct");
        }
    }
}

#[test]
fn values_of_narrow_types_are_the_f32_values_rounded_once() {
    for spec in [
        "uniform",
        "uniform(-0.3, 0.7)",
        "normal(0.1, 0.3)",
        "trunc_normal",
        "trunc_normal(a=2, b=3)",
        "trunc_normal(std=0.02, a=-0.041, b=0.041)",
    ] {
        let wide = draw(spec, DType::F32);
        for dtype in [DType::F16, DType::BF16, DType::F8E4M3, DType::F8E5M2] {
            for (wide, narrow) in wide.iter().zip(draw(spec, dtype)) {
                assert_eq!(dtype.round(*wide), narrow, "{spec} {dtype}: {wide}");
            }
        }
    }
}

#[test]
fn each_value_of_a_narrow_type_has_the_probability_of_the_interval_that_is_rounded_to_it() {
    for dtype in [DType::F16, DType::BF16, DType::F8E4M3, DType::F8E5M2] {
        for (low, high) in [(-0.5, 0.5), (0.0, 3.0), (-0.137, 0.137), (0.3, 0.7)] {
            let mut sample = draw(&format!("uniform({low}, {high})"), dtype);
            sample.sort_by(f64::total_cmp);
            let cells: Vec<&[f64]> = sample.chunk_by(|a, b| a == b).collect();
            // Returns the upper end of a cell, which is the interval of numbers that are rounded to one value.
            let end = |cell: usize| match cells.get(cell + 1) {
                Some(next) => cells[cell][0] / 2.0 + next[0] / 2.0,
                None => high,
            };
            let (mut chi_square, mut start, mut from) = (0.0, low, 0);
            let mut degrees = 0;
            for cell in 0..cells.len() {
                // Cells are merged until the expected count is at least 100.
                let expected = (end(cell) - start) / (high - low) * N as f64;
                if expected >= 100.0 {
                    let found: usize = cells[from..=cell].iter().map(|cell| cell.len()).sum();
                    chi_square += (found as f64 - expected).powi(2) / expected;
                    (start, from, degrees) = (end(cell), cell + 1, degrees + 1);
                }
            }
            // For 5 or more degrees of freedom, `deviation` is at least 9 with a probability of at most 3.1e-6.
            let deviation = (chi_square - f64::from(degrees)) / (2.0 * f64::from(degrees)).sqrt();
            assert!(degrees > 4 && deviation < 9.0, "{dtype} {low} {high}: {chi_square} of {degrees}");
        }
    }
}

#[test]
fn normal_values_have_their_distribution_in_body_and_tails() {
    let normal = Normal::new(0.0, 1.0).unwrap();
    for (mean, std) in [(0.0, 1.0), (0.5, 0.02), (-3.0, 10.0)] {
        for dtype in [DType::F32, DType::F64] {
            let sample = draw(&format!("normal({mean}, {std})"), dtype);
            let d = distance(sample.clone(), |x| standard((x - mean) / std));
            assert!(d < KS, "{mean} {std} {dtype}: {d}");
            for beyond in [3.0, 4.0] {
                let expected = 2.0 * N as f64 * normal.cdf(-beyond);
                let found = sample.iter().filter(|&&x| ((x - mean) / std).abs() > beyond).count() as f64;
                // The count has a Poisson distribution, so five standard deviations are `5 * sqrt(expected)`.
                assert!(
                    (found - expected).abs() < 5.0 * expected.sqrt() + 1.0,
                    "{beyond}: {found} {expected}"
                );
            }
            // Distinct values are counted only if the mean is 0. With the mean 0.5 and the std 0.02, equal values are
            // common: the distance between neighbouring f32 values is 1.5e-6 to 3e-6 times the std.
            assert!(mean != 0.0 || distinct(&sample) > 880_000);
            assert!(mean != 0.0 || !sample.contains(&0.0), "a standard normal value is exactly 0");
        }
    }
}

#[test]
fn the_tails_of_f32_normal_values_have_the_expected_counts_up_to_5_7_sigma() {
    // Of 2^28 values, 10 are expected beyond 5.5 sigma, 3 beyond 5.7 sigma, and only 0.5 beyond 6 sigma.
    let plan = common::plan("normal", &[1 << 28], DType::F32).unwrap();
    let prepared = Native::new(11).tensor("tails").prepare(&plan).unwrap();
    let mut chunk = vec![0f32; 1 << 20];
    let (mut beyond, mut furthest) = ([0u32; 3], 0f32);
    for part in 0..256 {
        let tensor = fanin::TensorMut::contiguous(&mut chunk, &[1 << 20]).unwrap();
        prepared.fill_region(&[part << 20], tensor).unwrap();
        for x in &chunk {
            let x = x.abs();
            furthest = furthest.max(x);
            for (count, sigma) in beyond.iter_mut().zip([4.5, 5.0, 5.5]) {
                *count += u32::from(x > sigma);
            }
        }
    }
    for (count, sigma) in beyond.into_iter().zip([4.5f64, 5.0, 5.5]) {
        let expected = f64::from(1 << 28) * libm::erfc(sigma / 2f64.sqrt());
        assert!((f64::from(count) - expected).abs() < 5.0 * expected.sqrt(), "{sigma}: {count} {expected}");
    }
    assert!(furthest > 5.7, "{furthest}");
}

/// Returns P(X <= x) for a standard normal X truncated to [a, b]. If the middle of [a, b] is negative, the interval is
/// reflected, because `erfc` has full relative precision only in the upper tail.
fn truncated(x: f64, a: f64, b: f64) -> f64 {
    if a + b < 0.0 {
        return 1.0 - truncated(-x, -b, -a);
    }
    if a < 5.0 {
        let tail = |z: f64| libm::erfc(z / 2f64.sqrt());
        return ((tail(a) - tail(x)) / (tail(a) - tail(b))).clamp(0.0, 1.0);
    }
    // Returns P(Z > x) / P(Z > a). The quotient is computed from Mills ratios, because both probabilities underflow far
    // in the tail.
    let share = |x: f64| {
        if x == f64::INFINITY {
            return 0.0;
        }
        let mills = |z: f64| {
            // The first 59 terms of Laplace's continued fraction for the Mills ratio, evaluated from the innermost term
            // outwards.
            (1..60).rev().fold(z, |tail, k| z + f64::from(k) / tail).recip()
        };
        (-(x - a) * (x + a) / 2.0).exp() * mills(x) / mills(a)
    };
    ((1.0 - share(x)) / (1.0 - share(b))).clamp(0.0, 1.0)
}

#[test]
fn truncated_normal_values_have_their_distribution_in_every_regime() {
    let inf = f64::INFINITY;
    for (a, b) in [
        (-2.0, 2.0),
        (-3.0, 3.0),
        (-1.0, 4.0),
        (-6.0, 6.0),
        (-inf, inf),
        (-inf, 1.0),
        (2.0, 3.0),
        (2.0, inf),
        (-3.0, -2.0),
        (4.9, inf),
        (5.0, inf),
        (8.0, inf),
        (-inf, -8.0),
        (8.0, 8.001),
        (37.0, inf),
        (100.0, 100.1),
        (1.0, 1.001),
        (0.0, 0.001),
        (-0.0005, 0.0005),
        (2.0, 2.0 + 1e-6),
        (-4.0, -4.0 + 1e-9),
    ] {
        for dtype in [DType::F32, DType::F64] {
            // Far from 0, a narrow interval contains few f32 values. The mean `-shift` moves the interval to 0, where
            // f32 values are dense.
            let shift = if a.is_finite() {
                a
            } else if b.is_finite() {
                b
            } else {
                0.0
            };
            for mean in [0.0, -shift] {
                let (low, high) = (a + mean, b + mean);
                if mean == 0.0 && dtype == DType::F32 && b - a < 0.01 {
                    continue;
                }
                let sample = draw(&format!("trunc_normal(mean={mean}, std=1, a={low}, b={high})"), dtype);
                assert!(sample.iter().all(|&x| low <= x && x <= high), "{a} {b} {dtype}");
                let d = distance(sample.clone(), |x| truncated(x - mean, a, b));
                assert!(d < KS, "[{a}, {b}] from {mean} {dtype}: {d}");
                // Values less than one `step` from a bound can be rounded to the bound. For f32 near 37 sigma, the
                // probability of such a value is 1.4e-4.
                let step = |x: f64| if dtype == DType::F32 { (x as f32).next_up() as f64 - x } else { 1e-16 };
                for (bound, share) in [
                    (low, truncated(a + step(low), a, b)),
                    (high, 1.0 - truncated(b - step(high.abs()), a, b)),
                ] {
                    let piled = sample.iter().filter(|&&x| x == bound).count() as f64;
                    let expected = if bound.is_finite() { share * N as f64 } else { 0.0 };
                    let most = expected + 5.0 * expected.sqrt() + 5.0;
                    assert!(
                        piled <= most,
                        "[{a}, {b}] from {mean} {dtype}: {piled} at {bound}, at most {most}"
                    );
                }
            }
        }
    }
}

#[test]
fn moments_of_plans_agree_with_measured_moments() {
    for spec in [
        "uniform(-0.3, 0.7)",
        "normal(0.1, 0.02)",
        "trunc_normal",
        "trunc_normal(mean=1, std=0.5, a=0, b=1.2)",
        "trunc_normal(a=3, b=inf)",
        "trunc_normal(a=8, b=inf)",
        "trunc_normal(a=1, b=1.001)",
        "constant(0.25)",
    ] {
        let plan = common::plan(spec, &[N], DType::F64).unwrap();
        let sample = draw(spec, DType::F64);
        let mean = sample.iter().sum::<f64>() / N as f64;
        let variance = sample.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / N as f64;
        let error = plan.std() / (N as f64).sqrt();
        assert!((mean - plan.mean()).abs() <= 5.0 * error, "{spec}: {mean} {}", plan.mean());
        // The relative standard error of the std of n values is sqrt((kurtosis - 1) / (4 n)). For these distributions
        // and n = 1,000,000, this is at most 1.5e-3.
        assert!(
            (variance.sqrt() - plan.std()).abs() <= 5e-3 * plan.std(),
            "{spec}: {} {}",
            variance.sqrt(),
            plan.std()
        );
    }
}

#[test]
fn sparse_columns_have_the_planned_number_of_zeros_and_rows_have_equal_numbers_on_average() {
    for (rows, columns, sparsity) in
        [(100, 10_000, 0.3), (1000, 1000, 0.9), (513, 2000, 0.5), (7, 100_000, 0.4)]
    {
        let sample = filled(
            &format!("sparse({sparsity}, std=2)"),
            &[rows, columns],
            DType::F32,
            &mut Native::new(1).tensor("sparse"),
        )
        .to_f64();
        let zeros = (sparsity * rows as f64).ceil() as usize;
        let mut by_row = vec![0usize; rows];
        for column in 0..columns {
            let mut here = 0;
            for row in 0..rows {
                if sample[row * columns + column] == 0.0 {
                    here += 1;
                    by_row[row] += 1;
                }
            }
            assert_eq!(here, zeros, "column {column}");
        }
        let share = zeros as f64 / rows as f64;
        let spread = (columns as f64 * share * (1.0 - share)).sqrt();
        for (row, found) in by_row.into_iter().enumerate() {
            let off = (found as f64 - columns as f64 * share) / spread;
            assert!(off.abs() < 5.5, "row {row}: {off} standard deviations");
        }
        let values: Vec<f64> = sample.into_iter().filter(|&x| x != 0.0).collect();
        let d = distance(values, |x| standard(x / 2.0));
        assert!(d < KS, "{d}");
    }
}

#[test]
fn orthogonal_matrices_are_orthogonal() {
    for shape in [[64, 64], [200, 31], [31, 200], [300, 300], [1, 5], [5, 1]] {
        for (dtype, tolerance) in
            [(DType::F32, 4e-6), (DType::F64, 1e-14), (DType::F16, 4e-3), (DType::BF16, 3e-2)]
        {
            let gain = 1.5;
            let [rows, columns] = shape;
            let q = filled("orthogonal(1.5)", &shape, dtype, &mut Native::new(4).tensor("q")).to_f64();
            let (count, length) = (rows.min(columns), rows.max(columns));
            let entry =
                |k: usize, i: usize| if rows <= columns { q[k * columns + i] } else { q[i * columns + k] };
            for a in 0..count {
                for b in 0..=a {
                    let product: f64 = (0..length).map(|i| entry(a, i) * entry(b, i)).sum();
                    let expected = if a == b { gain * gain } else { 0.0 };
                    assert!(
                        (product - expected).abs() < tolerance * gain * gain,
                        "{shape:?} {dtype}: {product}"
                    );
                }
            }
        }
    }
}

/// Orthogonal matrices have the Haar distribution. The test measures entries, the sign of the determinant, and the
/// traces of powers of Q. The trace of Q^k is nearly normal with the variance k. Its mean is 1 for even k and 0 for odd
/// k (Diaconis and Shahshahani 1994).
#[test]
fn orthogonal_matrices_are_haar_distributed() {
    const SIZE: usize = 8;
    const TRIALS: usize = 60_000;
    let (mut entries, mut corners, mut last) = (Vec::new(), Vec::new(), Vec::new());
    let mut traces = [Vec::new(), Vec::new(), Vec::new()];
    let mut positive = 0usize;
    for trial in 0..TRIALS {
        let q =
            filled("orthogonal", &[SIZE, SIZE], DType::F64, &mut Native::new(trial as u64).tensor("haar"))
                .to_f64();
        entries.push(q[3 * SIZE + 5]);
        corners.push(q[0]);
        last.push(q[SIZE * SIZE - 1]);
        let mut power = q.clone();
        for traces in &mut traces {
            traces.push((0..SIZE).map(|k| power[k * SIZE + k]).sum::<f64>());
            let mut next = vec![0.0; SIZE * SIZE];
            for i in 0..SIZE {
                for k in 0..SIZE {
                    for j in 0..SIZE {
                        next[i * SIZE + j] += power[i * SIZE + k] * q[k * SIZE + j];
                    }
                }
            }
            power = next;
        }
        positive += usize::from(determinant(q) > 0.0);
    }
    // An entry x of an n x n Haar matrix has a density proportional to (1 - x^2)^((n - 3) / 2). So (1 + x) / 2 has the
    // distribution Beta(m, m) with m = (n - 1) / 2.
    let half = (SIZE as f64 - 1.0) / 2.0;
    let beta = statrs::distribution::Beta::new(half, half).unwrap();
    for (place, sample) in [("middle", entries), ("first", corners), ("last", last)] {
        let d = distance(sample, |x| beta.cdf(((1.0 + x) / 2.0).clamp(0.0, 1.0)));
        assert!(d < KS, "{place} entry: {d}");
    }
    for (k, sample) in (1u32..).zip(traces) {
        let n = sample.len() as f64;
        let mean = sample.iter().sum::<f64>() / n;
        let variance = sample.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / n;
        let expected = if k % 2 == 0 { 1.0 } else { 0.0 };
        assert!((mean - expected).abs() < 5.0 * (f64::from(k) / n).sqrt(), "trace of Q^{k}: mean {mean}");
        // For n values from a nearly normal distribution with variance k, the standard deviation of the sample variance
        // is about k * sqrt(2 / n).
        assert!((variance - f64::from(k)).abs() < 6.0 * f64::from(k) * (2.0 / n).sqrt(), "Q^{k}: {variance}");
    }
    let off = (positive as f64 - TRIALS as f64 / 2.0) / (TRIALS as f64 / 4.0).sqrt();
    assert!(off.abs() < 4.5, "determinant +1 in {positive} of {TRIALS}");
}

/// Returns the determinant of the row-major matrix `m`, computed by elimination with partial pivoting.
fn determinant(mut m: Vec<f64>) -> f64 {
    let n = (m.len() as f64).sqrt() as usize;
    let mut product = 1.0;
    for k in 0..n {
        let pivot = (k..n).max_by(|&a, &b| m[a * n + k].abs().total_cmp(&m[b * n + k].abs())).unwrap();
        if pivot != k {
            (0..n).for_each(|j| m.swap(k * n + j, pivot * n + j));
            product = -product;
        }
        product *= m[k * n + k];
        for i in k + 1..n {
            let factor = m[i * n + k] / m[k * n + k];
            (k..n).for_each(|j| m[i * n + j] -= factor * m[k * n + j]);
        }
    }
    product
}
