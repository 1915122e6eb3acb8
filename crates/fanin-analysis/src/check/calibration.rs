//! Measures how often tests of correct tensors have small p-values. If the p-values are right, at most 1 % of them are
//! below 0.01, at most 0.1 % are below 0.001, and so on.

use std::collections::BTreeMap;

use fanin::init::Init;
use fanin::{DType, Initializer as _, Native, Stream as _};
use fanin_checkpoint::{ValueBuffer, decode};
use fanin_recipe::StoredType;

use super::distribution::Univariate;
use super::reference::ReferenceDistribution;
use super::sample::SampleStatistics;
use super::structure::{Structure, Subject};

/// The distributions of the tensors that are drawn and tested.
const SPECS: [&str; 4] =
    ["normal(std=0.02)", "uniform(-0.1, 0.1)", "trunc_normal(std=0.5)", "trunc_normal(std=1, a=1, b=9)"];

/// The types of the tensors that are drawn and tested.
const DTYPES: [DType; 4] = [DType::F32, DType::BF16, DType::F8E4M3, DType::F8E5M2];

/// The shapes of the tensors that are drawn and tested.
const SHAPES: [&[usize]; 10] = [
    &[70],
    &[5, 30],
    &[12, 12],
    &[16, 64],
    &[64, 16],
    &[2, 400],
    &[64, 64],
    &[8, 32, 32],
    &[32, 8, 3, 3],
    &[130, 70],
];

/// The limits below which p-values are counted.
const LIMITS: [f64; 4] = [1e-2, 1e-3, 1e-4, 1e-5];

/// Draws and tests `tensors` tensors of each distribution, type and shape. For each test, returns the number of
/// p-values, and how many of them are below each of `LIMITS`.
fn count(tensors: u64) -> BTreeMap<&'static str, (u64, [u64; 4])> {
    let mut counts: BTreeMap<&'static str, (u64, [u64; 4])> = BTreeMap::new();
    for (spec, dtype) in SPECS.iter().flat_map(|spec| DTYPES.map(|dtype| (spec, dtype))) {
        for shape in SHAPES {
            let plan = spec.parse::<Init>().unwrap().resolve(shape, dtype).unwrap();
            let reference = ReferenceDistribution::new(Univariate::of(&plan).unwrap(), dtype);
            for seed in 0..tensors {
                let mut buffer = ValueBuffer::new(dtype, plan.len()).unwrap();
                // No two tensors have the same name and seed, so each tensor has its own random numbers.
                let name = format!("{spec} {dtype} {shape:?}");
                Native::new(seed).tensor(&name).fill(&plan, buffer.tensor(shape).unwrap()).unwrap();
                let values = decode(StoredType::from_float(dtype), &buffer.bytes());
                let mut sample = SampleStatistics::new(false);
                sample.add(&reference, &values);
                let moments = reference.moments;
                let mut structure = Structure::new(Subject { shape, dtype, moments });
                structure.add(&values, &values);
                structure.finish();
                for result in sample.tests(&reference).iter().chain(&structure.tests(shape, &moments)) {
                    let (all, small) = counts.entry(result.test).or_default();
                    *all += 1;
                    small.iter_mut().zip(LIMITS).for_each(|(n, p)| *n += u64::from(result.p_value < p));
                    if result.p_value < 1e-4 {
                        println!("{} {:.1e}: {name}: {}", result.test, result.p_value, result.text);
                    }
                }
            }
        }
    }
    counts
}

/// Draws and tests `tensors` tensors of each distribution, type and shape. Checks that the fraction of p-values below
/// each limit L is not much larger than L.
fn check(tensors: u64) {
    let counts = count(tensors);
    for (test, (all, small)) in &counts {
        println!("{test}: {all} results, below {LIMITS:?}: {small:?}");
    }
    for (test, (all, small)) in counts {
        for (found, limit) in small.into_iter().zip(LIMITS) {
            let expected = all as f64 * limit;
            let allowed = 1.2 * expected + 4.0 * expected.sqrt() + 3.0;
            assert!(found as f64 <= allowed, "{test}: {found} of {all} are below {limit}");
        }
    }
}

#[test]
fn p_values_of_correct_tensors_are_rarely_small() {
    check(10);
}

#[test]
#[ignore = "takes a minute"]
fn p_values_of_many_correct_tensors_are_rarely_small() {
    check(1000);
}
