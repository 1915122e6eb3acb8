//! Tests that `verify` reports wrong distributions and damaged values. With a seed, `verify` compares each value with
//! its exact expected value.

use crate::common::{MANIFEST, bytes_of, caught, fixture, recipe};

#[test]
fn correct_files_pass_with_and_without_a_seed() {
    let fixture = fixture();
    for seed in 0..12 {
        let seed = &seed.to_string();
        for stream in ["native", "torch"] {
            let from = ["--seed", seed, "--stream", stream];
            let make =
                ["init", "right.toml", "--like", "shapes.json", "--force", "-q", "-o", "y.safetensors"];
            fixture.good(&[&make[..], &from].concat());
            let verify = ["verify", "y.safetensors", "--recipe", "right.toml", "--alpha", "1e-6"];
            fixture.good(&verify);
            fixture.good(&[&verify[..], &from].concat());
        }
    }
}

#[test]
fn verify_reports_wrong_distributions() {
    let fixture = fixture();
    for (pattern, spec, tensor, test) in [
        // In the first five cases, the std is wrong: 2 % too large, 2 % too small, fan_out instead of fan_in, fan_in
        // instead of fan_out, no residual scaling of GPT-2.
        ("*.attn.weight", "normal(std=1.02/sqrt(fan_in))", "h.0.attn", "std"),
        ("*.attn.weight", "normal(std=0.98/sqrt(fan_in))", "h.1.attn", "std"),
        ("*.attn.weight", "normal(std=1/sqrt(fan_out))", "h.0.attn", "std"),
        ("*.conv.weight", "kaiming_uniform(nonlinearity=relu)", "h.0.conv", "bounds"),
        ("*.c_proj.weight", "normal(std=0.02)", "h.0.c_proj", "std"),
        // The variance is corrected for the truncation twice, so the standard deviation is too large by a factor of
        // 1.137.
        (
            "*.trunc.weight",
            "trunc_normal(std=1.137/sqrt(fan_in), a=-2.274/sqrt(fan_in), b=2.274/sqrt(fan_in))",
            "h.0.trunc",
            "bounds",
        ),
        // The std uses the fan_in of one of four shards instead of the fan_in of the whole tensor.
        (
            "*.trunc.weight",
            "trunc_normal(std=2/sqrt(fan_in), a=-2/sqrt(fan_in), b=2/sqrt(fan_in))",
            "h.0.trunc",
            "std",
        ),
        // The distribution is truncated instead of normal, normal instead of truncated, or another distribution with
        // the same std.
        ("*.attn.weight", "trunc_normal(std=1/sqrt(192), a=-3/sqrt(192), b=3/sqrt(192))", "h.0.attn", "tail"),
        ("*.trunc.weight", "normal(std=0.8796/sqrt(fan_in))", "h.0.trunc", "bounds"),
        ("*.attn.weight", "uniform(a=-sqrt(3/192), b=sqrt(3/192))", "h.1.attn", "distribution"),
        ("*.attn.weight", "zeros", "h.0.attn", "std"),
        ("*.rnn.weight", "normal(std=1/sqrt(96))", "h.0.rnn", "orthogonal"),
        ("*.rnn.weight", "orthogonal(gain=1.01)", "h.0.rnn", "orthogonal"),
        ("*.map.weight", "sparse(sparsity=0.2, std=0.1)", "h.0.map", "zeros"),
        ("*.norm.weight", "constant(1.01)", "h.0.norm", "exact"),
    ] {
        std::fs::write(fixture.path("wrong.toml"), recipe(&[(pattern, spec)])).unwrap();
        let make = ["init", "wrong.toml", "--like", "shapes.json", "--force", "-q", "-o", "x.safetensors"];
        fixture.good(&make);
        caught(&fixture, &[], tensor, test);
    }
}

#[test]
fn verify_reports_damaged_values() {
    let fixture = fixture();
    let right = fixture.bytes("x.safetensors");
    let damaged = |tensor: &str, damage: &dyn Fn(&mut [u8]), test: &str| {
        let mut bytes = right.clone();
        damage(&mut bytes[bytes_of(&right, tensor)]);
        std::fs::write(fixture.path("x.safetensors"), bytes).unwrap();
        caught(&fixture, &[], tensor, test);
        caught(&fixture, &["--seed", "3"], tensor, "bits");
    };
    damaged("h.0.attn.weight", &|bytes| bytes[400..404].copy_from_slice(&f32::NAN.to_le_bytes()), "finite");
    damaged("h.1.attn.weight", &|bytes| bytes.fill(0), "std");
    damaged("h.0.trunc.weight", &|bytes| bytes[..4].copy_from_slice(&9f32.to_le_bytes()), "bounds");
    damaged("h.0.c_proj.weight", &|bytes| bytes[..4].copy_from_slice(&0.1f32.to_le_bytes()), "outlier");
    damaged("h.0.bias", &|bytes| bytes[4..8].copy_from_slice(&1e-30f32.to_le_bytes()), "exact");
    // A copy of a part of the matrix overwrites another part: half of the rows, an eighth of the rows, half of the
    // columns.
    damaged("h.0.attn.weight", &|bytes| bytes.copy_within(..384 * 192 * 2, 384 * 192 * 2), "repeats");
    damaged("h.1.attn.weight", &|bytes| bytes.copy_within(192 * 192..288 * 192, 288 * 192), "repeats");
    damaged(
        "h.0.c_proj.weight",
        &|bytes| bytes.chunks_mut(384 * 4).for_each(|row| row.copy_within(..192 * 4, 192 * 4)),
        "repeats",
    );
    // The values are correct, but sorted.
    damaged(
        "h.0.c_proj.weight",
        &|bytes| {
            let values = bytes.as_chunks_mut::<4>().0;
            values.sort_by(|a, b| f32::from_le_bytes(*a).total_cmp(&f32::from_le_bytes(*b)));
        },
        "order",
    );
    // A row is set to 0.
    damaged("h.0.trunc.weight", &|bytes| bytes[1024..2048].fill(0), "zeros");
    // One flipped bit is found only with the seed.
    let mut bytes = right.clone();
    bytes[bytes_of(&right, "h.0.rnn.weight")][0] ^= 1;
    std::fs::write(fixture.path("x.safetensors"), bytes).unwrap();
    fixture.good(&["verify", "x.safetensors", "--recipe", "right.toml"]);
    caught(&fixture, &["--seed", "3"], "h.0.rnn.weight", "differ from the seed's: 1 of 6144");
}

