//! Tests of the stream `FromRng`, which fills tensors from a random number generator of the caller.
#![cfg(feature = "rand_core")]

mod common;

use std::convert::Infallible;

use common::{CATALOGUE, filled};
use fanin::interop::rand_core::PhiloxRng;
use fanin::{DType, FromRng, Level, Native};
use rand::SeedableRng;
use rand::rngs::StdRng;

/// A generator that always returns the same word.
struct Always(u32);

impl rand_core::TryRng for Always {
    type Error = Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.0)
    }
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from(self.0) << 32 | u64::from(self.0))
    }
    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.fill(self.0 as u8);
        Ok(())
    }
}

/// A generator that panics if it is used.
struct Never;

impl rand_core::TryRng for Never {
    type Error = Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        panic!("a word was drawn")
    }
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        panic!("a word was drawn")
    }
    fn try_fill_bytes(&mut self, _: &mut [u8]) -> Result<(), Infallible> {
        panic!("bytes were drawn")
    }
}

#[test]
fn schemes_without_randomness_do_not_use_the_generator() {
    for (spec, shape) in [
        ("zeros", &[5, 5][..]),
        ("constant(2)", &[3]),
        ("eye", &[4, 4]),
        ("dirac", &[2, 2, 3]),
        ("idinit", &[4, 9]),
        ("zero_hadamard", &[9, 4]),
    ] {
        filled(spec, shape, DType::F32, &mut FromRng::new(&mut Never));
    }
    filled("normal", &[0, 7], DType::F32, &mut FromRng::new(&mut Never));
    assert!(
        std::panic::catch_unwind(|| filled("normal", &[1], DType::F32, &mut FromRng::new(&mut Never)))
            .is_err()
    );
}

#[test]
fn extreme_words_give_values_inside_the_bounds() {
    for word in
        [0, 1, 0x7fff_ffff, 0x8000_0000, 0x8000_0001, u32::MAX - 1, u32::MAX, 0x4000_0000, 0xc000_0000]
    {
        for (spec, _) in CATALOGUE.iter().filter(|(_, shapes)| shapes[0].is_empty()) {
            for dtype in DType::ALL {
                let plan = common::plan(spec, &[70], dtype).unwrap();
                let (low, high) = plan.bounds();
                let values = filled(spec, &[70], dtype, &mut FromRng::new(&mut Always(word))).to_f64();
                for value in values {
                    assert!(value.is_finite() && value.abs() < 1e5, "{spec} {dtype} {word:x}: {value}");
                    // Values of a narrow type are rounded, so they can equal the rounded bounds.
                    let inside = dtype.round(low) <= value && value <= dtype.round(high);
                    // If the interval contains no f32 number (for F64 tensors, no f64 number), every value is the
                    // number that is nearest to the middle of the interval.
                    let nearest = dtype.round((low + high) / 2.0) == value;
                    assert!(inside || nearest, "{spec} {dtype} {word:x}: {value}");
                }
            }
        }
    }
}

#[test]
fn equal_generators_give_equal_values_at_every_simd_level_and_the_generator_advances() {
    for (spec, shapes) in CATALOGUE {
        for dtype in DType::ALL {
            let shape = shapes[shapes.len() - 1];
            let mut first = None;
            for &level in Level::available() {
                let mut rng = StdRng::seed_from_u64(5);
                let one = filled(spec, shape, dtype, &mut FromRng::new(&mut rng).with_level(level)).bytes();
                assert_eq!(*first.get_or_insert(one.clone()), one, "{spec} {dtype} {level:?}");
                let two = filled(spec, shape, dtype, &mut FromRng::new(&mut rng).with_level(level)).bytes();
                let random = common::plan(spec, shape, dtype).unwrap().std() > 0.0
                    && !["eye", "dirac", "zero_hadamard", "idinit"].iter().any(|s| spec.contains(s));
                // If a narrow interval contains at most one value of the type, all values are equal. Two fills are not
                // compared in this case.
                if random && one.chunks(dtype.size()).any(|value| *value != one[..dtype.size()]) {
                    assert_ne!(one, two, "{spec} {dtype}: the generator did not advance");
                }
            }
        }
    }
}

#[test]
fn each_value_uses_the_next_words_in_order() {
    let words: Vec<u32> = {
        let mut rng = StdRng::seed_from_u64(9);
        (0..100).map(|_| rand_core::Rng::next_u32(&mut rng)).collect()
    };
    let mut rng = StdRng::seed_from_u64(9);
    let values = filled("uniform", &[100], DType::F32, &mut FromRng::new(&mut rng)).to_f64();
    for (word, value) in words.into_iter().zip(values) {
        let expected = (f64::from(word as i32) / 4_294_967_296.0 + 0.5) as f32;
        assert!((f64::from(expected) - value).abs() <= 6e-8, "{word} {value}");
    }
}

#[test]
fn the_native_stream_differs_from_the_philox_generator() {
    let mut rng = PhiloxRng::from_seed([1; 16]);
    let a = filled("normal", &[64], DType::F32, &mut FromRng::new(&mut rng)).bytes();
    let b = filled("normal", &[64], DType::F32, &mut Native::new(1).tensor("")).bytes();
    assert_ne!(a, b);
}
