//! Uniform and normal sequences, as torch draws them.

use super::Torch;
use super::partition::Cost;
use super::variates::{GROUP, Normal32, Normal64, Uniform32, Uniform64, transform, unit64};
use crate::cancel::check;
use crate::dtype::{DType, Element, Values};
use crate::rng::Mt19937;
use crate::simd::{Level, dispatch};
use crate::streams::fill::Span;

/// Values between two looks whether the fill is still wanted: whole groups, some milliseconds.
pub(super) const UNWATCHED: usize = 1 << 20;

/// torch vectorizes a contiguous normal fill from so many values on.
pub(super) const BULK: usize = 16;

impl Torch {
    /// U[low, high): a word a value (two in f64). Gives the words that the whole takes.
    pub(super) fn uniform<E: Element>(
        &mut self,
        distribution: (f64, f64),
        span: Span<'_>,
        count: usize,
        out: &mut [E],
    ) -> u64 {
        let words = words_each::<E>() * count as u64;
        self.spread(Cost::of_uniforms::<E>(), (span, words), out, |cursor, first, out| {
            cursor.uniforms(distribution, first, out)
        });
        words
    }

    /// N(mean, std^2) as torch fills contiguous memory of so many values, sixteen at least: by groups. Gives the words that
    /// the whole takes.
    pub(super) fn normal<E: Element>(
        &mut self,
        distribution: (f64, f64),
        span: Span<'_>,
        count: usize,
        out: &mut [E],
    ) -> u64 {
        let groups = Groups::<E>::new(count);
        self.spread(Cost::of_normals::<E>(), (span, groups.all), out, |cursor, first, out| {
            cursor.normals(&groups, distribution, first, out);
        });
        groups.all
    }

    /// N(mean, std^2) as torch fills strided memory, and short memory: one after another, in pairs.
    pub(super) fn serial_normal<E: Element>(&mut self, (mean, std): (f64, f64), out: &mut [E]) {
        for out in out.chunks_mut(UNWATCHED) {
            check();
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
                    check();
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
        self.engine.advance_at(level, words - at);
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
        self.engine.advance_at(self.level, word - self.at);
        self.at = word;
    }

    /// The group of normal values that begins at a word.
    fn group(&mut self, start: u64, words: usize, distribution: (f64, f64)) -> &[E; GROUP] {
        if self.made.as_ref().is_none_or(|made| made.0 != start) {
            self.seek(start);
            let mut drawn = [0; 2 * GROUP];
            self.engine.words_at(self.level, &mut drawn[..words]);
            self.at += words as u64;
            let mut values = [E::default(); GROUP];
            transform(self.level, &drawn[..words], distribution, &mut values);
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
