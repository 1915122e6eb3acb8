//! Uniform and normal sequences, as torch draws them.

use super::Torch;
use crate::element::{DType, Element, Values};
use crate::engine::Mt19937;
use crate::math::{ln, sin_cos};
use crate::simd::{Kernel, dispatch};

/// Values of a group: torch transforms so many uniforms at a time, the first half radii, the second half angles.
const GROUP: usize = 16;

/// Values that are worked on together: whole groups, and few enough to stay in the nearest cache.
const CHUNK: usize = 1024;

/// Fewest values that are worth a thread: a jump costs as much as some hundred thousand of them.
const SHARE: usize = 1 << 20;

/// torch vectorizes a contiguous normal fill from so many values on.
const BULK: usize = 16;

impl Torch {
    /// U[low, high): a word a value (two in f64).
    pub(super) fn uniform<E: Element>(&mut self, low: f64, high: f64, out: &mut [E]) {
        let level = self.level();
        self.shared(out, |engine, out| match E::values(out) {
            Values::F64(out) => dispatch(level, Uniform64 { engine, low, high, out }),
            Values::F32(out) => dispatch(level, Uniform32 { engine, low, high, out }),
            Values::F16(out) => dispatch(level, Uniform32 { engine, low, high, out }),
            Values::BF16(out) => dispatch(level, Uniform32 { engine, low, high, out }),
        });
    }

    /// N(mean, std^2), by groups of sixteen if the memory is contiguous and long enough, else by pairs.
    pub(super) fn normal<E: Element>(&mut self, mean: f64, std: f64, out: &mut [E], contiguous: bool) {
        if !contiguous || out.len() < BULK {
            for value in out {
                *value = E::from_f64(self.pair_normal().mul_add(std, mean));
            }
            return;
        }
        let level = self.level();
        self.shared(out, |engine, out| match E::values(out) {
            Values::F64(out) => dispatch(level, Normal64 { engine, mean, std, out }),
            Values::F32(out) => dispatch(level, Normal32 { engine, mean, std, out }),
            Values::F16(out) => dispatch(level, Normal32 { engine, mean, std, out }),
            Values::BF16(out) => dispatch(level, Normal32 { engine, mean, std, out }),
        });
    }

    /// Lets several threads draw, each a stretch of whole groups from an engine that has jumped to its place.
    fn shared<E: Element>(&mut self, out: &mut [E], draw: impl Fn(&mut Mt19937, &mut [E]) + Sync) {
        let parts = self.threads.count().min(out.len() / SHARE);
        if parts < 2 {
            return draw(&mut self.engine, out);
        }
        let (level, engine) = (self.level(), &self.engine);
        let words = if E::DTYPE == DType::F64 { 2 } else { 1 };
        let length = out.len().div_ceil(parts).next_multiple_of(GROUP);
        let jobs: Vec<_> = out.chunks_mut(length).enumerate().collect();
        let mut engines = self.threads.map(jobs, |(number, part)| {
            let mut engine = engine.clone();
            engine.skip_at(level, words * (number * length) as u64);
            draw(&mut engine, part);
            engine
        });
        self.engine = engines.pop().expect("there are parts");
    }

    /// The next standard normal of a pair: the second is kept back, across calls.
    #[allow(
        clippy::disallowed_methods,
        reason = "torch takes these from the C library, and so must its mirror"
    )]
    fn pair_normal(&mut self) -> f64 {
        if let Some(kept) = self.next_normal.take() {
            return kept;
        }
        let u1 = unit64(self.engine.word64());
        let u2 = unit64(self.engine.word64());
        let radius = (-2.0 * (-u2).ln_1p()).sqrt();
        let angle = std::f64::consts::TAU * u1;
        self.next_normal = Some(radius * angle.sin());
        radius * angle.cos()
    }
}

/// A 64-bit draw on [0, 1): its low 53 bits.
#[inline(always)]
fn unit64(word: u64) -> f64 {
    (word & ((1 << 53) - 1)) as f64 * (1.0 / (1u64 << 53) as f64)
}

/// A word on [0, 1): its low 24 bits.
#[inline(always)]
fn unit32(word: u32) -> f32 {
    // Below 2^24, so the sign bit is clear and the signed conversion, which every level has, is right.
    (word & 0x00ff_ffff) as i32 as f32 * (1.0 / 16_777_216.0)
}

struct Uniform32<'a, E> {
    engine: &'a mut Mt19937,
    low: f64,
    high: f64,
    out: &'a mut [E],
}

