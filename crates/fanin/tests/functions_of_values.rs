//! Tests of the schemes `log_uniform` and `arange`, and of functions of random values such as `exp(normal)`.

mod common;

use common::{Buffer, filled, plan};
use fanin::init::Init;
use fanin::{DType, Initializer, Level, Native, Stream as _, Torch};
use std::fmt::Write as _;

/// Functions of random values, each with a shape.
const SPECS: [(&str, &[usize]); 6] = [
    ("log_uniform(0.001, 0.1)", &[3, 5, 17]),
    ("softplus_inverse(log_uniform(0.001, 0.1))", &[200]),
    ("log(uniform(1, 16))", &[9, 7]),
    ("exp(normal(-1, 0.5))", &[64, 3]),
    ("exp(trunc_normal(std=0.1, a=-0.2, b=0.2))", &[33]),
    ("exp(log(uniform(1, 2)))", &[1]),
];

/// Returns the expected f64 values of a spec in `SPECS`. For `exp(normal(-1, 0.5))`, they are `libm::exp` of the values
/// of `normal(-1, 0.5)`.
fn expected(spec: &str, shape: &[usize]) -> Vec<f64> {
    let values = |inner: &str| filled(inner, shape, DType::F64, &mut Native::new(3).tensor("w")).to_f64();
    let log_uniform = format!("uniform({}, {})", libm::log(0.001), libm::log(0.1));
    let of = |inner: &str, f: fn(f64) -> f64| values(inner).into_iter().map(f).collect::<Vec<_>>();
    match spec {
        "log_uniform(0.001, 0.1)" => of(&log_uniform, libm::exp),
        "softplus_inverse(log_uniform(0.001, 0.1))" => of(&log_uniform, |x| {
            let dt = libm::exp(x);
            dt + libm::log(-libm::expm1(-dt))
        }),
        "log(uniform(1, 16))" => of("uniform(1, 16)", libm::log),
        "exp(normal(-1, 0.5))" => of("normal(-1, 0.5)", libm::exp),
        "exp(trunc_normal(std=0.1, a=-0.2, b=0.2))" => of("trunc_normal(std=0.1, a=-0.2, b=0.2)", libm::exp),
        _ => of("uniform(1, 2)", |x| libm::exp(libm::log(x))),
    }
}

#[test]
fn values_are_functions_of_the_f64_values_rounded_once() {
    for (spec, shape) in SPECS {
        let wide = expected(spec, shape);
        for dtype in DType::ALL {
            for &level in Level::available() {
                let found =
                    filled(spec, shape, dtype, &mut Native::new(3).with_level(level).tensor("w")).to_f64();
                let rounded: Vec<f64> = wide.iter().map(|x| dtype.round(*x)).collect();
                assert_eq!(found, rounded, "{spec} {dtype} {level:?}");
            }
        }
    }
}

#[test]
fn a_region_equals_a_slice_of_the_whole_tensor() {
    let (spec, shape) = SPECS[0];
    let whole = filled(spec, shape, DType::F32, &mut Native::new(3).tensor("w"));
    let plan = plan(spec, shape, DType::F32).unwrap();
    let prepared = Native::new(3).tensor("w").prepare(&plan).unwrap();
    for (start, size) in [([0, 0, 0], [3, 5, 17]), ([1, 2, 3], [2, 2, 9]), ([2, 4, 16], [1, 1, 1])] {
        let mut part = Buffer::new(DType::F32, size.iter().product());
        prepared.fill_region(&start, part.tensor(&size)).unwrap();
        assert_eq!(part.bytes(), whole.at(&common::indices(shape, &start, &size)).bytes(), "{start:?}");
    }
    // A large tensor is computed in chunks, in contiguous and in strided memory.
    let large = filled("log_uniform(1, 2)", &[70_000], DType::F32, &mut Native::new(3).tensor("w")).to_f64();
    let uniform = filled(
        &format!("uniform(0, {})", libm::log(2.0)),
        &[70_000],
        DType::F64,
        &mut Native::new(3).tensor("w"),
    );
    let rounded = uniform.to_f64().into_iter().map(|x| DType::F32.round(libm::exp(x)));
    assert!(large.into_iter().eq(rounded));
}

#[test]
fn a_block_of_a_stack_equals_a_separate_tensor() {
    let stacked = filled("stacked(log_uniform(1, 2))", &[3, 40], DType::F32, &mut Native::new(3).tensor("w"));
    for block in 0..3 {
        let name = format!("w[{block}]");
        let own = filled("log_uniform(1, 2)", &[40], DType::F32, &mut Native::new(3).tensor(&name));
        assert_eq!(stacked.to_f64()[block * 40..][..40], own.to_f64()[..]);
    }
}

