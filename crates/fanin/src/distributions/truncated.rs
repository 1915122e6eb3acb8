//! Truncated normal variates by the inverse distribution function, one draw a value. The regimes and their formulas are
//! written down in [`crate::streams::native`], since the stream is frozen by them.
//!
//! All is done in standard units, reflected where that puts the interval's bulk on the upper side: near the centre through
//! the probability, in the far tail through its logarithm and the distance from the cut-off, so that nothing cancels.

use super::uniform::{Uniform32, Uniform64, closed_range};
use super::{GROUP_32, GROUP_64, Transform32, Transform64, clamp};
use crate::dtype::DType;
use crate::math::{
    BODY_END, TAIL_END, TWO_32, body_factor, ln_1p64, log_mills64, minus_ln_complement64, quantile_factor,
    quantile64, tail_to_minus_w,
};
use crate::rng::{LANES, Words};
use crate::simd::{Bits, Floats, Isa, Singles};

const SQRT_2: f64 = std::f64::consts::SQRT_2;

/// P(Z < z).
pub(crate) fn cdf(z: f64) -> f64 {
    libm::erfc(-z / SQRT_2) / 2.0
}

fn density(z: f64) -> f64 {
    libm::exp(-z * z / 2.0) / std::f64::consts::TAU.sqrt()
}

/// Where alpha >= 5 the upper tail is handled by its logarithm.
const FAR: f64 = 5.0;

/// Widths in sigma below which the density's curvature is beneath f64.
const NARROW: f64 = 1.0 / 67_108_864.0;

/// Each step of the far tail's equation shrinks an error of at most a 25th of delta by a factor of 2e-4 or better.
const NEWTON_STEPS: usize = 4;

/// Mean and variance of a standard normal conditioned on [alpha, beta].
pub(crate) fn moments(alpha: f64, beta: f64) -> (f64, f64) {
    if alpha + beta < 0.0 {
        let (mean, variance) = moments(-beta, -alpha);
        return (-mean, variance);
    }
    let width = beta - alpha;
    if width < 1e-3 || alpha >= FAR {
        // Here the distribution is close to exponential of rate alpha over the width: integrate, nothing cancels.
        let reach = width.min(60.0 / alpha.max(1.0));
        let steps = 4000;
        let (mut mass, mut first, mut second) = (0.0, 0.0, 0.0);
        for k in 0..=steps {
            let simpson = if k == 0 || k == steps { 1.0 } else { 2.0 + 2.0 * f64::from(k % 2) };
            let x = f64::from(k) / f64::from(steps);
            let delta = x * reach;
            let weight = simpson * libm::exp(-delta * (alpha + delta / 2.0));
            mass += weight;
            first += weight * x;
            second += weight * x * x;
        }
        let mean = first / mass;
        return (alpha + reach * mean, reach * reach * (second / mass - mean * mean));
    }
    let mass = if alpha > 0.0 { cdf(-alpha) - cdf(-beta) } else { 1.0 - cdf(alpha) - cdf(-beta) };
    let finite = |z: f64| if z.is_finite() { z * density(z) } else { 0.0 };
    let mean = (density(alpha) - density(beta)) / mass;
    (mean, 1.0 + (finite(alpha) - finite(beta)) / mass - mean * mean)
}

/// A truncated normal distribution, made ready.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Truncated {
    /// f32 arithmetic, no tail beyond the body of the quantile.
    Body(Quantile32<false>),
    /// f32 arithmetic, with the quantile's tail.
    BodyAndTail(Quantile32<true>),
    /// f64 arithmetic on probabilities.
    Centre(Centre),
    /// f64 arithmetic on distances from a cut-off.
    Tail(Tail),
    /// No slope worth speaking of: uniform.
    Flat {
        /// Lower cut-off.
        low: f64,
        /// Upper cut-off.
        high: f64,
    },
}

