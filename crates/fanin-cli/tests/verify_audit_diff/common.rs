//! A recipe, a manifest and a checkpoint for the tests of this folder, and functions that write and change checkpoints.

use crate::fixture::{self, Fixture};

pub const MANIFEST: &str = r#"{
    "h.0.attn.weight": {"dtype": "F32", "shape": [384, 192]},
    "h.1.attn.weight": {"dtype": "BF16", "shape": [384, 192]},
    "h.0.c_proj.weight": {"dtype": "F32", "shape": [192, 384]},
    "h.0.trunc.weight": {"dtype": "F32", "shape": [256, 256]},
    "h.0.conv.weight": {"dtype": "F16", "shape": [64, 32, 3, 3]},
    "h.0.rnn.weight": {"dtype": "F32", "shape": [64, 96]},
    "h.0.map.weight": {"dtype": "F32", "shape": [64, 48]},
    "h.0.norm.weight": {"dtype": "BF16", "shape": [192]},
    "h.0.bias": {"dtype": "F32", "shape": [192]}}"#;

/// Returns the correct recipe with `changes`: pairs of a rule's pattern and its new spec.
pub fn recipe(changes: &[(&str, &str)]) -> String {
    let mut text = "[init]\n".to_owned();
    for (pattern, spec) in [
        ("*.attn.weight", "normal(std=1/sqrt(fan_in))"),
        ("*.c_proj.weight", "normal(std=0.02/sqrt(2*12))"),
        ("*.trunc.weight", "trunc_normal(std=1/sqrt(fan_in), a=-2/sqrt(fan_in), b=2/sqrt(fan_in))"),
        ("*.conv.weight", "kaiming_uniform(mode=fan_out, nonlinearity=relu)"),
        ("*.rnn.weight", "orthogonal"),
        ("*.map.weight", "sparse(sparsity=0.25, std=0.1)"),
        ("*.norm.weight", "ones"),
        ("*.bias", "zeros"),
    ] {
        let spec = changes.iter().find(|(changed, _)| *changed == pattern).map_or(spec, |(_, spec)| spec);
        text += &format!("\"{pattern}\" = \"{spec}\"\n");
    }
    text
}

pub fn fixture() -> Fixture {
    let fixture = Fixture::new();
    std::fs::write(fixture.path("right.toml"), recipe(&[])).unwrap();
    std::fs::write(fixture.path("shapes.json"), MANIFEST).unwrap();
    fixture.good(&["init", "right.toml", "--like", "shapes.json", "--seed", "3", "-o", "x.safetensors"]);
    fixture
}

/// Runs `verify` on `x.safetensors`. Asserts that the check fails, and that a line of the output contains both `tensor`
/// and `test`.
pub fn caught(fixture: &Fixture, more: &[&str], tensor: &str, test: &str) {
    let ran = fixture.run(&[&["verify", "x.safetensors", "--recipe", "right.toml"], more].concat());
    assert_eq!(ran.code, 1, "{tensor} {test}: {}{}", ran.stdout, ran.stderr);
    let named = ran.stdout.lines().any(|line| line.contains(tensor) && line.contains(test));
    assert!(named, "{tensor} {test}: {}", ran.stdout);
}

/// Returns the range of bytes that contains the values of a tensor. `bytes` is the content of the file.
pub fn bytes_of(bytes: &[u8], tensor: &str) -> std::ops::Range<usize> {
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: serde_json::Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    let offset = |n: usize| 8 + length + header[tensor]["data_offsets"][n].as_u64().unwrap() as usize;
    offset(0)..offset(1)
}

/// Writes a checkpoint of F32 tensors to the file `name`.
pub fn save(fixture: &Fixture, name: &str, tensors: &[(&str, &[usize], Vec<f32>)]) {
    let mut header = serde_json::Map::new();
    let mut data = Vec::new();
    for (tensor, shape, values) in tensors {
        let start = data.len();
        data.extend(values.iter().flat_map(|x| x.to_le_bytes()));
        let entry =
            serde_json::json!({ "dtype": "F32", "shape": shape, "data_offsets": [start, data.len()] });
        header.insert((*tensor).to_owned(), entry);
    }
    let header = serde_json::to_vec(&header).unwrap();
    let bytes = [&(header.len() as u64).to_le_bytes()[..], &header, &data].concat();
    std::fs::write(fixture.path(name), bytes).unwrap();
}

/// Returns the values of an F32 tensor in `x.safetensors`.
pub fn values(fixture: &Fixture, tensor: &str) -> Vec<f32> {
    let bytes = fixture.bytes("x.safetensors");
    fixture::floats(&bytes[bytes_of(&bytes, tensor)])
}

/// Writes a checkpoint of one tensor to `z.safetensors`. `values` are the bytes of its values.
pub fn save_one(fixture: &Fixture, dtype: &str, shape: &[u64], values: &[u8]) {
    let entry =
        serde_json::json!({ "w": { "dtype": dtype, "shape": shape, "data_offsets": [0, values.len()] } });
    let header = entry.to_string();
    let bytes = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), values].concat();
    std::fs::write(fixture.path("z.safetensors"), bytes).unwrap();
}
