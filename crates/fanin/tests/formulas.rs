//! Tests of the plans of every scheme. The formulas are tested exactly, and no values are generated.

mod common;

use common::plan;
use fanin::{AxisLayout, DType, Distribution, Nonlinearity, Plan};

/// Returns the distribution of the plan of a spec for an f32 tensor.
fn distribution(spec: &str, shape: &[usize]) -> Distribution {
    plan(spec, shape, DType::F32).unwrap().distribution()
}

#[test]
fn gains_equal_the_gains_of_torch() {
    for name in Nonlinearity::torch_names() {
        let gain = Nonlinearity::from_torch_name(name, None).unwrap().gain();
        let expected = match name {
            "tanh" => 5.0 / 3.0,
            "relu" => 2f64.sqrt(),
            "leaky_relu" => (2.0 / (1.0 + 0.01 * 0.01f64)).sqrt(),
            "selu" => 0.75,
            _ => 1.0,
        };
        assert_eq!(gain, expected, "{name}");
    }
    assert_eq!(Nonlinearity::torch_names().count(), 12);
}

#[test]
fn fans_are_computed_for_every_axis_layout() {
    let fans = |layout: AxisLayout, shape: &[usize]| {
        let fans = layout.fans(shape).unwrap();
        (fans.fan_in, fans.fan_out)
    };
    assert_eq!(fans(AxisLayout::OutIn, &[5, 3]), (3, 5));
    assert_eq!(fans(AxisLayout::OutIn, &[64, 3, 7, 7]), (147, 3136));
    assert_eq!(fans(AxisLayout::InOut, &[64, 3, 7, 7]), (3136, 147));
    assert_eq!(fans(AxisLayout::KernelInOut, &[7, 7, 3, 64]), (147, 3136));
    assert!(AxisLayout::OutIn.fans(&[5]).is_err() && AxisLayout::OutIn.fans(&[]).is_err());
    let read = |text: &str| text.parse::<AxisLayout>().unwrap();
    assert_eq!(fans(read("out_in"), &[5, 3]), (3, 5));
    assert_eq!(fans(read("HWIO"), &[7, 7, 3, 64]), (147, 3136));
    assert_eq!(fans(read("eoi"), &[8, 5, 3]), (3, 5), "the expert axis is not part of the fans");
    assert_eq!(
        fans(read("oioi"), &[2, 3, 5, 7]),
        (21, 10),
        "the sizes of axes with the same role are multiplied"
    );
    assert!(read("oi").fans(&[5, 3, 1]).is_err() && "oe".parse::<AxisLayout>().is_err());
    assert!("oiiiiiiii".parse::<AxisLayout>().is_err(), "nine axes");
}

#[test]
fn explicit_axes_in_the_order_of_a_framework_determine_which_axis_has_the_channels_of_all_groups() {
    let fans = |layout: &str, shape: &[usize], groups| {
        let fans = layout.parse::<AxisLayout>().unwrap().grouped_fans(shape, groups).ok()?;
        Some((fans.fan_in, fans.fan_out))
    };
    for (letters, named, shape) in [
        ("oikk", "out_in", &[128, 16, 3, 3][..]),
        ("oihw", "out_in", &[128, 16, 3, 3]),
        ("oi", "out_in", &[128, 16]),
        ("hwio", "kernel_in_out", &[3, 3, 16, 128]),
        ("kio", "kernel_in_out", &[3, 16, 128]),
        ("iokk", "in_out", &[64, 32, 3, 3]),
    ] {
        assert_eq!(fans(letters, shape, 4), fans(named, shape, 4), "{letters}");
        assert!(fans(letters, shape, 4).is_some() && fans(letters, shape, 7).is_none(), "{letters}");
    }
    // MLX stores [out, kernel, in / groups].
    assert_eq!(fans("ohwi", &[128, 3, 3, 16], 4), Some((144, 288)));
    for letters in ["io", "kkoi", "okik", "eoi", "ooi", "oioi"] {
        let shape: Vec<usize> = letters.chars().map(|_| 8).collect();
        assert!(fans(letters, &shape, 2).is_none() && fans(letters, &shape, 1).is_some(), "{letters}");
    }
}

