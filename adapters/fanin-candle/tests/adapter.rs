//! Tests of the adapter. The values of the adapter must be equal to those of torch's modules, of the crate fanin and of
//! the command line.

use candle_core::{DType, Device, Result, Tensor, Var};
use candle_nn::{Module as _, Optimizer as _, VarBuilder, VarMap};
use fanin::half::{bf16, f16};
use fanin::{Native, Torch, init};
use fanin_candle::{Layers, Recipe, RecipeInit, SeedSource, fill, tensor, var};

const CPU: Device = Device::Cpu;

fn recipe(text: &str) -> RecipeInit {
    RecipeInit::new(Recipe::parse(text, "recipe.toml".as_ref()).unwrap())
}

/// Builds the layers of tests/golden/modules.py, in the same order.
fn net(vb: VarBuilder) -> Result<candle_nn::Linear> {
    candle_nn::embedding(40, 32, vb.pp("embed"))?;
    candle_nn::layer_norm(32, 1e-5, vb.pp("norm"))?;
    candle_nn::conv1d(32, 16, 3, Default::default(), vb.pp("conv"))?;
    candle_nn::linear(16, 64, vb.pp("fc1"))?;
    candle_nn::linear_no_bias(64, 10, vb.pp("fc2"))?;
    candle_nn::linear(10, 3, vb.pp("head"))
}

const NET: &str = r#"
[vars]
conv_in = 96
fc1_in = 16
head_in = 10
[init]
"embed.weight" = "normal(std=1)"
"norm.weight"  = "ones"
"norm.bias"    = "zeros"
"conv.bias"    = "uniform(a=-1/sqrt(conv_in), b=1/sqrt(conv_in))"
"fc1.bias"     = "uniform(a=-1/sqrt(fc1_in), b=1/sqrt(fc1_in))"
"head.bias"    = "uniform(a=-1/sqrt(head_in), b=1/sqrt(head_in))"
"*.weight"     = "kaiming_uniform(a=sqrt(5))"
"#;

fn bits(tensor: &Tensor) -> Vec<u32> {
    tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap().into_iter().map(f32::to_bits).collect()
}

fn values(vars: &VarMap, name: &str) -> Vec<u32> {
    bits(vars.data().lock().unwrap()[name].as_tensor())
}

const MODULES: &str = include_str!("golden/modules.tsv");

/// Asserts that the variables match a golden file of torch's values. Compares the shape, the first four values and a
/// checksum of each parameter.
fn assert_golden(vars: &VarMap, golden: &str) {
    let mut count = 0;
    for line in golden.lines().filter(|line| !line.starts_with('#')) {
        let [name, shape, first, total] = line.split('\t').collect::<Vec<_>>().try_into().unwrap();
        let found = values(vars, name);
        let dims = vars.data().lock().unwrap()[name].dims().iter().map(usize::to_string).collect::<Vec<_>>();
        assert_eq!(dims.join("x"), shape, "{name}");
        let start: Vec<_> = found[..4.min(found.len())].iter().map(|bits| format!("{bits:08x}")).collect();
        assert_eq!(start.join(" "), first, "{name}");
        let sum = found
            .iter()
            .zip(1u64..)
            .fold(0u64, |sum, (&bits, factor)| sum.wrapping_add(u64::from(bits).wrapping_mul(factor)));
        assert_eq!(format!("{sum:016x}"), total, "{name}");
        count += 1;
    }
    assert_eq!(count, vars.all_vars().len());
}

#[test]
fn layers_have_the_values_of_torch_after_torch_manual_seed() -> Result<()> {
    let layers = Layers::torch_defaults(SeedSource::torch(0));
    net(layers.var_builder(DType::F32, &CPU))?;
    assert_golden(layers.var_map(), MODULES);
    // `RecipeInit::build` builds the model twice, but its values are still the golden values.
    let mut seed_source = SeedSource::torch(0);
    let (_, vars) = recipe(NET).build(DType::F32, &CPU, &mut seed_source, net)?;
    assert_golden(&vars, MODULES);
    let by_layers = layers.seed_source();
    let states = [&by_layers, &seed_source].map(|source| source.generator().unwrap().state());
    assert_eq!(states[0], states[1], "both seed sources drew the same number of words");
    Ok(())
}

