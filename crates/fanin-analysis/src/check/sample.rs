//! Whether independent values follow a distribution: what is gathered in one pass, and the tests on it.
//!
//! Every test has a p-value that is exact or too large, so a bound on it bounds the false alarms:
//! - mean and spread about the planned numbers, as normal deviates with Cramér's correction for the skewness; the spread
//!   of a normal by the chi-square distribution;
//! - Kolmogorov-Smirnov distance at 511 places of equal probability, which is at most the distance everywhere; its
//!   p-value is Massart's bound 2 exp(-2 n D^2) (1990), true for every n;
//! - the correlation of values that follow one another, which sorted or smooth ones have and drawn ones have not;
//! - least and greatest value, too far out or not far enough, by the distribution of extremes;
//! - exact zeros, by Poisson's distribution.

use fanin::{DType, Plan};
use statrs::function::{erf::erfc, gamma};

use super::distribution::{Draw, Moments};
use super::grid;

/// A distribution as the type has it, ready to be counted against.
#[derive(Debug, Clone)]
pub struct Reference {
    /// The distribution.
    pub draw: Draw,
    /// The type of the values.
    pub dtype: DType,
    /// Moments of the values.
    pub moments: Moments,
    edges: Vec<(f64, f64)>,
    /// Of equal steps from the first edge to the last, the bin in which each begins: where to look for a value's bin.
    starts: Vec<u32>,
}

impl Reference {
    /// Prepares a distribution.
    pub fn new(draw: Draw, dtype: DType) -> Self {
        const STEPS: usize = 2048;
        let edges = draw.edges(dtype);
        let mut starts = Vec::new();
        if let (Some(first), Some(last)) = (edges.first(), edges.last()) {
            let mut bin = 0;
            for k in 0..STEPS {
                let at = first.0 + (last.0 - first.0) * k as f64 / STEPS as f64;
                while bin < edges.len() && edges[bin].0 < at {
                    bin += 1;
                }
                // A conversion may round up: one bin early is never wrong.
                starts.push(u32::try_from(bin.saturating_sub(1)).unwrap_or(0));
            }
        }
        Self { draw, dtype, moments: draw.moments(dtype), edges, starts }
    }

    /// The reference of a plan's random values among those known already, made if need be; `None` as [`Draw::of`].
    pub fn known<'a>(all: &'a mut Vec<Self>, plan: &Plan) -> Option<&'a Self> {
        let (draw, dtype) = (Draw::of(plan)?, plan.dtype());
        let known = all.iter().position(|known| known.draw == draw && known.dtype == dtype);
        let known = known.unwrap_or_else(|| {
            all.push(Self::new(draw, dtype));
            all.len() - 1
        });
        all.get(known)
    }

    #[inline]
    fn bin(&self, x: f64) -> usize {
        let (Some(first), Some(last)) = (self.edges.first(), self.edges.last()) else { return 0 };
        if x < first.0 {
            return 0;
        }
        let step = (x - first.0) / (last.0 - first.0) * self.starts.len() as f64;
        let mut bin = self.starts[(step as usize).min(self.starts.len() - 1)] as usize;
        while bin < self.edges.len() && x >= self.edges[bin].0 {
            bin += 1;
        }
        bin
    }
}

/// What is gathered of the values.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Values counted: all but NaN and infinities and, of `sparse`, zeros.
    pub count: u64,
    /// NaN and infinities.
    pub wild: u64,
    /// Exact zeros.
    pub zeros: u64,
    /// The least value.
    pub min: f64,
    /// The greatest value.
    pub max: f64,
    sum: f64,
    squares: f64,
    /// Sum of the products of neighbours, each as its distance from the planned mean, and the last of these distances.
    products: f64,
    last: f64,
    bins: Vec<u64>,
    skip_zeros: bool,
}

/// The outcome of a test.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Which test.
    pub test: &'static str,
    /// How probable so great a deviation is if the distribution is right; 0 if it is impossible.
    pub p: f64,
    /// What was found, and what was expected.
    pub text: String,
}

impl Sample {
    /// Nothing gathered yet. With `skip_zeros` exact zeros are counted, and are no values.
    pub fn new(reference: &Reference, skip_zeros: bool) -> Self {
        let bins = vec![0; reference.edges.len() + 1];
        let (min, max) = (f64::INFINITY, f64::NEG_INFINITY);
        Self {
            count: 0,
            wild: 0,
            zeros: 0,
            min,
            max,
            sum: 0.0,
            squares: 0.0,
            products: 0.0,
            last: 0.0,
            bins,
            skip_zeros,
        }
    }

