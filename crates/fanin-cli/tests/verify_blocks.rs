//! Tests of `verify` with fused and stacked tensors. Each block is compared with its own distribution, with and without
//! a seed.

mod fixture;

use fanin_checkpoint::{Checkpoint, SafetensorsFile};
use fixture::Fixture;

const MANIFEST: &str = r#"{
    "h.0.qkv.weight": {"dtype": "F32", "shape": [384, 128]},
    "h.1.qkv.weight": {"dtype": "F32", "shape": [384, 128]},
    "h.0.side.weight": {"dtype": "BF16", "shape": [128, 384]},
    "h.1.side.weight": {"dtype": "BF16", "shape": [128, 384]},
    "h.0.experts.weight": {"dtype": "F32", "shape": [3, 96, 128]},
    "h.0.fixed.weight": {"dtype": "F32", "shape": [60, 20]},
    "h.0.conv.weight": {"dtype": "F32", "shape": [64, 32, 3, 3]}}"#;

const RECIPE: &str = "[init]\n\
    '*.qkv.weight' = 'blocks(orthogonal, xavier_uniform, normal(std=0.1))'\n\
    '*.side.weight' = 'blocks(kaiming_normal, xavier_uniform, kaiming_normal, axis=1)'\n\
    '*.experts.weight' = 'stacked(blocks(orthogonal(2), sparse(0.25, std=0.5)))'\n\
    '*.fixed.weight' = 'blocks(20: eye, 20: zeros, 20: normal)'\n\
    '*.conv.weight' = 'delta_orthogonal'\n";

/// Returns a folder with the recipe and the manifest of these tests.
fn fixture() -> Fixture {
    let fixture = Fixture::new();
    std::fs::write(fixture.path("p.toml"), RECIPE).unwrap();
    std::fs::write(fixture.path("shapes.json"), MANIFEST).unwrap();
    fixture
}

/// Writes `x.safetensors` with a recipe. `more` are further arguments of `init`.
fn make(fixture: &Fixture, recipe: &str, more: &[&str]) {
    let make = ["init", recipe, "--like", "shapes.json", "--force", "-q", "-o", "x.safetensors"];
    fixture.good(&[&make[..], more].concat());
}

/// Changes values of a tensor in `x.safetensors`. `value` maps an index to the new value, or to `None` for no change.
fn change(fixture: &Fixture, tensor: &str, mut value: impl FnMut(usize) -> Option<f32>) {
    let path = fixture.path("x.safetensors");
    let checkpoint = SafetensorsFile::open(&path).unwrap();
    let entry = checkpoint.manifest.entries.iter().find(|entry| entry.name == tensor).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let start = 8 + length + entry.offsets.unwrap().0 as usize;
    for index in 0..entry.values() {
        if let Some(value) = value(index) {
            let value = value.to_le_bytes();
            // A bf16 value is the upper half of the f32 value: the last two of its four little-endian bytes.
            let size = entry.dtype.size();
            bytes[start + index * size..][..size].copy_from_slice(&value[4 - size..]);
        }
    }
    std::fs::write(&path, bytes).unwrap();
}

/// Returns the values of a tensor in `x.safetensors`.
fn values(fixture: &Fixture, tensor: &str) -> Vec<f32> {
    let checkpoint = Checkpoint::open(&fixture.path("x.safetensors")).unwrap();
    let number = checkpoint.manifest.entries.iter().position(|entry| entry.name == tensor).unwrap();
    let count = checkpoint.manifest.entries[number].values();
    checkpoint.window(number, 0, count).unwrap().into_iter().map(|x| x as f32).collect()
}

/// Runs `verify` without a seed. Asserts that the check fails, and that one line of the output contains all of
/// `needles`.
fn caught(fixture: &Fixture, needles: &[&str]) {
    let ran = fixture.run(&["verify", "x.safetensors", "--recipe", "p.toml"]);
    assert_eq!(ran.code, 1, "{needles:?}: {}{}", ran.stdout, ran.stderr);
    let named = ran.stdout.lines().any(|line| needles.iter().all(|needle| line.contains(needle)));
    assert!(named, "{needles:?}: {}", ran.stdout);
}

