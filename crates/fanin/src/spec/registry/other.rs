//! The entries of the schemes that `torch.nn.init` does not have.

use super::shared::{GLOROT, HE, method};
use crate::error::SpecError;
use crate::init::{
    FanMode, Init, ScalingDistribution, VarianceScaling, arange, delta_orthogonal, glorot_normal,
    glorot_uniform, he_normal, he_uniform, idinit, lecun_normal, lecun_uniform, linear_default,
    linear_default_bias, log_uniform, siren, siren_first, spectral, trunc_normal_tf, variance_scaling,
    zero_hadamard,
};
use crate::spec::arguments::Arguments;
use crate::spec::scheme::Scheme;

const FANS: &[(&str, Option<&str>)] = &[("layout", Some("out_in")), ("groups", Some("1"))];
const LECUN: &str = "LeCun, Bottou, Orr, Mueller 1998, Efficient BackProp, section 4.6";
const SITZMANN: &str = "Sitzmann, Martel, Bergman, Lindell, Wetzstein 2020, Implicit neural representations with periodic \
                        activation functions, arXiv 2006.09661, section 3.2";
const SITZMANN_CODE: &str = "the authors' code of Sitzmann et al. 2020, arXiv 2006.09661";

pub(super) const OTHER: [Scheme; 23] = [
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
        formula: "N(mean, s^2) truncated to [mean + a * s, mean + b * s]; s = std, or larger if corrected, so that the values have the standard deviation std",
        source: "timm's trunc_normal_tf_, after TensorFlow's truncated normal",
        build: |arguments| {
            let scheme = trunc_normal_tf(arguments.number("mean", 0.0)?, arguments.number("std", 1.0)?)
                .bounds(arguments.number("a", -2.0)?, arguments.number("b", 2.0)?)
                .corrected(arguments.boolean("corrected")?);
            Ok(match method(arguments)? {
                Some(method) => scheme.method(method),
                None => scheme,
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
        formula: "variance scale / n, n = fan_in, fan_out, fan_avg or fan_geo_avg; a normal distribution truncated at 2 sigma, a normal or a uniform distribution",
        source: "jax.nn.initializers.variance_scaling, keras.initializers.VarianceScaling",
        build: |arguments| {
            let mode = arguments.choice("mode", FanMode::ALL, FanMode::name)?.unwrap_or_default();
            // Keras calls the normal distribution `untruncated_normal`.
            let untruncated = matches!(arguments.word("distribution"), Some((_, "untruncated_normal", _)));
            let distribution = match untruncated {
                true => ScalingDistribution::Normal,
                false => arguments
                    .choice("distribution", ScalingDistribution::ALL, ScalingDistribution::name)?
                    .unwrap_or_default(),
            };
            scaled(
                variance_scaling(arguments.required("scale")?).mode(mode).distribution(distribution),
                arguments,
            )
        },
    },
    Scheme {
        name: "lecun_uniform",
        parameters: FANS,
        formula: "U[-a, a), a = sqrt(3 / fan_in)",
        source: LECUN,
        build: |arguments| scaled(lecun_uniform(), arguments),
    },
    Scheme {
        name: "lecun_normal",
        parameters: FANS,
        formula: "N(0, s^2) truncated at 2 s, s such that the values have the standard deviation sqrt(1 / fan_in)",
        source: LECUN,
        build: |arguments| scaled(lecun_normal(), arguments),
    },
    Scheme {
        name: "he_uniform",
        parameters: FANS,
        formula: "U[-a, a), a = sqrt(6 / fan_in)",
        source: HE,
        build: |arguments| scaled(he_uniform(), arguments),
    },
    Scheme {
        name: "he_normal",
        parameters: FANS,
        formula: "N(0, s^2) truncated at 2 s, s such that the values have the standard deviation sqrt(2 / fan_in)",
        source: HE,
        build: |arguments| scaled(he_normal(), arguments),
    },
    Scheme {
        name: "glorot_uniform",
        parameters: FANS,
        formula: "U[-a, a), a = sqrt(6 / (fan_in + fan_out))",
        source: GLOROT,
        build: |arguments| scaled(glorot_uniform(), arguments),
    },
    Scheme {
        name: "glorot_normal",
        parameters: FANS,
        formula: "N(0, s^2) truncated at 2 s, s such that the values have the standard deviation sqrt(2 / (fan_in + fan_out))",
        source: GLOROT,
        build: |arguments| scaled(glorot_normal(), arguments),
    },
    Scheme {
        name: "linear_default",
        parameters: FANS,
        formula: "U[-bound, bound), bound = 1 / sqrt(fan_in)",
        source: "torch.nn.Linear.reset_parameters, torch.nn.modules.conv",
        build: |arguments| {
            Ok(linear_default().layout(arguments.layout()?).groups(arguments.groups()?).into())
        },
    },
    Scheme {
        name: "linear_default_bias",
        parameters: &[("fan_in", None)],
        formula: "U[-bound, bound), bound = 1 / sqrt(fan_in), where fan_in is the fan_in of the weight",
        source: "torch.nn.Linear.reset_parameters, torch.nn.modules.conv",
        build: |arguments| {
            arguments.required("fan_in")?;
            Ok(linear_default_bias(arguments.count("fan_in", 0)?).into())
        },
    },
    Scheme {
        name: "delta_orthogonal",
        parameters: &[("gain", Some("1")), ("layout", Some("out_in"))],
        formula: "gain * Q at the centre of the kernel, else 0; Q has orthonormal columns and is Haar-distributed",
        source: "Xiao, Bahri, Sohl-Dickstein, Schoenholz, Pennington 2018, Dynamical isometry and a mean field theory of \
                 CNNs, arXiv 1806.05393",
        build: |arguments| Ok(delta_orthogonal().gain(arguments.gain()?).layout(arguments.layout()?).into()),
    },
    Scheme {
        name: "zero_hadamard",
        parameters: &[],
        formula: "the identity matrix, or if out > in, the first columns of a Hadamard matrix times 2^(-m / 2), m = ceil(log2(out))",
        source: "Zhao, Schaefer, Anandkumar 2022, ZerO initialization, arXiv 2110.12661",
        build: |_| Ok(zero_hadamard().into()),
    },
    Scheme {
        name: "idinit",
        parameters: &[("tau", Some("1"))],
        formula: "tau where column = row mod columns, else 0",
        source: "Pan, Wang, Wu, Wang, Zhang, Xu 2025, IDInit, arXiv 2503.04626",
        build: |arguments| Ok(idinit().tau(arguments.number("tau", 1.0)?).into()),
    },
    Scheme {
        name: "siren",
        parameters: &[("omega", Some("30")), ("layout", Some("out_in")), ("groups", Some("1"))],
        formula: "U[-b, b), b = sqrt(6 / fan_in) / omega",
        source: SITZMANN,
        build: |arguments| {
            let scheme = siren().omega(arguments.number("omega", 30.0)?);
            Ok(scheme.layout(arguments.layout()?).groups(arguments.groups()?).into())
        },
    },
    Scheme {
        name: "siren_first",
        parameters: FANS,
        formula: "U[-b, b), b = 1 / fan_in",
        source: SITZMANN_CODE,
        build: |arguments| Ok(siren_first().layout(arguments.layout()?).groups(arguments.groups()?).into()),
    },
    Scheme {
        name: "spectral",
        parameters: &[("sigma", Some("1")), ("layout", Some("out_in")), ("groups", Some("1"))],
        formula: "N(0, std^2), std = sigma / sqrt(fan_in) * min(1, sqrt(fan_out / fan_in))",
        source: "Yang, Simon, Bernstein 2023, A spectral condition for feature learning, arXiv 2310.17813",
        build: |arguments| {
            let scheme = spectral().sigma(arguments.number("sigma", 1.0)?);
            Ok(scheme.layout(arguments.layout()?).groups(arguments.groups()?).into())
        },
    },
    Scheme {
        name: "log_uniform",
        parameters: &[("a", None), ("b", None)],
        formula: "exp(U[log a, log b)), native stream only",
        source: "",
        build: |arguments| Ok(log_uniform(arguments.required("a")?, arguments.required("b")?).into()),
    },
    Scheme {
        name: "arange",
        parameters: &[
            ("start", Some("0")),
            ("end", Some("start + step * the last size")),
            ("step", Some("1")),
        ],
        formula: "start + step * index along the last axis",
        source: "torch.arange",
        build: |arguments| {
            let (start, step) = (arguments.number("start", 0.0)?, arguments.number("step", 1.0)?);
            // As in `torch.arange`, a single positional argument is the end.
            if arguments.values.len() == 1 && arguments.is_positional("start") {
                return Ok(arange().end(start).into());
            }
            let scheme = arange().start(start).step(step);
            let end =
                arguments.values.contains_key("end").then(|| arguments.number("end", 0.0)).transpose()?;
            Ok(end.map_or(scheme, |end| scheme.end(end)).into())
        },
    },
    Scheme {
        name: "log",
        parameters: &[("spec", None)],
        formula: "the natural logarithm of each value of the inner spec, in f64, rounded once",
        source: "",
        build: |arguments| Err(arguments.error(0, "log must be parsed by the grammar".to_owned())),
    },
    Scheme {
        name: "exp",
        parameters: &[("spec", None)],
        formula: "exp(x) for each value x of the inner spec, in f64, rounded once",
        source: "",
        build: |arguments| Err(arguments.error(0, "exp must be parsed by the grammar".to_owned())),
    },
    Scheme {
        name: "softplus_inverse",
        parameters: &[("spec", None)],
        formula: "x + log(1 - exp(-x)) for each value x of the inner spec, in f64, rounded once",
        source: "",
        build: |arguments| {
            Err(arguments.error(0, "softplus_inverse must be parsed by the grammar".to_owned()))
        },
    },
    Scheme {
        name: "blocks",
        parameters: &[("spec", None), ("count", Some("one each")), ("axis", Some("0"))],
        formula: "each block along the axis is initialized like a separate tensor; write size: spec for blocks of different sizes",
        source: "",
        build: |arguments| Err(arguments.error(0, "blocks must be parsed by the grammar".to_owned())),
    },
    Scheme {
        name: "stacked",
        parameters: &[("spec", None), ("axis", Some("0"))],
        formula: "each slice along the axis is initialized like a separate tensor without this axis",
        source: "",
        build: |arguments| Err(arguments.error(0, "stacked must be parsed by the grammar".to_owned())),
    },
];

fn scaled(scheme: VarianceScaling, arguments: &Arguments<'_>) -> Result<Init, SpecError> {
    Ok(scheme.layout(arguments.layout()?).groups(arguments.groups()?).into())
}
