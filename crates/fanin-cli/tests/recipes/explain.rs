//! Tests of `explain`.

use serde_json::Value;

use crate::fixture::Fixture;

#[test]
fn explain_shows_the_fans_the_std_and_the_signal_of_a_spec() {
    let fixture = Fixture::new();
    let json = |arguments: &[&str]| -> Value {
        serde_json::from_str(&fixture.good(&[&["explain"], arguments, &["--json"]].concat()).stdout).unwrap()
    };
    let he = fixture.good(&["explain", "kaiming_normal(nonlinearity=relu)", "--shape", "64,3,7,7"]).stdout;
    for needle in [
        "3 input channels * 7 * 7 kernel positions = 147",
        "64 output channels * 7 * 7 kernel positions = 3,136",
        "std = 1.414 / sqrt(147) = 0.1166, with fan_in = 147",
        "equation 10",
        "relu after each layer",
        "kept",
        "exploded",
        "3.6/sqrt(fan_in)",
    ] {
        assert!(he.contains(needle), "{needle}: {he}");
    }
    let he = json(&["kaiming_normal(nonlinearity=relu)", "--shape", "64,3,7,7", "--layers", "10,50"]);
    let near = |value: &Value, right: f64| {
        assert!((value.as_f64().unwrap() / right - 1.0).abs() < 1e-6, "{value} {right}")
    };
    near(&he["signal"][1]["forward"], 1.0);
    near(&he["signal"][0]["backward"], (3136.0f64 / 147.0).powi(10));
    // A layer has the same fans and the same std in every axis layout.
    for (shape, layout) in [("3,64,7,7", "conv_transpose"), ("7,7,3,64", "keras"), ("7,7,3,64", "jax")] {
        let other = json(&["kaiming_normal(nonlinearity=relu)", "--shape", shape, "--layout", layout]);
        assert_eq!((&other["fan_in"], &other["std"]), (&he["fan_in"], &he["std"]), "{layout}");
    }
    // For a grouped convolution, torch computes with the fan_out of all groups together.
    let grouped = json(&["kaiming_normal(mode=fan_out)", "--shape", "128,16,3,3", "--groups", "4"]);
    assert_eq!((&grouped["fan_out"], &grouped["formula_fan_out"]), (&288.into(), &1152.into()));
    assert!(grouped["notes"][0].as_str().unwrap().contains("4 groups"), "{grouped}");
    // If the spec has groups or axes, the explanation uses the groups and axes of the spec.
    let grouped = json(&["kaiming_normal(mode=fan_out, groups=4)", "--shape", "128,16,3,3"]);
    near(&grouped["signal"][0]["backward"], 1.0);
    let axes = json(&["kaiming_normal(layout=hwio)", "--shape", "3,3,32,64"]);
    assert_eq!((&axes["fan_in"], &axes["formula_fan_in"]), (&288.into(), &288.into()), "{axes}");
    // --layout applies to every scheme that has an axis layout. The suggested specs contain the layout given with
    // --layout.
    for spec in
        ["lecun_normal", "he_uniform", "glorot_normal", "linear_default", "spectral", "xavier_uniform"]
    {
        let keras = json(&[spec, "--shape", "3,3,32,64", "--layout", "keras"]);
        assert_eq!((&keras["fan_in"], &keras["formula_fan_in"]), (&288.into(), &288.into()), "{spec}");
    }
    let proposed =
        json(&["kaiming_normal", "--shape", "64,32,4,4", "--layout", "conv_transpose", "--groups", "4"]);
    let proposal = proposed["suited"][1]["spec"].as_str().unwrap();
    let again = json(&[proposal, "--shape", "64,32,4,4"]);
    near(&again["signal"][2]["forward"], 1.0);
    // The signal is computed for the nonlinearity that the spec implies.
    for (spec, name) in [
        ("kaiming_normal(nonlinearity=mish)", "mish"),
        ("xavier_normal(gain=forward(tanh))", "tanh"),
        ("siren(omega=20)", "sine(20)"),
    ] {
        assert_eq!(json(&[spec, "--shape", "256,256"])["nonlinearity"], name, "{spec}");
    }
    let stack = json(&["stacked(kaiming_normal)", "--shape", "8,256,64"]);
    assert_eq!((&stack["fan_in"], &stack["nonlinearity"]), (&64.into(), &"relu".into()));
    near(&stack["signal"][2]["forward"], 1.0);
    for fixed in ["idinit", "zero_hadamard", "stacked(idinit)", "blocks(eye, zeros)"] {
        let shape = if fixed.starts_with("stacked") { "2,128,64" } else { "128,64" };
        let report = json(&[fixed, "--shape", shape]);
        assert!(report["signal"].is_null() && !report["notes"].to_string().contains("dominates"), "{report}");
    }
    // The layout in a spec takes precedence over --layout. If the two layouts differ, there is a note.
    let both = json(&["kaiming_normal(layout=in_out)", "--shape", "64,3,7,7", "--layout", "torch"]);
    assert!(both["notes"][0].as_str().unwrap().contains("layout=in_out"), "{both}");
    let tanh = json(&["xavier_uniform", "--shape", "512,512", "--nonlinearity", "tanh"]);
    assert!(tanh["signal"][2]["forward"].as_f64().unwrap() < 0.05, "{tanh}");
    assert_eq!(json(&["normal(std=0.02)", "--shape", "10"])["signal"], Value::Null);
    assert_eq!(json(&["ones", "--shape", "10,10"])["signal"], Value::Null);
    for spec in [
        "eye",
        "orthogonal(gain=relu)",
        "sparse(0.5)",
        "zeros",
        "trunc_normal(std=0.02)",
        "uniform",
        "normal(mean=3)",
        "xavier_normal(gain=tanh)",
    ] {
        fixture.good(&["explain", spec, "--shape", "20,30"]);
    }
    fixture
        .refused(&["explain", "normal", "--shape", "4,4", "--nonlinearity", "rleu"], &["did you mean relu?"]);
    fixture.refused(&["explain", "normal", "--shape", "4,4", "--layout", "nhwc"], &["kernel_in_out"]);
    fixture.refused(&["explain", "normal", "--shape", "4,4", "--groups", "3"], &["groups = 3"]);
    fixture.refused(&["explain", "normal", "--shape", "4,4", "--groups", "0"], &["groups = 0"]);
    fixture.refused(&["explain", "normal", "--shape", "4,4", "--layers", "0"], &["--layers"]);
}
