//! Plans: every formula exactly, without a value drawn.

mod common;

use common::plan;
use fanin::{DType, Law, Layout, Nonlinearity, Plan};

fn law(spec: &str, shape: &[usize]) -> Law {
    plan(spec, shape, DType::F32).unwrap().law()
}

#[test]
fn gains() {
    for name in Nonlinearity::names() {
        let gain = Nonlinearity::from_name(name, None).unwrap().gain();
        let expected = match name {
            "tanh" => 5.0 / 3.0,
            "relu" => 2f64.sqrt(),
            "leaky_relu" => (2.0 / (1.0 + 0.01 * 0.01f64)).sqrt(),
            "selu" => 0.75,
            _ => 1.0,
        };
        assert_eq!(gain, expected, "{name}");
    }
    assert_eq!(Nonlinearity::names().count(), 12);
}

#[test]
fn fans_by_layout() {
    let fans = |layout: Layout, shape: &[usize]| {
        let fans = layout.fans(shape).unwrap();
        (fans.fan_in, fans.fan_out)
    };
    assert_eq!(fans(Layout::OutIn, &[5, 3]), (3, 5));
    assert_eq!(fans(Layout::OutIn, &[64, 3, 7, 7]), (147, 3136));
    assert_eq!(fans(Layout::InOut, &[64, 3, 7, 7]), (3136, 147));
    assert_eq!(fans(Layout::KernelInOut, &[7, 7, 3, 64]), (147, 3136));
    assert!(Layout::OutIn.fans(&[5]).is_err() && Layout::OutIn.fans(&[]).is_err());
}

#[test]
fn torchs_order_of_operations() {
    for (fan_in, fan_out) in [(3usize, 5usize), (7, 11), (147, 3136), (768, 3072), (49, 13)] {
        let shape = [fan_out, fan_in];
        let gain = 5.0 / 3.0;
        let std = gain * (2.0 / (fan_in + fan_out) as f64).sqrt();
        assert_eq!(law("xavier_normal(gain=tanh)", &shape), Law::Normal { mean: 0.0, std });
        let a = 3f64.sqrt() * std;
        assert_eq!(law("xavier_uniform(gain=tanh)", &shape), Law::Uniform { low: -a, high: a });
        let std = 2f64.sqrt() / (fan_out as f64).sqrt();
        assert_eq!(
            law("kaiming_normal(mode=fan_out, nonlinearity=relu)", &shape),
            Law::Normal { mean: 0.0, std }
        );
        let std = (2.0 / (1.0 + 0.2 * 0.2f64)).sqrt() / (fan_in as f64).sqrt();
        let bound = 3f64.sqrt() * std;
        assert_eq!(law("kaiming_uniform(0.2)", &shape), Law::Uniform { low: -bound, high: bound });
    }
    // nn.Linear's own default is U(+-1 / sqrt(fan_in)).
    let Law::Uniform { high, .. } = law("kaiming_uniform(sqrt(5))", &[10, 64]) else { panic!() };
    assert!((high - 0.125).abs() < 1e-16);
}

#[test]
fn sparse_rounds_its_zeros_up() {
    for (rows, sparsity, zeros) in
        [(10, 0.3, 3), (10, 0.31, 4), (7, 0.5, 4), (5, 0.0, 0), (5, 1.0, 5), (3, 1e-9, 1)]
    {
        let found = law(&format!("sparse({sparsity})"), &[rows, 4]);
        assert_eq!(found, Law::Sparse { zeros, std: 0.01 }, "{rows} {sparsity}");
    }
}

fn moments(spec: &str, shape: &[usize]) -> (f64, f64) {
    let plan: Plan = plan(spec, shape, DType::F64).unwrap();
    (plan.mean(), plan.std())
}

#[test]
fn planned_moments() {
    assert_eq!(moments("uniform(-1, 3)", &[5]), (1.0, 4.0 / 12f64.sqrt()));
    assert_eq!(moments("eye", &[2, 4]), (0.25, (0.25f64 * 0.75).sqrt()));
    assert_eq!(moments("dirac", &[2, 2, 3]), (2.0 / 12.0, (2.0 / 12.0 * (1.0 - 2.0 / 12.0f64)).sqrt()));
    assert_eq!(moments("orthogonal(2)", &[4, 3, 3]), (0.0, 2.0 / 3.0));
    // JAX's constant for a normal cut at two sigma.
    let (mean, std) = moments("trunc_normal", &[5]);
    assert!(mean.abs() < 1e-17 && (std - 0.879_625_661_034_239_8).abs() < 1e-15, "{mean} {std}");
    // Half-normal: mean sqrt(2 / pi), variance 1 - 2 / pi.
    let (mean, std) = moments("trunc_normal(a=0, b=inf)", &[5]);
    let half = (2.0 / std::f64::consts::PI).sqrt();
    assert!((mean - half).abs() < 1e-15 && (std - (1.0 - half * half).sqrt()).abs() < 1e-14, "{mean} {std}");
    let (low, high) = (moments("trunc_normal(a=-3, b=-1)", &[5]), moments("trunc_normal(a=1, b=3)", &[5]));
    assert_eq!((-low.0, low.1), high);
}

#[test]
fn identities_by_index() {
    let values = |spec: &str, shape: &[usize]| {
        common::filled(spec, shape, DType::F32, &mut fanin::Torch::new(0)).to_f64()
    };
    assert_eq!(values("eye", &[2, 3]), [1., 0., 0., 0., 1., 0.]);
    assert_eq!(values("eye", &[3, 2]), [1., 0., 0., 1., 0., 0.]);
    assert_eq!(values("dirac", &[3, 2, 2]), [0., 1., 0., 0., 0., 0., 0., 1., 0., 0., 0., 0.]);
    let grouped = values("dirac(groups=2)", &[4, 1, 3]);
    assert_eq!(grouped, [0., 1., 0., 0., 0., 0., 0., 1., 0., 0., 0., 0.]);
}
