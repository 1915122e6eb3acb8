//! Tests that a region is bit-identical to a slice of the whole tensor, with the native stream and the torch stream.

mod common;

use common::{Buffer, CATALOGUE, filled, indices, plan};
use fanin::{DType, Distribution, Level, Native, Plan, Stream as _, TensorMut, Torch};
use proptest::prelude::*;

#[test]
fn any_region_of_any_scheme_and_type_equals_a_slice_at_every_simd_level() {
    let mut cases = 0;
    let mut below = picks(0x2545_f491_4f6c_dd1d);
    for (spec, shapes) in CATALOGUE {
        for shape in *shapes {
            for dtype in DType::ALL {
                let plan = plan(spec, shape, dtype).unwrap();
                let whole = filled(spec, shape, dtype, &mut Native::new(3).tensor("w"));
                assert!(
                    !whole.to_f64().contains(&dtype.largest()),
                    "{spec} {shape:?}: an element was not written"
                );
                for &level in Level::available() {
                    let native = Native::new(3).with_level(level).tensor("w");
                    let again = filled(spec, shape, dtype, &mut native.clone());
                    assert_eq!(again.bytes(), whole.bytes(), "{spec} {shape:?} {dtype} at {level:?}");
                    let prepared = native.prepare(&plan).unwrap();
                    for _ in 0..3 {
                        let start: Vec<usize> = shape.iter().map(|&size| below(size)).collect();
                        let size: Vec<usize> =
                            shape.iter().zip(&start).map(|(&size, &start)| 1 + below(size - start)).collect();
                        let mut part = Buffer::new(dtype, size.iter().product());
                        prepared.fill_region(&start, part.tensor(&size)).unwrap();
                        let expected = whole.at(&indices(shape, &start, &size));
                        let case = format!("{spec} {shape:?} {dtype} {level:?} {start:?} {size:?}");
                        assert_eq!(part.bytes(), expected.bytes(), "{case}");
                        cases += 1;
                    }
                }
            }
        }
    }
    assert!(cases > 1500, "{cases}");
}

/// Returns a pseudo-random number generator with the seed `seed`. A call with `n` returns a number from 0 to n - 1.
fn picks(seed: u64) -> impl FnMut(usize) -> usize {
    let mut pick = seed;
    move |n| {
        pick ^= pick << 13;
        pick ^= pick >> 7;
        pick ^= pick << 17;
        ((pick >> 8) % n as u64) as usize
    }
}

#[test]
fn ten_thousand_random_regions_of_both_streams_equal_slices() {
    let large: &[&[usize]] = &[&[1003], &[53, 61], &[12, 4, 37], &[5, 6, 7, 8], &[3, 4, 5, 6, 7]];
    let mut below = picks(0x9E37_79B9_7F4A_7C15);
    let mut cases = 0;
    for (spec, shapes) in CATALOGUE {
        for shape in shapes.iter().chain(large) {
            for dtype in DType::ALL {
                let Ok(plan) = plan(spec, shape, dtype) else { continue };
                let native = Native::new(7).tensor("w").prepare(&plan);
                let mut torch = Torch::new(below(1 << 20) as u64);
                torch.advance(below(2000) as u64);
                if below(2) == 0 {
                    // After a fill of one normal value, the generator stores the second value of the pair.
                    common::plan("normal", &[1], DType::F32).unwrap().fill(&mut [0f32], &mut torch).unwrap();
                }
                let mut after = torch.clone();
                let mut whole_torch = Buffer::new(dtype, plan.len());
                // If the torch stream cannot fill the whole tensor, it must also return an error for every region and
                // for `advance_past`.
                let drawn = fanin::Stream::fill(&mut after, &plan, whole_torch.tensor(shape)).is_ok();
                let whole_native = filled(spec, shape, dtype, &mut Native::new(7).tensor("w"));
                let mut advanced = torch.clone();
                assert_eq!(advanced.advance_past(&plan).is_ok(), drawn, "{spec} {shape:?} {dtype}");
                if drawn {
                    assert!(
                        advanced == after,
                        "{spec} {shape:?} {dtype}: the state after advance_past differs"
                    );
                }
                for _ in 0..6 {
                    let start: Vec<usize> = shape.iter().map(|&size| below(size)).collect();
                    let size: Vec<usize> =
                        shape.iter().zip(&start).map(|(&size, &start)| below(size - start + 1)).collect();
                    let indices = indices(shape, &start, &size);
                    let case = format!("{spec} {shape:?} {dtype} {start:?} {size:?}");
                    let mut part = Buffer::new(dtype, indices.len());
                    native.as_ref().unwrap().fill_region(&start, part.tensor(&size)).unwrap();
                    assert_eq!(part.bytes(), whole_native.at(&indices).bytes(), "native {case}");
                    let mut part = Buffer::new(dtype, indices.len());
                    assert_eq!(torch.peek_region(&plan, &start, part.tensor(&size)).is_ok(), drawn, "{case}");
                    if drawn {
                        assert_eq!(part.bytes(), whole_torch.at(&indices).bytes(), "torch {case}");
                        let mut moved = torch.clone();
                        let mut again = Buffer::new(dtype, indices.len());
                        fanin::Stream::fill_region(&mut moved, &plan, &start, again.tensor(&size)).unwrap();
                        assert!(again.bytes() == part.bytes() && moved == after, "torch {case}");
                    }
                    cases += 2;
                }
            }
        }
    }
    assert!(cases > 10_000, "{cases}");
}

