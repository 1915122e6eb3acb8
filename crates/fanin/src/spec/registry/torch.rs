//! The entries of the schemes of `torch.nn.init`, in the order of torch's documentation.

use super::shared::{GLOROT, HE, method};
use crate::error::{SpecError, nearest};
use crate::init::{
    Init, Kaiming, Xavier, constant, dirac, eye, kaiming_normal, kaiming_uniform, normal, ones, orthogonal,
    sparse, trunc_normal, uniform, xavier_normal, xavier_uniform, zeros,
};
use crate::nonlinearity::Nonlinearity;
use crate::shape::Fan;
use crate::spec::arguments::Arguments;
use crate::spec::scheme::Scheme;

const KAIMING: &[(&str, Option<&str>)] = &[
    ("a", Some("0")),
    ("mode", Some("fan_in")),
    ("nonlinearity", Some("leaky_relu")),
    ("layout", Some("out_in")),
    ("groups", Some("1")),
];
const XAVIER: &[(&str, Option<&str>)] =
    &[("gain", Some("1")), ("layout", Some("out_in")), ("groups", Some("1"))];

pub(super) const TORCH: [Scheme; 14] = [
    Scheme {
        name: "uniform",
        parameters: &[("a", Some("0")), ("b", Some("1"))],
        formula: "U[a, b)",
        source: "",
        build: |arguments| Ok(uniform(arguments.number("a", 0.0)?, arguments.number("b", 1.0)?).into()),
    },
    Scheme {
        name: "normal",
        parameters: &[("mean", Some("0")), ("std", Some("1"))],
        formula: "N(mean, std^2)",
        source: "",
        build: |arguments| Ok(normal(arguments.number("mean", 0.0)?, arguments.number("std", 1.0)?).into()),
    },
    Scheme {
        name: "trunc_normal",
        parameters: &[
            ("mean", Some("0")),
            ("std", Some("1")),
            ("a", Some("-2")),
            ("b", Some("2")),
            ("method", Some("the stream's own")),
        ],
        formula: "N(mean, std^2) truncated to [a, b]; a and b are absolute, not multiples of std",
        source: "",
        build: |arguments| {
            let scheme = trunc_normal(arguments.number("mean", 0.0)?, arguments.number("std", 1.0)?)
                .bounds(arguments.number("a", -2.0)?, arguments.number("b", 2.0)?);
            Ok(match method(arguments)? {
                Some(method) => scheme.method(method),
                None => scheme,
            }
            .into())
        },
    },
    Scheme {
        name: "constant",
        parameters: &[("val", None)],
        formula: "val",
        source: "",
        build: |arguments| Ok(constant(arguments.required("val")?).into()),
    },
    Scheme { name: "ones", parameters: &[], formula: "1", source: "", build: |_| Ok(ones().into()) },
    Scheme { name: "zeros", parameters: &[], formula: "0", source: "", build: |_| Ok(zeros().into()) },
    Scheme {
        name: "eye",
        parameters: &[],
        formula: "1 where row = column, else 0",
        source: "",
        build: |_| Ok(eye().into()),
    },
    Scheme {
        name: "dirac",
        parameters: &[("groups", Some("1"))],
        formula: "1 at the centre of the kernel from channel d to channel d of each group, else 0",
        source: "",
        build: |arguments| Ok(dirac().groups(arguments.count("groups", 1)?).into()),
    },
    Scheme {
        name: "xavier_uniform",
        parameters: XAVIER,
        formula: "U[-a, a), a = gain * sqrt(6 / (fan_in + fan_out))",
        source: GLOROT,
        build: |arguments| xavier(xavier_uniform(), arguments),
    },
    Scheme {
        name: "xavier_normal",
        parameters: XAVIER,
        formula: "N(0, std^2), std = gain * sqrt(2 / (fan_in + fan_out))",
        source: GLOROT,
        build: |arguments| xavier(xavier_normal(), arguments),
    },
    Scheme {
        name: "kaiming_uniform",
        parameters: KAIMING,
        formula: "U[-bound, bound), bound = gain * sqrt(3 / fan)",
        source: HE,
        build: |arguments| kaiming(kaiming_uniform(), arguments),
    },
    Scheme {
        name: "kaiming_normal",
        parameters: KAIMING,
        formula: "N(0, std^2), std = gain / sqrt(fan)",
        source: HE,
        build: |arguments| kaiming(kaiming_normal(), arguments),
    },
    Scheme {
        name: "orthogonal",
        parameters: &[("gain", Some("1")), ("layout", Some("out_in"))],
        formula: "gain * Q, where Q is semi-orthogonal and Haar-distributed; the rows of Q are the outputs, and the other axes are flattened",
        source: "Saxe, McClelland, Ganguli 2013, Exact solutions to the nonlinear dynamics of learning in deep \
                 linear neural networks; Mezzadri 2007; Stewart 1980",
        build: |arguments| Ok(orthogonal().gain(arguments.gain()?).layout(arguments.layout()?).into()),
    },
    Scheme {
        name: "sparse",
        parameters: &[("sparsity", None), ("std", Some("0.01"))],
        formula: "N(0, std^2) with ceil(sparsity * rows) zeros in every column",
        source: "Martens 2010, Deep learning via Hessian-free optimization, section 5",
        build: |arguments| {
            Ok(sparse(arguments.required("sparsity")?).std(arguments.number("std", 0.01)?).into())
        },
    },
];

fn xavier(scheme: Xavier, arguments: &Arguments<'_>) -> Result<Init, SpecError> {
    Ok(scheme.gain(arguments.gain()?).layout(arguments.layout()?).groups(arguments.groups()?).into())
}

fn kaiming(scheme: Kaiming, arguments: &Arguments<'_>) -> Result<Init, SpecError> {
    let fan = match arguments.word("mode") {
        None => Fan::In,
        Some((at, word, _)) => word.parse::<Fan>().map_err(|error| SpecError {
            help: nearest(word, ["fan_in", "fan_out"]).map(|name| format!("did you mean {name}?")),
            ..arguments.error(at, error.to_string())
        })?,
    };
    let scheme = scheme.fan(fan).layout(arguments.layout()?).groups(arguments.groups()?);
    let a = arguments.number("a", 0.0)?;
    let Some((at, word, parameter)) = arguments.word("nonlinearity") else {
        return Ok(scheme.nonlinearity(Nonlinearity::LeakyRelu { slope: a }).into());
    };
    let leaky = word == "leaky_relu";
    if leaky && parameter.is_some() && arguments.values.contains_key("a") {
        let message = "the slope is given twice: by a and by leaky_relu(slope)".to_owned();
        return Err(SpecError {
            help: Some("leave one of them out".to_owned()),
            ..arguments.error(at, message)
        });
    }
    let nonlinearity = Nonlinearity::from_name(word, parameter.or(leaky.then_some(a)))
        .map_err(|error| arguments.nonlinearity_error(at, &error))?;
    Ok(scheme.with_slope(a, nonlinearity).into())
}