    /// Takes in more values, which follow those before.
    pub fn add(&mut self, reference: &Reference, values: &[f64]) {
        let (mut sum, mut squares, mut products) = (0.0, 0.0, 0.0);
        for &x in values {
            if !x.is_finite() {
                self.wild += 1;
                continue;
            }
            self.zeros += u64::from(x == 0.0);
            if x == 0.0 && self.skip_zeros {
                continue;
            }
            let away = x - reference.moments.mean;
            self.count += 1;
            sum += away;
            squares += away * away;
            products += away * self.last;
            self.last = away;
            self.min = self.min.min(x);
            self.max = self.max.max(x);
            self.bins[reference.bin(x)] += 1;
        }
        self.sum += sum;
        self.squares += squares;
        self.products += products;
    }

    /// The mean.
    pub fn mean(&self, reference: &Reference) -> f64 {
        reference.moments.mean + self.sum / self.count as f64
    }

    /// The root of the mean squared distance from the planned mean.
    pub fn spread(&self) -> f64 {
        (self.squares / self.count as f64).sqrt()
    }

    /// The spread as a sum of independent deviates and its variance, for pooling over tensors of one rule.
    pub fn excess(&self, reference: &Reference) -> (f64, f64) {
        let Moments { variance, m4, .. } = reference.moments;
        let n = self.count as f64;
        (self.squares / variance - n, n * (m4 / (variance * variance) - 1.0))
    }

    /// The Kolmogorov-Smirnov distance, and the value at which it is.
    pub fn distance(&self, reference: &Reference) -> (f64, f64) {
        let (mut seen, mut worst) = (0, (0.0, f64::NAN));
        for (&count, &(edge, share)) in self.bins.iter().zip(&reference.edges) {
            seen += count;
            let distance = (seen as f64 / self.count as f64 - share).abs();
            if distance > worst.0 {
                worst = (distance, edge);
            }
        }
        worst
    }

    /// All tests.
    pub fn tests(&self, reference: &Reference) -> Vec<Outcome> {
        let mut all = Vec::new();
        let mut say = |test, p: f64, text: String| all.push(Outcome { test, p: p.clamp(0.0, 1.0), text });
        let (low, high) = reference.draw.bounds();
        let n = self.count as f64;
        if self.wild > 0 {
            say(
                "finite",
                0.0,
                format!("{} of {} values are NaN or infinite", self.wild, self.wild + self.count),
            );
        }
        if self.count == 0 {
            return all;
        }
        // Rounding may lead to the value next to a bound.
        let (least, greatest) = (low.min(reference.dtype.round(low)), high.max(reference.dtype.round(high)));
        if self.min < least || self.max > greatest {
            let found = format!("values from {:.6e} to {:.6e}", self.min, self.max);
            say("bounds", 0.0, format!("{found}, planned are [{low:.6e}, {high:.6e}]"));
        }
        let Moments { mean, variance, m3, m4, m6 } = reference.moments;
        let std = variance.sqrt();
        // Below 30 values the normal approximation is poor for distributions other than the normal, and the distance does alone.
        let normal = reference.draw.is_normal();
        if normal || self.count >= 30 {
            let z = self.sum / (std * n.sqrt());
            let text =
                format!("mean {:.6e}, planned {mean:.6e}: {z:+.1} standard errors", self.mean(reference));
            say("mean", deviate(z, m3 / (variance * std), n), text);
            let spread = self.squares / variance;
            let wide = m4 - variance * variance;
            let z = (spread - n) * variance / (wide * n).sqrt();
            let p = if normal && self.count < 100_000 {
                let (below, above) =
                    (gamma::gamma_lr(n / 2.0, spread / 2.0), gamma::gamma_ur(n / 2.0, spread / 2.0));
                2.0 * below.min(above)
            } else {
                let skewness = (m6 - 3.0 * m4 * variance + 2.0 * variance.powi(3)) / wide.powf(1.5);
                deviate(z, skewness, n)
            };
            let off = (self.spread() / std - 1.0) * 100.0;
            say(
                "std",
                p,
                format!("std {:.6e}, planned {std:.6e}: {off:+.2} %, {z:+.1} standard errors", self.spread()),
            );
        }
        let (distance, at) = self.distance(reference);
        let text =
            format!("Kolmogorov-Smirnov distance {distance:.4} at {at:.4e} over {} values", self.count);
        say("distribution", 2.0 * (-2.0 * n * distance * distance).exp(), text);
        // Products of few values are far from normal. By the spread that was found: the planned one has its own test.
        if self.count >= 1000 && self.squares > 0.0 {
            let correlation = self.products / self.squares;
            let z = correlation * n.sqrt();
            // The fourth moment of such a product exceeds a normal's by 6 at the most, by less under distributions with ends.
            let p = corrected(z, z.powi(4) / (4.0 * n));
            say("order", p, format!("correlation of neighbours {correlation:+.4}: {z:+.1} standard errors"));
        }
        self.extremes(reference, &mut say);
        if !self.skip_zeros {
            let (below, above) = grid::cell(reference.dtype, 0.0);
            // torch's normal is exactly zero once in 2^24 draws.
            let chance = (reference.draw.below(above) - reference.draw.below(below)).max(0.0);
            let expected = n * (chance + 2f64.powi(-23));
            let p =
                if self.zeros == 0 { 1.0 } else { gamma::gamma_lr(self.zeros as f64, expected.max(1e-300)) };
            say("zeros", p, format!("{} values are exactly 0, expected are {expected:.1}", self.zeros));
        }
        all
    }

