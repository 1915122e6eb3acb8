//! Tests how `audit` classifies matrices that torch drew: unchanged, rounded, scaled, or with added noise.

mod common;

use common::{File, Tensor};
use fanin::DType;

/// Returns a matrix that torch draws with this seed, plus `change` times the values of another draw.
fn drawn(spec: &str, dtype: DType, seed: u64, change: f64) -> Tensor {
    let shape = [192, 160];
    let mut tensor = Tensor::drawn_by_torch("a.weight", spec, dtype, &shape, seed);
    let noise = Tensor::drawn_by_torch("noise", spec, DType::F32, &shape, 77_777);
    for (x, noise) in tensor.values.iter_mut().zip(noise.values) {
        *x = dtype.round(*x + change * noise);
    }
    tensor
}

/// Returns the kind that `audit` reports for a matrix, such as "fresh", and the notes.
fn kind(tensor: Tensor) -> (&'static str, Vec<String>) {
    let audit = File::new(&[tensor]).audit();
    assert_eq!(audit.failed(), 0, "{:?}", audit.tensors);
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

/// Returns 192 normal values with the mean `mean`: 0 for a trained bias, 1 for the trained weight of a norm layer.
fn trained_vector(name: &str, mean: f64) -> Tensor {
    let mut vector = Tensor::drawn_by_torch(name, "normal(std=0.01)", DType::F32, &[192], 555);
    let noise = Tensor::drawn_by_torch("noise", "normal(std=0.01)", DType::F32, &[192], name.len() as u64);
    for (x, noise) in vector.values.iter_mut().zip(noise.values) {
        *x = f64::from((mean + *x + noise) as f32);
    }
    vector
}

fn constant(name: &str, value: f64) -> Tensor {
    let mut vector = trained_vector(name, 0.0);
    vector.values.fill(value);
    vector
}

/// Returns the kind, such as "fresh", that `audit` reports for a matrix in a file with the other tensors `others`. The
/// matrix is drawn by torch with a seed that `audit` does not try. Then noise is added to its values.
fn kind_beside(others: Vec<Tensor>) -> &'static str {
    let matrix = drawn("normal(std=0.02)", DType::F32, 987_654, 0.03);
    let tensors: Vec<Tensor> = std::iter::once(matrix).chain(others).collect();
    File::new(&tensors).audit().tensors[0].kind()
}

#[test]
fn a_matrix_of_unknown_origin_is_trained_if_the_bias_of_its_layer_is() {
    assert_eq!(kind_beside(vec![trained_vector("a.bias", 0.0)]), "trained or other");
    assert_eq!(kind_beside(vec![constant("a.bias", 0.0)]), "compatible with fresh");
}

#[test]
fn a_matrix_of_unknown_origin_is_trained_if_most_vectors_are_and_its_own_bias_is_not_constant() {
    let norms = || {
        let names = ["b.weight", "b.bias", "c.weight", "c.bias"];
        names.map(|name| trained_vector(name, f64::from(u8::from(name.ends_with("weight"))))).to_vec()
    };
    assert_eq!(kind_beside(norms()), "trained or other");
    // A new layer of a trained model has a bias of zeros.
    let mut new_layer = norms();
    new_layer.push(constant("a.bias", 0.0));
    assert_eq!(kind_beside(new_layer), "compatible with fresh");
    // If only two of the six vectors are trained, `audit` does not classify the matrix as trained.
    let mut few = norms();
    few.truncate(2);
    few.extend(["d.weight", "d.bias", "e.weight", "e.bias"].map(|name| constant(name, 1.0)));
    assert_eq!(kind_beside(few), "compatible with fresh");
}

#[test]
fn a_new_draw_of_torch_in_a_trained_model_is_fresh() {
    let matrix = drawn("normal(std=0.02)", DType::F32, 987_654, 0.0);
    let file = File::new(&[matrix, trained_vector("a.bias", 0.0)]);
    assert_eq!(file.audit().tensors[0].kind(), "fresh");
}