#[test]
fn regions_at_the_end_of_huge_tensors_can_be_filled_on_the_torch_stream() {
    // The two rows are at the end of a tensor of 40 GB. The generator jumps over about 10^10 words, more than 2^33.
    let shape = [100_000, 100_000];
    for spec in ["normal", "uniform", "sparse(0.5)"] {
        let plan = plan(spec, &shape, DType::F32).unwrap();
        let generator = Torch::new(3);
        let mut rows = Buffer::new(DType::F32, 2 * 300);
        generator.peek_region(&plan, &[99_998, 99_700], rows.tensor(&[2, 300])).unwrap();
        let mut corner = Buffer::new(DType::F32, 2);
        generator.peek_region(&plan, &[99_999, 99_998], corner.tensor(&[1, 2])).unwrap();
        assert_eq!(corner.bytes(), rows.at(&[598, 599]).bytes(), "{spec}");
        if spec == "uniform" {
            // Each value takes one word, so the last value comes from word 10^10 - 1 (counted from 0).
            let mut walked = Torch::new(3);
            walked.advance(10_000_000_000 - 1);
            let last = (walked.word() & 0x00ff_ffff) as f64 / 16_777_216.0;
            assert_eq!(rows.at(&[599]).to_f64(), [last]);
            let mut advanced = Torch::new(3);
            advanced.advance_past(&plan).unwrap();
            assert_eq!(advanced, walked);
        }
    }
}

#[test]
fn strided_memory_gets_the_same_values() {
    // A fill computes several rows, called a tile, at once. The large shapes have more values than a tile.
    let large: &[&[usize]] = &[&[190, 70], &[70, 190], &[2, 10_001], &[9, 7, 5, 31], &[40, 3, 130]];
    for (spec, shapes) in CATALOGUE {
        for shape in shapes.iter().chain(large).filter(|shape| shape.len() >= 2) {
            for dtype in DType::ALL {
                if plan(spec, shape, dtype).is_err() {
                    continue;
                }
                let whole = filled(spec, shape, dtype, &mut Native::new(9).tensor("w"));
                // In memory, the axes are in reverse order and have gaps. The first axis has a negative stride.
                let mut strides = vec![2isize; shape.len()];
                for axis in 1..shape.len() {
                    strides[axis] = strides[axis - 1] * shape[axis - 1] as isize + 1;
                }
                let span: isize =
                    shape.iter().zip(&strides).map(|(&size, &stride)| (size as isize - 1) * stride).sum();
                let offset = (shape[0] as isize - 1) * strides[0];
                strides[0] = -strides[0];
                let mut buffer = Buffer::new(dtype, span as usize + 1);
                let plan = plan(spec, shape, dtype).unwrap();
                let tensor = buffer.strided(shape, &strides, offset as usize);
                fanin::Stream::fill(&mut Native::new(9).tensor("w"), &plan, tensor).unwrap();
                let all = vec![0; shape.len()];
                let mut offsets = vec![offset as usize; plan.len()];
                for (number, spot) in offsets.iter_mut().enumerate() {
                    let mut rest = number;
                    let mut place = offset;
                    for axis in (0..shape.len()).rev() {
                        place += (rest % shape[axis]) as isize * strides[axis];
                        rest /= shape[axis];
                    }
                    *spot = place as usize;
                }
                assert_eq!(indices(shape, &all, shape).len(), offsets.len());
                assert_eq!(buffer.at(&offsets).bytes(), whole.bytes(), "{spec} {shape:?} {dtype}");
                let written: std::collections::HashSet<_> = offsets.into_iter().collect();
                let gaps: Vec<usize> = (0..=span as usize).filter(|place| !written.contains(place)).collect();
                let untouched = buffer.at(&gaps).to_f64();
                assert!(
                    untouched.iter().all(|&value| value == dtype.largest()),
                    "{spec} {shape:?}: wrote a gap"
                );
            }
        }
    }
}