#[test]
fn every_scheme_with_fans_has_the_arguments_layout_and_groups() {
    // One convolution (64 inputs, 128 outputs, kernel 3 x 3, 4 groups) has the same distribution in three axis layouts.
    for spec in [
        "xavier_uniform(LAYOUT)",
        "xavier_normal(LAYOUT)",
        "kaiming_uniform(LAYOUT)",
        "kaiming_normal(mode=fan_out, LAYOUT)",
        "variance_scaling(2, LAYOUT)",
        "lecun_uniform(LAYOUT)",
        "lecun_normal(LAYOUT)",
        "he_uniform(LAYOUT)",
        "he_normal(LAYOUT)",
        "glorot_uniform(LAYOUT)",
        "glorot_normal(LAYOUT)",
        "linear_default(LAYOUT)",
        "siren(omega=20, LAYOUT)",
        "siren_first(LAYOUT)",
        "spectral(LAYOUT)",
    ] {
        let of = |layout: &str, shape: &[usize]| {
            let spec = spec.replace("LAYOUT", &format!("layout={layout}, groups=4"));
            let init: fanin::init::Init = spec.parse().unwrap();
            assert_eq!(init.to_string().parse::<fanin::init::Init>().unwrap(), init);
            distribution(&spec, shape)
        };
        let expected = of("out_in", &[128, 16, 3, 3]);
        assert_eq!(of("hwio", &[3, 3, 16, 128]), expected, "{spec}");
        assert_eq!(of("iokk", &[64, 32, 3, 3]), expected, "{spec}");
        let schemes = fanin::spec::schemes();
        let scheme = schemes.iter().find(|scheme| spec.starts_with(&format!("{}(", scheme.name))).unwrap();
        assert!(scheme.parameters.iter().any(|(name, _)| *name == "groups"), "{spec}");
    }
    let siren = |layout, shape: &[usize]| distribution(&format!("siren_first(layout={layout})"), shape);
    assert_eq!(siren("kernel_in_out", &[2, 256]), Distribution::Uniform { low: -0.5, high: 0.5 });
}

#[test]
fn fans_of_grouped_convolutions_are_the_fans_of_one_group() {
    let fans = |layout: AxisLayout, shape: &[usize], groups| {
        let fans = layout.grouped_fans(shape, groups).unwrap();
        (fans.fan_in, fans.fan_out)
    };
    // The weights are those of Conv2d(64, 128, 3, groups=4), of the same layer in Keras and JAX, and of
    // ConvTranspose2d(64, 128, 3, groups=4).
    assert_eq!(fans(AxisLayout::OutIn, &[128, 16, 3, 3], 4), (144, 288));
    assert_eq!(fans(AxisLayout::KernelInOut, &[3, 3, 16, 128], 4), (144, 288));
    assert_eq!(fans(AxisLayout::InOut, &[64, 32, 3, 3], 4), (144, 288));
    for (layout, shape, groups) in [
        (AxisLayout::OutIn, [128, 16, 3, 3], 0),
        (AxisLayout::OutIn, [128, 16, 3, 3], 3),
        (AxisLayout::InOut, [63, 32, 3, 3], 4),
        ("hwoi".parse().unwrap(), [128, 16, 3, 3], 4),
    ] {
        let error = layout.grouped_fans(&shape, groups).unwrap_err().to_string();
        assert!(
            error.contains(&format!("groups = {groups}")) && error.contains(&layout.to_string()),
            "{error}"
        );
    }
    assert_eq!(
        distribution("kaiming_normal(mode=fan_out, groups=4)", &[128, 16, 3, 3]),
        distribution("normal(0, sqrt(2)/sqrt(288))", &[1])
    );
}

#[test]
fn variance_scaling_has_the_formula_of_its_mode_and_distribution() {
    let moments = |spec: &str, shape: &[usize]| plan(spec, shape, DType::F64).unwrap().std();
    let shape = [3, 3, 64, 128];
    for (mode, n) in [
        ("fan_in", 576.0),
        ("fan_out", 1152.0),
        ("fan_avg", 864.0),
        ("fan_geo_avg", (576.0 * 1152.0f64).sqrt()),
    ] {
        for distribution in ["truncated_normal", "normal", "uniform"] {
            let spec = format!("variance_scaling(0.7, {mode}, {distribution}, kernel_in_out)");
            let (found, right) = (moments(&spec, &shape), (0.7 / n).sqrt());
            assert!((found / right - 1.0f64).abs() < 1e-9, "{spec}: {found} {right}");
        }
    }
    for (spec, variance) in [
        ("lecun_uniform", 1.0 / 50.0),
        ("lecun_normal", 1.0 / 50.0),
        ("he_uniform", 2.0 / 50.0),
        ("he_normal", 2.0 / 50.0),
        ("glorot_uniform", 2.0 / 150.0),
        ("glorot_normal", 2.0 / 150.0),
        ("linear_default", 1.0 / 150.0),
        ("linear_default_bias(50)", 1.0 / 150.0),
    ] {
        let found: f64 = moments(spec, &[100, 50]);
        assert!((found * found / variance - 1.0).abs() < 1e-9, "{spec}");
    }
    assert!(
        plan("he_normal", &[5], DType::F32).is_err()
            && plan("variance_scaling(0)", &[5, 5], DType::F32).is_err()
    );
}

