//! Tests that an invalid request returns an error that names the argument and the value. No value is written or
//! generated. Other tests in this file check warnings and empty tensors.

mod common;

use common::{Buffer, plan};
use fanin::{
    DType, Distribution, Element, Error, Initializer, Native, Plan, TensorMut, Torch, init, init::Init,
};

/// Returns the error message of a fill with an invalid spec. Asserts that both streams return the same error, that the
/// memory is unchanged, and that the torch generator has not advanced.
fn error_of(spec: &str, shape: &[usize], dtype: DType) -> String {
    let mut buffer = Buffer::new(dtype, shape.iter().product());
    let before = buffer.bytes();
    let mut torch = Torch::new(1);
    let error = common::spec(spec).fill_tensor(buffer.tensor(shape), &mut torch).unwrap_err();
    assert_eq!(torch, Torch::new(1), "{spec}: the generator advanced");
    let native = common::spec(spec).fill_tensor(buffer.tensor(shape), &mut Native::new(1).tensor("w"));
    assert_eq!(native.unwrap_err().to_string(), error.to_string());
    assert_eq!(buffer.bytes(), before, "{spec}: a value was written");
    error.to_string()
}

#[test]
fn an_orthogonal_matrix_that_does_not_fit_in_memory_is_an_error() {
    let mut one = [0f32; 1];
    let shape = [1 << 21, 1 << 21];
    let error = init::orthogonal()
        .fill_region(&mut one, &shape, &[5, 5], &[1, 1], &mut Native::new(0).tensor("w"))
        .unwrap_err();
    assert!(matches!(error, Error::Memory { .. }), "{error}");
}

#[test]
fn any_number_of_blocks_of_an_empty_tensor_needs_no_memory_and_too_many_blocks_are_an_error() {
    let huge = 1usize << 52;
    let blocks = format!("blocks(orthogonal, count={huge})");
    for (spec, shape) in [(blocks.as_str(), [0, 4]), (&blocks, [huge, 0]), ("stacked(normal)", [huge, 0])] {
        let plan = plan(spec, &shape, DType::F32).unwrap();
        assert!(plan.is_empty() && !plan.warnings().is_empty(), "{spec} {shape:?}");
    }
    for spec in [blocks.as_str(), "stacked(normal)"] {
        let error = common::spec(spec).resolve(&[huge, 1], DType::F32).unwrap_err();
        assert!(matches!(error, Error::Memory { .. }), "{spec}: {error}");
    }
    let error = common::spec("blocks(normal(std=-1), normal)").resolve(&[0, 4], DType::F32).unwrap_err();
    assert!(matches!(error, Error::Argument { .. }), "{error}");
}

