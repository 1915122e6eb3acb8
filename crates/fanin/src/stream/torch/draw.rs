//! Uniform and normal sequences, as torch draws them.

use super::Torch;
use crate::element::{DType, Element, Values};
use crate::engine::Mt19937;
use crate::math::{ln, sin_cos};
use crate::simd::{Kernel, Level, dispatch};

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

    /// Draws N(mean, std^2) for the whole of `out`, and writes it at these places, which ascend, alone: only their groups
    /// are transformed.
    pub(super) fn redraw_normals<E: Element>(
        &mut self,
        mean: f64,
        std: f64,
        places: &[usize],
        out: &mut [E],
    ) {
        let count = out.len();
        if count < BULK {
            let fresh: Vec<f64> = (0..count).map(|_| self.pair_normal().mul_add(std, mean)).collect();
            places.iter().for_each(|&place| out[place] = E::from_f64(fresh[place]));
            return;
        }
        let groups = Redrawn::<E>::new(count);
        let (level, engine) = (self.level(), &self.engine);
        // Each thread redraws a stretch of the places, from an engine of its own.
        let parts = self.threads.count().min(places.len() / SHARE_OF_PLACES).max(1);
        let jobs: Vec<&[usize]> = places.chunks(places.len().div_ceil(parts)).collect();
        let redrawn = self.threads.map(jobs, |places| {
            let mut values = Vec::with_capacity(places.len());
            let (mut engine, mut at) = (engine.clone(), 0);
            let mut words = Vec::with_capacity(CHUNK);
            let mut lanes = Vec::with_capacity(CHUNK / GROUP);
            let mut made = [E::default(); CHUNK];
            let mut last = None;
            for (number, &place) in places.iter().enumerate() {
                let (start, lane) = groups.of(place);
                if last != Some(start) {
                    engine.skip_at(level, start - at);
                    let first = words.len();
                    words.resize(first + groups.words, 0);
                    engine.words(&mut words[first..]);
                    (last, at) = (Some(start), start + groups.words as u64);
                }
                lanes.push(words.len() / groups.words * GROUP - GROUP + lane);
                let full = words.len() + groups.words > CHUNK && {
                    // The next place may lie in the group at hand.
                    places.get(number + 1).is_none_or(|&next| groups.of(next).0 != start)
                };
                if full || number + 1 == places.len() {
                    let made = &mut made[..words.len() / groups.words * GROUP];
                    transform(level, &words, (mean, std), made);
                    values.extend(lanes.drain(..).map(|lane: usize| made[lane]));
                    words.clear();
                }
            }
            values
        });
        for (&place, value) in places.iter().zip(redrawn.into_iter().flatten()) {
            out[place] = value;
        }
        self.engine.skip_at(level, groups.all);
    }

    /// Draws a proposal on [low, high) and a number on [0, 1) for each of `count` places, but computes them at these places
    /// alone, which ascend: the proposals, and which of them are refused.
    pub(super) fn propose<E: Element>(
        &mut self,
        (low, high): (f64, f64),
        count: usize,
        places: &[usize],
        refused: impl Fn(E, E) -> bool + Sync,
    ) -> Vec<(E, bool)> {
        let all = (count * if E::DTYPE == DType::F64 { 2 } else { 1 }) as u64;
        let (level, engine) = (self.level(), &self.engine);
        let parts = self.threads.count().min(places.len() / SHARE_OF_PLACES).max(1);
        let jobs: Vec<&[usize]> = places.chunks(places.len().div_ceil(parts)).collect();
        let found = self.threads.map(jobs, |places| {
            let (mut proposing, mut drawing) = (engine.clone(), engine.clone());
            drawing.skip_at(level, all);
            let (mut proposed, mut drawn) = (0, 0);
            let (mut proposals, mut draws) = ([E::default(); CHUNK / 2], [E::default(); CHUNK / 2]);
            let mut found = Vec::with_capacity(places.len());
            for places in places.chunks(CHUNK / 2) {
                let (proposals, draws) = (&mut proposals[..places.len()], &mut draws[..places.len()]);
                pick(level, &mut proposing, &mut proposed, places, (low, high), proposals);
                pick(level, &mut drawing, &mut drawn, places, (0.0, 1.0), draws);
                found.extend(
                    proposals.iter().zip(draws).map(|(&value, &mut draw)| (value, refused(value, draw))),
                );
            }
            found
        });
        self.engine.skip_at(level, 2 * all);
        found.concat()
    }

    /// Lets several threads draw, each a stretch of whole groups from an engine that has jumped to its place.
    fn shared<E: Element>(&mut self, out: &mut [E], draw: impl Fn(&mut Mt19937, &mut [E]) + Sync) {
        let parts = if out.len() < 2 * SHARE { 1 } else { self.threads.count().min(out.len() / SHARE) };
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

/// Fewest places that are worth a thread to redraw.
const SHARE_OF_PLACES: usize = 1 << 14;

/// Where the words of a bulk normal fill's groups lie.
struct Redrawn<E> {
    count: usize,
    /// Words of a group.
    words: usize,
    /// Word at which the last sixteen values begin that are drawn again, if the count is no multiple of sixteen.
    again: Option<u64>,
    /// Words of the whole fill.
    all: u64,
    element: std::marker::PhantomData<E>,
}

impl<E: Element> Redrawn<E> {
    fn new(count: usize) -> Self {
        let each = if E::DTYPE == DType::F64 { 2 } else { 1 };
        let words = each * GROUP;
        // Half types are drawn by groups; the others have drawn for every place before the last sixteen come again.
        let drawn = if size_of::<E>() == 2 { count / GROUP * GROUP } else { count };
        let drawn = (each * drawn) as u64;
        let again = (!count.is_multiple_of(GROUP)).then_some(drawn);
        let all = again.map_or(drawn, |again| again + words as u64);
        Self { count, words, again, all, element: std::marker::PhantomData }
    }

    /// The first word of a place's group, and which of its values the place takes.
    fn of(&self, place: usize) -> (u64, usize) {
        match self.again {
            Some(again) if place >= self.count - GROUP => (again, place - (self.count - GROUP)),
            _ => ((place / GROUP * self.words) as u64, place % GROUP),
        }
    }
}

/// Turns the words of whole groups into normal values.
fn transform<E: Element>(level: Level, words: &[u32], (mean, std): (f64, f64), out: &mut [E]) {
    match E::values(out) {
        Values::F64(out) => dispatch(level, Groups64 { words, mean, std, out }),
        Values::F32(out) => dispatch(level, Groups32 { words, mean, std, out }),
        Values::F16(out) => dispatch(level, Groups32 { words, mean, std, out }),
        Values::BF16(out) => dispatch(level, Groups32 { words, mean, std, out }),
    }
}

struct Groups32<'a, E> {
    words: &'a [u32],
    mean: f64,
    std: f64,
    out: &'a mut [E],
}

