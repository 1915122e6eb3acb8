//! What `audit` calls values that torch has drawn, values that were changed since, and values of unknown origin.

mod common;

use common::{File, Tensor};
use fanin::DType;

/// Returns a matrix that torch draws under a seed, plus `change` times another draw.
fn drawn(spec: &str, dtype: DType, seed: u64, change: f64) -> Tensor {
    let shape = [192, 160];
    let mut tensor = Tensor::drawn_by_torch("a.weight", spec, dtype, &shape, seed);
    let noise = Tensor::drawn_by_torch("noise", spec, DType::F32, &shape, 77_777);
    for (x, noise) in tensor.values.iter_mut().zip(noise.values) {
        *x = dtype.round(*x + change * noise);
    }
    tensor
}

/// Returns the kind of a matrix, and its notes.
fn kind(tensor: Tensor) -> (&'static str, Vec<String>) {
    let audit = File::new(&[tensor]).audit();
    assert_eq!(audit.wrong(), 0, "{:?}", audit.tensors);
    (audit.tensors[0].kind(), audit.tensors[0].classification.notes.clone())
}

#[test]
fn an_unchanged_draw_is_fresh_under_any_seed() {
    for (spec, seed) in
        [("normal(std=0.02)", 987_654), ("kaiming_uniform(a=sqrt(5))", 31), ("kaiming_normal", 0)]
    {
        assert_eq!(kind(drawn(spec, DType::F32, seed, 0.0)), ("fresh", vec![]), "{spec} {seed}");
    }
}

#[test]
fn a_changed_draw_is_trained_if_its_seed_is_common_and_cannot_be_told_otherwise() {
    for spec in ["normal(std=0.02)", "kaiming_normal"] {
        for dtype in [DType::F32, DType::BF16] {
            let (found, notes) = kind(drawn(spec, dtype, 42, 0.03));
            assert_eq!(found, "trained or other", "{spec} {dtype}: {notes:?}");
            assert!(notes[0].contains("manual_seed(42)") && notes[0].contains("changed by "), "{notes:?}");
            let (found, notes) = kind(drawn(spec, dtype, 987_654, 0.03));
            assert_eq!((found, &notes[..]), ("compatible with fresh", &[][..]), "{spec} {dtype}");
        }
    }
}

#[test]
fn a_draw_that_was_rounded_or_scaled_is_not_trained() {
    for (spec, seed) in [("normal(std=0.02)", 42), ("kaiming_uniform(a=sqrt(5))", 1337)] {
        for dtype in [DType::BF16, DType::F16] {
            let (found, notes) = kind(drawn(spec, dtype, seed, 0.0));
            assert_eq!(found, "fresh", "{spec} {dtype}: {notes:?}");
        }
        let mut scaled = drawn(spec, DType::F32, seed, 0.0);
        scaled.values.iter_mut().for_each(|x| *x = f64::from((*x / 6f64.sqrt()) as f32));
        assert_eq!(kind(scaled).0, "fresh", "{spec}");
    }
}
