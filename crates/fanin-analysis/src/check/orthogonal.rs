//! Whether a matrix is orthogonal, without its Gram matrix: Q Q^T v = gain^2 v for random v.
//!
//! With entries +-1 in v the expected squared length of (Q Q^T - gain^2) v is the squared Frobenius norm of that matrix,
//! so nothing that is not orthogonal hides from a few of them. Two passes over the values, memory for some vectors.
//!
//! A matrix may be orthogonal and not drawn: the identity, a permutation, blocks. [`Entries`] holds the entries against
//! those of a matrix drawn by Haar's measure, with p-values that are exact or too large, as in `sample`. Below, n is the
//! longer side, N the number of entries, and the gain is 1.
//! - Exact zeros: an entry squared is Beta(1/2, (n - 1)/2), which says how many round to zero. What computes them ends in
//!   a difference of numbers below 1, so up to 2^-24 either side may become zero too. Their number is Poisson's.
//! - The greatest entry: N times the chance of one, by Boole's inequality. Permutations, nearly so, have it near 1.
//! - The sum of absolute values F, which is least where few entries hold all. Its mean is N times that of one entry,
//!   Gamma(n/2) / (sqrt(pi) Gamma((n + 1)/2)). It changes by at most sqrt(N) times the change of the matrix in Frobenius'
//!   norm (Cauchy-Schwarz), and the Ricci curvature of SO(n) is (n - 2)/4 in that metric; so by Bakry and Emery's
//!   logarithmic Sobolev inequality and Herbst's argument (Meckes, "The Random Matrix Theory of the Classical Compact
//!   Groups", 2019, chapter 5) P(|F - E F| > t) <= 2 exp(-(n - 2) t^2 / (8 N)). With an alarm in 1e6 that is 13 / sqrt(N)
//!   of the mean: two equal blocks, or half of the entries nearly zero, take 29 % away, which shows from some 2000 entries
//!   on. What rounding of each entry may add is taken off first.

use fanin::DType;
use statrs::function::{beta::beta_reg, gamma};

use super::grid;
use super::sample::Outcome;
use super::tensor_view::TensorView;
use crate::error::Result;
use crate::inspect::spectrum::sign;

/// How many vectors are tried.
const VECTORS: usize = 4;

/// The greatest departure from orthogonality that rounding to the type explains, with room to spare.
pub fn tolerance(dtype: DType) -> f64 {
    match dtype {
        DType::F64 => 1e-10,
        DType::F16 => 4e-3,
        DType::BF16 => 2e-2,
        // Of three bits or two little can be said, and small entries are none: the multiple of bf16's is as coarse as they.
        DType::F8E4M3 => 0.6,
        DType::F8E5M2 => 0.9,
        _ => 1e-4,
    }
}

/// |(Q Q^T - gain^2) v| / (gain^2 |v|), the greatest of a few random v; of a tall matrix that of its transpose.
///
/// # Errors
/// If the file cannot be read.
pub fn departure(view: &TensorView<'_>, gain: f64) -> Result<f64> {
    let shape = view.shape();
    let (rows, columns) = (shape[0], shape[1..].iter().product::<usize>());
    let (short, long) = (rows.min(columns), rows.max(columns));
    let v: Vec<[f64; VECTORS]> =
        (0..short).map(|n| std::array::from_fn(|k| sign((k * short + n) as u64))).collect();
    let product = |from: &[[f64; VECTORS]], size: usize, down: bool| -> Result<Vec<[f64; VECTORS]>> {
        let mut to = vec![[0.0; VECTORS]; size];
        let (mut row, mut column) = (0, 0);
        view.values(|values| {
            for &x in values {
                let (source, target) = if down { (row, column) } else { (column, row) };
                for k in 0..VECTORS {
                    to[target][k] += from[source][k] * x;
                }
                column += 1;
                if column == columns {
                    (row, column) = (row + 1, 0);
                }
            }
        })?;
        Ok(to)
    };
    let wide = rows <= columns;
    let there = product(&v, long, wide)?;
    let back = product(&there, short, !wide)?;
    let square = gain * gain;
    let departure = |k: usize| {
        let squares: f64 = back.iter().zip(&v).map(|(u, v)| (u[k] / square - v[k]).powi(2)).sum();
        (squares / short as f64).sqrt()
    };
    // A NaN must not be lost in a maximum.
    Ok((0..VECTORS).map(departure).fold(0.0, |a, b| if b > a || b.is_nan() { b } else { a }))
}

/// What is gathered of the entries.
#[derive(Debug, Default)]
pub struct Entries {
    count: u64,
    zeros: u64,
    sum: f64,
    greatest: f64,
}

impl Entries {
    /// Takes in more entries.
    pub fn add(&mut self, values: &[f64]) {
        self.count += values.len() as u64;
        for x in values.iter().map(|x| x.abs()) {
            self.zeros += u64::from(x == 0.0);
            self.sum += x;
            self.greatest = self.greatest.max(x);
        }
    }

    /// Tests them against those of a matrix of this shape drawn by Haar's measure, times the gain.
    pub fn tests(&self, shape: &[usize], gain: f64, dtype: DType) -> Vec<Outcome> {
        let long = shape[0].max(shape[1..].iter().product());
        let gain = gain.abs();
        // In one dimension there is nothing to draw but a sign.
        if long < 2 {
            return Vec::new();
        }
        let (count, n) = (self.count as f64, long as f64);
        let beyond = |x: f64| {
            let rest = 1.0 - (x / gain).powi(2);
            if rest <= 0.0 { 0.0 } else { beta_reg((n - 1.0) / 2.0, 0.5, rest.min(1.0)) }
        };
        // Half of a value's last place, as a part of it; the least value above zero.
        let round = (grid::neighbours(dtype, 1.0).1 - 1.0) / 2.0;
        let least = grid::neighbours(dtype, 0.0).1;
        let expected = count * (1.0 - beyond(least / 2.0 + gain * 2f64.powi(-24)));
        let zeros = self.zeros as f64;
        let p = if self.zeros == 0 { 1.0 } else { gamma::gamma_lr(zeros, expected.max(1e-300)) };
        let text =
            format!("{} of {} entries are exactly 0, expected are {expected:.1}", self.zeros, self.count);
        let mut all = vec![Outcome { test: "zeros", p, text }];
        let text = format!(
            "greatest entry {:.4e}, of a matrix drawn by chance with {long} entries a line",
            self.greatest
        );
        let p = count * beyond(self.greatest * (1.0 - round) - least / 2.0);
        all.push(Outcome { test: "outlier", p: p.clamp(0.0, 1.0), text });
        if long > 2 {
            let one = (gamma::ln_gamma(n / 2.0) - gamma::ln_gamma((n + 1.0) / 2.0)).exp();
            let right = count * one / std::f64::consts::PI.sqrt();
            let found = self.sum / gain;
            let away = ((found - right).abs() - round * right - count * least / gain / 2.0).max(0.0);
            let p = 2.0 * (-(n - 2.0) * away * away / (8.0 * count)).exp();
            let text = format!(
                "mean absolute entry {:.4e}, {:+.1} % off that of a matrix drawn by chance: blocks, or zeros nearly?",
                self.sum / count,
                (found / right - 1.0) * 100.0
            );
            all.push(Outcome { test: "distribution", p: p.clamp(0.0, 1.0), text });
        }
        all
    }
}
