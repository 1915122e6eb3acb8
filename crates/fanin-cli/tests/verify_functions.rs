//! Tests of `verify` with functions of random values, such as `log(uniform(1, 16))`. Correct files pass. Wrong
//! arguments are reported.

mod fixture;

use fixture::Fixture;

const SPECS: [(&str, &str); 4] = [
    ("log_uniform(0.001, 0.1)", "log_uniform(0.001, 0.11)"),
    ("softplus_inverse(log_uniform(0.001, 0.1))", "softplus_inverse(log_uniform(0.0012, 0.1))"),
    ("log(uniform(1, 16))", "log(uniform(1, 15))"),
    ("exp(normal(-1, 0.5))", "exp(normal(-1, 0.52))"),
];

#[test]
fn verify_checks_functions_of_random_values() {
    let fixture = Fixture::new();
    for dtype in ["F32", "F16", "BF16", "F64"] {
        let manifest = format!(
            r#"{{"w": {{"dtype": "{dtype}", "shape": [40000]}}, "v": {{"dtype": "{dtype}", "shape": [80]}}}}"#
        );
        std::fs::write(fixture.path("f.json"), manifest).unwrap();
        for (spec, wrong) in SPECS {
            std::fs::write(fixture.path("f.toml"), format!("[init]\n\"*\" = \"{spec}\"\n")).unwrap();
            std::fs::write(fixture.path("w.toml"), format!("[init]\n\"*\" = \"{wrong}\"\n")).unwrap();
            for seed in ["1", "2", "3"] {
                fixture.good(&[
                    "init",
                    "f.toml",
                    "--like",
                    "f.json",
                    "--seed",
                    seed,
                    "--force",
                    "-q",
                    "-o",
                    "f.safetensors",
                ]);
                let ran = fixture.run(&["verify", "f.safetensors", "--recipe", "f.toml", "--alpha", "1e-4"]);
                assert_eq!(ran.code, 0, "{dtype} {spec} {seed}: {}", ran.stdout);
            }
            fixture.good(&["verify", "f.safetensors", "--recipe", "f.toml", "--seed", "3"]);
            let ran = fixture.run(&["verify", "f.safetensors", "--recipe", "w.toml"]);
            assert_eq!(ran.code, 1, "{dtype} {spec} passes as {wrong}: {}", ran.stdout);
        }
    }
}
