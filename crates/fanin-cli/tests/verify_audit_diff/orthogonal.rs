//! Tests that `verify` distinguishes random orthogonal matrices from other orthogonal matrices.

use crate::common::{bytes_of, save, values};
use crate::fixture::Fixture;

#[test]
fn verify_reports_orthogonal_matrices_that_are_not_random() {
    let fixture = Fixture::new();
    std::fs::write(fixture.path("o.toml"), "[init]\n\"*\" = \"orthogonal\"\n").unwrap();
    let drawn = |shape: [usize; 2], seed: usize| {
        let manifest = serde_json::json!({ "q": { "dtype": "F32", "shape": shape } });
        std::fs::write(fixture.path("o.json"), manifest.to_string()).unwrap();
        let seed = seed.to_string();
        fixture.good(&[
            "init",
            "o.toml",
            "--like",
            "o.json",
            "--seed",
            &seed,
            "--force",
            "-o",
            "x.safetensors",
        ]);
        values(&fixture, "q")
    };
    let caught = |shape: [usize; 2], wrong: Vec<f32>, test: &str| {
        save(&fixture, "x.safetensors", &[("q", &shape, wrong)]);
        let ran = fixture.run(&["verify", "x.safetensors", "--recipe", "o.toml"]);
        let named = ran.stdout.lines().any(|line| line.contains(test));
        assert!(ran.code == 1 && named, "{test}: {}", ran.stdout);
        assert!(!ran.stdout.contains("not orthogonal"), "{}", ran.stdout);
    };
    // The matrix is block-diagonal, and then rotated by a small angle, so that no entry is exactly zero.
    let (n, half) = (128, 64);
    let blocks = [drawn([half, half], 1), drawn([half, half], 2)];
    let mut wrong = vec![0f32; n * n];
    for (b, block) in blocks.iter().enumerate() {
        for (k, x) in block.iter().enumerate() {
            wrong[(b * half + k / half) * n + b * half + k % half] = *x;
        }
    }
    caught([n, n], wrong.clone(), "exactly 0");
    let rotate = |wrong: &mut [f32], angle: f32| {
        for k in 0..half {
            for column in 0..n {
                let (a, b) = (wrong[k * n + column], wrong[(k + half) * n + column]);
                wrong[k * n + column] = angle.cos() * a - angle.sin() * b;
                wrong[(k + half) * n + column] = angle.sin() * a + angle.cos() * b;
            }
        }
    };
    rotate(&mut wrong, 0.01);
    caught([n, n], wrong, "mean absolute entry");
    // A permutation matrix is rotated by a small angle.
    let mut wrong = vec![0f32; n * n];
    (0..n).for_each(|row| wrong[row * n + (row * 37 + 5) % n] = 1.0);
    rotate(&mut wrong, 0.001);
    caught([n, n], wrong, "largest absolute entry");
}

#[test]
fn random_orthogonal_matrices_pass() {
    let fixture = Fixture::new();
    let mut manifest = serde_json::Map::new();
    for (rows, columns) in [(1, 1), (2, 2), (1, 9), (3, 3), (8, 5), (16, 16), (64, 96), (150, 40), (128, 128)]
    {
        for dtype in ["F32", "F16", "BF16", "F8_E4M3", "F8_E5M2"] {
            let entry = serde_json::json!({ "dtype": dtype, "shape": [rows, columns] });
            manifest.insert(format!("{rows}.{columns}.{dtype}"), entry);
        }
    }
    std::fs::write(fixture.path("o.json"), serde_json::to_string(&manifest).unwrap()).unwrap();
    std::fs::write(fixture.path("o.toml"), "[init]\n\"*\" = \"orthogonal(gain=1.4)\"\n").unwrap();
    for seed in 0..10 {
        for stream in ["native", "torch"] {
            let from = ["--seed", &seed.to_string(), "--stream", stream];
            let make = ["init", "o.toml", "--like", "o.json", "--force", "-q", "-o", "y.safetensors"];
            fixture.good(&[&make[..], &from].concat());
            let ran = fixture.run(&["verify", "y.safetensors", "--recipe", "o.toml", "--alpha", "1e-6"]);
            assert_eq!(ran.code, 0, "{seed} {stream}: {}", ran.stdout);
        }
    }
}

#[test]
fn verify_reports_an_orthogonal_value_of_the_torch_stream_that_rounding_does_not_explain() {
    let fixture = Fixture::new();
    for dtype in ["BF16", "F8_E4M3"] {
        let manifest = serde_json::json!({ "q": { "dtype": dtype, "shape": [64, 64] } });
        std::fs::write(fixture.path("o.json"), manifest.to_string()).unwrap();
        std::fs::write(fixture.path("o.toml"), "[init]\n\"*\" = \"orthogonal\"\n").unwrap();
        let torch = ["--seed", "1", "--stream", "torch"];
        let make = ["init", "o.toml", "--like", "o.json", "--force", "-o", "x.safetensors"];
        fixture.good(&[&make[..], &torch].concat());
        let right = std::fs::read(fixture.path("x.safetensors")).unwrap();
        let bytes = bytes_of(&right, "q");
        let size = bytes.len() / (64 * 64);
        // Values are little-endian. Adding 1 to the first byte of a value gives an adjacent value of its type.
        let first = bytes.step_by(size).find(|&at| (16..32).contains(&(right[at] & 127))).unwrap();
        for (steps, code) in [(0, 0), (1, 0), (8, 1)] {
            let mut wrong = right.clone();
            wrong[first] += steps;
            std::fs::write(fixture.path("x.safetensors"), &wrong).unwrap();
            let ran = fixture.run(&[&["verify", "x.safetensors", "--recipe", "o.toml"][..], &torch].concat());
            assert_eq!(ran.code, code, "{dtype} {steps}: {}{}", ran.stdout, ran.stderr);
        }
    }
}