impl<E: Element> Kernel for Groups32<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let mut values = [0f32; CHUNK];
        let values = &mut values[..self.out.len()];
        groups(self.words, values, self.mean as f32, self.std as f32);
        E::store(values, self.out);
    }
}

struct Groups64<'a> {
    words: &'a [u32],
    mean: f64,
    std: f64,
    out: &'a mut [f64],
}

impl Kernel for Groups64<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        groups64(self.words, self.mean, self.std, self.out);
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
        let mut words = [0u32; CHUNK];
        for out in self.out.chunks_mut(CHUNK) {
            let words = &mut words[..out.len()];
            self.engine.words(words);
            uniforms(words, self.low, self.high, out);
        }
    }
}

/// U[low, high) from a word each, no more than a chunk of them.
#[inline(always)]
fn uniforms<E: Element>(words: &[u32], low: f64, high: f64, out: &mut [E]) {
    // What rounds to the upper bound becomes the lower one, both as the type has them.
    let (first, last) = (E::DTYPE.round(low) as f32, E::DTYPE.round(high) as f32);
    let low = low as f32;
    let range = high as f32 - low;
    let mut values = [0f32; CHUNK];
    let values = &mut values[..out.len()];
    for (value, word) in values.iter_mut().zip(words) {
        *value = unit32(*word).mul_add(range, low);
    }
    E::store(values, out);
    // Rounding may reach the bound from below: the stored value decides.
    for out in out {
        *out = if *out == E::from_f64(last.into()) { E::from_f64(first.into()) } else { *out };
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
        let mut words = [0u32; CHUNK];
        for out in self.out.chunks_mut(CHUNK / 2) {
            let words = &mut words[..2 * out.len()];
            self.engine.words(words);
            uniforms64(words, self.low, self.high, out);
        }
    }
}

/// U[low, high) from two words each.
#[inline(always)]
fn uniforms64(words: &[u32], low: f64, high: f64, out: &mut [f64]) {
    let range = high - low;
    for (out, [upper, lower]) in out.iter_mut().zip(words.as_chunks::<2>().0) {
        let value = unit64(u64::from(*upper) << 32 | u64::from(*lower)).mul_add(range, low);
        *out = if value == high { low } else { value };
    }
}

struct Words32<'a, E> {
    words: &'a [u32],
    low: f64,
    high: f64,
    out: &'a mut [E],
}

impl<E: Element> Kernel for Words32<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        uniforms(self.words, self.low, self.high, self.out);
    }
}

struct Words64<'a> {
    words: &'a [u32],
    low: f64,
    high: f64,
    out: &'a mut [f64],
}

impl Kernel for Words64<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        uniforms64(self.words, self.low, self.high, self.out);
    }
}

/// The values that a uniform fill from `engine` on would write at these places, which ascend.
fn pick<E: Element>(
    level: Level,
    engine: &mut Mt19937,
    from: &mut u64,
    places: &[usize],
    (low, high): (f64, f64),
    out: &mut [E],
) {
    let each = if E::DTYPE == DType::F64 { 2 } else { 1 };
    let mut words = [0u32; CHUNK];
    let words = &mut words[..each * places.len()];
    for (words, &place) in words.chunks_exact_mut(each).zip(places) {
        let start = (each * place) as u64;
        engine.skip_at(level, start - *from);
        words.iter_mut().for_each(|word| *word = engine.word());
        *from = start + each as u64;
    }
    match E::values(out) {
        Values::F64(out) => dispatch(level, Words64 { words, low, high, out }),
        Values::F32(out) => dispatch(level, Words32 { words, low, high, out }),
        Values::F16(out) => dispatch(level, Words32 { words, low, high, out }),
        Values::BF16(out) => dispatch(level, Words32 { words, low, high, out }),
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