#[test]
fn correct_blocks_pass_with_and_without_a_seed() {
    let fixture = fixture();
    for seed in 0..6 {
        let seed = &seed.to_string();
        for stream in ["native", "torch"] {
            make(&fixture, "p.toml", &["--seed", seed, "--stream", stream]);
            let verify = ["verify", "x.safetensors", "--recipe", "p.toml", "--alpha", "1e-6"];
            fixture.good(&verify);
            fixture.good(&[&verify[..], &["--seed", seed, "--stream", stream]].concat());
        }
    }
}

#[test]
fn verify_names_a_block_with_a_wrong_distribution() {
    let fixture = fixture();
    for (right, wrong, tensor, block, test) in [
        ("normal(std=0.1)", "normal(std=0.104)", "qkv", "[2]", "std"),
        ("xavier_uniform", "xavier_normal", "qkv", "[1]", "bounds"),
        ("blocks(orthogonal, x", "blocks(xavier_normal, x", "qkv", "[0]", "orthogonal"),
        // The std uses the fan_in of the whole tensor instead of the fan_in of the block.
        (
            "blocks(kaiming_normal, xavier_uniform, kaiming_normal, axis=1)",
            "kaiming_normal",
            "side",
            "[2]",
            "std",
        ),
        ("orthogonal(2)", "orthogonal(1.9)", "experts", "[2][0]", "orthogonal"),
        ("sparse(0.25, std=0.5)", "sparse(0.2, std=0.5)", "experts", "[1][1]", "zeros"),
        ("20: zeros", "20: ones", "fixed", "[1]", "exact"),
        ("20: eye, 20: zeros", "20: zeros, 20: eye", "fixed", "[0]", "exact"),
        ("20: normal", "20: uniform", "fixed", "[2]", "distribution"),
    ] {
        let text = RECIPE.replace(right, wrong);
        assert_ne!(text, RECIPE);
        std::fs::write(fixture.path("w.toml"), text).unwrap();
        make(&fixture, "w.toml", &["--seed", "5"]);
        caught(&fixture, &[tensor, &format!("block {block}: "), test]);
    }
}

#[test]
fn verify_names_a_block_with_damaged_values() {
    let fixture = fixture();
    let damaged = |tensor: &str, value: &dyn Fn(usize) -> Option<f32>, needles: &[&str]| {
        make(&fixture, "p.toml", &["--seed", "5"]);
        change(&fixture, tensor, value);
        caught(&fixture, &[&[tensor][..], needles].concat());
    };
    // The middle third of each row is block 1, which becomes zero.
    damaged("h.0.side.weight", &|n| (n % 384 / 128 == 1).then_some(0.0), &["block [1]: ", "exactly 0"]);
    damaged("h.0.qkv.weight", &|n| (n == 300 * 128).then_some(f32::NAN), &["block [2]: ", "NaN"]);
    damaged("h.0.conv.weight", &|n| (n == 7).then_some(1e-3), &["1 non-zero value outside of the blocks"]);
    damaged("h.0.conv.weight", &|n| (n % 9 == 4).then_some(0.0), &["not orthogonal"]);

    // The same values occur in two experts, then in two blocks of one matrix, and then in two layers.
    make(&fixture, "p.toml", &["--seed", "5"]);
    let experts = values(&fixture, "h.0.experts.weight");
    let (each, half) = (96 * 128, 48 * 128);
    change(&fixture, "h.0.experts.weight", |n| (n / each == 2 && n % each < half).then(|| experts[n - each]));
    caught(
        &fixture,
        &["h.0.experts.weight", "block [2][0]: has exactly the same values as h.0.experts.weight[1][0]"],
    );
    make(&fixture, "p.toml", &["--seed", "5"]);
    let side = values(&fixture, "h.0.side.weight");
    change(&fixture, "h.0.side.weight", |n| (n % 384 >= 256).then(|| side[n - 256]));
    caught(&fixture, &["h.0.side.weight", "block [2]: has exactly the same values as h.0.side.weight[0]"]);
    make(&fixture, "p.toml", &["--seed", "5"]);
    change(&fixture, "h.1.side.weight", |n| (n % 384 < 128).then(|| side[n]));
    caught(&fixture, &["h.1.side.weight", "block [0]: has exactly the same values as h.0.side.weight[0]"]);
}