#[test]
fn sparse_fills_of_strided_memory_have_the_zeros_of_torchs_permutations() {
    for shape in [[1, 15], [15, 1], [5, 9], [9, 5], [3, 64], [33, 65], [40, 130]] {
        for sparsity in [0.0, 0.3, 0.9, 1.0] {
            for dtype in DType::ALL {
                let [rows, columns] = shape;
                // The memory is a transposed matrix in which only every second value is used.
                let strides = [2, 2 * rows as isize + 3];
                let spot = |row: usize, column: usize| row * 2 + column * strides[1] as usize;
                let fill = |spec: &str, generator: &mut Torch| {
                    let mut buffer = Buffer::new(dtype, spot(rows - 1, columns - 1) + 1);
                    let plan = plan(spec, &shape, dtype).unwrap();
                    fanin::Stream::fill(generator, &plan, buffer.strided(&shape, &strides, 0)).unwrap();
                    buffer.to_f64()
                };
                let mut generator = Torch::new(9);
                let mut expected = fill("normal(std=0.01)", &mut generator);
                for column in 0..columns {
                    let zeros = (sparsity * rows as f64).ceil() as usize;
                    for &row in &generator.randperm(rows)[..zeros] {
                        expected[spot(row, column)] = 0.0;
                    }
                }
                let mut drawn = Torch::new(9);
                let found = fill(&format!("sparse({sparsity})"), &mut drawn);
                assert_eq!(found, expected, "{sparsity} {shape:?} {dtype}");
                assert_eq!(drawn, generator, "{sparsity} {shape:?} {dtype}");
            }
        }
    }
}

#[test]
fn indices_above_2_to_the_32_are_not_truncated_to_32_bits() {
    // The region is in the last two rows of a tensor of 19.6 GB.
    let shape = [70_000, 70_000];
    for spec in ["normal", "uniform", "trunc_normal", "sparse(0.5)", "eye"] {
        let plan = plan(spec, &shape, DType::F32).unwrap();
        let native = Native::new(1).tensor("huge");
        let mut corner = vec![9f32; 2 * 100];
        let mut stream = native.clone();
        let tensor = TensorMut::contiguous(&mut corner, &[2, 100]).unwrap();
        fanin::Stream::fill_region(&mut stream, &plan, &[69_998, 69_900], tensor).unwrap();
        // A fill of a single element gives the same value as the fill of the region.
        for (row, column) in [(0, 0), (0, 63), (1, 99), (1, 98)] {
            let mut one = [9f32];
            let tensor = TensorMut::contiguous(&mut one, &[1, 1]).unwrap();
            fanin::Stream::fill_region(&mut stream, &plan, &[69_998 + row, 69_900 + column], tensor).unwrap();
            assert_eq!(one[0], corner[row * 100 + column], "{spec}");
        }
        if spec == "eye" {
            assert_eq!(corner.iter().sum::<f32>(), 2.0);
            continue;
        }
        // If indices were truncated to 32 bits, `wrapped` would equal the first row of `corner`, whose indices are
        // higher by 2^32.
        let low = 69_998u64 * 70_000 + 69_900 - (1 << 32);
        let mut wrapped = vec![9f32; 100];
        let tensor = TensorMut::contiguous(&mut wrapped, &[1, 100]).unwrap();
        let start = [(low / 70_000) as usize, (low % 70_000) as usize];
        assert!(start[1] + 100 <= 70_000);
        fanin::Stream::fill_region(&mut stream, &plan, &start, tensor).unwrap();
        assert_ne!(wrapped, corner[..100], "{spec}");
    }
}

