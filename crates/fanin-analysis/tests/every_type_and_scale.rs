//! Runs `verify` and `audit` on correct files of every element type. A tensor has 1 to 9100 values. At all scales, from
//! the smallest positive number of the type to the largest, no p-value may be NaN, and nothing may panic. At scales
//! from 1e-4 to 20, all statistical tests must pass.

mod common;

use common::{File, Tensor, deviations};
use fanin::DType;

/// The tested specs, each with the minimum number of axes that it needs. `SCALE` is replaced by the tested scale.
const SPECS: &[(&str, usize)] = &[
    ("constant(SCALE)", 0),
    ("normal(std=SCALE)", 0),
    ("normal(mean=SCALE, std=0.1*SCALE)", 0),
    ("uniform(-SCALE, SCALE)", 0),
    ("uniform(0.1*SCALE, 0.3*SCALE)", 0),
    ("trunc_normal(std=SCALE, a=-2*SCALE, b=2*SCALE)", 0),
    ("trunc_normal(std=SCALE, a=3*SCALE, b=9*SCALE)", 0),
    ("xavier_uniform(gain=SCALE)", 2),
    ("kaiming_normal", 2),
    ("sparse(0.3, std=SCALE)", 2),
    ("orthogonal(gain=SCALE)", 2),
    ("eye", 2),
];

/// The shapes of the tensors.
const SHAPES: &[&[usize]] = &[&[1], &[3], &[1, 1], &[2, 1], &[70], &[5, 30], &[64, 64], &[130, 70]];

/// Verifies and audits a file with one tensor for each spec that can be resolved. Returns the number of tensors and the
/// failed tests.
fn check(dtype: DType, scale: f64, shape: &[usize], seed: u64) -> (usize, Vec<String>) {
    let (mut tensors, mut rules) = (Vec::new(), String::new());
    for (number, (spec, axes)) in SPECS.iter().enumerate() {
        let spec = spec.replace("SCALE", &format!("({scale:e})"));
        let matrix = spec.starts_with("eye") || spec.starts_with("sparse");
        if shape.len() < *axes || (matrix && shape.len() != 2) {
            continue;
        }
        let name = format!("t{number}.w");
        // If the spec cannot be resolved for this type, scale and shape, there is no tensor to verify.
        if let Ok(tensor) = Tensor::try_drawn(&name, &spec, dtype, shape, seed) {
            tensors.push(tensor);
            rules += &format!("\"{name}\" = \"{spec}\"\n");
        }
    }
    let file = File::new(&tensors);
    let found = file.verify(&rules);
    for tensor in &found.tensors {
        for result in &tensor.results {
            assert!((0.0..=1.0).contains(&result.p_value), "{dtype} {scale:e} {shape:?} {tensor:?}");
        }
    }
    _ = file.audit();
    (tensors.len(), deviations(&found))
}

#[test]
fn every_p_value_is_between_zero_and_one_in_every_type_scale_and_shape() {
    for dtype in DType::ALL {
        let least = match dtype {
            DType::F64 => f64::from_bits(1),
            DType::F32 | DType::BF16 => f32::from_bits(1).into(),
            DType::F16 => 2f64.powi(-24),
            DType::F8E4M3 => 2f64.powi(-9),
            _ => 2f64.powi(-16),
        };
        for scale in [least, 3.0 * least, 100.0 * least, 1e-4, 0.1 * dtype.largest(), dtype.largest()] {
            for shape in SHAPES {
                check(dtype, scale, shape, 1);
            }
        }
    }
}

#[test]
fn files_that_follow_their_recipe_pass_in_every_type() {
    let (mut files, mut failed) = (0, Vec::new());
    for dtype in DType::ALL {
        for scale in [1e-4, 3e-4, 1e-3, 0.02, 0.3, 1.0, 20.0] {
            for shape in SHAPES {
                let (count, deviations) = check(dtype, scale, shape, 7);
                files += usize::from(count > 0);
                failed.extend(deviations.iter().map(|text| format!("{dtype} {scale} {shape:?} {text}")));
            }
        }
    }
    // With random seeds, up to one correct file in 1000 would fail. With the fixed seeds of this test, no file fails.
    assert!(failed.is_empty(), "{} of {files} files: {failed:#?}", failed.len());
}

#[test]
fn values_close_to_a_large_mean_are_fresh_or_constant() {
    let file = File::new(&[
        Tensor::drawn("a.w", "normal(mean=1000, std=1e-6)", DType::F64, &[64, 64], 1),
        Tensor::drawn("b.w", "normal(mean=2147483648, std=1e-9)", DType::F64, &[64, 64], 1),
        Tensor::drawn("c.w", "normal(mean=1, std=1e-4)", DType::BF16, &[64, 64], 1),
    ]);
    let audit = file.audit();
    let kinds: Vec<&str> = audit.tensors.iter().map(|tensor| tensor.classification.kind.name()).collect();
    assert_eq!(kinds, ["fresh", "constant", "constant"]);
}
