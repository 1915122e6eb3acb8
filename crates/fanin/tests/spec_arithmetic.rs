//! Tests of arithmetic in specs: functions of numbers, and properties of the tensor.

mod common;

use std::collections::BTreeMap;

use common::plan;
use fanin::init::{Init, Initializer};
use fanin::{DType, Distribution, Plan};

/// Returns the planned standard deviation of a spec.
fn std(spec: &str, shape: &[usize]) -> f64 {
    let plan: Plan = plan(spec, shape, DType::F32).unwrap();
    plan.std()
}

/// Returns the value of an expression, which is used as the argument of `constant`.
fn value(spec: &str, shape: &[usize]) -> f64 {
    match plan(&format!("constant({spec})"), shape, DType::F64).unwrap().distribution() {
        Distribution::Constant { value } => value,
        other => panic!("{other:?}"),
    }
}

/// Returns the error message of a spec for a shape.
fn error(spec: &str, shape: &[usize]) -> String {
    match spec.parse::<Init>().and_then(|init| init.resolve(shape, DType::F32)) {
        Err(error) => error.to_string(),
        Ok(plan) => panic!("{spec} {shape:?}: {plan:?}"),
    }
}

#[test]
fn functions_of_numbers_have_the_values_of_their_definitions() {
    for (spec, expected) in [
        ("log(1/0.07)", (1.0f64 / 0.07).ln()),
        ("-log((1-0.01)/0.01)", -(99f64).ln()),
        ("math.log(2)", 2f64.ln()),
        ("exp(1)", 1f64.exp()),
        ("min(3, 1, 2)", 1.0),
        ("max(3, 1, 2)", 3.0),
        ("max(7)", 7.0),
        ("abs(-2.5)", 2.5),
        ("floor(7/2)", 3.0),
        ("2*min(1, sqrt(max(4, 9)))^2", 2.0),
    ] {
        let found = value(spec, &[3]);
        assert!((found - expected).abs() <= 1e-15 * expected.abs(), "{spec}: {found}, expected {expected}");
    }
    for (spec, needle) in [
        ("constant(log(0))", "log of 0"),
        ("constant(log(-1))", "log of -1"),
        ("constant(min())", "min needs a number"),
        ("constant(log(1, 2))", "takes 1 argument"),
        ("constant(exp)", "neither a number nor a variable"),
        ("constant(lg(2))", "did you mean log?"),
    ] {
        let found = error(spec, &[3]);
        assert!(found.contains(needle), "{spec}: {found}");
    }
}

#[test]
fn properties_of_the_tensor_have_values_when_the_shape_is_known() {
    assert_eq!(std("normal(std=1/fan_in)", &[8, 4, 3]), 1.0 / 12.0);
    assert_eq!(std("normal(std=1/fan_out)", &[8, 4, 3]), 1.0 / 24.0);
    assert_eq!(std("normal(std=1/fan_in(kernel_in_out))", &[3, 4, 8]), 1.0 / 12.0);
    assert_eq!(std("normal(std=1/shape[0])", &[8, 4]), 0.125);
    assert_eq!(std("normal(std=1/shape[-1])", &[8, 4]), 0.25);
    assert_eq!(std("normal(std=1/shape[1-1])", &[8]), 0.125);
    assert_eq!(std("normal_(std=min(1, sqrt(fan_out/fan_in))/sqrt(fan_in))", &[4, 16]), 0.125);
    let gain = plan("orthogonal(gain=sqrt(max(1, shape[0]/shape[1])))", &[16, 4], DType::F32).unwrap();
    assert_eq!(gain.distribution(), Distribution::Orthogonal { gain: 2.0 });
    assert_eq!(std("normal(std=0.02*mup_hidden(fan_in, 256))", &[8, 1024]), 0.01);
    let bias = plan("linear_default_bias(2^shape[0])", &[4], DType::F32).unwrap();
    assert_eq!(bias.bounds().1, 0.25);
    for (spec, shape, needle) in [
        ("normal(std=1/fan_in)", &[8][..], "there is no fan_in: a tensor of shape [8] has no fans"),
        ("normal(std=1/shape[2])", &[8, 4], "there is no axis 2 in the shape [8, 4]"),
        ("normal(std=1/shape[-3])", &[8, 4], "write a whole number from -2 to 1"),
        ("normal(std=1/shape[0.5])", &[8, 4], "no axis 0.5"),
        ("normal(std=1/(shape[0]-8))", &[8, 4], "division by zero"),
        ("normal(std=log(shape[0]-8))", &[8, 4], "log of 0"),
        ("linear_default_bias(shape[0]/3)", &[8], "must be a non-negative integer"),
        ("normal(std=shape)", &[8], "write shape[0]"),
        ("normal(std=fan_in(oops))", &[8, 4], "layout \"oops\" is not known"),
        ("normal(std=fan_inn)", &[8, 4], "did you mean fan_in?"),
        ("normal(std=1/index)", &[8, 4], "index is the index of a tensor in a stack"),
    ] {
        let found = error(spec, shape);
        assert!(found.contains(needle), "{spec}: {found}");
    }
    // A spec that is invalid for every shape is an error before the shape is known.
    for spec in ["normal(std=1/fan_in", "normal(sd=fan_in)", "nrmal(std=fan_in)", "constant(fan_in, 2)"] {
        assert!(spec.parse::<Init>().is_err(), "{spec}");
    }
}