#[test]
fn the_time_to_fill_a_region_of_a_huge_identity_matrix_depends_on_the_region_only() {
    // Each identity matrix is large: a fill that visited the whole diagonal would take a minute.
    let side = (1 << 31) - 1;
    for (distribution, shape, start, size, ones) in [
        (Distribution::Eye, &[side, side][..], &[side - 3, side - 5][..], &[3, 4][..], &[2, 7][..]),
        (Distribution::Eye, &[side, 7], &[0, 0], &[9, 7], &[0, 8, 16, 24, 32, 40, 48]),
        (
            Distribution::Dirac { groups: 3 << 28 },
            &[3 << 29, 5, 3],
            &[(3 << 29) - 4, 0, 1],
            &[4, 2, 1],
            &[0, 3, 4, 7],
        ),
    ] {
        let plan = Plan::new(shape, DType::F32, distribution).unwrap();
        let mut native = vec![7f32; size.iter().product()];
        let mut torch = native.clone();
        let tensor = TensorMut::contiguous(&mut native, size).unwrap();
        Native::new(0).tensor("w").fill_region(&plan, start, tensor).unwrap();
        Torch::new(0).fill_region(&plan, start, TensorMut::contiguous(&mut torch, size).unwrap()).unwrap();
        assert_eq!(native, torch);
        for (place, &value) in native.iter().enumerate() {
            assert_eq!(value, if ones.contains(&place) { 1.0 } else { 0.0 }, "{distribution:?} {place}");
        }
    }
}

#[test]
fn regions_outside_the_shape_and_memory_of_the_wrong_type_are_errors() {
    let plan = plan("normal", &[4, 4], DType::F32).unwrap();
    let mut stream = Native::new(0).tensor("w");
    let mut refuse = |start: &[usize], size: &[usize]| {
        let mut buffer = vec![7f32; size.iter().product()];
        let tensor = TensorMut::contiguous(&mut buffer, size).unwrap();
        let error = fanin::Stream::fill_region(&mut stream, &plan, start, tensor).unwrap_err();
        assert!(buffer.iter().all(|&value| value == 7.0));
        error
    };
    assert!(matches!(refuse(&[3, 0], &[2, 4]), fanin::Error::Region { .. }));
    assert!(matches!(refuse(&[usize::MAX, 0], &[2, 4]), fanin::Error::Region { .. }));
    assert!(matches!(refuse(&[0], &[4]), fanin::Error::Region { .. }));
    let mut doubles = vec![0f64; 16];
    let tensor = TensorMut::contiguous(&mut doubles, &[4, 4]).unwrap();
    let error = fanin::Stream::fill(&mut Native::new(0).tensor("w"), &plan, tensor).unwrap_err();
    assert!(matches!(error, fanin::Error::ElementType { .. }));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn splitting_a_long_tensor_at_any_index_changes_no_value(length in 1usize..3000, split in 0usize..3000, which in 0usize..16) {
        let (spec, _) = CATALOGUE.iter().filter(|(_, shapes)| shapes[0].is_empty()).nth(which).unwrap();
        let split = split.min(length);
        let whole = filled(spec, &[length], DType::F32, &mut Native::new(5).tensor("t"));
        let plan = plan(spec, &[length], DType::F32).unwrap();
        let prepared = Native::new(5).tensor("t").prepare(&plan).unwrap();
        let mut parts = Vec::new();
        for (start, size) in [(0, split), (split, length - split)] {
            let mut part = Buffer::new(DType::F32, size);
            prepared.fill_region(&[start], part.tensor(&[size])).unwrap();
            parts.extend(part.bytes());
        }
        prop_assert_eq!(parts, whole.bytes());
    }
}
