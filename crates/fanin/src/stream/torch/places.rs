//! Single values of a sequence: what rejection asks for again.

use super::Torch;
use super::draw::{CHUNK, GROUP, Groups, transform, uniforms, uniforms64, words_each};
use crate::element::{Element, Values};
use crate::engine::Mt19937;
use crate::simd::{Isa, Kernel, Level, dispatch};

/// Fewest places that are worth a thread to redraw.
const SHARE_OF_PLACES: usize = 1 << 14;

impl Torch {
    /// Draws N(mean, std^2) for all of `count` places, but computes it at these alone, which ascend: only their groups are
    /// transformed.
    pub(super) fn redraw_normals<E: Element>(
        &mut self,
        law: (f64, f64),
        count: usize,
        places: &[usize],
    ) -> Vec<E> {
        let groups = Groups::<E>::new(count);
        let (level, engine) = (self.level(), &self.engine);
        // Each thread redraws a stretch of the places, from an engine of its own.
        let redrawn = self.threads.map(self.stretches(places), |places| {
            let mut values = Vec::with_capacity(places.len());
            let (mut engine, mut at) = (engine.clone(), 0);
            let mut words = Vec::with_capacity(CHUNK);
            let mut lanes = Vec::with_capacity(CHUNK / GROUP);
            let mut made = [E::default(); CHUNK];
            let mut last = None;
            for (number, &place) in places.iter().enumerate() {
                let (start, lane) = groups.of(place as u64);
                if last != Some(start) {
                    engine.skip_at(level, start - at);
                    let first = words.len();
                    words.resize(first + groups.words, 0);
                    engine.words_at(level, &mut words[first..]);
                    (last, at) = (Some(start), start + groups.words as u64);
                }
                lanes.push(words.len() / groups.words * GROUP - GROUP + lane);
                let full = words.len() + groups.words > CHUNK && {
                    // The next place may lie in the group at hand.
                    places.get(number + 1).is_none_or(|&next| groups.of(next as u64).0 != start)
                };
                if full || number + 1 == places.len() {
                    let made = &mut made[..words.len() / groups.words * GROUP];
                    transform(level, &words, law, made);
                    values.extend(lanes.drain(..).map(|lane: usize| made[lane]));
                    words.clear();
                }
            }
            values
        });
        self.engine.skip_at(level, groups.all);
        redrawn.concat()
    }

    /// Draws a proposal on [low, high) and a number on [0, 1) for each of `count` places, but computes them at these places
    /// alone, which ascend: the proposals, and which of them are refused.
    pub(super) fn propose<E: Element>(
        &mut self,
        (low, high): (f64, f64),
        count: usize,
        places: &[usize],
        refused: impl Fn(&[E], &[E], &mut [bool]) + Sync,
    ) -> Vec<(E, bool)> {
        let all = count as u64 * words_each::<E>();
        let (level, engine) = (self.level(), &self.engine);
        let found = self.threads.map(self.stretches(places), |places| {
            let (mut proposing, mut drawing) = (engine.clone(), engine.clone());
            drawing.skip_at(level, all);
            let (mut proposed, mut drawn) = (0, 0);
            let (mut proposals, mut draws) = ([E::default(); CHUNK / 2], [E::default(); CHUNK / 2]);
            let mut verdicts = [false; CHUNK / 2];
            let mut found = Vec::with_capacity(places.len());
            for places in places.chunks(CHUNK / 2) {
                let (proposals, draws) = (&mut proposals[..places.len()], &mut draws[..places.len()]);
                pick(level, &mut proposing, &mut proposed, places, (low, high), proposals);
                pick(level, &mut drawing, &mut drawn, places, (0.0, 1.0), draws);
                let verdicts = &mut verdicts[..places.len()];
                refused(proposals, draws, verdicts);
                found.extend(proposals.iter().copied().zip(verdicts.iter().copied()));
            }
            found
        });
        self.engine.skip_at(level, 2 * all);
        found.concat()
    }

    /// The places, shared among the threads.
    fn stretches<'a>(&self, places: &'a [usize]) -> Vec<&'a [usize]> {
        let parts = self.threads.count().min(places.len() / SHARE_OF_PLACES).max(1);
        places.chunks(places.len().div_ceil(parts).max(1)).collect()
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
    fn run<I: Isa>(self) {
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
    fn run<I: Isa>(self) {
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
    let each = words_each::<E>() as usize;
    let mut words = [0u32; CHUNK];
    let words = &mut words[..each * places.len()];
    *from = dispatch(level, Gather { level, engine, from: *from, places, each, words });
    match E::values(out) {
        Values::F64(out) => dispatch(level, Words64 { words, low, high, out }),
        Values::F32(out) => dispatch(level, Words32 { words, low, high, out }),
        Values::F16(out) => dispatch(level, Words32 { words, low, high, out }),
        Values::BF16(out) => dispatch(level, Words32 { words, low, high, out }),
    }
}

/// The words of single places: where these lie close together, by stretches.
struct Gather<'a> {
    level: Level,
    engine: &'a mut Mt19937,
    from: u64,
    places: &'a [usize],
    each: usize,
    words: &'a mut [u32],
}

impl Kernel for Gather<'_> {
    /// Where the engine is then.
    type Output = u64;

    #[inline(always)]
    fn run<I: Isa>(self) -> u64 {
        const STRETCH: usize = 256;
        // A stretch is worth making for so many of its words.
        const WANTED: usize = 16;
        let Self { level, engine, mut from, places, each, words } = self;
        let Some(&last) = places.last() else { return from };
        let end = (each * (last + 1)) as u64;
        let mut stretch = [0u32; STRETCH];
        let mut begin = from;
        for (number, (words, &place)) in words.chunks_exact_mut(each).zip(places).enumerate() {
            let start = (each * place) as u64;
            if start >= from {
                engine.skip_at(level, start - from);
                let close = |later: &usize| (each * later) as u64 - start < STRETCH as u64;
                let length = if places.get(number + WANTED).is_some_and(close) {
                    (end - start).min(STRETCH as u64)
                } else {
                    each as u64
                };
                engine.words::<I>(&mut stretch[..length as usize]);
                (begin, from) = (start, start + length);
            }
            words.copy_from_slice(&stretch[(start - begin) as usize..][..each]);
        }
        from
    }
}