#[test]
fn shapes_that_need_more_words_than_can_be_counted_are_errors() {
    let narrow = Distribution::TruncatedNormal { mean: 0.0, std: 1.0, low: 2.0, high: 3.0, method: None };
    let wide = Distribution::TruncatedNormal { mean: 0.0, std: 1.0, low: -1.0, high: 1.0, method: None };
    let normal = Distribution::Normal { mean: 0.0, std: 1.0 };
    /// Returns the last `length` values of a tensor of `count` values on the torch stream, or the error of the fill.
    fn end<E: Element>(distribution: Distribution, count: usize, length: usize) -> Result<Vec<f64>, Error> {
        let plan = Plan::new(&[count], E::DTYPE, distribution).unwrap();
        let mut memory = vec![E::default(); length];
        let tensor = TensorMut::contiguous(&mut memory, &[length]).unwrap();
        Torch::new(0).peek_region(&plan, &[count - length], tensor)?;
        Ok(memory.into_iter().map(Element::to_f64).collect())
    }
    let is_refused = |found: Result<Vec<f64>, Error>| matches!(found, Err(Error::ShapeOverflow { .. }));
    // `long` contains the last 40 values of the tensor, and `short` contains the last 5 values. The last 5 must be
    // equal.
    let ends_agree =
        |long: Result<Vec<f64>, Error>, short: Result<Vec<f64>, Error>| long.unwrap()[35..] == short.unwrap();
    for distribution in [narrow, wide] {
        for bits in [59, 60, 61, 62] {
            let count = 1 << bits;
            let (single, double) = (
                |length| end::<f32>(distribution, count, length),
                |length| end::<f64>(distribution, count, length),
            );
            assert!(
                if bits > 60 { is_refused(single(40)) } else { ends_agree(single(40), single(5)) },
                "{distribution:?} {bits}"
            );
            assert!(
                if bits > 59 { is_refused(double(40)) } else { ends_agree(double(40), double(5)) },
                "{distribution:?} {bits}"
            );
        }
    }
    let max = isize::MAX as usize;
    assert!(is_refused(end::<f64>(normal, max, 40)) && is_refused(end::<f64>(normal, max - 15, 40)));
    assert!(ends_agree(end::<f64>(normal, max - 16, 40), end::<f64>(normal, max - 16, 5)));
    assert!(ends_agree(end::<f32>(normal, max, 40), end::<f32>(normal, max, 5)));
    let mut generator = Torch::new(0);
    let plan = Plan::new(&[1 << 62], DType::F32, wide).unwrap();
    assert!(matches!(generator.advance_past(&plan), Err(Error::ShapeOverflow { .. })));
    assert_eq!(generator, Torch::new(0));
}

#[test]
fn a_shuffle_of_columns_that_do_not_fit_in_memory_is_an_error() {
    // Each of the 8192 threads shuffles two columns of 2^32 - 1 rows at a time. The shuffle needs one byte for each
    // element, so all threads need about 2^46 bytes.
    fn run_nothing(_: usize, _: &(dyn Fn() + Sync)) {}
    let team = fanin::Threads::Team(fanin::Team::new(1 << 13, run_nothing));
    let width = 1 << 19;
    let plan =
        Plan::new(&[u32::MAX as usize, 1 << 30], DType::F32, Distribution::Sparse { zeros: 5, std: 1.0 })
            .unwrap();
    let mut memory = vec![7f32; width];
    let tensor = TensorMut::contiguous(&mut memory, &[1, width]).unwrap();
    let error = Torch::new(0).with_threads(team).peek_region(&plan, &[77, 5], tensor).unwrap_err();
    assert!(matches!(error, Error::Memory { bytes, .. } if bytes > 1 << 46), "{error}");
    assert!(memory.iter().all(|&value| value == 7.0), "something was written");
}