#[test]
fn a_spec_with_properties_of_the_tensor_is_printed_with_variables_replaced_by_numbers() {
    let variables = BTreeMap::from([("n".to_owned(), 24.0), ("m".to_owned(), -1.0)]);
    let init = Init::parse_with("normal_(std=0.02/sqrt(2*n*fan_in), mean=2*m)", &variables).unwrap();
    assert_eq!(init.to_string(), "normal(std=0.02/sqrt(2*24*fan_in), mean=2*(-1))");
    assert_eq!(init.to_string().parse::<Init>().unwrap(), init);
    assert_eq!(init.scheme().name, "normal");
    let known = Init::parse_for("normal(std=0.02/sqrt(2*n*fan_in))", &[3, 3], &variables).unwrap();
    assert_eq!(known, fanin::init::normal(0.0, 0.02 / 144f64.sqrt()).into());
}

#[test]
fn properties_in_blocks_and_stacks_belong_to_the_block() {
    let stds = |spec: &str, shape: &[usize]| {
        let plan = plan(spec, shape, DType::F32).unwrap();
        plan.blocks().iter().map(|block| block.plan().std()).collect::<Vec<_>>()
    };
    assert_eq!(stds("blocks(4: normal(std=1/fan_out), 8: normal(std=1/fan_out))", &[12, 3]), [0.25, 0.125]);
    assert_eq!(stds("blocks(shape[0]-8: normal, 8: normal(std=1/shape[0]))", &[12, 3]), [1.0, 0.125]);
    assert_eq!(std("stacked(normal(std=1/fan_in))", &[5, 8, 4]), 0.25);
    assert_eq!(stds("stacked(normal(std=1/(index+1)))", &[4, 8, 4]), [1.0, 0.5, 1.0 / 3.0, 0.25]);
    let nested = "stacked(blocks(normal(std=1/(index+1)), normal(std=1/fan_in)))";
    assert_eq!(stds(nested, &[2, 8, 4]), [1.0, 0.25, 0.5, 0.25]);
    // `fan_in` is the fan_in of one block, even if the shape of the whole tensor is known.
    let known = Init::parse_for("stacked(normal(std=1/fan_in))", &[5, 8, 4], &BTreeMap::new()).unwrap();
    assert_eq!(known.resolve(&[5, 8, 4], DType::F32).unwrap().std(), 0.25);
    assert_eq!(stds("stacked(exp(uniform(0, index+1)))", &[2, 6]).len(), 2);
}

#[test]
fn a_result_that_is_not_a_finite_number_is_an_error() {
    for spec in ["exp(1000)", "10^400", "1e300*1e300", "1e300/1e-300", "1e308+1e308", "-1e308-1e308"] {
        assert!(error(&format!("constant({spec})"), &[3]).contains("too large for an f64"), "{spec}");
    }
    for spec in ["inf-inf", "0*inf", "inf/inf"] {
        assert!(error(&format!("constant({spec})"), &[3]).contains("the result is not a number"), "{spec}");
    }
    assert_eq!(value("inf", &[3]), f64::INFINITY);
    assert_eq!(value("-inf+1", &[3]), f64::NEG_INFINITY);
    assert_eq!(value("1/exp(shape[0])", &[0]), 1.0);
}