#[test]
fn a_model_of_candle_transformers_has_the_values_of_torch() -> Result<()> {
    let config = || candle_transformers::models::bigcode::Config {
        vocab_size: 256,
        max_position_embeddings: 8,
        num_hidden_layers: 2,
        hidden_size: 32,
        layer_norm_epsilon: 1e-5,
        n_inner: None,
        num_attention_heads: 4,
        multi_query: true,
        use_cache: false,
    };
    let load = |vb| candle_transformers::models::bigcode::GPTBigCode::load(vb, config());
    let (_, vars) = RecipeInit::built_in("gpt2")?.build(DType::F32, &CPU, &mut SeedSource::torch(0), load)?;
    assert_golden(&vars, include_str!("golden/gpt.tsv"));
    Ok(())
}

#[test]
fn on_the_native_stream_the_values_of_a_parameter_depend_only_on_its_name_and_the_seed() -> Result<()> {
    let init_net = recipe(NET);
    let (head, vars) = init_net.build(DType::F32, &CPU, &mut SeedSource::native(7), net)?;
    let mut expected = vec![0f32; 30];
    fanin::Initializer::fill(
        &init::Init::parse("kaiming_uniform(a=sqrt(5))").unwrap(),
        &mut expected,
        &[3, 10],
        &mut Native::new(7).tensor("head.weight"),
    )
    .unwrap();
    assert_eq!(head.weight().flatten_all()?.to_vec1::<f32>()?, expected);
    // If layers are built in another order, their values do not change. `RecipeInit::fill` gives existing variables the
    // same values too.
    let layers = Layers::new(SeedSource::native(7), |request| match request.name.ends_with("bias") {
        true => fanin_candle::candle_default(request),
        false => init::Init::parse("kaiming_uniform(a=sqrt(5))").map_err(candle_core::Error::wrap),
    });
    let vb = layers.var_builder(DType::F32, &CPU);
    let again = candle_nn::linear(10, 3, vb.pp("head"))?;
    assert_eq!(bits(again.weight()), bits(head.weight()));
    candle_nn::linear(16, 64, vb.pp("fc1"))?;
    assert_eq!(values(layers.var_map(), "fc1.weight"), values(&vars, "fc1.weight"));
    let other = VarMap::new();
    net(VarBuilder::from_varmap(&other, DType::F32, &CPU))?;
    let shared = other.data().lock().unwrap()["fc1.bias"].as_tensor().clone();
    let planned = init_net.fill(&other, &mut SeedSource::native(7))?;
    assert_eq!(planned.len(), 10);
    for planned in &planned {
        assert_eq!(values(&other, &planned.entry.name), values(&vars, &planned.entry.name));
    }
    assert_eq!(bits(&shared), values(&vars, "fc1.bias"), "tensors that share the memory change too");
    // On the torch stream, `fill_in_order` gives the values of torch if the names are in torch's order.
    let order = MODULES.lines().skip(1).map(|line| line.split('\t').next().unwrap());
    init_net.fill_in_order(&other, order, &mut SeedSource::torch(0))?;
    assert_golden(&other, MODULES);
    Ok(())
}

#[test]
fn the_values_of_every_dtype_are_those_of_the_crate_fanin() -> Result<()> {
    let scheme = init::trunc_normal(0.0, 0.5);
    let (shape, stream) = ([33, 5], || Native::new(3).tensor("w"));
    macro_rules! check {
        ($type:ty, $dtype:ident) => {
            let mut expected = vec![<$type as Default>::default(); 165];
            scheme.fill(&mut expected, &shape, &mut stream()).unwrap();
            let drawn = tensor(&scheme, &shape, DType::$dtype, &CPU, &mut stream())?;
            assert_eq!(drawn.dims(), shape);
            assert_eq!(drawn.flatten_all()?.to_vec1::<$type>()?, expected);
            let variable = var(&scheme, &shape, DType::$dtype, &CPU, &mut stream())?;
            assert!(variable.is_variable());
            assert_eq!(variable.flatten_all()?.to_vec1::<$type>()?, expected);
            let zeros = Var::zeros(&shape, DType::$dtype, &CPU)?;
            fill(&zeros, &scheme, &mut stream())?;
            assert_eq!(zeros.flatten_all()?.to_vec1::<$type>()?, expected);
        };
    }
    check!(f32, F32);
    check!(f64, F64);
    check!(f16, F16);
    check!(bf16, BF16);
    let scalar = tensor(&init::constant(2.5), (), DType::BF16, &CPU, &mut Torch::new(0))?;
    assert_eq!(scalar.to_scalar::<bf16>()?.to_f32(), 2.5);
    assert_eq!(tensor(&init::zeros(), (0, 3), DType::F32, &CPU, &mut Torch::new(0))?.elem_count(), 0);
    Ok(())
}