impl Truncated {
    /// N(mean, std^2) on [low, high], for values of `dtype`.
    pub(crate) fn new(mean: f64, std: f64, low: f64, high: f64, dtype: DType) -> Self {
        let (alpha, beta) = ((low - mean) / std, (high - mean) / std);
        let flipped = alpha + beta < 0.0;
        let (near, far) = if flipped { (-beta, -alpha) } else { (alpha, beta) };
        let width = (high - low) / std;
        let origin = if flipped { high } else { low };
        if near > 1e150 {
            // The distribution's own width is std / near: far below the spacing of any type.
            return Truncated::Flat { low: origin, high: origin };
        }
        if width * near.abs().max(1.0) <= NARROW {
            return Truncated::Flat { low, high };
        }
        let (least, greatest) = closed_range(low, high, dtype);
        if near >= FAR || width < NARROW {
            return Truncated::Tail(Tail::new(
                near,
                width,
                origin,
                if flipped { -std } else { std },
                (least, greatest),
            ));
        }
        let (below, above) = (cdf(near), cdf(-far));
        let mass = if near > 0.0 { cdf(-near) - above } else { 1.0 - below - above };
        let smallest = below.min(above) + mass / TWO_32 / 2.0;
        let w = -libm::log(4.0 * smallest * (1.0 - smallest));
        // Of the unflipped distribution: P(Z < alpha), P(Z > beta).
        let (below, above) = if flipped { (above, below) } else { (below, above) };
        if dtype != DType::F64 && width >= 0.125 && w < TAIL_END - 0.5 {
            let body = (mean, std, below, above, mass, least, greatest);
            return if w < BODY_END - 1e-3 {
                Truncated::Body(Quantile32::new(body))
            } else {
                Truncated::BodyAndTail(Quantile32::new(body))
            };
        }
        Truncated::Centre(Centre { mean, std, below, above, mass, least, greatest })
    }

    /// Runs `with` on the f32 transform of this distribution.
    pub(crate) fn visit32<V: Visitor32>(self, dtype: DType, with: V) -> V::Output {
        match self {
            Truncated::Body(it) => with.visit32(it),
            Truncated::BodyAndTail(it) => with.visit32(it),
            Truncated::Centre(it) => with.visit32(Narrowed(it)),
            Truncated::Tail(it) => with.visit32(Narrowed(it)),
            Truncated::Flat { low, high } => with.visit32(Uniform32::closed(low, high, dtype)),
        }
    }

    /// Runs `with` on the f64 transform of this distribution.
    pub(crate) fn visit64<V: Visitor64>(self, with: V) -> V::Output {
        match self {
            Truncated::Centre(it) => with.visit64(it),
            Truncated::Tail(it) => with.visit64(it),
            Truncated::Flat { low, high } => with.visit64(Uniform64::closed(low, high)),
            Truncated::Body(_) | Truncated::BodyAndTail(_) => unreachable!("made for f32 types only"),
        }
    }
}

/// What to do with an f32 transform, whatever its type.
pub(crate) trait Visitor32 {
    /// What comes of it.
    type Output;
    /// Does it.
    fn visit32(self, transform: impl Transform32) -> Self::Output;
}

/// What to do with an f64 transform, whatever its type.
pub(crate) trait Visitor64 {
    /// What comes of it.
    type Output;
    /// Does it.
    fn visit64(self, transform: impl Transform64) -> Self::Output;
}

/// The f32 quantile of the probability. From both ends at once: the smaller tail keeps its relative precision.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Quantile32<const TAIL: bool> {
    mean: f32,
    std: f32,
    smaller: Smaller,
    mass: f32,
    middle: f32,
    scale: f32,
    least: f32,
    greatest: f32,
}

/// An end of the interval. The same place is counted from either: word + 2^31 from below, its complement from above.
#[derive(Debug, Clone, Copy)]
struct End {
    /// What makes a place of a word by an exclusive or.
    flip: u32,
    /// What lies beyond.
    tail: f32,
}

impl End {
    /// The tail at the place of a word: it rises with the place, or stays.
    #[inline(always)]
    fn at<F: Singles>(self, word: F::Bits, mass: f32) -> F {
        let place = word.xor(F::Bits::splat(self.flip)).unsigned();
        place.add(F::splat(0.5)).fused(F::splat(mass), F::splat(self.tail))
    }
}

/// Which of the two tails is the smaller one.
#[derive(Debug, Clone, Copy)]
enum Smaller {
    /// As much lies beyond either end: that of the nearer one, from which the place is less than 2^31.
    Nearer(Nearer),
    /// That from one end, for every word.
    Always(End),
    /// Both are to be computed.
    Either([End; 2]),
}

impl Smaller {
    fn new(ends: [End; 2], mass: f32) -> Self {
        let [below, above] = ends;
        // Where one end's tail is largest, the other's is smallest.
        let never_larger =
            |one: End, other: End| one.at::<f32>(!one.flip, mass) <= other.at::<f32>(!one.flip, mass);
        if below.tail == above.tail {
            Smaller::Nearer(Nearer(below.tail))
        } else if never_larger(below, above) {
            Smaller::Always(below)
        } else if never_larger(above, below) {
            Smaller::Always(above)
        } else {
            Smaller::Either(ends)
        }
    }
}

