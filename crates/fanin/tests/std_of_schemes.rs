//! Tests that the standard deviation of each scheme agrees with a formula in this file. Each scheme is measured over
//! about a million values, except the constant schemes, `eye` and `dirac`.
//!
//! The relative standard error of the std of a million normal values is 0.07 %. The tolerance of 0.5 % is seven
//! standard errors.

mod common;

use common::{filled, plan};
use fanin::{DType, Native, Torch, spec};

const LINEAR: &[usize] = &[1000, 1000];
const CONV: &[usize] = &[250, 450, 3, 3];
const KERAS: &[usize] = &[3, 3, 450, 250];
/// The natural logarithm of 100.
const LN_100: f64 = 4.605_170_185_988_092;

/// Returns a list of specs, each with a shape and the expected standard deviation of the values.
fn definitions() -> Vec<(&'static str, &'static [usize], f64)> {
    let sqrt = f64::sqrt;
    // The three constants are the standard deviations of the standard normal distribution truncated at 2, 1 and 3
    // sigma. The constants were computed by mpmath.
    let (at_2, at_1, at_3) = (0.879_625_661_034_239_8, 0.539_560_093_754_895, 0.986_578_392_558_108_6);
    vec![
        ("uniform(-1, 2)", LINEAR, 3.0 / sqrt(12.0)),
        ("normal(1, 0.02)", LINEAR, 0.02),
        ("trunc_normal", LINEAR, at_2),
        ("trunc_normal_tf(std=0.02)", LINEAR, 0.02 * at_2),
        ("trunc_normal_tf(std=0.02, a=-1, b=1)", LINEAR, 0.02 * at_1),
        ("trunc_normal_tf(std=0.02, a=-3, b=3)", LINEAR, 0.02 * at_3),
        ("trunc_normal_tf(std=0.02, a=-1, b=1, corrected=true)", LINEAR, 0.02),
        ("xavier_uniform(gain=tanh)", LINEAR, 5.0 / 3.0 * sqrt(2.0 / 2000.0)),
        ("xavier_normal", CONV, sqrt(2.0 / (4050.0 + 2250.0))),
        ("kaiming_uniform(nonlinearity=relu)", CONV, sqrt(2.0 / 4050.0)),
        ("kaiming_normal(mode=fan_out, nonlinearity=relu)", CONV, sqrt(2.0 / 2250.0)),
        ("kaiming_normal(nonlinearity=gelu)", LINEAR, 1.533_530_441_195_535 / sqrt(1000.0)),
        ("kaiming_normal(mode=fan_out, nonlinearity=linear, groups=5)", CONV, sqrt(1.0 / 450.0)),
        ("orthogonal(gain=2)", LINEAR, 2.0 / sqrt(1000.0)),
        ("sparse(0.25, std=2)", LINEAR, 2.0 * sqrt(0.75)),
        ("variance_scaling(0.7, fan_avg, normal, hwio)", KERAS, sqrt(0.7 * 2.0 / 6300.0)),
        ("variance_scaling(0.7, fan_geo_avg, uniform)", CONV, sqrt(0.7 / sqrt(4050.0 * 2250.0))),
        ("lecun_uniform", LINEAR, sqrt(1.0 / 1000.0)),
        ("lecun_normal(layout=kernel_in_out)", KERAS, sqrt(1.0 / 4050.0)),
        ("he_uniform", CONV, sqrt(2.0 / 4050.0)),
        ("he_normal", CONV, sqrt(2.0 / 4050.0)),
        ("glorot_uniform", CONV, sqrt(2.0 / 6300.0)),
        ("glorot_normal", CONV, sqrt(2.0 / 6300.0)),
        ("linear_default", LINEAR, sqrt(1.0 / 3000.0)),
        ("linear_default_bias(64)", &[1_000_000], sqrt(1.0 / 192.0)),
        ("siren", LINEAR, sqrt(2.0 / 1000.0) / 30.0),
        ("siren_first", LINEAR, 1e-3 / sqrt(3.0)),
        ("spectral", &[500, 2000], sqrt(1.0 / 2000.0) * 0.5),
        ("delta_orthogonal(layout=hwio)", &[3, 3, 300, 400], sqrt(1.0 / 400.0 / 9.0)),
        ("zero_hadamard", &[1000, 900], 1.0 / 32.0),
        ("idinit(0.5)", LINEAR, 0.5 * sqrt(1e-3 * (1.0 - 1e-3))),
        (
            "log_uniform(0.001, 0.1)",
            LINEAR,
            sqrt((0.01 - 1e-6) / (2.0 * LN_100) - (0.099 / LN_100) * (0.099 / LN_100)),
        ),
        ("arange(step=0.5)", LINEAR, 0.5 * sqrt((1e6 - 1.0) / 12.0)),
        ("log(uniform(1, 16))", LINEAR, 0.673_313_624_915_984_2),
        ("exp(normal(0, 0.5))", LINEAR, sqrt((0.25f64.exp() - 1.0) * 0.25f64.exp())),
        ("softplus_inverse(uniform(1, 2))", LINEAR, 0.376_295_335_349_504_4),
        ("blocks(250: normal(std=2), 750: normal)", LINEAR, sqrt(0.25 * 4.0 + 0.75)),
        ("stacked(xavier_normal)", &[4, 500, 500], sqrt(2.0 / 1000.0)),
        ("normal(std=0.02*gpt2_residual(12))", LINEAR, 0.02 / sqrt(24.0)),
    ]
}