#[test]
fn candle_defaults_have_the_standard_deviation_of_candles_layers() -> Result<()> {
    let layers = Layers::candle_defaults(SeedSource::native(1));
    let vb = layers.var_builder(DType::F32, &CPU);
    candle_nn::linear(300, 400, vb.pp("fc"))?;
    candle_nn::lstm(8, 16, Default::default(), vb.pp("rnn"))?;
    let values = layers.var_map().data().lock().unwrap()["fc.weight"].flatten_all()?.to_vec1::<f32>()?;
    let std =
        (values.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>() / values.len() as f64).sqrt();
    // The weights of candle's Linear have std = sqrt(2 / 300), because fan_in is 300. If an std is estimated from n
    // values, its standard error is `std / sqrt(2 * n)`.
    let expected = (2f64 / 300.0).sqrt();
    assert!((std / expected - 1.0).abs() < 5.0 / (2.0 * values.len() as f64).sqrt(), "{std}");
    let once = layers.var_map().all_vars().len();
    candle_nn::linear(300, 400, vb.pp("fc"))?;
    assert_eq!(layers.var_map().all_vars().len(), once, "a layer that is built twice has the same variables");
    Ok(())
}

#[test]
fn fill_initializes_integer_and_tied_variables_and_keeps_skipped_variables() -> Result<()> {
    let vars = VarMap::new();
    for (name, dtype) in [("steps", DType::I64), ("positions", DType::U32), ("mask", DType::F32)] {
        vars.data().lock().unwrap().insert(name.to_owned(), Var::zeros((2, 3), dtype, &CPU)?);
    }
    for name in ["embed.weight", "head.weight"] {
        vars.data().lock().unwrap().insert(name.to_owned(), Var::zeros((8, 4), DType::F32, &CPU)?);
    }
    let text = r#"
[init]
"steps"    = "constant(2^53)"
"positions" = "arange"
"mask"     = "skip"
"*.weight" = "normal"
[tie]
"embed.weight" = "head.weight"
"#;
    recipe(text).fill(&vars, &mut SeedSource::native(0))?;
    let flat = |name: &str| vars.data().lock().unwrap()[name].flatten_all();
    assert_eq!(flat("steps")?.to_vec1::<i64>()?, [1i64 << 53; 6]);
    assert_eq!(flat("positions")?.to_vec1::<u32>()?, [0, 1, 2, 0, 1, 2]);
    assert_eq!(flat("mask")?.to_vec1::<f32>()?, [0.0; 6]);
    assert_eq!(values(&vars, "embed.weight"), values(&vars, "head.weight"));
    let alone =
        tensor(&init::normal(0.0, 1.0), (8, 4), DType::F32, &CPU, &mut Native::new(0).tensor("head.weight"))?;
    assert_eq!(values(&vars, "head.weight"), bits(&alone));
    // Writing to one of the tied variables does not change the other.
    vars.data().lock().unwrap()["embed.weight"].set(&Tensor::zeros((8, 4), DType::F32, &CPU)?)?;
    assert_eq!(values(&vars, "head.weight"), bits(&alone));
    Ok(())
}

#[test]
fn errors_are_returned_before_the_first_value_is_drawn() {
    let build = |text: &str, mut seed_source: SeedSource| {
        recipe(text).build(DType::F32, &CPU, &mut seed_source, net).map(drop).unwrap_err().to_string()
    };
    for (error, needles) in [
        (
            build("[init]\n\"*.bias\" = \"zeros\"", SeedSource::native(0)),
            &["no rule matches", "fc1.weight"][..],
        ),
        (build("[init]\n\"*\" = \"zeros\"\n\"x\" = \"ones\"", SeedSource::native(0)), &["unused rule \"x\""]),
        (build("[init]\n\"*\" = \"eye\"", SeedSource::native(0)), &["eye"]),
        (
            build("[init]\n\"*\" = \"trunc_normal(method=rejection)\"", SeedSource::native(0)),
            &["embed.weight", "rejection"],
        ),
    ] {
        for needle in needles {
            assert!(error.contains(needle), "{needle}: {error}");
        }
    }
    let with_depth = recipe("[init]\n\"*\" = \"zeros\"").set("depth", 3.0);
    let error = with_depth.build(DType::F32, &CPU, &mut SeedSource::native(0), net).map(drop).unwrap_err();
    assert!(error.to_string().contains("depth"), "{error}");

    let vars = VarMap::new();
    net(VarBuilder::from_varmap(&vars, DType::F32, &CPU)).unwrap();
    let before = values(&vars, "fc1.weight");
    let zeros = recipe("[init]\n\"*\" = \"zeros\"");
    let error = zeros.fill(&vars, &mut SeedSource::torch(0)).unwrap_err().to_string();
    assert!(error.contains("fill_in_order"), "{error}");
    let error =
        zeros.fill_in_order(&vars, ["fc1.weight"], &mut SeedSource::torch(0)).unwrap_err().to_string();
    assert!(error.contains("leave out conv.bias"), "{error}");
    let twice = ["fc1.weight", "fc1.weight"];
    let error = zeros.fill_in_order(&vars, twice, &mut SeedSource::torch(0)).unwrap_err().to_string();
    assert!(error.contains("occurs twice"), "{error}");
    assert_eq!(values(&vars, "fc1.weight"), before, "nothing was written");

    let layers = Layers::torch_defaults(SeedSource::torch(0));
    let vb = layers.var_builder(DType::F32, &CPU);
    let error = candle_nn::lstm(8, 16, Default::default(), vb.pp("rnn")).map(drop).unwrap_err().to_string();
    assert!(error.contains("rnn.weight_ih_l0") && error.contains("hidden size"), "{error}");
    candle_nn::linear(4, 8, vb.pp("fc")).unwrap();
    let error = candle_nn::linear(4, 9, vb.pp("fc")).map(drop).unwrap_err().to_string();
    assert!(error.contains("fc.weight is requested as"), "{error}");
    let error = tensor(&init::zeros(), 2, DType::U8, &CPU, &mut Torch::new(0)).unwrap_err().to_string();
    assert!(error.contains("U8"), "{error}");
}

