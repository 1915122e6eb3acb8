//! Tests of the values of fused and stacked parameters, whose plans have blocks, with the native stream and the torch
//! stream.

mod common;

use common::{filled, indices};
use fanin::{DType, Native, Torch};

const SEED: Native = Native::new(11);

#[test]
fn normal_blocks_equal_slices_of_the_whole_tensor_and_orthogonal_blocks_equal_separate_tensors() {
    for dtype in DType::ALL {
        let fused =
            filled("blocks(4: normal, 6: normal(std=2), axis=1)", &[70, 10], dtype, &mut SEED.tensor("w"));
        let (one, two) = (
            filled("normal", &[70, 10], dtype, &mut SEED.tensor("w")),
            filled("normal(std=2)", &[70, 10], dtype, &mut SEED.tensor("w")),
        );
        let first = indices(&[70, 10], &[0, 0], &[70, 4]);
        let second = indices(&[70, 10], &[0, 4], &[70, 6]);
        assert_eq!(fused.at(&first).bytes(), one.at(&first).bytes());
        assert_eq!(fused.at(&second).bytes(), two.at(&second).bytes());

        let stack =
            filled("stacked(blocks(orthogonal, count=2), axis=1)", &[8, 3, 5], dtype, &mut SEED.tensor("w"));
        for (tensor, block) in [(0, 0), (0, 1), (2, 1)] {
            let name = format!("w[{tensor}][{block}]");
            let alone = filled("orthogonal", &[4, 5], dtype, &mut SEED.tensor(&name));
            let here = indices(&[8, 3, 5], &[4 * block, tensor, 0], &[4, 1, 5]);
            assert_eq!(stack.at(&here).bytes(), alone.bytes(), "{name} {dtype}");
        }
    }
}

#[test]
fn an_axis_layout_transposes_the_matrix() {
    let torch = filled("orthogonal", &[6, 4, 3], DType::F32, &mut SEED.tensor("w")).to_f64();
    let keras =
        filled("orthogonal(layout=kernel_in_out)", &[3, 4, 6], DType::F32, &mut SEED.tensor("w")).to_f64();
    // Both weights contain the same matrix of 6 rows (the outputs) and 12 columns. The element in row `out` and column
    // `k * 4 + i` is at the index [k, i, out] of `keras`.
    for (out, k, i) in [(0, 0, 0), (5, 2, 3), (2, 1, 0)] {
        assert_eq!(keras[(k * 4 + i) * 6 + out], torch[out * 12 + k * 4 + i]);
    }
}

#[test]
fn a_delta_orthogonal_convolution_keeps_norms() {
    for (spec, shape) in
        [("delta_orthogonal", [6, 4, 3, 3]), ("delta_orthogonal(layout=kernel_in_out)", [3, 3, 4, 6])]
    {
        let w = filled(spec, &shape, DType::F64, &mut SEED.tensor("w")).to_f64();
        let at = |out: usize, input: usize| {
            if shape[0] == 6 {
                w[((out * 4 + input) * 3 + 1) * 3 + 1]
            } else {
                w[((3 + 1) * 4 + input) * 6 + out]
            }
        };
        assert_eq!(w.iter().filter(|x| **x != 0.0).count(), 24);
        for a in 0..4 {
            for b in 0..4 {
                let dot: f64 = (0..6).map(|out| at(out, a) * at(out, b)).sum();
                assert!((dot - f64::from(u8::from(a == b))).abs() < 1e-14);
            }
        }
    }
}

#[test]
fn the_torch_stream_generates_blocks_one_after_another() {
    let mut torch = Torch::new(3);
    let fused = filled(
        "blocks(xavier_uniform, trunc_normal_tf(std=0.02), axis=1)",
        &[20, 12],
        DType::F32,
        &mut torch,
    );
    let mut again = Torch::new(3);
    let one = filled("xavier_uniform", &[20, 6], DType::F32, &mut again);
    let two = filled("trunc_normal_tf(std=0.02)", &[20, 6], DType::F32, &mut again);
    assert_eq!(fused.at(&indices(&[20, 12], &[0, 0], &[20, 6])).bytes(), one.bytes());
    assert_eq!(fused.at(&indices(&[20, 12], &[0, 6], &[20, 6])).bytes(), two.bytes());
    assert_eq!(torch.state(), again.state());
}

#[test]
fn values_of_8_bit_types_are_f32_values_rounded_once() {
    for spec in [
        "normal",
        "uniform(-3, 3)",
        "orthogonal(8)",
        "trunc_normal(a=1, b=inf)",
        "blocks(normal, sparse(0.2))",
    ] {
        for dtype in [DType::F8E4M3, DType::F8E5M2] {
            let wide = filled(spec, &[40, 30], DType::F32, &mut SEED.tensor("w")).to_f64();
            let native = filled(spec, &[40, 30], dtype, &mut SEED.tensor("w")).to_f64();
            for (narrow, wide) in native.iter().zip(&wide) {
                assert_eq!(*narrow, dtype.round(*wide), "{spec} {dtype} {wide}");
            }
            // torch draws trunc_normal(a=1, b=inf) from uniform proposals, which need finite bounds.
            if spec.contains("inf") {
                continue;
            }
            let (mut a, mut b) = (Torch::new(5), Torch::new(5));
            let wide = filled(spec, &[40, 30], DType::F32, &mut a).to_f64();
            let torch = filled(spec, &[40, 30], dtype, &mut b).to_f64();
            assert!(
                torch.iter().zip(&wide).all(|(narrow, wide)| *narrow == dtype.round(*wide)),
                "{spec} {dtype}"
            );
            assert_eq!(a.state(), b.state());
        }
    }
}