#[test]
fn trunc_normal_tf_has_bounds_in_units_of_std() {
    let truncated = |spec: &str| match distribution(spec, &[9]) {
        Distribution::TruncatedNormal { std, low, high, .. } => (std, low, high),
        other => panic!("{other:?}"),
    };
    assert_eq!(truncated("trunc_normal_tf(1, 0.02)"), (0.02, 0.96, 1.04));
    assert_eq!(truncated("trunc_normal_tf(std=0.5, a=-1, b=inf)"), (0.5, -0.5, f64::INFINITY));
    let (std, low, high) = truncated("trunc_normal_tf(std=0.02, corrected=true)");
    assert!((std * 0.879_625_661_034_239_8 / 0.02 - 1.0).abs() < 1e-14);
    assert_eq!((low, high), (-2.0 * std, 2.0 * std));
    for (spec, needle) in [
        ("trunc_normal_tf(std=0)", "std = 0"),
        ("trunc_normal_tf(a=2, b=1)", "a = 2 is greater than b = 1"),
        ("trunc_normal_tf(a=1, b=1)", "b = 1: must be greater"),
        ("trunc_normal_tf(b=-inf)", "b = -inf"),
        ("trunc_normal_tf(a=nan)", "a = NaN"),
    ] {
        let error = plan(spec, &[9], DType::F32).unwrap_err().to_string();
        assert!(error.contains(needle), "{spec}: {error}");
    }
}

#[test]
fn formulas_have_the_order_of_operations_of_torch() {
    for (fan_in, fan_out) in [(3usize, 5usize), (7, 11), (147, 3136), (768, 3072), (49, 13)] {
        let shape = [fan_out, fan_in];
        let gain = 5.0 / 3.0;
        let std = gain * (2.0 / (fan_in + fan_out) as f64).sqrt();
        assert_eq!(distribution("xavier_normal(gain=tanh)", &shape), Distribution::Normal { mean: 0.0, std });
        let a = 3f64.sqrt() * std;
        assert_eq!(
            distribution("xavier_uniform(gain=tanh)", &shape),
            Distribution::Uniform { low: -a, high: a }
        );
        let std = 2f64.sqrt() / (fan_out as f64).sqrt();
        assert_eq!(
            distribution("kaiming_normal(mode=fan_out, nonlinearity=relu)", &shape),
            Distribution::Normal { mean: 0.0, std }
        );
        let std = (2.0 / (1.0 + 0.2 * 0.2f64)).sqrt() / (fan_in as f64).sqrt();
        let bound = 3f64.sqrt() * std;
        assert_eq!(
            distribution("kaiming_uniform(0.2)", &shape),
            Distribution::Uniform { low: -bound, high: bound }
        );
    }
    // torch's nn.Linear initializes its weight from U[-1 / sqrt(fan_in), 1 / sqrt(fan_in)).
    let Distribution::Uniform { high, .. } = distribution("kaiming_uniform(sqrt(5))", &[10, 64]) else {
        panic!()
    };
    assert!((high - 0.125).abs() < 1e-16);
}

#[test]
fn sparse_rounds_the_number_of_zeros_up() {
    for (rows, sparsity, zeros) in
        [(10, 0.3, 3), (10, 0.31, 4), (7, 0.5, 4), (5, 0.0, 0), (5, 1.0, 5), (3, 1e-9, 1)]
    {
        let found = distribution(&format!("sparse({sparsity})"), &[rows, 4]);
        assert_eq!(found, Distribution::Sparse { zeros, std: 0.01 }, "{rows} {sparsity}");
    }
}

