//! Any split, same weights: a box of the native stream has the bits of the whole, sliced.

mod common;

use common::{Buffer, CATALOGUE, filled, places, plan};
use fanin::{DType, Level, Native};
use proptest::prelude::*;

#[test]
fn any_box_of_any_scheme_and_type_is_the_slice_at_every_level() {
    let mut cases = 0;
    let mut pick = 0x2545_f491_4f6c_dd1du64;
    let mut below = |n: usize| {
        pick ^= pick << 13;
        pick ^= pick >> 7;
        pick ^= pick << 17;
        (pick % n as u64) as usize
    };
    for (spec, shapes) in CATALOGUE {
        for shape in *shapes {
            for dtype in DType::ALL {
                let plan = plan(spec, shape, dtype).unwrap();
                let whole = filled(spec, shape, dtype, &mut Native::new(3).tensor("w"));
                assert!(
                    !whole.to_f64().contains(&dtype.largest()),
                    "{spec} {shape:?}: a place was left unwritten"
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
                        prepared.fill_box(&start, part.tensor(&size)).unwrap();
                        let expected = whole.at(&places(shape, &start, &size));
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

#[test]
fn strided_memory_gets_the_same_values() {
    for (spec, shapes) in CATALOGUE {
        for shape in shapes.iter().filter(|shape| shape.len() >= 2) {
            for dtype in DType::ALL {
                let whole = filled(spec, shape, dtype, &mut Native::new(9).tensor("w"));
                // Axes in opposite order, with gaps, the first one running backwards.
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
                let mut spots = vec![offset as usize; plan.len()];
                for (number, spot) in spots.iter_mut().enumerate() {
                    let mut rest = number;
                    let mut place = offset;
                    for axis in (0..shape.len()).rev() {
                        place += (rest % shape[axis]) as isize * strides[axis];
                        rest /= shape[axis];
                    }
                    *spot = place as usize;
                }
                assert_eq!(places(shape, &all, shape).len(), spots.len());
                assert_eq!(buffer.at(&spots).bytes(), whole.bytes(), "{spec} {shape:?} {dtype}");
                let written: std::collections::HashSet<_> = spots.into_iter().collect();
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
fn indices_past_2_to_the_32_are_told_apart() {
    // The far corner of a tensor of 19.6 GB, two rows of it.
    let shape = [70_000, 70_000];
    for spec in ["normal", "uniform", "trunc_normal", "sparse(0.5)", "eye"] {
        let plan = plan(spec, &shape, DType::F32).unwrap();
        let native = Native::new(1).tensor("huge");
        let mut corner = vec![9f32; 2 * 100];
        let mut stream = native.clone();
        let tensor = fanin::TensorMut::contiguous(&mut corner, &[2, 100]).unwrap();
        fanin::Stream::fill_box(&mut stream, &plan, &[69_998, 69_900], tensor).unwrap();
        // One value at a time gives the same.
        for (row, column) in [(0, 0), (0, 63), (1, 99), (1, 98)] {
            let mut one = [9f32];
            let tensor = fanin::TensorMut::contiguous(&mut one, &[1, 1]).unwrap();
            fanin::Stream::fill_box(&mut stream, &plan, &[69_998 + row, 69_900 + column], tensor).unwrap();
            assert_eq!(one[0], corner[row * 100 + column], "{spec}");
        }
        if spec == "eye" {
            assert_eq!(corner.iter().sum::<f32>(), 2.0);
            continue;
        }
        // The index less 2^32 must be another value: the counter is 64 bits wide.
        let low = 69_998u64 * 70_000 + 69_900 - (1 << 32);
        let mut wrapped = vec![9f32; 100];
        let tensor = fanin::TensorMut::contiguous(&mut wrapped, &[1, 100]).unwrap();
        let start = [(low / 70_000) as usize, (low % 70_000) as usize];
        assert!(start[1] + 100 <= 70_000);
        fanin::Stream::fill_box(&mut stream, &plan, &start, tensor).unwrap();
        assert_ne!(wrapped, corner[..100], "{spec}");
    }
}

#[test]
fn boxes_outside_and_wrong_memory_are_refused() {
    let plan = plan("normal", &[4, 4], DType::F32).unwrap();
    let mut stream = Native::new(0).tensor("w");
    let mut refuse = |start: &[usize], size: &[usize]| {
        let mut buffer = vec![7f32; size.iter().product()];
        let tensor = fanin::TensorMut::contiguous(&mut buffer, size).unwrap();
        let error = fanin::Stream::fill_box(&mut stream, &plan, start, tensor).unwrap_err();
        assert!(buffer.iter().all(|&value| value == 7.0));
        error
    };
    assert!(matches!(refuse(&[3, 0], &[2, 4]), fanin::Error::Box { .. }));
    assert!(matches!(refuse(&[usize::MAX, 0], &[2, 4]), fanin::Error::Box { .. }));
    assert!(matches!(refuse(&[0], &[4]), fanin::Error::Box { .. }));
    let mut doubles = vec![0f64; 16];
    let tensor = fanin::TensorMut::contiguous(&mut doubles, &[4, 4]).unwrap();
    let error = fanin::Stream::fill(&mut Native::new(0).tensor("w"), &plan, tensor).unwrap_err();
    assert!(matches!(error, fanin::Error::ElementType { .. }));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Cutting a flat tensor anywhere gives the same values.
    #[test]
    fn any_cut_of_a_long_tensor(length in 1usize..3000, cut in 0usize..3000, which in 0usize..16) {
        let (spec, _) = CATALOGUE.iter().filter(|(_, shapes)| shapes[0].is_empty()).nth(which).unwrap();
        let cut = cut.min(length);
        let whole = filled(spec, &[length], DType::F32, &mut Native::new(5).tensor("t"));
        let plan = plan(spec, &[length], DType::F32).unwrap();
        let prepared = Native::new(5).tensor("t").prepare(&plan).unwrap();
        let mut parts = Vec::new();
        for (start, size) in [(0, cut), (cut, length - cut)] {
            let mut part = Buffer::new(DType::F32, size);
            prepared.fill_box(&[start], part.tensor(&[size])).unwrap();
            parts.extend(part.bytes());
        }
        prop_assert_eq!(parts, whole.bytes());
    }
}