impl<E: Element> Kernel for Uniform32<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let low = self.low as f32;
        let range = self.high as f32 - low;
        // What rounds to the upper bound becomes the lower one, both as the type has them.
        let (first, last) = (E::DTYPE.round(self.low) as f32, E::DTYPE.round(self.high) as f32);
        let mut words = [0u32; CHUNK];
        let mut values = [0f32; CHUNK];
        for out in self.out.chunks_mut(CHUNK) {
            let (words, values) = (&mut words[..out.len()], &mut values[..out.len()]);
            self.engine.words(words);
            for (value, word) in values.iter_mut().zip(words) {
                *value = unit32(*word).mul_add(range, low);
            }
            E::store(values, out);
            // Rounding may reach the bound from below: the stored value decides.
            for out in out {
                *out = if *out == E::from_f64(last.into()) { E::from_f64(first.into()) } else { *out };
            }
        }
    }
}

struct Uniform64<'a> {
    engine: &'a mut Mt19937,
    low: f64,
    high: f64,
    out: &'a mut [f64],
}

impl Kernel for Uniform64<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let range = self.high - self.low;
        let mut words = [0u32; CHUNK];
        for out in self.out.chunks_mut(CHUNK / 2) {
            let words = &mut words[..2 * out.len()];
            self.engine.words(words);
            for (out, [high, low]) in out.iter_mut().zip(words.as_chunks::<2>().0) {
                let value = unit64(u64::from(*high) << 32 | u64::from(*low)).mul_add(range, self.low);
                *out = if value == self.high { self.low } else { value };
            }
        }
    }
}

struct Normal32<'a, E> {
    engine: &'a mut Mt19937,
    mean: f64,
    std: f64,
    out: &'a mut [E],
}

impl<E: Element> Kernel for Normal32<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let (mean, std) = (self.mean as f32, self.std as f32);
        let count = self.out.len();
        let mut words = [0u32; CHUNK];
        let mut values = [0f32; CHUNK];
        for out in self.out[..count / GROUP * GROUP].chunks_mut(CHUNK) {
            let (words, values) = (&mut words[..out.len()], &mut values[..out.len()]);
            self.engine.words(words);
            groups(words, values, mean, std);
            E::store(values, out);
        }
        if !count.is_multiple_of(GROUP) {
            // In f32 torch has drawn a uniform for every place before it transforms any; half types go by groups.
            if size_of::<E>() == size_of::<f32>() {
                self.engine.skip((count % GROUP) as u64);
            }
            self.engine.words(&mut words[..GROUP]);
            groups(&words[..GROUP], &mut values[..GROUP], mean, std);
            E::store(&values[..GROUP], &mut self.out[count - GROUP..]);
        }
    }
}

/// Transforms whole groups: in each, radii come from the first eight words and angles from the last eight.
#[inline(always)]
fn groups(words: &[u32], values: &mut [f32], mean: f32, std: f32) {
    const HALF: usize = GROUP / 2;
    for (words, values) in words.as_chunks::<GROUP>().0.iter().zip(values.as_chunks_mut::<GROUP>().0) {
        let (cosines, sines) = values.split_at_mut(HALF);
        for lane in 0..HALF {
            let radius = (-2.0 * ln(1.0 - unit32(words[lane]))).sqrt();
            let (sin, cos) = sin_cos(std::f32::consts::TAU * unit32(words[lane + HALF]));
            cosines[lane] = (radius * cos).mul_add(std, mean);
            sines[lane] = (radius * sin).mul_add(std, mean);
        }
    }
}

struct Normal64<'a> {
    engine: &'a mut Mt19937,
    mean: f64,
    std: f64,
    out: &'a mut [f64],
}

impl Kernel for Normal64<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { engine, mean, std, out } = self;
        let count = out.len();
        let mut words = [0u32; CHUNK];
        for out in out[..count / GROUP * GROUP].chunks_mut(CHUNK / 2) {
            engine.words(&mut words[..2 * out.len()]);
            groups64(&words, mean, std, out);
        }
        if !count.is_multiple_of(GROUP) {
            // torch has drawn a uniform for every place, two words each, before it transforms any.
            engine.skip(2 * (count % GROUP) as u64);
            engine.words(&mut words[..2 * GROUP]);
            groups64(&words, mean, std, &mut out[count - GROUP..]);
        }
    }
}

/// Transforms whole groups of f64 values, from two words each.
#[allow(clippy::disallowed_methods, reason = "torch takes these from the C library, and so must its mirror")]
#[inline(always)]
fn groups64(words: &[u32], mean: f64, std: f64, out: &mut [f64]) {
    const HALF: usize = GROUP / 2;
    let groups = words.as_chunks::<{ 2 * GROUP }>().0;
    for (words, group) in groups.iter().zip(out.as_chunks_mut::<GROUP>().0) {
        let unit = |k: usize| unit64(u64::from(words[2 * k]) << 32 | u64::from(words[2 * k + 1]));
        for lane in 0..HALF {
            let radius = (-2.0 * (1.0 - unit(lane)).ln()).sqrt();
            let (sin, cos) = (std::f64::consts::TAU * unit(lane + HALF)).sin_cos();
            group[lane] = (radius * cos).mul_add(std, mean);
            group[lane + HALF] = (radius * sin).mul_add(std, mean);
        }
    }
}
