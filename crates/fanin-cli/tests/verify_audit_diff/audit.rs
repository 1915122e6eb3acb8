//! Tests of the kinds of tensors and of the problems that `audit` reports.

use crate::common::{bytes_of, fixture, save, save_one, values};

#[test]
fn audit_recognizes_distributions_and_reports_damage() {
    let fixture = fixture();
    let right = fixture.bytes("x.safetensors");
    let audit = |code: i32| -> serde_json::Value {
        let ran = fixture.run(&["audit", "x.safetensors", "--json"]);
        assert_eq!(ran.code, code, "{}{}", ran.stdout, ran.stderr);
        serde_json::from_str(&ran.stdout).unwrap()
    };
    let of = |report: &serde_json::Value, name: &str| -> serde_json::Value {
        let tensors = report["tensors"].as_array().unwrap();
        tensors.iter().find(|tensor| tensor["name"] == name).unwrap().clone()
    };
    let report = audit(0);
    for (name, kind, distribution) in [
        ("h.0.attn.weight", "fresh", "normal(std="),
        ("h.1.attn.weight", "compatible with fresh", "normal(std="),
        ("h.0.trunc.weight", "compatible with fresh", "trunc_normal(std="),
        ("h.0.conv.weight", "compatible with fresh", "uniform(a="),
        ("h.0.rnn.weight", "orthogonal", "orthogonal(gain="),
        ("h.0.norm.weight", "constant", "1"),
        ("h.0.bias", "constant", "0"),
    ] {
        let found = of(&report, name);
        assert_eq!(found["kind"], kind, "{found}");
        assert!(found["distribution"].as_str().unwrap().starts_with(distribution), "{found}");
    }
    let scheme = of(&report, "h.0.conv.weight")["schemes"].to_string();
    assert!(scheme.contains("mode=fan_out, nonlinearity=relu"), "{scheme}");
    let damaged = |tensor: &str, damage: &dyn Fn(&mut [u8]), needle: &str| {
        let mut bytes = right.clone();
        damage(&mut bytes[bytes_of(&right, tensor)]);
        std::fs::write(fixture.path("x.safetensors"), bytes).unwrap();
        let problems = of(&audit(1), tensor)["problems"].to_string();
        assert!(problems.contains(needle), "{tensor} {needle}: {problems}");
    };
    let tensor = "h.0.attn.weight";
    damaged(tensor, &|bytes| bytes[400..404].copy_from_slice(&f32::NAN.to_le_bytes()), "NaN");
    damaged(tensor, &|bytes| bytes[400..404].copy_from_slice(&9f32.to_le_bytes()), "outliers");
    damaged(
        tensor,
        &|bytes| bytes.copy_within(..384 * 192 * 2, 384 * 192 * 2),
        "a range of values occurs twice",
    );
    damaged(tensor, &|bytes| bytes[..96 * 192 * 4].fill(0), "96 of 384 rows are all zeros");
    damaged(tensor, &|bytes| bytes[..40_000].fill(1), "uninitialized memory");
    damaged(
        tensor,
        &|bytes| {
            bytes.as_chunks_mut::<4>().0.iter_mut().for_each(|b| {
                *b = f32::from_le_bytes(*b).clamp(-0.1, 0.1).to_le_bytes();
            });
        },
        "clamped?",
    );
}

#[test]
fn audit_recognizes_computed_tables_and_reports_unwritten_memory() {
    let fixture = fixture();
    let noise = values(&fixture, "h.0.attn.weight");
    let rows = |count: usize, row: &[f32]| row.repeat(count);
    let steps: Vec<f32> = (1..=16).map(|n| (n as f32).ln()).collect();
    let sines: Vec<f32> = (0..1500 * 64)
        .map(|k| {
            let (position, column) = ((k / 64) as f64, k % 64);
            let angle = position * (-(10_000f64.ln()) * (column % 32) as f64 / 31.0).exp();
            (if column < 32 { angle.sin() } else { angle.cos() }) as f32
        })
        .collect();
    let sparse: Vec<f32> = noise[..96 * 96]
        .iter()
        .enumerate()
        .map(|(k, x)| if (k * 7 + k / 96 * 3) % 2 == 0 { 0.0 } else { x * 0.01 * 192f32.sqrt() })
        .collect();
    let gain: Vec<f32> = noise[20_000..26_000].iter().map(|x| 1.0 + x * 0.01 * 192f32.sqrt()).collect();
    let good: [(&str, &[usize], Vec<f32>); 7] = [
        ("h.0.A_log", &[384, 16], rows(384, &steps)),
        ("h.1.A_log", &[384, 16], rows(384, &steps)),
        ("few.A_log", &[3, 16], rows(3, &steps)),
        ("positions", &[1500, 64], sines),
        ("head", &[8, 64], vec![0.0; 512]),
        ("sparse", &[96, 96], sparse),
        ("gain", &[6000], gain),
    ];
    save(&fixture, "y.safetensors", &good);
    let ran = fixture.run(&["audit", "y.safetensors", "--json"]);
    assert_eq!(ran.code, 0, "{}", ran.stdout);
    let report: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    for (number, member, needle) in [
        (0, "kind", "table"),
        (1, "distribution", "every row the same"),
        (2, "kind", "table"),
        (3, "distribution", "sines and cosines"),
        (4, "notes", "never written"),
        (5, "distribution", "sparse(sparsity=0.50, std="),
        (5, "schemes", "sparse(sparsity=0.50, std=0.01)"),
        (6, "schemes", "normal(mean=1, std=0.01)"),
    ] {
        let found = report["tensors"][number][member].to_string();
        assert!(found.contains(needle), "{needle}: {}", report["tensors"][number]);
    }
    for (wrong, needle) in [
        (vec![1.4e-45; 512], "uninitialized memory"),
        (vec![f32::INFINITY; 512], "overflow"),
        (rows(8, &noise[..64]), "every row is the same"),
    ] {
        save(&fixture, "y.safetensors", &[("w", &[8, 64], wrong)]);
        let ran = fixture.run(&["audit", "y.safetensors"]);
        assert!(ran.code == 1 && ran.stdout.contains(needle), "{needle}: {}", ran.stdout);
    }
}

