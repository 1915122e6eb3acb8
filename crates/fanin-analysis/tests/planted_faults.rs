//! Changes tensors, but keeps the distribution of their values. `verify` and `audit` must find each change.

mod common;

use common::{File, Tensor, deviations};
use fanin::DType;

/// The standard deviation that the recipe gives for all tensors.
const STD: f64 = 0.02;
/// The recipe's rule for all tensors.
const RULE: &str = "\"*\" = \"normal(std=0.02)\"\n";

/// Draws a tensor of normal values with the standard deviation [`STD`].
fn normal(name: &str, shape: &[usize]) -> Tensor {
    Tensor::drawn(name, "normal(std=0.02)", DType::F32, shape, 5)
}

/// Draws a tensor of normal values, calls `change`, and then scales the values to the standard deviation [`STD`].
fn changed(shape: &[usize], change: impl Fn(&mut [f64])) -> Vec<Tensor> {
    let mut tensor = normal("a.weight", shape);
    change(&mut tensor.values);
    let squares: f64 = tensor.values.iter().map(|x| x * x).sum();
    let factor = STD / (squares / tensor.values.len() as f64).sqrt();
    tensor.values.iter_mut().for_each(|x| *x = f64::from((*x * factor) as f32));
    vec![tensor]
}

/// Returns two tensors. `second` makes the second one from the first.
fn pair(shape: &[usize], second: impl Fn(&Tensor) -> Tensor) -> Vec<Tensor> {
    let first = normal("a.weight", shape);
    let second = Tensor { name: "b.weight".to_owned(), ..second(&first) };
    vec![first, second]
}

/// Returns the values of the transposed matrix in row-major order. `columns` is the number of columns of the original
/// matrix.
fn transposed(values: &[f64], columns: usize) -> Vec<f64> {
    let rows = values.len() / columns;
    (0..values.len()).map(|n| values[n % rows * columns + n / rows]).collect()
}

/// Checks that `verify` fails in one of `tests`. `audit` must find a problem, or a tensor that is not fresh (freshly
/// initialized). `what` describes how the tensors were changed.
fn found(what: &str, tensors: &[Tensor], tests: &[&str]) {
    let file = File::new(tensors);
    let deviations = file.deviations(RULE);
    let named = deviations.iter().any(|text| tests.iter().any(|test| text.contains(&format!(": {test}: "))));
    assert!(named, "{what}: verify finds {deviations:?}");
    let audit = file.audit();
    let noticed = audit.failed() > 0 || audit.fresh() < audit.tensors.len();
    let kinds: Vec<_> = audit.tensors.iter().map(|tensor| &tensor.classification).collect();
    assert!(noticed, "{what}: audit finds {kinds:?}");
}

#[test]
fn dependence_between_the_values_of_a_matrix_is_found() {
    let shape = [256, 256];
    let noise = normal("noise", &[256, 256]).values;
    found(
        "rank 64",
        &changed(&shape, |x| {
            for n in 0..256 * 256 {
                x[n] = (0..64).map(|k| noise[n / 256 * 256 + k] * noise[(n % 256) * 256 + 64 + k]).sum();
            }
        }),
        &["spectrum", "norm"],
    );
    found(
        "an added matrix of rank 1",
        &changed(&shape, |x| {
            for n in 0..256 * 256 {
                x[n] += 0.15 * noise[n / 256] * noise[1000 + n % 256] / STD;
            }
        }),
        &["norm", "spectrum"],
    );
    found(
        "rows that continue the one above",
        &changed(&shape, |x| {
            for n in 256..256 * 256 {
                x[n] = 0.3 * x[n - 256] + 0.95 * x[n];
            }
        }),
        &["correlation"],
    );
    found(
        "scales of columns",
        &changed(&shape, |x| {
            x.iter_mut().enumerate().for_each(|(n, x)| *x *= (noise[n % 256] / STD * 0.1).exp());
        }),
        &["columns"],
    );
    found("a scaled row", &changed(&shape, |x| x[512..768].iter_mut().for_each(|x| *x *= 1.5)), &["rows"]);
    found(
        "a shifted column",
        &changed(&shape, |x| {
            x.iter_mut().skip(3).step_by(256).for_each(|x| *x += 0.4 * STD);
        }),
        &["columns"],
    );
    found(
        "a symmetric matrix",
        &changed(&shape, |x| {
            let other = transposed(x, 256);
            x.iter_mut().zip(other).for_each(|(x, y)| *x += y);
        }),
        &["symmetry"],
    );
    found(
        "an antisymmetric matrix",
        &changed(&shape, |x| {
            let other = transposed(x, 256);
            x.iter_mut().zip(other).for_each(|(x, y)| *x -= y);
            x.iter_mut().step_by(257).zip(&noise).for_each(|(x, y)| *x = *y);
        }),
        &["symmetry"],
    );
}