fn std_of(values: &[f64]) -> f64 {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    (values.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / values.len() as f64).sqrt()
}

#[test]
fn measured_and_planned_stds_agree_with_the_formulas() {
    for (spec, shape, std) in definitions() {
        let planned = plan(spec, shape, DType::F32).unwrap().std();
        let measured = std_of(&filled(spec, shape, DType::F32, &mut Native::new(9).tensor("w")).to_f64());
        // The mean of the values of `zero_hadamard` is not exactly 0. The plan measures deviations from this mean, and
        // the formula measures deviations from 0.
        let near = if spec == "zero_hadamard" { 1e-3 } else { 1e-9 };
        assert!((planned / std - 1.0).abs() < near, "{spec}: planned {planned}, by hand {std}");
        assert!((measured / std - 1.0).abs() < 5e-3, "{spec}: measured {measured}, by hand {std}");
    }
}

#[test]
fn the_list_of_specs_contains_every_scheme() {
    let known: Vec<&str> =
        definitions().iter().map(|(spec, ..)| spec.split('(').next().unwrap_or_default()).collect();
    for scheme in spec::schemes() {
        let fixed = ["constant", "ones", "zeros", "eye", "dirac"].contains(&scheme.name);
        assert!(fixed || known.contains(&scheme.name), "{} is not measured", scheme.name);
    }
}

#[test]
fn no_truncated_normal_has_extra_mass_at_its_bounds() {
    for dtype in DType::ALL {
        for spec in ["trunc_normal", "trunc_normal_tf(0.3, 0.7, -1.1, 0.9)", "trunc_normal(a=1, b=inf)"] {
            for torch in [false, true] {
                let plan = plan(spec, &[200_000], dtype).unwrap();
                if torch && plan.bounds().1.is_infinite() {
                    continue;
                }
                let values = match torch {
                    true => filled(spec, &[200_000], dtype, &mut Torch::new(1)),
                    false => filled(spec, &[200_000], dtype, &mut Native::new(1).tensor("w")),
                };
                let mut sorted = values.to_f64();
                sorted.sort_by(f64::total_cmp);
                // Values of a narrow type are rounded, so all values are between the rounded bounds (inclusive).
                let (low, high) = plan.bounds();
                let (low, high) = (dtype.round(low), dtype.round(high));
                assert!(torch || (sorted[0] >= low && *sorted.last().unwrap() <= high), "{spec} {dtype}");
                // The number of occurrences of an extreme value is compared with the number of occurrences of the
                // nearest other value.
                for (end, next) in [
                    (sorted[0], sorted.iter().copied().find(|x| *x > sorted[0])),
                    (sorted[199_999], sorted.iter().rev().copied().find(|x| *x < sorted[199_999])),
                ] {
                    let Some(next) = next else { continue };
                    let count = sorted.iter().filter(|x| **x == end).count() as f64;
                    let neighbours = sorted.iter().filter(|x| **x == next).count() as f64;
                    // A cell is the interval of numbers that are rounded to the same value. The distance between values
                    // doubles at powers of 2, so a cell is at most 1.5 times as wide as a neighbouring cell.
                    assert!(
                        count <= 2.0 * neighbours + 6.0 * neighbours.sqrt() + 10.0,
                        "{spec} {dtype}: {count} at {end}, {neighbours} beside it"
                    );
                }
            }
        }
    }
}
