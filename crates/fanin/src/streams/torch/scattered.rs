//! Values at single places of a sequence: what rejection asks for again.

use super::draw::{Groups, words_each};
use super::variates::{GROUP, pairs, uniforms, uniforms64, unit64};
use crate::dtype::{Element, Values};
use crate::rng::StateReader;
use crate::simd::{Kernel, Level, SimdFloat, SimdIsa, dispatch};

/// Places that are worked on together.
pub(super) const TOGETHER: usize = 128;

/// The values that a uniform fill would write at these places, which ascend.
pub(super) fn uniforms_at<E: Element>(
    level: Level,
    walker: &mut StateReader,
    places: &[u64],
    (low, high): (f64, f64),
    out: &mut [E],
) {
    let mut words = [0; 2 * TOGETHER];
    for (places, out) in places.chunks(TOGETHER).zip(out.chunks_mut(TOGETHER)) {
        let words = &mut words[..words_each::<E>() as usize * places.len()];
        if words_each::<E>() == 1 {
            walker.read(places, [0], words);
        } else {
            let mut first = [0; TOGETHER];
            first.iter_mut().zip(places).for_each(|(first, place)| *first = 2 * place);
            walker.read(&first[..places.len()], [0, 1], words);
        }
        match E::values(out) {
            Values::F64(out) => dispatch(level, Uniforms64 { words, low, high, out }),
            Values::F32(out) => dispatch(level, Uniforms32 { words, low, high, out }),
            Values::F16(out) => dispatch(level, Uniforms32 { words, low, high, out }),
            Values::BF16(out) => dispatch(level, Uniforms32 { words, low, high, out }),
            Values::F8E4M3(_) | Values::F8E5M2(_) => unreachable!("{}", super::NARROW),
        }
    }
}

struct Uniforms32<'a, E> {
    words: &'a [u32],
    low: f64,
    high: f64,
    out: &'a mut [E],
}

impl<E: Element> Kernel for Uniforms32<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<I: SimdIsa>(self) {
        uniforms::<I, E>(self.words, self.low, self.high, self.out);
    }
}

/// From the upper words, then the lower ones.
struct Uniforms64<'a> {
    words: &'a [u32],
    low: f64,
    high: f64,
    out: &'a mut [f64],
}

impl Kernel for Uniforms64<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: SimdIsa>(self) {
        let (upper, lower) = self.words.split_at(self.out.len());
        let mut words = [0; 2 * TOGETHER];
        for (pair, (upper, lower)) in words.as_chunks_mut::<2>().0.iter_mut().zip(upper.iter().zip(lower)) {
            *pair = [*upper, *lower];
        }
        uniforms64(&words[..2 * self.out.len()], self.low, self.high, self.out);
    }
}

/// The values that a normal fill by groups would write at these places, which ascend.
pub(super) fn normals_at<E: Element>(
    level: Level,
    walker: &mut StateReader,
    groups: &Groups<E>,
    places: &[u64],
    (mean, std): (f64, f64),
    out: &mut [E],
) {
    // A value takes a radius and an angle, half a group later.
    const HALF: usize = GROUP / 2;
    let each = words_each::<E>();
    let (mut first, mut sine) = ([0; TOGETHER], [false; TOGETHER]);
    let mut words = [0; 4 * TOGETHER];
    for (places, out) in places.chunks(TOGETHER).zip(out.chunks_mut(TOGETHER)) {
        for ((first, sine), &place) in first.iter_mut().zip(&mut sine).zip(places) {
            let (start, lane) = groups.of(place);
            *first = start + each * (lane % HALF) as u64;
            *sine = lane >= HALF;
        }
        let (first, words) = (&first[..places.len()], &mut words[..2 * each as usize * places.len()]);
        if each == 1 {
            walker.read(first, [0, HALF as u32], words);
        } else {
            walker.read(first, [0, 1, GROUP as u32, GROUP as u32 + 1], words);
        }
        let sine = &sine[..places.len()];
        match E::values(out) {
            Values::F64(out) => dispatch(level, Normals64 { words, sine, mean, std, out }),
            Values::F32(out) => dispatch(level, Normals32 { words, sine, mean, std, out }),
            Values::F16(out) => dispatch(level, Normals32 { words, sine, mean, std, out }),
            Values::BF16(out) => dispatch(level, Normals32 { words, sine, mean, std, out }),
            Values::F8E4M3(_) | Values::F8E5M2(_) => unreachable!("{}", super::NARROW),
        }
    }
}

/// From the words of the radii, then those of the angles.
struct Normals32<'a, E> {
    words: &'a [u32],
    sine: &'a [bool],
    mean: f64,
    std: f64,
    out: &'a mut [E],
}

impl<E: Element> Kernel for Normals32<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<I: SimdIsa>(self) {
        let count = self.out.len();
        let (mut radii, mut angles) = ([0; TOGETHER], [0; TOGETHER]);
        radii[..count].copy_from_slice(&self.words[..count]);
        angles[..count].copy_from_slice(&self.words[count..]);
        let (mut values, mut sines) = ([0f32; TOGETHER], [0f32; TOGETHER]);
        let distribution = (self.mean as f32, self.std as f32);
        for at in (0..count).step_by(I::F32::LANES) {
            pairs::<I::F32>(&radii[at..], &angles[at..], distribution, &mut values[at..], &mut sines[at..]);
        }
        let values = &mut values[..count];
        for ((value, of_sine), sine) in values.iter_mut().zip(&sines).zip(self.sine) {
            *value = if *sine { *of_sine } else { *value };
        }
        E::store(values, self.out);
    }
}

/// From the upper and lower words of the radii, then those of the angles.
struct Normals64<'a> {
    words: &'a [u32],
    sine: &'a [bool],
    mean: f64,
    std: f64,
    out: &'a mut [f64],
}

impl Kernel for Normals64<'_> {
    type Output = ();

    #[allow(
        clippy::disallowed_methods,
        reason = "torch takes these from the C library, and so must its mirror"
    )]
    #[inline(always)]
    fn run<I: SimdIsa>(self) {
        let Self { words, sine, mean, std, out } = self;
        let count = out.len();
        let unit = |at: usize, of: usize| {
            unit64(u64::from(words[of * count + at]) << 32 | u64::from(words[(of + 1) * count + at]))
        };
        for (at, (out, sine)) in out.iter_mut().zip(sine).enumerate() {
            let radius = (-2.0 * (1.0 - unit(at, 0)).ln()).sqrt();
            let (sin, cos) = (std::f64::consts::TAU * unit(at, 2)).sin_cos();
            *out = (radius * if *sine { sin } else { cos }).mul_add(std, mean);
        }
    }
}
