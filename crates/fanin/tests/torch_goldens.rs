//! Compares the torch stream with values of torch. The script `scripts/goldens.py` writes these values to the folder
//! `golden`.

mod common;

use std::collections::HashMap;

use base64::Engine as _;
use common::{Buffer, plan};
use fanin::half::{bf16, f16};
use fanin::{DType, Level, Stream, Torch};
use sha2::{Digest, Sha256};

/// Returns the rows of a golden file, each as a map from the name of a column to its text.
fn rows(name: &str) -> Vec<HashMap<String, String>> {
    let path = format!("{}/tests/golden/{name}.tsv", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let first = lines.iter().position(|line| !line.starts_with('#')).unwrap();
    let header: Vec<&str> = lines[first - 1][2..].split('\t').collect();
    let keys = || header.iter().map(|&key| key.to_owned());
    lines[first..].iter().map(|line| keys().zip(line.split('\t').map(str::to_owned)).collect()).collect()
}

/// Returns the first 16 hexadecimal digits of a SHA-256 digest.
fn short_hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes)[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Fills a tensor as `row` describes. Returns the values in row-major order.
fn carry_out(row: &HashMap<String, String>, stream: &mut dyn Stream) -> Buffer {
    let shape: Vec<usize> = row["shape"].split(',').map(|size| size.parse().unwrap()).collect();
    let dtype: DType = row["dtype"].parse().unwrap();
    let plan = plan(&row["spec"], &shape, dtype).unwrap();
    let (gap, order): (usize, Vec<usize>) = match row["layout"].as_str() {
        "c" => (1, (0..shape.len()).rev().collect()),
        "s2" => (2, (0..shape.len()).rev().collect()),
        "t" => (1, (0..shape.len()).collect()),
        "cl" => (1, vec![1, 3, 2, 0]),
        other => panic!("unknown layout {other}"),
    };
    let mut strides = vec![0isize; shape.len()];
    let mut next = gap;
    for axis in order {
        strides[axis] = next as isize;
        next *= shape[axis];
    }
    let mut buffer = Buffer::new(dtype, next);
    stream.fill(&plan, buffer.strided(&shape, &strides, 0)).unwrap();
    let places: Vec<usize> = (0..plan.len())
        .map(|number| {
            let mut rest = number;
            (0..shape.len())
                .rev()
                .map(|axis| {
                    let at = rest % shape[axis];
                    rest /= shape[axis];
                    at * strides[axis] as usize
                })
                .sum()
        })
        .collect();
    buffer.at(&places)
}

/// Returns the bits of the first `count` values in hexadecimal.
fn bits(buffer: &Buffer, count: usize) -> Vec<String> {
    let size = buffer.bytes().len() / each!(buffer, values => values.len()).max(1);
    let hex = |bytes: &[u8]| bytes.iter().rev().map(|byte| format!("{byte:02x}")).collect();
    buffer.bytes().chunks(size.max(1)).take(count).map(hex).collect()
}

/// Returns the seed of a row. A negative seed is converted as torch does: modulo 2^64.
fn seed(row: &HashMap<String, String>) -> u64 {
    row["seed"].parse::<i128>().unwrap() as u64
}

#[test]
fn values_and_generator_state_are_bit_identical_to_torch_at_every_level() {
    let rows = rows("torch");
    assert!(rows.len() > 350);
    for row in &rows {
        for &level in Level::available() {
            let mut torch = Torch::new(seed(row)).with_level(level);
            let values = carry_out(row, &mut torch);
            if row["first"] != "-" {
                assert_eq!(bits(&values, 4).join(","), row["first"], "{level:?} {row:?}");
            }
            assert_eq!(short_hash(&values.bytes()), row["sha256"], "{level:?} {row:?}");
            assert_eq!(short_hash(&torch.state()), row["state"], "{level:?} {row:?}");
        }
    }
}

#[test]
fn consecutive_fills_share_one_generator_and_its_cached_normal() {
    let mut torch = Torch::new(0);
    for row in rows("sequences") {
        if row["step"] == "1" {
            torch = Torch::new(seed(&row));
        }
        let values = carry_out(&row, &mut torch);
        assert_eq!(short_hash(&values.bytes()), row["sha256"], "{row:?}");
        assert_eq!(short_hash(&torch.state()), row["state"], "{row:?}");
        // The next step continues with a generator that is restored from the saved state.
        let copy = Torch::from_state(&torch.state()).unwrap();
        assert_eq!(copy.state(), torch.state());
        torch = copy;
    }
}

/// Returns the golden values of a row as f64.
fn values(row: &HashMap<String, String>) -> Vec<f64> {
    let number = |hex: &str| match row["dtype"].as_str() {
        "f64" => f64::from_bits(u64::from_str_radix(hex, 16).unwrap()),
        "f32" => f32::from_bits(u32::from_str_radix(hex, 16).unwrap()).into(),
        "f16" => f16::from_bits(u16::from_str_radix(hex, 16).unwrap()).to_f64(),
        _ => bf16::from_bits(u16::from_str_radix(hex, 16).unwrap()).to_f64(),
    };
    row["values"].split(',').map(number).collect()
}

#[test]
fn orthogonal_values_agree_with_torch_up_to_rounding() {
    for row in rows("orthogonal") {
        let tolerance = if row["dtype"] == "f64" { 1e-8 } else { 2e-5 };
        let mut torch = Torch::new(seed(&row));
        let found = carry_out(&row, &mut torch).to_f64();
        for (found, expected) in found.iter().zip(values(&row)) {
            assert!((found - expected).abs() < tolerance, "{found} {expected} {row:?}");
        }
        assert_eq!(short_hash(&torch.state()), row["state"], "{row:?}");
    }
}

#[test]
fn truncated_normals_by_inverse_cdf_agree_with_torch_up_to_rounding() {
    for row in rows("inverse_cdf") {
        let mut torch = Torch::new(seed(&row));
        let found = carry_out(&row, &mut torch).to_f64();
        let expected = values(&row);
        let epsilon = match row["dtype"].as_str() {
            "f64" => f64::EPSILON,
            "f32" => f32::EPSILON.into(),
            "f16" => 2f64.powi(-10),
            _ => 2f64.powi(-7),
        };
        // The test allows rounding errors, because the last bits of torch's inverse error function depend on the CPU.
        let scale = expected.iter().fold(1f64, |scale, value| scale.max(value.abs()));
        for (found, expected) in found.iter().zip(&expected) {
            assert!((found - expected).abs() <= 4.0 * epsilon * scale, "{found} {expected} {row:?}");
        }
        assert_eq!(short_hash(&torch.state()), row["state"], "{row:?}");
    }
}

#[test]
fn a_generator_state_of_torch_is_read_and_continued() {
    let text =
        std::fs::read_to_string(format!("{}/tests/golden/state.tsv", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let field: HashMap<&str, &str> =
        text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('\t')).collect();
    let packed = base64::engine::general_purpose::STANDARD.decode(field["state"]).unwrap();
    let mut state = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&packed[..]), &mut state).unwrap();
    let mut torch = Torch::from_state(&state).unwrap();
    assert_eq!(torch.state(), state);
    assert_eq!(torch.initial_seed(), 123);
    let next: Vec<String> =
        (0..5).map(|_| bits(&common::filled("normal", &[1], DType::F64, &mut torch), 1).remove(0)).collect();
    assert_eq!(next.join(","), field["next"]);
    assert_eq!(next[0], field["cached"]);
    assert_eq!(short_hash(&torch.state()), field["after"]);
}

#[test]
fn invalid_generator_states_are_errors() {
    let good = Torch::new(1).state();
    let mut torch = Torch::new(7);
    for (at, value) in [(8, 0u8), (9, 9), (12, 0), (16, 3), (18, 1)] {
        let mut bad = good.clone();
        bad[at] = value;
        let error = torch.set_state(&bad).unwrap_err();
        assert!(matches!(error, fanin::Error::State { .. }), "byte {at}");
    }
    assert!(torch.set_state(&good[1..]).unwrap_err().to_string().contains("got 5055"));
    assert_eq!(torch, Torch::new(7), "an invalid state must change nothing");
}
