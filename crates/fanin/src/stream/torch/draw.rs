//! Uniform and normal sequences, as torch draws them.

use std::f32::consts::TAU;

use super::Torch;
use super::share::Cost;
use crate::element::{DType, Element, Values};
use crate::engine::Mt19937;
use crate::math::{angle, ln_sin_cos};
use crate::simd::{Ahead, Bits, Floats, Isa, Kernel, Level, Singles, dispatch};
use crate::stream::fill::Span;
use crate::threads::checkpoint;

/// Values of a group: torch transforms so many uniforms at a time, the first half radii, the second half angles.
pub(super) const GROUP: usize = 16;

/// Values that are worked on together: whole groups, and few enough to stay in the nearest cache.
pub(super) const CHUNK: usize = 1248;

/// Values between two looks whether the fill is still wanted: whole groups, some milliseconds.
const UNWATCHED: usize = 1 << 20;

/// torch vectorizes a contiguous normal fill from so many values on.
pub(super) const BULK: usize = 16;

impl Torch {
    /// U[low, high): a word a value (two in f64). Gives the words that the whole takes.
    pub(super) fn uniform<E: Element>(
        &mut self,
        law: (f64, f64),
        span: Span<'_>,
        count: usize,
        out: &mut [E],
    ) -> u64 {
        let words = words_each::<E>() * count as u64;
        self.spread(Cost::of_uniforms::<E>(), (span, words), out, |cursor, first, out| {
            cursor.uniforms(law, first, out)
        });
        words
    }

    /// N(mean, std^2) as torch fills contiguous memory of so many values, sixteen at least: by groups. Gives the words that
    /// the whole takes.
    pub(super) fn normal<E: Element>(
        &mut self,
        law: (f64, f64),
        span: Span<'_>,
        count: usize,
        out: &mut [E],
    ) -> u64 {
        let groups = Groups::<E>::new(count);
        self.spread(Cost::of_normals::<E>(), (span, groups.all), out, |cursor, first, out| {
            cursor.normals(&groups, law, first, out);
        });
        groups.all
    }

    /// N(mean, std^2) as torch fills strided memory, and short memory: one after another, in pairs.
    pub(super) fn serial_normal<E: Element>(&mut self, (mean, std): (f64, f64), out: &mut [E]) {
        for out in out.chunks_mut(UNWATCHED) {
            checkpoint();
            for value in out {
                *value = E::from_f64(self.pair_normal().mul_add(std, mean));
            }
        }
    }