#[test]
fn sequences_and_functions_of_sequences_are_the_same_on_every_stream() {
    for (spec, shape, expected) in [
        ("arange", &[2, 3][..], &[0.0, 1.0, 2.0, 0.0, 1.0, 2.0][..]),
        ("arange(3)", &[3], &[0.0, 1.0, 2.0]),
        ("arange(1, 4)", &[3], &[1.0, 2.0, 3.0]),
        ("arange(1, shape[-1]+1)", &[3], &[1.0, 2.0, 3.0]),
        ("arange(start=1, step=-0.5)", &[3], &[1.0, 0.5, 0.0]),
        ("arange(0, 1, 0.25)", &[4], &[0.0, 0.25, 0.5, 0.75]),
        (
            "log(arange(1, 4))",
            &[2, 3],
            &[
                0.0,
                std::f64::consts::LN_2,
                1.098_612_288_668_109_6,
                0.0,
                std::f64::consts::LN_2,
                1.098_612_288_668_109_6,
            ],
        ),
        ("exp(constant(0))", &[2], &[1.0, 1.0]),
        ("arange", &[], &[0.0]),
        ("arange", &[3, 0], &[]),
    ] {
        for dtype in DType::ALL {
            let rounded: Vec<f64> = expected.iter().map(|x| dtype.round(*x)).collect();
            let native = filled(spec, shape, dtype, &mut Native::new(3).tensor("w"));
            assert_eq!(native.to_f64(), rounded, "{spec} {dtype}");
            let mut torch = Torch::new(3);
            assert_eq!(filled(spec, shape, dtype, &mut torch).to_f64(), rounded, "{spec} {dtype}");
            assert_eq!(torch, Torch::new(3), "{spec} draws words");
        }
    }
}

#[test]
fn the_torch_stream_returns_an_error_for_functions_of_random_values() {
    for (spec, shape) in SPECS {
        let plan = plan(spec, shape, DType::F32).unwrap();
        let mut values = Buffer::new(DType::F32, plan.len());
        let error = Torch::new(0).fill(&plan, values.tensor(shape)).unwrap_err().to_string();
        assert!(
            error.contains("the torch stream does not support log_uniform") && error.contains("native"),
            "{error}"
        );
        assert_eq!(Torch::words(&plan), None);
    }
    let stacked = plan("stacked(log_uniform(1, 2))", &[2, 3], DType::F32).unwrap();
    assert!(Torch::new(0).advance_past(&stacked).is_err());
}

#[test]
fn invalid_functions_and_sequences_are_errors_when_the_plan_is_resolved() {
    let mut report = String::new();
    for (spec, shape, needle) in [
        ("log_uniform(0, 1)", &[3][..], "a = 0"),
        ("log_uniform(2, 1)", &[3], "a = 2"),
        ("log_uniform(1, inf)", &[3], "b = inf"),
        ("log(uniform)", &[3], "the smallest value of its argument = 0"),
        ("log(normal)", &[3], "greater than 0"),
        ("softplus_inverse(constant(-1))", &[3], "greater than 0"),
        ("exp(constant(1000))", &[3], "must be finite in f32"),
        ("exp(normal(std=100))", &[3], "its largest value"),
        ("exp(trunc_normal(mean=80, std=5, a=-inf, b=inf))", &[3], "must be finite in f32"),
        ("exp(orthogonal)", &[3, 3], "its argument must be constant, uniform"),
        ("log(stacked(orthogonal))", &[2, 3, 3], "its argument must be"),
        ("exp(log(exp(log(exp(uniform)))))", &[3], "its argument must be"),
        ("arange(1, 5)", &[3], "there are 4 values, but the last axis of [3] has 3"),
        ("arange(0, 3, 0)", &[3], "arange"),
        ("arange(inf)", &[3], "arange"),
        ("arange(step=1e38)", &[9], "end"),
    ] {
        match spec.parse::<Init>().and_then(|init| init.resolve(shape, DType::F32)) {
            Err(error) if error.to_string().contains(needle) => {}
            other => _ = writeln!(report, "{spec}: {other:?}"),
        }
    }
    assert_eq!(report, "");
}

#[test]
fn values_that_the_type_cannot_tell_apart_give_a_warning() {
    let mut report = String::new();
    for (spec, dtype, needle) in [
        ("log_uniform(1e-10, 1e-9)", DType::F16, "is too small for f16"),
        ("log(constant(1.0000000001))", DType::F16, "is too small for f16"),
        ("softplus_inverse(log_uniform(1e-9, 1e-8))", DType::F8E5M2, "nearly all values become one number"),
        ("arange(2049, 2057)", DType::BF16, "the step 1 is less than the spacing of bf16 near 2056"),
        ("arange(-2056, -2048)", DType::BF16, "neighbouring values become equal"),
        ("arange(0, 8)", DType::F8E4M3, ""),
        ("arange(249, 257)", DType::BF16, ""),
        ("arange(2048, 2040, -1)", DType::F16, ""),
        ("log_uniform(0.001, 0.1)", DType::BF16, ""),
        ("softplus_inverse(log_uniform(0.001, 0.1))", DType::F16, ""),
        ("log(arange(1, 9))", DType::BF16, ""),
        ("exp(normal(std=1))", DType::F16, ""),
    ] {
        let plan = plan(spec, &[8], dtype).unwrap();
        let found: Vec<String> = plan.warnings().iter().map(ToString::to_string).collect();
        if needle.is_empty() != found.is_empty() || !found.iter().all(|text| text.contains(needle)) {
            _ = writeln!(report, "{spec}: {found:?}");
        }
    }
    assert_eq!(report, "");
}
