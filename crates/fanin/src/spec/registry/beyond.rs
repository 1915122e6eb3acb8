//! Schemes beyond torch's.

use super::torch::{GLOROT, HE, method};
use crate::error::SpecError;
use crate::init::{
    FanMode, Init, ScalingDistribution, VarianceScaling, delta_orthogonal, glorot_normal, glorot_uniform,
    he_normal, he_uniform, idinit, lecun_normal, lecun_uniform, linear_default, linear_default_bias, siren,
    siren_first, spectral, trunc_normal_tf, variance_scaling, zero_hadamard,
};
use crate::spec::arguments::Arguments;
use crate::spec::scheme::Scheme;

const FANS: &[(&str, Option<&str>)] = &[("layout", Some("out_in")), ("groups", Some("1"))];
const LECUN: &str = "LeCun, Bottou, Orr, Mueller 1998, Efficient BackProp, section 4.6";
const SITZMANN: &str = "Sitzmann, Martel, Bergman, Lindell, Wetzstein 2020, Implicit neural representations with periodic \
                        activation functions, arXiv 2006.09661, section 3.2";
const SITZMANN_CODE: &str = "the authors' code of Sitzmann et al. 2020, arXiv 2006.09661";

pub(super) const BEYOND: [Scheme; 18] = [
    Scheme {
        name: "trunc_normal_tf",
        parameters: &[
            ("mean", Some("0")),
            ("std", Some("1")),
            ("a", Some("-2")),
            ("b", Some("2")),
            ("corrected", Some("false")),
            ("method", Some("the stream's own")),
        ],
        formula: "N(mean, s^2) conditioned on [mean + a s, mean + b s]; s = std, or corrected, so that std is what is written",
        source: "timm's trunc_normal_tf_, after TensorFlow's truncated normal",
        build: |given| {
            let it = trunc_normal_tf(given.number("mean", 0.0)?, given.number("std", 1.0)?)
                .bounds(given.number("a", -2.0)?, given.number("b", 2.0)?)
                .corrected(given.truth("corrected")?);
            Ok(match method(given)? {
                Some(method) => it.method(method),
                None => it,
            }
            .into())
        },
    },
    Scheme {
        name: "variance_scaling",
        parameters: &[
            ("scale", None),
            ("mode", Some("fan_in")),
            ("distribution", Some("truncated_normal")),
            ("layout", Some("out_in")),
            ("groups", Some("1")),
        ],
        formula: "variance scale / n, n = fan_in, fan_out, fan_avg or fan_geo_avg; normal cut at 2 sigma, normal, or uniform",
        source: "jax.nn.initializers.variance_scaling, keras.initializers.VarianceScaling",
        build: |given| {
            let mode = given.choice("mode", FanMode::ALL, FanMode::name)?.unwrap_or_default();
            // Keras's name for a normal that is not cut.
            let uncut = matches!(given.word("distribution"), Some((_, "untruncated_normal", _)));
            let distribution = match uncut {
                true => ScalingDistribution::Normal,
                false => given
                    .choice("distribution", ScalingDistribution::ALL, ScalingDistribution::name)?
                    .unwrap_or_default(),
            };
            scaled(variance_scaling(given.required("scale")?).mode(mode).distribution(distribution), given)
        },
    },
    Scheme {
        name: "lecun_uniform",
        parameters: FANS,
        formula: "U[-a, a), a = sqrt(3 / fan_in)",
        source: LECUN,
        build: |given| scaled(lecun_uniform(), given),
    },
    Scheme {
        name: "lecun_normal",
        parameters: FANS,
        formula: "N(0, s^2) cut at 2 s, s such that the std written is sqrt(1 / fan_in)",
        source: LECUN,
        build: |given| scaled(lecun_normal(), given),
    },
    Scheme {
        name: "he_uniform",
        parameters: FANS,
        formula: "U[-a, a), a = sqrt(6 / fan_in)",
        source: HE,
        build: |given| scaled(he_uniform(), given),
    },
    Scheme {
        name: "he_normal",
        parameters: FANS,
        formula: "N(0, s^2) cut at 2 s, s such that the std written is sqrt(2 / fan_in)",
        source: HE,
        build: |given| scaled(he_normal(), given),
    },
    Scheme {
        name: "glorot_uniform",
        parameters: FANS,
        formula: "U[-a, a), a = sqrt(6 / (fan_in + fan_out))",
        source: GLOROT,
        build: |given| scaled(glorot_uniform(), given),
    },
    Scheme {
        name: "glorot_normal",
        parameters: FANS,
        formula: "N(0, s^2) cut at 2 s, s such that the std written is sqrt(2 / (fan_in + fan_out))",
        source: GLOROT,
        build: |given| scaled(glorot_normal(), given),
    },
    Scheme {
        name: "linear_default",
        parameters: FANS,
        formula: "U[-bound, bound), bound = 1 / sqrt(fan_in)",
        source: "torch.nn.Linear.reset_parameters, torch.nn.modules.conv",
        build: |given| Ok(linear_default().layout(given.layout()?).groups(given.groups()?).into()),
    },
    Scheme {
        name: "linear_default_bias",
        parameters: &[("fan_in", None)],
        formula: "U[-bound, bound), bound = 1 / sqrt(fan_in), fan_in being the weight's",
        source: "torch.nn.Linear.reset_parameters, torch.nn.modules.conv",
        build: |given| {
            given.required("fan_in")?;
            Ok(linear_default_bias(given.count("fan_in", 0)?).into())
        },
    },
    Scheme {
        name: "delta_orthogonal",
        parameters: &[("gain", Some("1")), ("layout", Some("out_in"))],
        formula: "gain * Q at the centre tap (k - 1) / 2, Q with orthonormal columns and Haar-distributed, else 0",
        source: "Xiao, Bahri, Sohl-Dickstein, Schoenholz, Pennington 2018, Dynamical isometry and a mean field theory of \
                 CNNs, arXiv 1806.05393",
        build: |given| Ok(delta_orthogonal().gain(given.gain()?).layout(given.layout()?).into()),
    },
    Scheme {
        name: "zero_hadamard",
        parameters: &[],
        formula: "the identity; with more outputs than inputs +-2^(-m / 2), m = ceil(log2 out), signs of a Hadamard matrix",
        source: "Zhao, Schaefer, Anandkumar 2022, ZerO initialization, arXiv 2110.12661",
        build: |_| Ok(zero_hadamard().into()),
    },
    Scheme {
        name: "idinit",
        parameters: &[("tau", Some("1"))],
        formula: "tau where output = input modulo the inputs, else 0",
        source: "Pan, Wang, Wu, Wang, Zhang, Xu 2025, IDInit, arXiv 2503.04626",
        build: |given| Ok(idinit().tau(given.number("tau", 1.0)?).into()),
    },
    Scheme {
        name: "siren",
        parameters: &[("omega", Some("30"))],
        formula: "U[-b, b), b = sqrt(6 / fan_in) / omega",
        source: SITZMANN,
        build: |given| Ok(siren().omega(given.number("omega", 30.0)?).into()),
    },
    Scheme {
        name: "siren_first",
        parameters: &[],
        formula: "U[-b, b), b = 1 / fan_in",
        source: SITZMANN_CODE,
        build: |_| Ok(siren_first().into()),
    },
    Scheme {
        name: "spectral",
        parameters: &[("sigma", Some("1")), ("layout", Some("out_in"))],
        formula: "N(0, std^2), std = sigma / sqrt(fan_in) * min(1, sqrt(fan_out / fan_in))",
        source: "Yang, Simon, Bernstein 2023, A spectral condition for feature learning, arXiv 2310.17813",
        build: |given| Ok(spectral().sigma(given.number("sigma", 1.0)?).layout(given.layout()?).into()),
    },
    Scheme {
        name: "blocks",
        parameters: &[("spec", None), ("parts", Some("one each")), ("axis", Some("0"))],
        formula: "each block along the axis as if it were alone; size: spec for blocks of different sizes",
        source: "",
        build: |given| Err(given.error(0, "blocks are read by the grammar itself".to_owned())),
    },
    Scheme {
        name: "stacked",
        parameters: &[("spec", None), ("axis", Some("0"))],
        formula: "each tensor along the axis as if it were alone, without that axis",
        source: "",
        build: |given| Err(given.error(0, "stacks are read by the grammar itself".to_owned())),
    },
];

fn scaled(it: VarianceScaling, given: &Arguments<'_>) -> Result<Init, SpecError> {
    Ok(it.layout(given.layout()?).groups(given.groups()?).into())
}