#[test]
fn a_tensor_with_an_outlier_is_still_recognized_as_fresh_or_trained() {
    let outlier = |tensor: &mut Tensor| tensor.values[777] = 2.0;
    let mut fresh = normal("a.weight", &[128, 96]);
    outlier(&mut fresh);
    let mut trained = normal("b.weight", &[128, 96]);
    for (n, x) in trained.values.iter_mut().enumerate() {
        *x *= 1.0 + 0.6 * ((n % 96) as f64 / 96.0 - 0.5);
        *x = f64::from(*x as f32);
    }
    outlier(&mut trained);
    let audit = File::new(&[fresh, trained]).audit();
    let kinds: Vec<_> = audit.tensors.iter().map(|tensor| tensor.classification.kind.name()).collect();
    assert_eq!((kinds, audit.failed()), (vec!["fresh", "trained or other"], 2), "{:?}", audit.tensors);
}

#[test]
fn copies_within_a_matrix_are_found() {
    let shape = [256, 256];
    let half = 128 * 256;
    found(
        "a negated half",
        &changed(&shape, |x| {
            for n in 0..half {
                x[half + n] = -x[n];
            }
        }),
        &["repeats"],
    );
    found(
        "a scaled half",
        &changed(&shape, |x| {
            for n in 0..half {
                x[half + n] = 1.1 * x[n];
            }
        }),
        &["correlation"],
    );
    found(
        "columns in reversed order",
        &changed(&shape, |x| {
            x.chunks_mut(256).for_each(|row| (0..128).for_each(|n| row[255 - n] = row[n]));
        }),
        &["repeats"],
    );
    found(
        "a half whose values are permuted",
        &changed(&shape, |x| {
            for n in 0..half {
                x[half + n * 7919 % half] = x[n];
            }
        }),
        &["repeats"],
    );
    found(
        "a transposed block",
        &changed(&[512, 256], |x| {
            let other = transposed(&x[..256 * 256], 256);
            x[256 * 256..].copy_from_slice(&other);
        }),
        &["repeats"],
    );
    found(
        "a period of 3 rows with noise",
        &changed(&shape, |x| {
            for n in 768..256 * 256 {
                x[n] = 0.4 * x[n - 768] + 0.92 * x[n];
            }
        }),
        &["correlation"],
    );
}

#[test]
fn an_expert_with_another_scale_is_found() {
    let scaled = changed(&[8, 64, 64], |x| x[3 * 4096..4 * 4096].iter_mut().for_each(|x| *x *= 1.1));
    found("a scaled expert", &scaled, &["slices"]);
    let rows = changed(&[8, 64, 64], |x| {
        x.chunks_mut(64)
            .enumerate()
            .for_each(|(n, row)| row.iter_mut().for_each(|x| *x *= 1.0 + (n % 2) as f64 * 0.2));
    });
    found("every second row of each expert", &rows, &["rows", "slices of axis 1"]);
}

#[test]
fn values_rounded_to_a_narrower_type_fail_in_verify_and_are_a_note_in_audit() {
    let mut tensor = normal("a.weight", &[64, 64]);
    tensor.values.iter_mut().for_each(|x| *x = DType::BF16.round(*x));
    let file = File::new(&[tensor]);
    let deviations = file.deviations(RULE);
    assert!(deviations.iter().any(|text| text.contains("rounded")), "{deviations:?}");
    let audit = file.audit();
    let classification = &audit.tensors[0].classification;
    assert!(audit.failed() == 0 && classification.kind.is_fresh(), "{classification:?}");
    assert!(classification.notes[0].contains("values of bf16"), "{classification:?}");
}

