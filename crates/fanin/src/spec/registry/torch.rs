//! The schemes of torch.nn.init, in the order of its documentation.

use crate::error::{SpecError, nearest};
use crate::gain::Nonlinearity;
use crate::init::{
    Init, Kaiming, Xavier, constant, dirac, eye, kaiming_normal, kaiming_uniform, normal, ones, orthogonal,
    sparse, trunc_normal, uniform, xavier_normal, xavier_uniform, zeros,
};
use crate::plan::Truncation;
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
pub(super) const HE: &str = "He, Zhang, Ren, Sun 2015, Delving deep into rectifiers, section 2.2";
pub(super) const GLOROT: &str =
    "Glorot, Bengio 2010, Understanding the difficulty of training deep feedforward neural networks";

pub(super) const TORCH: [Scheme; 14] = [
    Scheme {
        name: "uniform",
        parameters: &[("a", Some("0")), ("b", Some("1"))],
        formula: "U[a, b)",
        source: "",
        build: |given| Ok(uniform(given.number("a", 0.0)?, given.number("b", 1.0)?).into()),
    },
    Scheme {
        name: "normal",
        parameters: &[("mean", Some("0")), ("std", Some("1"))],
        formula: "N(mean, std^2)",
        source: "",
        build: |given| Ok(normal(given.number("mean", 0.0)?, given.number("std", 1.0)?).into()),
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
        formula: "N(mean, std^2) conditioned on [a, b]; a and b are absolute, not multiples of std",
        source: "",
        build: |given| {
            let it = trunc_normal(given.number("mean", 0.0)?, given.number("std", 1.0)?)
                .bounds(given.number("a", -2.0)?, given.number("b", 2.0)?);
            Ok(match method(given)? {
                Some(method) => it.method(method),
                None => it,
            }
            .into())
        },
    },
    Scheme {
        name: "constant",
        parameters: &[("val", None)],
        formula: "val",
        source: "",
        build: |given| Ok(constant(given.required("val")?).into()),
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
        formula: "1 at the kernel's centre from channel d to channel d of each group, else 0",
        source: "",
        build: |given| Ok(dirac().groups(given.count("groups", 1)?).into()),
    },
    Scheme {
        name: "xavier_uniform",
        parameters: XAVIER,
        formula: "U[-a, a), a = gain * sqrt(6 / (fan_in + fan_out))",
        source: GLOROT,
        build: |given| xavier(xavier_uniform(), given),
    },
    Scheme {
        name: "xavier_normal",
        parameters: XAVIER,
        formula: "N(0, std^2), std = gain * sqrt(2 / (fan_in + fan_out))",
        source: GLOROT,
        build: |given| xavier(xavier_normal(), given),
    },
    Scheme {
        name: "kaiming_uniform",
        parameters: KAIMING,
        formula: "U[-bound, bound), bound = gain * sqrt(3 / fan)",
        source: HE,
        build: |given| kaiming(kaiming_uniform(), given),
    },
    Scheme {
        name: "kaiming_normal",
        parameters: KAIMING,
        formula: "N(0, std^2), std = gain / sqrt(fan)",
        source: HE,
        build: |given| kaiming(kaiming_normal(), given),
    },
    Scheme {
        name: "orthogonal",
        parameters: &[("gain", Some("1")), ("layout", Some("out_in"))],
        formula: "gain * Q, Q semi-orthogonal and Haar-distributed, rows the outputs, other axes flattened",
        source: "Saxe, McClelland, Ganguli 2013, Exact solutions to the nonlinear dynamics of learning in deep \
                 linear neural networks; Mezzadri 2007; Stewart 1980",
        build: |given| Ok(orthogonal().gain(given.gain()?).layout(given.layout()?).into()),
    },
    Scheme {
        name: "sparse",
        parameters: &[("sparsity", None), ("std", Some("0.01"))],
        formula: "N(0, std^2) with ceil(sparsity * rows) zeros in every column",
        source: "Martens 2010, Deep learning via Hessian-free optimization, section 5",
        build: |given| Ok(sparse(given.required("sparsity")?).std(given.number("std", 0.01)?).into()),
    },
];

pub(super) fn method(given: &Arguments<'_>) -> Result<Option<Truncation>, SpecError> {
    given.choice("method", [Truncation::Rejection, Truncation::InverseCdf], Truncation::name)
}

fn xavier(it: Xavier, given: &Arguments<'_>) -> Result<Init, SpecError> {
    Ok(it.gain(given.gain()?).layout(given.layout()?).groups(given.groups()?).into())
}

fn kaiming(it: Kaiming, given: &Arguments<'_>) -> Result<Init, SpecError> {
    let fan = match given.word("mode") {
        None => Fan::In,
        Some((at, word, _)) => word.parse::<Fan>().map_err(|error| SpecError {
            help: nearest(word, ["fan_in", "fan_out"]).map(|name| format!("did you mean {name}?")),
            ..given.error(at, error.to_string())
        })?,
    };
    let it = it.fan(fan).layout(given.layout()?).groups(given.groups()?);
    let a = given.number("a", 0.0)?;
    let Some((at, word, slope)) = given.word("nonlinearity") else {
        return Ok(it.nonlinearity(Nonlinearity::LeakyRelu { slope: a }).into());
    };
    if slope.is_some() && given.values.contains_key("a") {
        return Err(given.error(at, "the slope is given twice: as a and in leaky_relu".to_owned()));
    }
    let it = it.spec_nonlinearity(slope.unwrap_or(a), word);
    Ok(it.map_err(|error| given.nonlinearity_error(at, &error))?.into())
}