#[test]
fn error_messages_name_the_argument_and_the_value() {
    for (spec, shape, needles) in [
        ("normal(std=-1)", &[4, 4][..], &["normal", "std = -1"][..]),
        ("normal(std=nan)", &[4, 4], &["std = NaN"]),
        ("normal(std=inf)", &[4, 4], &["std = inf"]),
        ("normal(mean=nan)", &[4, 4], &["mean = NaN"]),
        ("normal(mean=-inf)", &[4, 4], &["mean = -inf"]),
        ("normal(std=1e39)", &[4, 4], &["std = 1", "f32"]),
        ("uniform(1, 0)", &[4], &["a = 1", "b = 0"]),
        ("uniform(nan, 0)", &[4], &["a = NaN"]),
        ("uniform(0, nan)", &[4], &["b = NaN"]),
        ("uniform(0, inf)", &[4], &["b = inf", "finite"]),
        ("uniform(-inf, 0)", &[4], &["a = -inf"]),
        ("uniform(-3e38, 3e38)", &[4], &["difference must be finite in f32"]),
        ("trunc_normal(std=-1)", &[4], &["trunc_normal", "std = -1"]),
        ("trunc_normal(std=0)", &[4], &["std = 0", "greater than 0"]),
        ("trunc_normal(std=nan)", &[4], &["std = NaN"]),
        ("trunc_normal(a=2, b=-2)", &[4], &["a = 2", "b = -2"]),
        ("trunc_normal(a=nan)", &[4], &["a = NaN"]),
        ("trunc_normal(a=inf, b=inf)", &[4], &["a = inf"]),
        ("constant(1e39)", &[4], &["val = 1", "f32"]),
        ("sparse(1.5)", &[4, 4], &["sparsity = 1.5"]),
        ("sparse(-0.1)", &[4, 4], &["sparsity = -0.1"]),
        ("sparse(nan)", &[4, 4], &["sparsity = NaN"]),
        ("sparse(0.5, std=-2)", &[4, 4], &["sparse", "std = -2"]),
        ("sparse(0.5)", &[4], &["Only tensors with 2 dimensions are supported", "[4]"]),
        ("eye", &[4, 4, 4], &["Only tensors with 2 dimensions are supported"]),
        ("dirac", &[4, 4], &["Only tensors with 3, 4, or 5 dimensions are supported"]),
        ("dirac(groups=0)", &[4, 4, 3], &["groups = 0"]),
        ("dirac(groups=3)", &[4, 4, 3], &["dim 0 must be divisible by groups", "groups = 3"]),
        ("orthogonal", &[4], &["Only tensors with 2 or more dimensions are supported"]),
        ("orthogonal(gain=nan)", &[4, 4], &["gain = NaN"]),
        (
            "xavier_uniform",
            &[4],
            &["Fan in and fan out can not be computed for tensor with fewer than 2 dimensions"],
        ),
        ("xavier_uniform(gain=-1)", &[4, 4], &["gain = -1"]),
        ("xavier_normal(gain=inf)", &[4, 4], &["gain = inf"]),
        ("kaiming_normal", &[], &["fewer than 2 dimensions"]),
        ("kaiming_uniform(a=inf)", &[4, 4], &["a = inf"]),
        ("kaiming_uniform(a=nan)", &[4, 4], &["a = NaN"]),
    ] {
        let message = error_of(spec, shape, DType::F32);
        for needle in needles {
            assert!(message.contains(needle), "{spec}: {message}");
        }
    }
    assert!(error_of("uniform(-60000, 60000)", &[4], DType::F16).contains("f16"));
    assert!(error_of("normal(std=70000)", &[4], DType::F16).contains("65504"));
    assert!(plan("uniform(-60000, 60000)", &[4], DType::BF16).is_ok());
    assert!(plan("normal(std=1e39)", &[4], DType::F64).is_ok());
}

#[test]
fn rejection_in_the_far_tail_of_the_torch_stream_needs_finite_bounds() {
    let mut torch = Torch::new(0);
    let mut buffer = [0f32; 4];
    let error = init::trunc_normal(0.0, 1.0).bounds(3.0, f64::INFINITY).fill(&mut buffer, &[4], &mut torch);
    assert!(matches!(error, Err(Error::BoundsOverflow { .. })));
    assert_eq!(torch, Torch::new(0));
    // An infinite bound is valid here, as in torch: a value of N(0, 1) is at least -1 with probability 0.84. Only a
    // probability of 0.3 or less requires finite bounds.
    init::trunc_normal(0.0, 1.0).bounds(-1.0, f64::INFINITY).fill(&mut buffer, &[4], &mut torch).unwrap();
    assert!(buffer.iter().all(|&x| x >= -1.0));
}

#[test]
fn the_native_stream_does_not_support_rejection_and_from_rng_does_not_support_regions() {
    let mut buffer = [0f32; 4];
    let error = init::trunc_normal(0.0, 1.0)
        .method(fanin::Truncation::Rejection)
        .fill(&mut buffer, &[4], &mut Native::new(0).tensor("w"))
        .unwrap_err();
    assert!(error.to_string().contains("method=rejection"), "{error}");
    #[cfg(feature = "rand_core")]
    {
        let mut generator = Torch::new(0);
        let mut stream = fanin::FromRng::new(&mut generator);
        let error =
            init::normal(0.0, 1.0).fill_region(&mut buffer, &[8], &[4], &[4], &mut stream).unwrap_err();
        assert!(matches!(error, Error::NoRandomAccess { .. }));
        init::normal(0.0, 1.0).fill_region(&mut buffer, &[4], &[0], &[4], &mut stream).unwrap();
    }
}