/// Returns the mean and the standard deviation of the plan of a spec.
fn moments(spec: &str, shape: &[usize]) -> (f64, f64) {
    let plan: Plan = plan(spec, shape, DType::F64).unwrap();
    (plan.mean(), plan.std())
}

#[test]
fn plans_have_the_mean_and_std_of_their_distribution() {
    assert_eq!(moments("uniform(-1, 3)", &[5]), (1.0, 4.0 / 12f64.sqrt()));
    assert_eq!(moments("eye", &[2, 4]), (0.25, (0.25f64 * 0.75).sqrt()));
    assert_eq!(moments("dirac", &[2, 2, 3]), (2.0 / 12.0, (2.0 / 12.0 * (1.0 - 2.0 / 12.0f64)).sqrt()));
    assert_eq!(moments("orthogonal(2)", &[4, 3, 3]), (0.0, 2.0 / 3.0));
    // 0.8796... is JAX's constant for the std of a normal distribution truncated at two sigma.
    let (mean, std) = moments("trunc_normal", &[5]);
    assert!(mean.abs() < 1e-17 && (std - 0.879_625_661_034_239_8).abs() < 1e-15, "{mean} {std}");
    // A half-normal distribution has the mean sqrt(2 / pi) and the variance 1 - 2 / pi.
    let (mean, std) = moments("trunc_normal(a=0, b=inf)", &[5]);
    let half = (2.0 / std::f64::consts::PI).sqrt();
    assert!((mean - half).abs() < 1e-15 && (std - (1.0 - half * half).sqrt()).abs() < 1e-14, "{mean} {std}");
    let (low, high) = (moments("trunc_normal(a=-3, b=-1)", &[5]), moments("trunc_normal(a=1, b=3)", &[5]));
    assert_eq!((-low.0, low.1), high);
}

#[test]
fn identities_have_ones_at_the_right_indices() {
    let values = |spec: &str, shape: &[usize]| {
        common::filled(spec, shape, DType::F32, &mut fanin::Torch::new(0)).to_f64()
    };
    assert_eq!(values("eye", &[2, 3]), [1., 0., 0., 0., 1., 0.]);
    assert_eq!(values("eye", &[3, 2]), [1., 0., 0., 1., 0., 0.]);
    assert_eq!(values("dirac", &[3, 2, 2]), [0., 1., 0., 0., 0., 0., 0., 1., 0., 0., 0., 0.]);
    let grouped = values("dirac(groups=2)", &[4, 1, 3]);
    assert_eq!(grouped, [0., 1., 0., 0., 0., 0., 0., 1., 0., 0., 0., 0.]);
}

#[test]
fn fused_and_stacked_parameters_have_a_plan_for_each_block() {
    // The queries have fan_out 8, and the keys and the values have fan_out 4. The fused matrix as a whole would have
    // fan_out 16.
    let fused =
        plan("blocks(8: xavier_normal, 4: xavier_normal, 4: xavier_normal)", &[16, 8], DType::F32).unwrap();
    let stds: Vec<f64> = fused.blocks().iter().map(|part| part.plan().std()).collect();
    assert_eq!(stds, [(2.0 / 16.0f64).sqrt(), (2.0 / 12.0f64).sqrt(), (2.0 / 12.0f64).sqrt()]);
    assert!((fused.std() * fused.std() - (0.125 + 2.0 / 12.0) / 2.0).abs() < 1e-15);
    assert_eq!(fused.blocks()[2].start(), [12, 0]);
    // If all blocks of a spec have the same distribution, and each value depends only on its index, the plan has no
    // blocks. This is so in the next three assertions: the blocks have equal fans, and therefore the same distribution.
    assert_eq!(
        distribution("blocks(kaiming_normal, count=3)", &[12, 8]),
        distribution("kaiming_normal", &[4, 8])
    );
    assert_eq!(
        distribution("stacked(xavier_uniform)", &[7, 16, 8]),
        distribution("xavier_uniform", &[16, 8])
    );
    assert_eq!(
        distribution("stacked(xavier_uniform)", &[7, 16, 8]),
        distribution("xavier_uniform(layout=eoi)", &[7, 16, 8])
    );
    let nested = plan("stacked(blocks(orthogonal, count=2))", &[3, 8, 4], DType::F32).unwrap();
    assert_eq!(nested.blocks().len(), 6);
    let last = &nested.blocks()[5];
    assert_eq!((last.suffix(), last.start(), last.extent()), ("[2][1]", &[2, 4, 0][..], vec![1, 4, 4]));
    let delta = plan("delta_orthogonal(2)", &[8, 4, 3, 4], DType::F32).unwrap();
    assert_eq!((delta.blocks()[0].start(), delta.blocks()[0].axes()), (&[0, 0, 1, 1][..], &[0, 1][..]));
    assert!((delta.std() - (4.0 / 8.0 / 12.0f64).sqrt()).abs() < 1e-15);
    for (spec, shape, needle) in [
        ("blocks(3: normal, 4: normal)", &[8, 2][..], "add up to 7, but the axis has 8"),
        ("blocks(normal, count=3)", &[8, 2], "an axis of 8 cannot be split into 3 equal blocks"),
        ("blocks(normal, count=2, axis=2)", &[8, 2], "axis = 2 does not exist: it must be from -2 to 1"),
        ("stacked(normal)", &[], "axis = 0 does not exist"),
        ("stacked(eye)", &[3, 4], "eye: Only tensors with 2 dimensions"),
        ("delta_orthogonal", &[4, 8, 3], "8 inputs do not fit into 4 outputs"),
        ("delta_orthogonal", &[4, 8], "3, 4, or 5"),
        ("orthogonal(layout=eoi)", &[2, 3, 4], "stacked(orthogonal"),
        ("zero_hadamard", &[4], "2 to 5"),
    ] {
        let error = plan(spec, shape, DType::F32).unwrap_err().to_string();
        assert!(error.contains(needle), "{spec}: {error}");
    }
}