#[test]
fn a_missing_and_an_extra_zero_in_sparse_columns_are_found() {
    let rule = "\"*\" = \"sparse(0.3, std=0.02)\"\n";
    for (change, value) in [(0, 0.0), (1, 0.01)] {
        let mut tensor = Tensor::drawn("a.weight", "sparse(0.3, std=0.02)", DType::F32, &[100, 60], 1);
        assert!(File::new(&[tensor.clone()]).deviations(rule).is_empty());
        for column in 0..60 {
            let row =
                (0..100).find(|row| (tensor.values[row * 60 + column] == 0.0) == (change == 1)).unwrap();
            tensor.values[row * 60 + column] = value;
        }
        let deviations = File::new(&[tensor]).deviations(rule);
        assert!(deviations.iter().any(|text| text.contains(": zeros: ")), "{deviations:?}");
    }
}

#[test]
fn related_tensors_are_found() {
    let shape = [200, 100];
    let scaled = |tensor: &Tensor, factor: f64| {
        let values = tensor.values.iter().map(|x| f64::from((x * factor) as f32)).collect();
        Tensor { values, ..tensor.clone() }
    };
    found("b = -a", &pair(&shape, |a| scaled(a, -1.0)), &["related"]);
    found("b = 1.001 a", &pair(&shape, |a| scaled(a, 1.001)), &["related"]);
    found(
        "b = a transposed",
        &pair(&shape, |a| Tensor { values: transposed(&a.values, 100), shape: vec![100, 200], ..a.clone() }),
        &["related"],
    );
    found(
        "b = the first rows of a",
        &pair(&shape, |a| Tensor { values: a.values[..5000].to_vec(), shape: vec![50, 100], ..a.clone() }),
        &["related"],
    );
    found(
        "b = the last rows of a",
        &pair(&shape, |a| Tensor { values: a.values[15_000..].to_vec(), shape: vec![50, 100], ..a.clone() }),
        &["related"],
    );
    let other = normal("other", &shape).values;
    found(
        "a correlation of 0.3",
        &pair(&shape, |a| {
            let mixed =
                a.values.iter().zip(&other).map(|(x, y)| f64::from((0.3 * x + 0.91f64.sqrt() * y) as f32));
            Tensor { values: mixed.collect(), ..a.clone() }
        }),
        &["related"],
    );
    // Both tensors are drawn from the same state of the generator.
    let torch =
        |name: &str, shape: &[usize]| Tensor::drawn_by_torch(name, "normal(std=0.02)", DType::F32, shape, 0);
    found(
        "one seed for two tensors",
        &[torch("a.weight", &[64, 64]), torch("b.weight", &[128, 96])],
        &["related"],
    );
}

#[test]
fn unwritten_parts_are_a_problem_in_audit_and_fail_in_verify() {
    type Missing = fn(usize) -> bool;
    let cases: [(&str, &[usize], Missing); 5] = [
        ("half of the columns", &[128, 128], |n| n % 128 >= 64),
        ("one expert", &[8, 64, 64], |n| n / 4096 == 5),
        ("the last thousand values", &[256, 256], |n| n >= 256 * 256 - 1000),
        ("a block", &[256, 256], |n| (100..130).contains(&(n / 256)) && (17..40).contains(&(n % 256))),
        ("half of the rows", &[128, 128], |n| n / 128 < 64),
    ];
    for (what, shape, missing) in cases {
        let mut tensor = normal("a.weight", shape);
        tensor.values.iter_mut().enumerate().filter(|(n, _)| missing(*n)).for_each(|(_, x)| *x = 0.0);
        let file = File::new(&[tensor]);
        assert_eq!(file.audit().failed(), 1, "{what}: {:?}", file.audit().tensors[0].classification);
        assert!(!file.verify(RULE).is_ok(), "{what}");
    }
    let sparse = Tensor::drawn("a.weight", "sparse(0.3, std=0.02)", DType::F32, &[128, 64], 1);
    let mut padded = normal("b.weight", &[128, 64]);
    padded.values[..64].fill(0.0);
    let audit = File::new(&[sparse, padded]).audit();
    assert!(audit.failed() == 0 && audit.fresh() == 2, "{:?}", audit.tensors);
}

#[test]
fn fused_and_stacked_parameters_are_fresh() {
    for (spec, shape, expected) in [
        ("blocks(normal(std=0.02), normal(std=0.05), normal(std=0.01))", &[192, 96][..], "blocks("),
        ("blocks(orthogonal, orthogonal, orthogonal, orthogonal)", &[256, 64], "blocks("),
        ("stacked(orthogonal)", &[6, 48, 48], "stacked(orthogonal"),
    ] {
        let file = File::new(&[Tensor::drawn("a.weight", spec, DType::F32, shape, 3)]);
        let audit = file.audit();
        let found = &audit.tensors[0];
        let distribution = found.distribution();
        assert!(found.classification.kind.is_fresh(), "{spec}: {:?}", found.classification);
        assert!(distribution.starts_with(expected), "{spec}: {distribution}");
    }
}