#[test]
fn audit_reports_a_value_that_is_far_too_frequent() {
    use fanin::half::{bf16, f16};
    let fixture = fixture();
    let noise = values(&fixture, "h.0.attn.weight");
    let std = (noise.iter().map(|x| x * x).sum::<f32>() / noise.len() as f32).sqrt();
    let audit = |dtype: &str, values: &[f32]| {
        let bytes: Vec<u8> = match dtype {
            "BF16" => values.iter().flat_map(|x| bf16::from_f32(*x).to_le_bytes()).collect(),
            "F16" => values.iter().flat_map(|x| f16::from_f32(*x).to_le_bytes()).collect(),
            _ => values.iter().flat_map(|x| x.to_le_bytes()).collect(),
        };
        save_one(&fixture, dtype, &[values.len() as u64 / 192, 192], &bytes);
        let ran = fixture.run(&["audit", "z.safetensors", "--json"]);
        let report: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        (ran.code, report["tensors"][0].clone())
    };
    for dtype in ["F32", "F16", "BF16"] {
        let (code, tensor) = audit(dtype, &noise);
        // Only f32 values show which generator drew them.
        let kind = if dtype == "F32" { "fresh" } else { "compatible with fresh" };
        assert_eq!((code, tensor["kind"].as_str()), (0, Some(kind)), "{dtype}: {tensor}");
        // Each case sets a fraction `1 / every` of the values to `sigma` standard deviations.
        for (every, sigma) in
            [(5000, -100.0), (480, -100.0), (480, 100.0), (50, 30.0), (7, -4.0), (2, -100.0), (10, 0.5)]
        {
            let mode = std * sigma;
            let wrong: Vec<f32> = noise
                .iter()
                .enumerate()
                .map(|(n, x)| if n * 7919 % every == 0 { mode } else { *x })
                .collect();
            let (code, tensor) = audit(dtype, &wrong);
            let problems = tensor["problems"].to_string();
            let named = problems.contains("values are exactly") || problems.contains("are outliers");
            assert!(code == 1 && named, "{dtype} 1/{every} at {sigma}: {tensor}");
            if sigma.abs() > 4.0 {
                let kind = tensor["kind"].as_str().unwrap_or_default();
                assert!(kind.ends_with("fresh"), "{dtype} 1/{every} at {sigma}: {tensor}");
            }
        }
    }
    // Most weights of this normalization layer are 1, which is not an error.
    let norm: Vec<f32> =
        noise.iter().enumerate().map(|(n, x)| if n % 3 == 0 { 1.0 + x * 0.01 } else { 1.0 }).collect();
    let (code, tensor) = audit("F32", &norm);
    assert!(code == 0 && tensor["notes"].to_string().contains("exactly 1"), "{tensor}");
    // Few of these weights are 1, and the others are far from 1.
    let wrong: Vec<f32> =
        noise.iter().enumerate().map(|(n, x)| if n % 480 == 0 { 1.0 } else { *x }).collect();
    let (code, tensor) = audit("F32", &wrong);
    assert!(code == 1 && tensor["problems"].to_string().contains("exactly 1"), "{tensor}");
}

#[test]
fn audit_reports_outliers_of_a_norm_weight_and_ignores_them_in_its_center() {
    let fixture = fixture();
    let noise = values(&fixture, "h.0.attn.weight");
    let mut gain: Vec<f32> = noise[..6144].iter().map(|x| 1.0 + x * 0.01 * 192f32.sqrt()).collect();
    for outliers in [&[1000f32][..], &[-3.0, 5000.0, 40.0]] {
        gain[100..100 + outliers.len()].copy_from_slice(outliers);
        save(&fixture, "y.safetensors", &[("norm.weight", &[6144], gain.clone())]);
        let ran = fixture.run(&["audit", "y.safetensors", "--json"]);
        let report: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        let tensor = &report["tensors"][0];
        let distribution = tensor["distribution"].as_str().unwrap();
        let mean = distribution.strip_prefix("normal(mean=").expect(distribution).split(',').next().unwrap();
        assert!((mean.parse::<f64>().unwrap() - 1.0).abs() < 1e-3, "{tensor}");
        let named = tensor["problems"]
            .to_string()
            .contains(&format!("{} of 6144 values are outliers", outliers.len()));
        assert!(ran.code == 1 && named, "{tensor}");
    }
}