#[test]
fn verify_reports_short_repeated_ranges() {
    let fixture = fixture();
    let right = fixture.bytes("x.safetensors");
    let at = bytes_of(&right, "h.0.attn.weight");
    for (from, to, length) in [(192 * 17, 192 * 300, 192), (1001, 50_003, 100), (5, 30_000, 30_000)] {
        let mut bytes = right.clone();
        bytes[at.clone()].copy_within(from * 4..(from + length) * 4, to * 4);
        std::fs::write(fixture.path("x.safetensors"), bytes).unwrap();
        caught(&fixture, &[], "h.0.attn.weight", "repeats");
        let ran = fixture.run(&["audit", "x.safetensors"]);
        assert!(ran.code == 1 && ran.stdout.contains("occurs twice"), "{length}: {}", ran.stdout);
    }
}

#[test]
fn verify_compares_the_sign_of_zero_and_suggests_the_recorded_stream_and_seed() {
    let fixture = fixture();
    let bytes = fixture.bytes("x.safetensors");
    let mut wrong = bytes.clone();
    wrong[bytes_of(&bytes, "h.0.bias")][3] = 0x80;
    std::fs::write(fixture.path("x.safetensors"), wrong).unwrap();
    caught(&fixture, &["--seed", "3"], "h.0.bias", "bits");
    let make = ["init", "right.toml", "--like", "shapes.json", "--seed", "5", "--stream", "torch"];
    fixture.good(&[&make[..], &["-o", "t.safetensors"]].concat());
    let hint = "the file's metadata has stream torch and seed 5: try --stream torch --seed 5";
    for more in [&["--seed", "5"][..], &["--seed", "6", "--stream", "torch"]] {
        let ran = fixture.run(&[&["verify", "t.safetensors", "--recipe", "right.toml"], more].concat());
        assert!(ran.code == 1 && ran.stdout.contains(hint), "{}", ran.stdout);
    }
    let ran = fixture.run(&["verify", "x.safetensors", "--recipe", "right.toml", "--seed", "3"]);
    assert!(!ran.stdout.contains("the file's metadata"), "{}", ran.stdout);
}

#[test]
fn torch_values_are_compared_in_the_order_of_the_model() {
    let fixture = fixture();
    let more = ["--seed", "3", "--stream", "torch"];
    let make = ["init", "right.toml", "--like", "shapes.json", "--force", "-q", "-o", "x.safetensors"];
    fixture.good(&[&make[..], &more].concat());
    // Writes the same tensors in alphabetical order, as other libraries do, without the tensor `left_out`.
    let bytes = fixture.bytes("x.safetensors");
    let all: serde_json::Map<String, serde_json::Value> = serde_json::from_str(MANIFEST).unwrap();
    let write = |left_out: &str| {
        let mut names: Vec<&String> = all.keys().filter(|name| *name != left_out).collect();
        names.sort();
        let (mut header, mut values) = (serde_json::Map::new(), Vec::new());
        for name in names {
            let start = values.len();
            values.extend_from_slice(&bytes[bytes_of(&bytes, name)]);
            let mut entry = all[name].clone();
            entry["data_offsets"] = serde_json::json!([start, values.len()]);
            header.insert(name.clone(), entry);
        }
        let header = serde_json::to_string(&header).unwrap();
        let length = (header.len() as u64).to_le_bytes();
        std::fs::write(fixture.path("y.safetensors"), [&length, header.as_bytes(), &values].concat())
            .unwrap();
    };
    let verify = ["verify", "y.safetensors", "--recipe", "right.toml"];
    let like = ["--like", "shapes.json"];
    write("");
    let ran = fixture.run(&[&verify[..], &more].concat());
    assert_eq!(ran.code, 1, "in the order of the file: {}", ran.stdout);
    fixture.good(&[&verify[..], &more, &like].concat());
    write("h.0.c_proj.weight");
    let ran = fixture.run(&[&verify[..], &more, &like].concat());
    assert_eq!(ran.code, 1, "{}", ran.stdout);
    assert!(ran.stdout.contains("0 not as planned, 1 missing"), "{}", ran.stdout);
    let other = ["--seed", "4", "--stream", "torch"];
    let ran = fixture.run(&[&verify[..], &other, &like].concat());
    assert!(ran.stdout.contains("differ from the seed's"), "{}", ran.stdout);
}