#[test]
fn f16_and_bf16_values_of_the_torch_stream_are_fresh() {
    for dtype in [DType::BF16, DType::F16] {
        for spec in ["normal(std=0.02)", "uniform(-0.03, 0.03)", "uniform(-0.0884, 0.0884)"] {
            let audit =
                File::new(&[Tensor::drawn_by_torch("a.weight", spec, dtype, &[1500, 1000], 2)]).audit();
            let found = &audit.tensors[0].classification;
            assert!(found.kind.is_fresh() && found.problems.is_empty(), "{dtype} {spec}: {found:?}");
        }
    }
}

#[test]
fn tied_and_computed_tensors_are_not_problems() {
    let embedding = normal("model.embed_tokens.weight", &[300, 64]);
    let head = Tensor { name: "lm_head.weight".to_owned(), ..embedding.clone() };
    let steps = |name: &str| Tensor {
        name: name.to_owned(),
        dtype: DType::F32,
        shape: vec![24],
        values: (1..=24).map(|n| f64::from(f64::from(n).ln() as f32)).collect(),
    };
    let zigzag = |name: &str| Tensor {
        values: (0..96).map(|n| f64::from((n + 1) % 3 - 1) * 0.5 - 1.0).collect(),
        shape: vec![96],
        ..steps(name)
    };
    let tensors = [
        embedding,
        head,
        steps("layers.0.A_log"),
        steps("layers.1.A_log"),
        zigzag("blocks.0.time_first"),
        zigzag("blocks.1.time_first"),
        Tensor { shape: vec![4], values: vec![2.0, -1.0, 0.25, 1.0], ..steps("blocks.0.pos_proj") },
        Tensor { shape: vec![4], values: vec![2.0, -1.0, 0.25, 1.0], ..steps("blocks.1.pos_proj") },
    ];
    let audit = File::new(&tensors).audit();
    assert_eq!(audit.failed(), 0, "{:?}", audit.tensors);
    assert!(audit.tensors[1].classification.notes[0].contains("tied"), "{:?}", audit.tensors[1]);
    let copied = [
        normal("layers.0.w", &[64, 64]),
        Tensor { name: "layers.1.w".to_owned(), ..normal("layers.0.w", &[64, 64]) },
    ];
    assert_eq!(File::new(&copied).audit().failed(), 1);
}

#[test]
fn a_copied_tensor_is_compared_with_the_original_or_listed_as_unchecked() {
    let rules = "\"kept.*\" = \"copy\"\n\"*\" = \"normal(std=0.02)\"\n";
    let tensors = [normal("kept.weight", &[8, 8]), normal("a.weight", &[64, 64])];
    let source = File::new(&tensors);
    let unchecked = |found: &fanin_analysis::verify::Verification| -> Vec<String> {
        found.unchecked().map(|tensor| tensor.planned.entry.name.clone()).collect()
    };
    let found = source.verify(rules);
    assert_eq!((unchecked(&found), found.is_ok()), (vec!["kept.weight".to_owned()], true));
    let found = source.verify_against(rules, Some(&source.checkpoint));
    assert_eq!((unchecked(&found), found.is_ok()), (vec![], true));

    let mut changed = tensors.clone();
    changed[0].values[3] += 1.0;
    let found = File::new(&changed).verify_against(rules, Some(&source.checkpoint));
    assert_eq!(deviations(&found), ["kept.weight: copy: 1 of 64 values differ from the copied tensor"]);
    let found = File::new(&tensors[..1]).verify_against(rules, Some(&source.checkpoint));
    assert!(!found.is_ok() && found.missing[0].name == "a.weight");
}

#[test]
fn orthogonal_entries_that_are_too_small_for_the_type_are_listed_as_unchecked() {
    let rule = "\"*\" = \"orthogonal(gain=1e-3)\"\n";
    let tensor = Tensor::drawn("a.weight", "orthogonal(gain=1e-3)", DType::F8E4M3, &[32, 32], 1);
    let found = File::new(&[tensor]).verify(rule);
    let text = found.tensors[0].unchecked.as_deref().unwrap_or_default();
    assert!(found.is_ok() && text.contains("too small for f8_e4m3"), "{text}");
}