#[test]
fn schemes_agree_with_their_papers() {
    // In SIREN's explore_siren.ipynb, a hidden layer has the bound sqrt(6 / 256) / 30, and the first layer has the
    // bound 1/2.
    assert_eq!(
        distribution("siren", &[256, 256]),
        Distribution::Uniform { low: -(6.0 / 256.0f64).sqrt() / 30.0, high: (6.0 / 256.0f64).sqrt() / 30.0 }
    );
    assert_eq!(distribution("siren_first", &[256, 2]), Distribution::Uniform { low: -0.5, high: 0.5 });
    assert_eq!(
        distribution("spectral(2)", &[64, 256]),
        Distribution::Normal { mean: 0.0, std: 2.0 / 16.0 * 0.5 }
    );
    assert_eq!(distribution("spectral", &[256, 64]), Distribution::Normal { mean: 0.0, std: 0.125 });
    // With 9 to 16 outputs and fewer inputs than outputs, ZerO's weight is a part of torch.tensor(hadamard(16)) / 4.
    // With at least as many inputs as outputs, the weight is the identity matrix.
    assert_eq!(distribution("zero_hadamard", &[9, 5]), Distribution::Hadamard { scale: 0.25 });
    assert_eq!(
        distribution("zero_hadamard", &[8, 5]),
        Distribution::Hadamard { scale: std::f64::consts::FRAC_1_SQRT_2 / 2.0 }
    );
    assert_eq!(distribution("zero_hadamard", &[5, 9]), Distribution::Eye);
    assert_eq!(distribution("zero_hadamard", &[5, 9, 3]), Distribution::Dirac { groups: 1 });
    // IDInit repeats the identity matrix if there are more outputs than inputs. If there are more inputs than outputs,
    // the last columns are 0.
    let init: fanin::init::Init = "idinit(0.5)".parse().unwrap();
    for (shape, right) in [
        ([5, 3], [1, 0, 0, 0, 1, 0, 0, 0, 1, 1, 0, 0, 0, 1, 0]),
        ([3, 5], [1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0]),
    ] {
        let mut w = [0f32; 15];
        fanin::Initializer::fill(&init, &mut w, &shape, &mut fanin::Native::new(0).tensor("w")).unwrap();
        assert_eq!(w.map(|x| (x * 2.0) as u8), right, "{shape:?}");
        let plan = fanin::Initializer::resolve(&init, &shape, DType::F32).unwrap();
        assert!((plan.mean() - 0.5 / shape[1] as f64).abs() < 1e-15, "{shape:?}");
    }
    // For the matrix A of LoRA, of shape [r, in], peft's reset_lora_parameters calls kaiming_uniform_(a=math.sqrt(5)).
    let Distribution::Uniform { high, .. } = distribution("lora_a", &[8, 1024]) else { panic!() };
    assert!((high - 1.0 / 32.0).abs() < 1e-16);
}
