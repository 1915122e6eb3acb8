//! Tests of the grammar of specs: parsing, printing and error messages.

mod common;

use std::collections::BTreeMap;

use common::CATALOGUE;
use fanin::init::{Init, constant, eye, kaiming_normal, normal, orthogonal, sparse, uniform};
use fanin::spec::schemes;
use fanin::{AxisLayout, Error, Fan, Nonlinearity};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// Parses a valid spec.
fn parse(text: &str) -> Init {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

/// Returns the error message of an invalid spec.
fn error_of(text: &str) -> String {
    match text.parse::<Init>() {
        Err(Error::Spec(error)) => {
            assert!(text.is_char_boundary(error.at), "{error:?}");
            error.to_string()
        }
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn a_printed_spec_whose_argument_is_not_a_number_parses() {
    for text in
        ["sparse(nan)", "normal(std=nan)", "constant(-nan)", "kaiming_normal(nonlinearity=leaky_relu(nan))"]
    {
        let printed = parse(text).to_string();
        assert_eq!(parse(&printed).to_string(), printed, "{text}");
    }
}

#[test]
fn the_spec_that_an_initializer_prints_parses_into_the_same_initializer() {
    let more = [
        "trunc_normal(method=rejection)",
        "kaiming_uniform(a=0.2, nonlinearity=relu)",
        "kaiming_normal(nonlinearity=leaky_relu(0.3), layout=kernel_in_out)",
        "xavier_normal(gain=leaky_relu(0.01), layout=in_out)",
        "xavier_normal(layout=hwio)",
        "kaiming_normal(layout=eoi)",
        "kaiming_uniform(layout=in_out, groups=4)",
        "kaiming_normal(nonlinearity=sine(30))",
        "orthogonal(gain=sine)",
        "trunc_normal_tf(std=0.02, a=-3, b=inf, corrected=true)",
        "variance_scaling(0.5, fan_geo_avg, uniform, hwio)",
        "variance_scaling(2, mode=fan_avg, distribution=untruncated_normal)",
        "lecun_normal(kernel_in_out, groups=2)",
        "glorot_uniform",
        "linear_default(layout=in_out)",
        "linear_default_bias(64)",
        "constant(val=1e-300)",
        "constant(-inf)",
        "uniform(-1e300, 1e-7)",
    ];
    for text in CATALOGUE.iter().map(|(text, _)| *text).chain(more) {
        let init = parse(text);
        assert_eq!(parse(&init.to_string()), init, "{text} printed {init}");
        assert_eq!(parse(&init.to_string()).to_string(), init.to_string());
    }
}

#[test]
fn arguments_are_positional_or_named_and_names_may_be_quoted() {
    assert_eq!(parse("normal_(0, 0.02)"), normal(0.0, 0.02).into());
    assert_eq!(parse(" normal ( std = 0.02 , ) "), normal(0.0, 0.02).into());
    assert_eq!(parse("normal(0, std=2)"), normal(0.0, 2.0).into());
    assert_eq!(parse("eye"), eye().into());
    assert_eq!(parse("eye_()"), eye().into());
    let he = kaiming_normal().fan(Fan::Out).nonlinearity(Nonlinearity::Relu).into();
    for text in [
        "kaiming_normal(mode=fan_out, nonlinearity=relu)",
        "kaiming_normal_(mode='FAN_OUT', nonlinearity=\"relu\")",
        "kaiming_normal(0, fan_out, relu)",
    ] {
        assert_eq!(parse(text), he);
    }
    let layout = kaiming_normal().layout(AxisLayout::InOut).into();
    assert_eq!(parse("kaiming_normal(layout=in_out)"), layout);
    let slope = Nonlinearity::LeakyRelu { slope: 0.2 };
    assert_eq!(parse("orthogonal(gain=leaky_relu(0.2))"), orthogonal().gain(slope).into());
    assert_eq!(
        parse("orthogonal(leaky_relu)"),
        orthogonal().gain(Nonlinearity::LeakyRelu { slope: 0.01 }).into()
    );
    assert_eq!(parse("sparse(0.9)"), sparse(0.9).into());
}

#[test]
fn arithmetic_has_the_precedence_of_python() {
    let value = |text: &str| parse(&format!("constant({text})"));
    for (text, expected) in [
        ("1 + 2 * 3", 7.0),
        ("(1 + 2) * 3", 9.0),
        ("-2 ^ 2", -4.0),
        ("2 ** 3 ** 2", 512.0),
        ("2 ^ -1", 0.5),
        ("1 - 2 - 3", -4.0),
        ("8 / 4 / 2", 1.0),
        ("1e-3 + .5 + 2.", 2.501),
        ("sqrt(2) / math.sqrt(2)", 1.0),
        ("1_000", 1000.0),
        ("+-+1", -1.0),
        ("2*pi", std::f64::consts::TAU),
    ] {
        assert_eq!(value(text), constant(expected).into(), "{text}");
    }
    assert_eq!(value("inf"), constant(f64::INFINITY).into());
    assert_eq!(parse("uniform(-1/sqrt(4), 1/sqrt(4))"), uniform(-0.5, 0.5).into());
}

#[test]
fn arithmetic_reads_variables_by_name() {
    let variables = BTreeMap::from([("n_layer".to_owned(), 12.0), ("sigma".to_owned(), 0.02)]);
    let read = |text: &str| Init::parse_with(text, &variables);
    assert_eq!(read("normal(std=sigma/sqrt(2*n_layer))"), Ok(normal(0.0, 0.02 / 24f64.sqrt()).into()));
    assert_eq!(read("orthogonal(gain=sigma)"), Ok(orthogonal().gain(0.02).into()));
    let error = read("normal(std=sigma/sqrt(n_layers))").unwrap_err().to_string();
    assert!(error.contains("did you mean n_layer?"), "{error}");
    let error = read("normal(std=depth)").unwrap_err().to_string();
    assert!(error.contains("the variables are n_layer, sigma"), "{error}");
}

#[test]
fn errors_have_the_position_of_the_mistake_and_name_the_remedy() {
    for (text, column, needles) in [
        ("", 0, &["expected a scheme's name"][..]),
        ("nromal", 0, &["unknown scheme nromal", "did you mean normal?"]),
        ("fancy", 0, &["use one of uniform, normal"]),
        ("normal(st=1)", 7, &["normal has no argument st", "did you mean std?"]),
        ("normal(scale=1)", 7, &["normal takes mean, std"]),
        ("normal(0, 1, 2)", 13, &["too many arguments"]),
        ("normal(std=1, 2)", 14, &["positional argument cannot follow"]),
        ("normal(std=1, std=2)", 14, &["std is given twice"]),
        ("blocks(normal, zeros, axis=0, axis=1)", 30, &["axis is given twice"]),
        ("normal(1, mean=2)", 10, &["mean is given twice"]),
        ("normal(std=)", 11, &["expected a number"]),
        ("normal(std=1", 12, &["the text ends here"]),
        ("normal(std=1))", 13, &["unexpected text"]),
        ("normal(std=1 2)", 13, &["found '2'"]),
        ("normal(std=1/0)", 12, &["division by zero"]),
        ("normal(std=sqrt(-1))", 11, &["sqrt of -1"]),
        ("normal(std=(-8)^0.5)", 11, &["not a real number"]),
        ("normal(std=1e)", 12, &["found 'e'"]),
        ("normal(std=.)", 11, &[". is not a number"]),
        ("kaiming_normal(mode=fan_avg)", 20, &["Mode fan_avg not supported", "['fan_in', 'fan_out']"]),
        ("kaiming_normal(nonlinearity=rellu)", 28, &["Unsupported nonlinearity rellu", "did you mean relu?"]),
        ("kaiming_normal(a=1, nonlinearity=leaky_relu(2))", 33, &["given twice: by a and by leaky_relu"]),
        ("xavier_normal(gain=gulu)", 19, &["Unsupported nonlinearity gulu"]),
        ("xavier_normal(layout=outin)", 21, &["did you mean out_in?"]),
        ("xavier_normal(layout=hwxy)", 21, &["one letter for each axis", "oikk"]),
        ("xavier_normal(layout=oo)", 21, &["layout = oo is not known"]),
        ("xavier_normal(groups=0.5)", 21, &["groups = 0.5 must be a non-negative integer"]),
        ("trunc_normal_tf(corrected=yes)", 26, &["use one of true, false"]),
        ("variance_scaling(mode=fan_in)", 29, &["variance_scaling needs the argument scale"]),
        ("variance_scaling(1, mode=fan_avgg)", 25, &["did you mean fan_avg?"]),
        ("variance_scaling(1, distribution=gaussian)", 33, &["use one of truncated_normal, normal, uniform"]),
        ("linear_default_bias()", 21, &["linear_default_bias needs the argument fan_in"]),
        ("trunc_normal(method=icdf)", 20, &["use one of rejection, inverse_cdf"]),
        ("constant", 8, &["constant needs the argument val", "constant(val=...)"]),
        ("sparse()", 8, &["sparse needs the argument sparsity"]),
        ("dirac(groups=1.5)", 13, &["groups = 1.5 must be a non-negative integer"]),
        ("dirac(groups=-1)", 13, &["groups = -1 must be a non-negative integer"]),
        ("eye(1)", 4, &["eye takes no arguments"]),
        ("normal(std='x)", 11, &["expected a number"]),
        ("kaiming_normal(mode='x)", 20, &["quote is not closed"]),
        ("нормаль(1)", 0, &["unknown scheme"]),
        ("normal(σ=1)", 7, &["normal has no argument σ"]),
    ] {
        let message = error_of(text);
        for needle in needles {
            assert!(message.contains(needle), "{text}: {message}");
        }
        let caret = message.lines().last().unwrap();
        assert_eq!(caret.chars().position(|c| c == '^').unwrap(), column + 2, "{message}");
    }
}

#[test]
fn blocks_and_stacks_are_parsed_and_printed() {
    assert_eq!(
        parse("blocks(2*8: normal, 4: normal(std=2), axis=-1)").to_string(),
        "blocks(16: normal, 4: normal(std=2), axis=-1)"
    );
    assert_eq!(parse("blocks( orthogonal , count = 3 , )").to_string(), "blocks(orthogonal, count=3)");
    assert_eq!(
        parse("stacked(blocks(xavier_uniform, zeros, axis=1), axis=0)").to_string(),
        "stacked(blocks(xavier_uniform, zeros, axis=1))"
    );
    let variables = BTreeMap::from([("heads".to_owned(), 4.0)]);
    let read = Init::parse_with("blocks(heads*2: eye, heads: eye)", &variables).unwrap();
    assert_eq!(read.to_string(), "blocks(8: eye, 4: eye)");
    for (text, column, needles) in [
        ("blocks", 6, &["after blocks"][..]),
        ("blocks()", 8, &["blocks requires a spec"]),
        ("blocks(4: normal, eye)", 18, &["either all blocks must have a size"]),
        ("blocks(normal, eye, count=2)", 28, &["count requires exactly one spec"]),
        ("blocks(normal, part=2)", 15, &["unknown argument part", "use count or axis"]),
        ("blocks(normal, count=0)", 21, &["count = 0 must be an integer of at least 1"]),
        ("blocks(1.5: normal)", 7, &["a block's size = 1.5"]),
        ("blocks(nromal, count=2)", 7, &["did you mean normal?"]),
        ("stacked(normal, eye)", 16, &["expected"]),
        ("stacked(normal(std=x))", 19, &["x is neither"]),
    ] {
        let message = error_of(text);
        for needle in needles {
            assert!(message.contains(needle), "{text}: {message}");
        }
        let caret = message.lines().last().unwrap();
        assert_eq!(caret.chars().position(|c| c == '^').unwrap(), column + 2, "{message}");
    }
    assert!(error_of(&"blocks(".repeat(100_000)).contains("nested more than"));
}

#[test]
fn scaling_factors_are_functions_and_gains_are_computed() {
    let variables = BTreeMap::from([("n_layer".to_owned(), 12.0), ("layer".to_owned(), 3.0)]);
    let read = |text: &str| Init::parse_with(text, &variables);
    assert_eq!(
        read("normal(std=0.02*gpt2_residual(n_layer))"),
        Ok(normal(0.0, 0.02 * (1.0 / 24f64.sqrt())).into())
    );
    assert_eq!(
        read("normal(std=0.02*depth_scaled(layer))"),
        Ok(normal(0.0, 0.02 * (1.0 / 8f64.sqrt())).into())
    );
    assert_eq!(parse("orthogonal(gain=deepnorm_beta(2))"), orthogonal().gain(0.5).into());
    assert!(error_of("normal(std=wang_init(2))").contains("wang_init(layers, width)"));
    assert!(error_of("normal(std=fixup(0, 2))").contains("not defined for these arguments"));
    assert!(error_of("normal(std=smal_init(2))").contains("did you mean small_init?"));
    assert_eq!(parse("orthogonal(gain=swish)").to_string(), "orthogonal(gain=silu)");
    assert_eq!(
        parse("kaiming_normal(nonlinearity=forward(tanh))").to_string(),
        "kaiming_normal(nonlinearity=forward(tanh))"
    );
    let plan = fanin::Initializer::resolve(
        &parse("kaiming_normal(nonlinearity=gelu)"),
        &[4, 100],
        fanin::DType::F64,
    );
    assert!((plan.unwrap().std() - 0.153_353_044_119_553_5).abs() < 1e-13);
    assert_eq!(parse("lora_a").to_string(), "linear_default");
    assert_eq!(parse("lora_b").to_string(), "zeros");
}

#[test]
fn deep_nesting_is_an_error_and_does_not_overflow_the_stack() {
    for text in ["(".repeat(100_000), "-".repeat(100_000), "sqrt(".repeat(100_000), "2^".repeat(100_000)] {
        assert!(error_of(&format!("constant({text}")).contains("nested more than"));
    }
}

#[test]
fn a_spec_can_name_every_scheme() {
    for scheme in schemes() {
        let required = scheme.parameters.iter().filter(|(_, default)| default.is_none());
        let arguments: Vec<String> = required
            .map(|(name, _)| match *name {
                "spec" => "normal".to_owned(),
                "fan_in" => "fan_in=16".to_owned(),
                name => format!("{name}=0.5"),
            })
            .collect();
        let init = parse(&format!("{}({})", scheme.name, arguments.join(", ")));
        assert_eq!(init.scheme().name, scheme.name);
        assert!(!scheme.formula.is_empty());
    }
}

/// Returns a strategy for texts of characters from `alphabet`. `length` is the range of the number of characters.
fn text(alphabet: &'static str, length: std::ops::RangeInclusive<usize>) -> impl Strategy<Value = String> {
    let character = select(alphabet.chars().collect::<Vec<_>>());
    vec(character, length).prop_map(String::from_iter)
}

/// Returns a strategy for texts that look like specs, such as `kaiming_normal_(mode=2*sqrt(3), -1)`.
fn text_like_a_spec() -> impl Strategy<Value = String> {
    let letters = "abcdefghijklmnopqrstuvwxyz";
    let scheme = select(&["normal", "uniform", "kaiming_normal", "sparse"][..]);
    let key = (any::<bool>(), text(letters, 1..=5));
    let body = text("abcdefghijklmnopqrstuvwxyz0123456789+-*/^(). ,='_", 0..=20);
    (scheme, select(&["", "_"][..]), key, body, select(&["", ")"][..])).prop_map(
        |(scheme, underscore, (has_key, key), body, end)| {
            let key = if has_key { key + "=" } else { String::new() };
            format!("{scheme}{underscore}({key}{body}{end}")
        },
    )
}

proptest! {
    #[test]
    fn any_text_is_parsed_or_rejected(characters in vec(any::<char>(), 0..=40)) {
        let text = String::from_iter(characters.into_iter().filter(|character| !character.is_control()));
        _ = text.parse::<Init>();
    }

    #[test]
    fn texts_like_specs_are_parsed_or_rejected(text in text_like_a_spec()) {
        if let Ok(init) = text.parse::<Init>() {
            prop_assert_eq!(init.to_string().parse::<Init>().map(|again| again.to_string()), Ok(init.to_string()));
        }
    }

    #[test]
    fn every_number_parses_from_what_is_printed(bits: u64) {
        let value = f64::from_bits(bits);
        prop_assume!(!value.is_nan());
        let init: Init = constant(value).into();
        prop_assert_eq!(init.to_string().parse::<Init>(), Ok(init));
    }
}