impl<const TAIL: bool> Quantile32<TAIL> {
    fn new((mean, std, below, above, mass, least, greatest): (f64, f64, f64, f64, f64, f64, f64)) -> Self {
        let ends = [End { flip: 1 << 31, tail: below as f32 }, End { flip: !(1 << 31), tail: above as f32 }];
        let share = (mass / TWO_32) as f32;
        Self {
            mean: mean as f32,
            std: std as f32,
            smaller: Smaller::new(ends, share),
            mass: share,
            // x = 2 p - 1 at the middle of the mass, and its change with a word.
            middle: (below - above) as f32,
            scale: (2.0 * mass / TWO_32) as f32,
            least: least as f32,
            greatest: greatest as f32,
        }
    }

    /// The values of a group, by what finds the smaller tails.
    #[inline(always)]
    fn values<I: Isa>(&self, tails: impl Tails, words: &Words, out: &mut [f32; GROUP_32]) {
        let words = words.as_flattened();
        let number = I::Many::splat;
        for at in (0..GROUP_32).step_by(I::Many::COUNT) {
            let word: <I::Many as Floats>::Bits = Bits::load(&words[at..]);
            let minus_w = tail_to_minus_w(tails.smaller::<I::Many>(word, self.mass));
            let x = word.signed().add(number(0.5)).fused(number(self.scale), number(self.middle));
            let z = x.times(if TAIL { quantile_factor(minus_w) } else { body_factor(minus_w) });
            let value = z.fused(number(self.std), number(self.mean));
            clamp(value, number(self.least), number(self.greatest)).store(&mut out[at..]);
        }
    }
}

/// How the smaller tail is found.
trait Tails {
    /// That of a word. `#[inline(always)]`.
    fn smaller<F: Singles>(&self, word: F::Bits, mass: f32) -> F;
}

/// What lies beyond either end.
#[derive(Debug, Clone, Copy)]
struct Nearer(f32);

impl Tails for Nearer {
    #[inline(always)]
    fn smaller<F: Singles>(&self, word: F::Bits, mass: f32) -> F {
        // Words of the lower half have their highest bit set, since words are read as signed ones.
        let flips = [F::Bits::splat(1 << 31).floats(), F::Bits::splat(!(1 << 31)).floats()];
        let place = word.xor(word.where_highest(flips[0], flips[1]).bits()).signed();
        place.add(F::splat(0.5)).fused(F::splat(mass), F::splat(self.0))
    }
}

impl Tails for End {
    #[inline(always)]
    fn smaller<F: Singles>(&self, word: F::Bits, mass: f32) -> F {
        self.at(word, mass)
    }
}

impl Tails for [End; 2] {
    #[inline(always)]
    fn smaller<F: Singles>(&self, word: F::Bits, mass: f32) -> F {
        let [below, above] = self;
        below.at::<F>(word, mass).lesser(above.at(word, mass))
    }
}

impl<const TAIL: bool> Transform32 for Quantile32<TAIL> {
    #[inline(always)]
    fn apply<I: Isa>(&self, words: &Words, out: &mut [f32; GROUP_32]) {
        match self.smaller {
            Smaller::Nearer(tails) => self.values::<I>(tails, words, out),
            Smaller::Always(end) => self.values::<I>(end, words, out),
            Smaller::Either(ends) => self.values::<I>(ends, words, out),
        }
    }
}

/// A distribution in f64 arithmetic from a place u in (0, 1) and its complement.
pub(crate) trait Placed: Copy {
    /// The value at u, `complement` being 1 - u, each to full relative precision.
    fn at(&self, u: f64, complement: f64) -> f64;
}

/// One word a value: u = (word + 1/2) / 2^32.
#[derive(Debug, Clone, Copy)]
struct Narrowed<P>(P);

impl<P: Placed> Transform32 for Narrowed<P> {
    #[inline(always)]
    fn apply<I: Isa>(&self, words: &Words, out: &mut [f32; GROUP_32]) {
        for (word, out) in words.as_flattened().iter().zip(out) {
            let u = (f64::from(*word) + 0.5) * (1.0 / TWO_32);
            let complement = (f64::from(!*word) + 0.5) * (1.0 / TWO_32);
            *out = self.0.at(u, complement) as f32;
        }
    }
}

impl<P: Placed> Transform64 for P {
    /// Two words a value: u = (high * 2^32 + low + 1/2) / 2^64.
    #[inline(always)]
    fn apply<I: Isa>(&self, words: &Words, out: &mut [f64; GROUP_64]) {
        for (words, out) in words.as_chunks::<2>().0.iter().zip(out.as_chunks_mut::<LANES>().0) {
            for lane in 0..LANES {
                let (high, low) = (words[0][lane], words[1][lane]);
                let place = |high: u32, low: u32| {
                    f64::from(high).mul_add(TWO_32, f64::from(low) + 0.5) * (1.0 / TWO_32 / TWO_32)
                };
                out[lane] = self.at(place(high, low), place(!high, !low));
            }
        }
    }
}