    /// Lets several threads draw the runs of a span, each a stretch of it with an engine that has jumped to its place. `draw`
    /// is given the index at which a run begins; `words` are what the engine is to have passed in the end.
    pub(super) fn spread<E: Element>(
        &mut self,
        cost: Cost,
        (span, words): (Span<'_>, u64),
        out: &mut [E],
        draw: impl Fn(&mut Cursor<'_, E>, u64, &mut [E]) + Sync,
    ) {
        let level = self.level();
        let work = |engine: &mut Mt19937, begin: usize, out: &mut [E]| {
            let mut cursor = Cursor::new(engine, level);
            span.part(begin, out.len()).each(out, |first, out| {
                for (number, out) in out.chunks_mut(UNWATCHED).enumerate() {
                    checkpoint();
                    draw(&mut cursor, first + (number * UNWATCHED) as u64, out);
                }
            });
            cursor.at
        };
        let mut shares = self.shares(cost, out);
        let at = if let [(begin, out)] = shares.as_mut_slice() {
            work(&mut self.engine, *begin, out)
        } else {
            let engine = &self.engine;
            let engines = self.threads.map(shares, |(begin, out)| {
                let mut engine = engine.clone();
                let at = work(&mut engine, begin, out);
                (engine, at)
            });
            let (engine, at) = engines.into_iter().last().expect("there is a share");
            self.engine = engine;
            at
        };
        self.engine.skip_at(level, words - at);
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

/// An engine that passes through the words of a fill, forwards.
pub(super) struct Cursor<'a, E> {
    engine: &'a mut Mt19937,
    level: Level,
    /// Words passed so far.
    pub(super) at: u64,
    /// The group last made, by its first word: the next run may want another part of it.
    made: Option<(u64, [E; GROUP])>,
}

impl<'a, E: Element> Cursor<'a, E> {
    /// At the fill's first word.
    pub(super) fn new(engine: &'a mut Mt19937, level: Level) -> Self {
        Self { engine, level, at: 0, made: None }
    }

    /// Draws U[low, high) for the run that begins at this index.
    pub(super) fn uniforms(&mut self, (low, high): (f64, f64), first: u64, out: &mut [E]) {
        let each = words_each::<E>();
        self.seek(each * first);
        self.at += each * out.len() as u64;
        let (level, engine) = (self.level, &mut *self.engine);
        match E::values(out) {
            Values::F64(out) => dispatch(level, Uniform64 { engine, low, high, out }),
            Values::F32(out) => dispatch(level, Uniform32 { engine, low, high, out }),
            Values::F16(out) => dispatch(level, Uniform32 { engine, low, high, out }),
            Values::BF16(out) => dispatch(level, Uniform32 { engine, low, high, out }),
            Values::F8E4M3(_) | Values::F8E5M2(_) => unreachable!("{}", super::NARROW),
        }
    }

    /// Draws N(mean, std^2) by groups for the run that begins at this index.
    pub(super) fn normals(
        &mut self,
        groups: &Groups<E>,
        (mean, std): (f64, f64),
        mut first: u64,
        mut out: &mut [E],
    ) {
        while !out.is_empty() {
            let left = groups.left_in_order(first);
            if first.is_multiple_of(GROUP as u64) && left.min(out.len()) >= GROUP {
                // Whole groups, one after another.
                let whole = left.min(out.len()) / GROUP * GROUP;
                let (now, later) = std::mem::take(&mut out).split_at_mut(whole);
                let (start, _) = groups.of(first);
                self.seek(start);
                self.at += (whole / GROUP * groups.words) as u64;
                let (level, engine) = (self.level, &mut *self.engine);
                match E::values(now) {
                    Values::F64(out) => dispatch(level, Normal64 { engine, mean, std, out }),
                    Values::F32(out) => dispatch(level, Normal32 { engine, mean, std, out }),
                    Values::F16(out) => dispatch(level, Normal32 { engine, mean, std, out }),
                    Values::BF16(out) => dispatch(level, Normal32 { engine, mean, std, out }),
                    Values::F8E4M3(_) | Values::F8E5M2(_) => unreachable!("{}", super::NARROW),
                }
                (first, out) = (first + whole as u64, later);
            } else {
                let (start, lane) = groups.of(first);
                let take = (GROUP - lane).min(out.len()).min(if left == 0 { GROUP } else { left });
                let (now, later) = std::mem::take(&mut out).split_at_mut(take);
                now.copy_from_slice(&self.group(start, groups.words, (mean, std))[lane..][..take]);
                (first, out) = (first + take as u64, later);
            }
        }
    }

    fn seek(&mut self, word: u64) {
        self.engine.skip_at(self.level, word - self.at);
        self.at = word;
    }

    /// The group of normal values that begins at a word.
    fn group(&mut self, start: u64, words: usize, law: (f64, f64)) -> &[E; GROUP] {
        if self.made.as_ref().is_none_or(|made| made.0 != start) {
            self.seek(start);
            let mut drawn = [0; 2 * GROUP];
            self.engine.words_at(self.level, &mut drawn[..words]);
            self.at += words as u64;
            let mut values = [E::default(); GROUP];
            transform(self.level, &drawn[..words], law, &mut values);
            self.made = Some((start, values));
        }
        &self.made.as_ref().expect("just made").1
    }
}

/// Words that a value takes.
pub(super) fn words_each<E: Element>() -> u64 {
    if E::DTYPE == DType::F64 { 2 } else { 1 }
}

/// Where the words of a normal fill's groups lie, in memory of so many values.
pub(super) struct Groups<E> {
    count: usize,
    /// Words of a group.
    pub(super) words: usize,
    /// Word at which the last sixteen values begin that are drawn again, if the count is no multiple of sixteen.
    again: Option<u64>,
    /// Words of the whole fill.
    pub(super) all: u64,
    element: std::marker::PhantomData<E>,
}

impl<E: Element> Groups<E> {
    pub(super) fn new(count: usize) -> Self {
        let each = words_each::<E>();
        let words = each as usize * GROUP;
        // Half types are drawn by groups; the others have drawn for every place before the last sixteen come again.
        let drawn = if size_of::<E>() == 2 { count / GROUP * GROUP } else { count };
        let drawn = each * drawn as u64;
        let again = (!count.is_multiple_of(GROUP)).then_some(drawn);
        let all = again.map_or(drawn, |again| again + words as u64);
        Self { count, words, again, all, element: std::marker::PhantomData }
    }

    /// How many values from a place on lie before those that are drawn again.
    fn left_in_order(&self, place: u64) -> usize {
        let end = if self.again.is_some() { self.count - GROUP } else { self.count };
        (end as u64).saturating_sub(place) as usize
    }

    /// The first word of a place's group, and which of its values the place takes.
    pub(super) fn of(&self, place: u64) -> (u64, usize) {
        match self.again {
            Some(again) if self.left_in_order(place) == 0 => {
                (again, (place - (self.count - GROUP) as u64) as usize)
            }
            _ => (place / GROUP as u64 * self.words as u64, (place % GROUP as u64) as usize),
        }
    }
}

/// Turns the words of whole groups into normal values.
pub(super) fn transform<E: Element>(level: Level, words: &[u32], (mean, std): (f64, f64), out: &mut [E]) {
    match E::values(out) {
        Values::F64(out) => dispatch(level, Groups64 { words, mean, std, out }),
        Values::F32(out) => dispatch(level, Groups32 { words, mean, std, out }),
        Values::F16(out) => dispatch(level, Groups32 { words, mean, std, out }),
        Values::BF16(out) => dispatch(level, Groups32 { words, mean, std, out }),
        Values::F8E4M3(_) | Values::F8E5M2(_) => unreachable!("{}", super::NARROW),
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
    fn run<I: Isa>(self) {
        groups::<I, E>(self.words, self.out, self.mean as f32, self.std as f32);
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
    fn run<I: Isa>(self) {
        groups64(self.words, self.mean, self.std, self.out);
    }
}

/// A 64-bit draw on [0, 1): its low 53 bits.
#[inline(always)]
pub(super) fn unit64(word: u64) -> f64 {
    (word & ((1 << 53) - 1)) as f64 * (1.0 / (1u64 << 53) as f64)
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
    fn run<I: Isa>(self) {
        let mut words = [0u32; CHUNK];
        let mut rest = self.out;
        while !rest.is_empty() {
            let (out, later) = split(&mut rest, CHUNK);
            let words = &mut words[..out.len()];
            self.engine.words_and_fetch::<I>(words, later);
            uniforms::<I, E>(words, self.low, self.high, out);
        }
    }
}

/// Takes so many values off, and says which follow.
#[inline(always)]
fn split<'a, 'b, E: Element>(rest: &'b mut &'a mut [E], count: usize) -> (&'a mut [E], Ahead<'b>) {
    let first = count.min(rest.len());
    let (now, later) = std::mem::take(rest).split_at_mut(first);
    *rest = later;
    (now, Ahead::new(&rest[..count.min(rest.len())]))
}

/// U[low, high) from a word each, no more than a chunk of them.
#[inline(always)]
pub(super) fn uniforms<I: Isa, E: Element>(words: &[u32], low: f64, high: f64, out: &mut [E]) {
    // What rounds to the upper bound becomes the lower one, both as the type has them.
    let (first, last) = (E::DTYPE.round(low) as f32, E::DTYPE.round(high) as f32);
    let low = low as f32;
    let range = high as f32 - low;
    let (first, last) = (E::from_f64(first.into()), E::from_f64(last.into()));
    if let Values::F32(out) = E::values(out) {
        scaled::<I>(words, low, range, out);
    } else {
        let mut values = [0f32; CHUNK];
        let values = &mut values[..words.len()];
        scaled::<I>(words, low, range, values);
        E::store(values, out);
    }
    // Rounding may reach the bound from below, if the greatest word does: the stored value decides.
    let greatest = unit::<f32>(u32::MAX).mul_add(range, low);
    if E::from_f64(greatest.into()) >= last {
        for out in out {
            *out = if *out == last { first } else { *out };
        }
    }
}

/// `low + range * u` for u of 24 bits, rounded once.
#[inline(always)]
fn scaled<I: Isa>(words: &[u32], low: f32, range: f32, out: &mut [f32]) {
    let (floats_low, floats_range) = (I::Singles::splat(low), I::Singles::splat(range));
    let mut blocks = words.chunks_exact(I::Singles::COUNT);
    let mut places = out.chunks_exact_mut(I::Singles::COUNT);
    for (words, out) in blocks.by_ref().zip(places.by_ref()) {
        unit::<I::Singles>(Bits::load(words)).fused(floats_range, floats_low).store(out);
    }
    for (word, out) in blocks.remainder().iter().zip(places.into_remainder()) {
        *out = unit::<f32>(*word).mul_add(range, low);
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
    fn run<I: Isa>(self) {
        let mut words = [0u32; CHUNK];
        let mut rest = self.out;
        while !rest.is_empty() {
            let (out, later) = split(&mut rest, CHUNK / 2);
            let words = &mut words[..2 * out.len()];
            self.engine.words_and_fetch::<I>(words, later);
            uniforms64(words, self.low, self.high, out);
        }
    }
}

/// U[low, high) from two words each.
#[inline(always)]
pub(super) fn uniforms64(words: &[u32], low: f64, high: f64, out: &mut [f64]) {
    let range = high - low;
    for (out, [upper, lower]) in out.iter_mut().zip(words.as_chunks::<2>().0) {
        let value = unit64(u64::from(*upper) << 32 | u64::from(*lower)).mul_add(range, low);
        *out = if value == high { low } else { value };
    }
}

/// Whole groups of normals.
struct Normal32<'a, E> {
    engine: &'a mut Mt19937,
    mean: f64,
    std: f64,
    out: &'a mut [E],
}

impl<E: Element> Kernel for Normal32<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self) {
        let (mean, std) = (self.mean as f32, self.std as f32);
        let mut words = [0u32; CHUNK];
        let mut rest = self.out;
        while !rest.is_empty() {
            let (out, later) = split(&mut rest, CHUNK);
            let words = &mut words[..out.len()];
            self.engine.words_and_fetch::<I>(words, later);
            groups::<I, E>(words, out, mean, std);
        }
    }
}

/// Values of so many groups are transformed together: more than fill the widest vectors.
const TOGETHER: usize = 4 * GROUP;

/// Transforms whole groups, as many as fill the widest vectors together.
#[inline(always)]
fn groups<I: Isa, E: Element>(words: &[u32], out: &mut [E], mean: f32, std: f32) {
    let (blocks, rest) = words.as_chunks::<TOGETHER>();
    let (places, last) = out.as_chunks_mut::<TOGETHER>();
    let mut values = [0f32; TOGETHER];
    for (words, out) in blocks.iter().zip(places) {
        some_groups::<I>(words, &mut values, mean, std);
        E::store(&values, out);
    }
    if !rest.is_empty() {
        let mut words = [0; TOGETHER];
        words[..rest.len()].copy_from_slice(rest);
        some_groups::<I>(&words, &mut values, mean, std);
        E::store(&values[..last.len()], last);
    }
}

/// In each group radii come from the first eight words and angles from the last eight: they are sorted into such.
#[inline(always)]
fn some_groups<I: Isa>(words: &[u32; TOGETHER], values: &mut [f32; TOGETHER], mean: f32, std: f32) {
    const HALF: usize = GROUP / 2;
    const LANES: usize = TOGETHER / 2;
    let (mut radii, mut angles) = ([0u32; LANES], [0u32; LANES]);
    for group in 0..TOGETHER / GROUP {
        radii[group * HALF..][..HALF].copy_from_slice(&words[group * GROUP..][..HALF]);
        angles[group * HALF..][..HALF].copy_from_slice(&words[group * GROUP + HALF..][..HALF]);
    }
    let (mut cosines, mut sines) = ([0f32; LANES], [0f32; LANES]);
    for at in (0..LANES).step_by(I::Singles::COUNT) {
        pairs::<I::Singles>(&radii[at..], &angles[at..], (mean, std), &mut cosines[at..], &mut sines[at..]);
    }
    for group in 0..TOGETHER / GROUP {
        values[group * GROUP..][..HALF].copy_from_slice(&cosines[group * HALF..][..HALF]);
        values[group * GROUP + HALF..][..HALF].copy_from_slice(&sines[group * HALF..][..HALF]);
    }
}

/// Pairs of normals from words of radii and of angles, as many as `F` has.
#[inline(always)]
pub(super) fn pairs<F: Singles>(
    radii: &[u32],
    angles: &[u32],
    (mean, std): (f32, f32),
    cosines: &mut [f32],
    sines: &mut [f32],
) {
    let (mean, std) = (F::splat(mean), F::splat(std));
    // The logarithm of 1 - unit, and tau times a unit: that units are divided by a power of two rounds nothing.
    let complement = F::Bits::splat(1 << UNIT_BITS).sub(low_bits(F::Bits::load(radii))).signed();
    let angle = angle(F::splat(TAU * UNIT).times(low_bits(F::Bits::load(angles)).signed()));
    let (ln, sin, cos) = ln_sin_cos::<F, { -UNIT_BITS }>(complement, angle);
    let radius = ln.times(F::splat(-2.0)).sqrt();
    radius.times(cos).fused(std, mean).store(cosines);
    radius.times(sin).fused(std, mean).store(sines);
}

/// Bits of a word that a draw on [0, 1) takes, the lowest, and the step from one draw to the next.
const UNIT_BITS: i32 = 24;
const UNIT: f32 = 1.0 / (1u32 << UNIT_BITS) as f32;

/// Those bits: so few that the signed conversion, which every level has, is exact.
#[inline(always)]
fn low_bits<B: Bits<One = u32>>(words: B) -> B {
    words.and(B::splat((1 << UNIT_BITS) - 1))
}

/// Words on [0, 1).
#[inline(always)]
fn unit<F: Singles>(word: F::Bits) -> F {
    low_bits(word).signed().times(F::splat(UNIT))
}

/// Whole groups of normals.
struct Normal64<'a> {
    engine: &'a mut Mt19937,
    mean: f64,
    std: f64,
    out: &'a mut [f64],
}

impl Kernel for Normal64<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self) {
        let Self { engine, mean, std, out } = self;
        let mut words = [0u32; CHUNK];
        let mut rest = out;
        while !rest.is_empty() {
            let (out, later) = split(&mut rest, CHUNK / 2);
            engine.words_and_fetch::<I>(&mut words[..2 * out.len()], later);
            groups64(&words, mean, std, out);
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