#[test]
fn values_beyond_the_type_give_a_warning_for_every_normal_scheme() {
    for (spec, dtype, expected) in [
        ("normal(std=20000)", DType::F16, true),
        ("normal(std=10000)", DType::F16, false),
        ("trunc_normal(std=200, a=-1000, b=1000)", DType::F8E4M3, true),
        ("trunc_normal(std=200, a=-1000, b=2)", DType::F8E4M3, true),
        ("trunc_normal(std=200, a=-400, b=400)", DType::F8E4M3, false),
        ("trunc_normal(std=20, a=-inf, b=inf)", DType::F8E4M3, false),
        ("sparse(sparsity=0.5, std=20000)", DType::F16, true),
    ] {
        let plan = spec.parse::<Init>().unwrap().resolve(&[8, 8], dtype).unwrap();
        let warned = plan.warnings().iter().any(|one| matches!(one, fanin::Warning::Overflow { .. }));
        assert_eq!(warned, expected, "{spec}");
    }
    for spec in ["normal(mean=1e-9, std=0)", "uniform(1e-9, 1e-9)"] {
        let plan = spec.parse::<Init>().unwrap().resolve(&[8], DType::F16).unwrap();
        assert!(plan.warnings()[0].to_string().contains("becomes 0"), "{spec}");
    }
}

#[test]
fn a_std_below_the_spacing_of_the_type_gives_a_warning() {
    let warned = |init: &dyn Initializer, dtype: DType| {
        let plan = init.resolve(&[8], dtype).unwrap();
        plan.warnings().iter().any(|warning| matches!(warning, fanin::Warning::Collapse { .. }))
    };
    assert!(warned(&init::normal(0.0, 1e-46), DType::F32));
    assert!(warned(&init::normal(1.0, 1e-8), DType::F32) && !warned(&init::normal(1.0, 1e-8), DType::F64));
    assert!(warned(&init::uniform(1.0, 1.0001), DType::F16));
    assert!(!warned(&init::normal(0.0, 0.0), DType::F32) && !warned(&init::normal(0.0, 1e-6), DType::F16));
    assert!(
        !warned(&init::uniform(0.5, 0.5), DType::BF16) && !warned(&init::uniform(-1e-3, 1e-3), DType::BF16)
    );
}

#[test]
fn shapes_that_do_not_fit_the_buffer_are_errors() {
    let huge = [usize::MAX, 2];
    assert!(matches!(init::zeros().resolve(&huge, DType::F32), Err(Error::ShapeOverflow { .. })));
    assert!(matches!(
        init::zeros().resolve(&[1 << 40, 1 << 40, 0], DType::F32),
        Err(Error::ShapeOverflow { .. })
    ));
    assert!(matches!(
        init::xavier_normal().resolve(&[usize::MAX, 2, 2], DType::F32),
        Err(Error::ShapeOverflow { .. })
    ));
    let mut buffer = [1f32; 5];
    let error = init::zeros().fill(&mut buffer, &[2, 3], &mut Torch::new(0)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the buffer has 5 values, but the shape [2, 3] has 6: the two numbers must be equal"
    );
    assert_eq!(buffer, [1.0; 5]);
    let plan = init::zeros().resolve(&[2, 3], DType::F32).unwrap();
    let tensor = TensorMut::contiguous(&mut buffer, &[5]).unwrap();
    assert!(fanin::Stream::fill(&mut Torch::new(0), &plan, tensor).is_err());
}