/// The f64 quantile of the probability.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Centre {
    mean: f64,
    std: f64,
    below: f64,
    above: f64,
    mass: f64,
    least: f64,
    greatest: f64,
}

impl Placed for Centre {
    #[inline(always)]
    fn at(&self, u: f64, complement: f64) -> f64 {
        let lower = u.mul_add(self.mass, self.below);
        let upper = complement.mul_add(self.mass, self.above);
        let tail = if lower < upper { lower } else { upper };
        let q = if lower < upper { lower - 0.5 } else { 0.5 - upper };
        clamp(quantile64(q, tail).mul_add(self.std, self.mean), self.least, self.greatest)
    }
}

/// The distance from the near cut-off, in the far tail or over a narrow interval.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tail {
    /// The near cut-off, in sigma; at least 5 unless `narrow`.
    alpha: f64,
    /// h(alpha).
    log_mills: f64,
    /// m, the share of the upper tail that lies between the cut-offs, and 1 - m.
    share: f64,
    rest: f64,
    /// The near cut-off itself, and the signed sigma that leads away from it.
    origin: f64,
    std: f64,
    least: f64,
    greatest: f64,
    /// Whether the interval is too narrow for curvature.
    narrow: bool,
}

impl Tail {
    fn new(alpha: f64, width: f64, origin: f64, std: f64, (least, greatest): (f64, f64)) -> Self {
        let narrow = width < NARROW;
        let mut it =
            Self { alpha, log_mills: 0.0, share: 1.0, rest: 0.0, origin, std, least, greatest, narrow };
        if !narrow {
            it.log_mills = log_mills64(alpha);
        }
        let exponent = if narrow {
            alpha * width
        } else if width.is_finite() {
            it.exponent(width)
        } else {
            f64::INFINITY
        };
        it.share = -libm::expm1(-exponent);
        it.rest = libm::exp(-exponent);
        it
    }

    /// g(delta): minus the logarithm of the share of the upper tail beyond `alpha + delta`.
    #[inline(always)]
    fn exponent(&self, delta: f64) -> f64 {
        let curved = ln_1p64(delta / self.alpha) - (log_mills64(self.alpha + delta) - self.log_mills);
        delta.mul_add((0.5 * delta) + self.alpha, curved)
    }
}

impl Placed for Tail {
    #[inline(always)]
    fn at(&self, u: f64, complement: f64) -> f64 {
        let target = minus_ln_complement64(u * self.share, complement.mul_add(self.share, self.rest));
        // Without the slow terms: delta (alpha + delta / 2) = target, solved without cancellation; without curvature
        // for a narrow interval, where alpha may be small.
        let root = self.alpha.mul_add(self.alpha, 2.0 * target).sqrt();
        let mut delta = 2.0 * target / (root + self.alpha);
        for _ in 0..NEWTON_STEPS {
            // g' = 1 / M(z), by its asymptotic series: within 2e-4 of it at z = 5, so each step gains as much.
            let z = self.alpha + delta;
            let y = 1.0 / (z * z);
            let slope = z * y.mul_add(y.mul_add(10.0f64.mul_add(y, -2.0), 1.0), 1.0);
            delta += (target - self.exponent(delta)) / slope;
        }
        let delta = if self.narrow { target / self.alpha } else { delta };
        clamp(delta.mul_add(self.std, self.origin), self.least, self.greatest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_that_is_known_to_be_smaller_is() {
        for (below, above, case) in [
            (0.02, 0.02, "nearer"),
            (0.5, 0.5, "nearer"),
            (0.9772, 0.0013, "always"),
            (0.0013, 0.9772, "always"),
            (0.0, 0.5, "always"),
            (0.02, 0.3, "either"),
            (0.3, 0.0, "either"),
        ] {
            let mass = ((1.0 - below - above) / TWO_32) as f32;
            let ends =
                [End { flip: 1 << 31, tail: below as f32 }, End { flip: !(1 << 31), tail: above as f32 }];
            let smaller = Smaller::new(ends, mass);
            let edges = [0, 1, 1 << 30, (1 << 31) - 1, 1 << 31, (1 << 31) + 1, 3 << 30, u32::MAX];
            for word in edges.into_iter().chain((0..100_000u32).map(|k| k.wrapping_mul(2_654_435_769))) {
                let (found, kind) = match smaller {
                    Smaller::Nearer(tails) => (tails.smaller::<f32>(word, mass), "nearer"),
                    Smaller::Always(end) => (end.smaller(word, mass), "always"),
                    Smaller::Either(ends) => (ends.smaller(word, mass), "either"),
                };
                let [one, other] = ends.map(|end| end.at::<f32>(word, mass));
                assert_eq!(
                    (found.to_bits(), kind),
                    (one.min(other).to_bits(), case),
                    "{below} {above} {word}"
                );
            }
        }
    }
}