#[test]
fn variables_have_gradients_and_can_be_trained() -> Result<()> {
    let init_model = recipe("[init]\n\"*.bias\" = \"zeros\"\n\"*\" = \"kaiming_normal(nonlinearity=relu)\"");
    let (model, vars) = init_model.build(DType::F32, &CPU, &mut SeedSource::native(0), |vb| {
        Ok((candle_nn::linear(2, 16, vb.pp("a"))?, candle_nn::linear(16, 1, vb.pp("b"))?))
    })?;
    let x = tensor(&init::uniform(-1.0, 1.0), (64, 2), DType::F32, &CPU, &mut Native::new(0).tensor("x"))?;
    let y = x.sqr()?.sum_keepdim(1)?;
    let loss = || model.1.forward(&model.0.forward(&x)?.relu()?)?.sub(&y)?.sqr()?.mean_all();
    let before = loss()?.to_scalar::<f32>()?;
    let mut sgd = candle_nn::SGD::new(vars.all_vars(), 0.05)?;
    for _ in 0..20 {
        sgd.backward_step(&loss()?)?;
    }
    let after = loss()?.to_scalar::<f32>()?;
    assert!(after < before / 2.0, "{before} to {after}");
    Ok(())
}

/// Runs the command `fanin` and returns true if its exit status is 0. `cargo xtask test --adapters` sets the
/// environment variable FANIN to the path of the binary.
fn command_line(arguments: &[&str], folder: &std::path::Path) -> bool {
    let built = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/debug/fanin");
    let binary = std::env::var("FANIN").unwrap_or_else(|_| built.to_owned());
    let run = std::process::Command::new(&binary).args(arguments).current_dir(folder).output();
    let output = run.unwrap_or_else(|error| {
        panic!("{binary}: {error}: build it with `cargo build`, or set FANIN to the binary")
    });
    print!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    output.status.success()
}

#[test]
fn the_command_line_verifies_and_reproduces_a_saved_model() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("net.toml"), NET)?;
    for dtype in [DType::F32, DType::BF16] {
        let (_, vars) = recipe(NET).build(dtype, &CPU, &mut SeedSource::native(11), net)?;
        vars.save(path("net.safetensors"))?;
        let verify = |seed: &str| {
            command_line(
                &["verify", "net.safetensors", "--recipe", "net.toml", "--seed", seed],
                folder.path(),
            )
        };
        assert!(verify("11"));
        assert!(!verify("12"), "the values of another seed are different");
        // For the names and shapes of net.safetensors, `fanin init` writes the same tensor data as the adapter.
        let init = [
            "init",
            "net.toml",
            "--like",
            "net.safetensors",
            "--seed",
            "11",
            "--force",
            "-o",
            "same.safetensors",
        ];
        assert!(command_line(&init, folder.path()));
        let data = |name: &str| -> Result<Vec<u8>> {
            let bytes = std::fs::read(path(name))?;
            let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
            Ok(bytes[8 + header..].to_vec())
        };
        assert_eq!(data("net.safetensors")?, data("same.safetensors")?);
    }
    Ok(())
}