    fn extremes(&self, reference: &Reference, say: &mut impl FnMut(&'static str, f64, String)) {
        let (n, draw) = (self.count as f64, &reference.draw);
        let (low, high) = draw.bounds();
        let std = reference.moments.variance.sqrt();
        for (name, x, outside, inside) in [
            (
                "greatest",
                self.max,
                draw.above(grid::cell(reference.dtype, self.max).0),
                draw.above(grid::cell(reference.dtype, self.max).1),
            ),
            (
                "least",
                self.min,
                draw.below(grid::cell(reference.dtype, self.min).1),
                draw.below(grid::cell(reference.dtype, self.min).0),
            ),
        ] {
            let away = (x - reference.moments.mean) / std;
            let text =
                format!("{name} value {x:.4e}, {away:+.2} std from the mean, of {} values", self.count);
            say("outlier", n * outside, text.clone());
            // torch's f32 draws end at 5.77 std (24 bits), the last of them uneven.
            // Beside a bound there is nothing further out: rounding may have led there, or been led back.
            let beside = grid::neighbours(reference.dtype, x);
            if away.abs() < 5.4 && beside.0 > low && beside.1 < high {
                say("tail", (n * (-inside).ln_1p()).exp(), text);
            }
        }
    }
}

/// The two-sided p-value of a standardized sum of n terms of that skewness.
pub fn deviate(z: f64, skewness: f64, n: f64) -> f64 {
    // Cramér's correction.
    corrected(z, z.powi(3) * skewness / (6.0 * n.sqrt()))
}

/// A normal deviate's two-sided p-value times e to the correction, where it is one: for a deviate small against the root
/// of the number of terms.
fn corrected(z: f64, correction: f64) -> f64 {
    let p = erfc(z.abs() / std::f64::consts::SQRT_2);
    // Of a deviate beyond 38 nothing is left, and the correction may be infinite: their product would be no number.
    if p == 0.0 { 0.0 } else { p * correction.clamp(0.0, z * z / 4.0).exp() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_far_off_is_impossible_at_any_size() {
        // A std of twice the planned one, in 200,000 values: the correction alone is beyond f64.
        assert_eq!(deviate(948.0, 2.83, 2e5), 0.0);
        assert!((deviate(1.96, 0.0, 1e9) - 0.05).abs() < 1e-4);
        let reference = Reference::new(Draw::normal(0.0, 1.0), DType::F32);
        let mut sample = Sample::new(&reference, false);
        let wide: Vec<f64> = (0..200_000).map(|k| f64::from(k * 7919 % 200_000) / 25_000.0 - 4.0).collect();
        sample.add(&reference, &wide);
        let outcomes = sample.tests(&reference);
        assert!(outcomes.iter().all(|outcome| !outcome.p.is_nan()), "{outcomes:?}");
        assert!(outcomes.iter().any(|outcome| outcome.test == "std" && outcome.p == 0.0), "{outcomes:?}");
    }
}