#[test]
fn the_moments_of_empty_tensors_are_numbers() {
    for spec in [
        "arange",
        "log(arange(1, 1))",
        "eye",
        "idinit",
        "zero_hadamard",
        "blocks(normal, zeros)",
        "stacked(normal)",
        "constant(2)",
        "uniform",
    ] {
        for shape in [[0, 4], [4, 0], [0, 0]] {
            let Ok(plan) = common::spec(spec).resolve(&shape, DType::F32) else { continue };
            assert!(!plan.mean().is_nan() && !plan.std().is_nan(), "{spec} {shape:?}");
        }
    }
    let plan = common::spec("arange").resolve(&[0], DType::F32).unwrap();
    assert_eq!((plan.mean(), plan.std()), (0.0, 0.0));
}

#[test]
fn empty_tensors_can_be_filled() {
    for spec in [
        "normal",
        "uniform",
        "trunc_normal",
        "orthogonal",
        "sparse(0.5)",
        "eye",
        "xavier_normal",
        "kaiming_normal",
    ] {
        for shape in [[0, 4], [4, 0], [0, 0]] {
            for stream in [&mut Torch::new(0) as &mut dyn fanin::Stream, &mut Native::new(0).tensor("w")] {
                let plan = common::spec(spec)
                    .fill_tensor(TensorMut::contiguous(&mut [0f32; 0], &shape).unwrap(), stream);
                let warned = !plan.unwrap().warnings().is_empty();
                assert_eq!(warned, ["xavier_normal", "kaiming_normal"].contains(&spec), "{spec} {shape:?}");
            }
        }
    }
}

#[test]
fn warnings_are_part_of_the_plan() {
    let warnings = |spec: &str| {
        let plan = plan(spec, &[4, 4], DType::F32).unwrap();
        plan.warnings().iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    };
    // A spec gives this warning only with torch's old algorithm (`method=inverse_cdf`), because this algorithm loses
    // precision far from the mean.
    let far = "mean is more than 2 std from [a, b] in nn.init.trunc_normal_.";
    assert!(warnings("trunc_normal(mean=5, method=inverse_cdf)").starts_with(far));
    assert_eq!(warnings("trunc_normal(mean=4, method=inverse_cdf)"), "");
    assert_eq!(warnings("trunc_normal(mean=5)"), "");
    assert_eq!(warnings("trunc_normal(mean=5, method=rejection)"), "");
    let mut x = [0f32; 3];
    let tensor = TensorMut::contiguous(&mut x, &[3]).unwrap();
    let plan = fanin::torch::trunc_normal_(tensor, 5.0, 1.0, -2.0, 2.0, &mut Torch::new(0)).unwrap();
    assert!(plan.warnings()[0].to_string().starts_with(far), "torch gives this warning too");
    assert!(warnings("kaiming_normal(a=0.2, nonlinearity=relu)").contains("a = 0.2"));
    assert_eq!(warnings("kaiming_normal(a=0, nonlinearity=relu)"), "");
}

#[test]
fn values_that_become_0_in_the_element_type_give_a_warning() {
    let warnings = |spec: &str, dtype| {
        let plan = plan(spec, &[4, 4], dtype).unwrap();
        plan.warnings().iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    };
    assert!(
        warnings("constant(1e-9)", DType::F16).contains("0.000000001 is too small for f16 and becomes 0")
    );
    for (spec, dtype) in [
        ("constant(-1e-9)", DType::F16),
        ("constant(1e-50)", DType::F32),
        ("orthogonal(gain=1e-9)", DType::F16),
        ("zero_hadamard", DType::F16),
        ("idinit(1e-9)", DType::F16),
        ("trunc_normal(std=1e-9)", DType::F16),
        ("sparse(0.5, std=1e-9)", DType::F16),
        ("normal(std=1e-9)", DType::F16),
    ] {
        let expected = spec != "zero_hadamard";
        assert_eq!(!warnings(spec, dtype).is_empty(), expected, "{spec} {dtype}");
    }
    for spec in
        ["constant(0)", "constant(-0.0)", "constant(1e-7)", "zeros", "orthogonal", "trunc_normal(std=0.02)"]
    {
        assert_eq!(warnings(spec, DType::F16), "", "{spec}");
    }
}
