//! Tests of the adapter. The values of the adapter must be equal to those of torch's modules, of the crate fanin and of
//! the command line.

use burn_core as burn;
use burn_core::module::{Module, Param};
use burn_core::tensor::{DType, Device, Int, Tensor, TensorData};
use burn_nn::conv::{Conv1d, Conv1dConfig};
use burn_nn::{Embedding, EmbeddingConfig, LayerNorm, LayerNormConfig, Linear, LinearConfig, LinearLayout};
use burn_optim::{GradientsParams, SgdConfig};
use fanin::half::{bf16, f16};
use fanin::{Native, init};
use fanin_burn::{Axes, Recipe, RecipeInit, SeedSource, init_module, param, tensor, tensors};

/// A module with the same layers as fanin-candle/tests/golden/modules.py, in the same order.
#[derive(Module, Debug)]
struct Net {
    embed: Embedding,
    norm: LayerNorm,
    conv: Conv1d,
    fc1: Linear,
    fc2: Linear,
    head: Linear,
}

impl Net {
    fn new(device: &Device) -> Self {
        Self {
            embed: EmbeddingConfig::new(40, 32).init(device),
            norm: LayerNormConfig::new(32).init(device),
            conv: Conv1dConfig::new(32, 16, 3).init(device),
            fc1: LinearConfig::new(16, 64).init(device),
            fc2: LinearConfig::new(64, 10).with_bias(false).init(device),
            head: LinearConfig::new(10, 3).with_layout(LinearLayout::Col).init(device),
        }
    }
}

const NET: &str = r#"
[vars]
conv_in = 96
fc1_in = 16
head_in = 10
[init]
"embed.weight" = "normal(std=1)"
"norm.gamma"   = "ones"
"norm.beta"    = "zeros"
"conv.bias"    = "uniform(a=-1/sqrt(conv_in), b=1/sqrt(conv_in))"
"fc1.bias"     = "uniform(a=-1/sqrt(fc1_in), b=1/sqrt(fc1_in))"
"head.bias"    = "uniform(a=-1/sqrt(head_in), b=1/sqrt(head_in))"
"*.weight"     = "kaiming_uniform(a=sqrt(5))"
"#;

fn recipe(text: &str) -> RecipeInit {
    RecipeInit::new(Recipe::parse(text, "recipe.toml".as_ref()).unwrap())
}

fn bits(data: &TensorData) -> Vec<u32> {
    data.as_slice::<f32>().unwrap().iter().map(|x| x.to_bits()).collect()
}

#[test]
fn modules_have_the_values_of_torch_after_torch_manual_seed() {
    let net = recipe(NET).module(Net::new(&Device::flex()), &mut SeedSource::torch(0)).unwrap();
    let golden = include_str!("../../fanin-candle/tests/golden/modules.tsv");
    let golden: Vec<&str> = golden.lines().filter(|line| !line.starts_with('#')).collect();
    let found = tensors(&net, Axes::Torch);
    assert_eq!(found.len(), golden.len());
    for ((name, data), line) in found.iter().zip(golden) {
        let [torch_name, shape, first, total] = line.split('\t').collect::<Vec<_>>().try_into().unwrap();
        assert_eq!(*name, torch_name.replace("norm.weight", "norm.gamma").replace("norm.bias", "norm.beta"));
        let dims: Vec<String> = data.shape().as_slice().iter().map(usize::to_string).collect();
        assert_eq!(dims.join("x"), shape, "{name}");
        let found = bits(data);
        let start: Vec<_> = found[..4.min(found.len())].iter().map(|bits| format!("{bits:08x}")).collect();
        assert_eq!(start.join(" "), first, "{name}");
        let sum = found
            .iter()
            .zip(1u64..)
            .fold(0u64, |sum, (&bits, factor)| sum.wrapping_add(u64::from(bits).wrapping_mul(factor)));
        assert_eq!(format!("{sum:016x}"), total, "{name}");
    }
}

#[test]
fn a_linear_layer_has_the_fans_of_torch_and_values_that_depend_on_its_name() {
    let net = recipe(NET).module(Net::new(&Device::flex()), &mut SeedSource::native(7)).unwrap();
    // The layer has 16 inputs and 64 outputs. Burn stores the weight as [in, out].
    let weight = net.fc1.weight.val();
    assert_eq!(weight.dims(), [16, 64]);
    let mut expected = vec![0f32; 64 * 16];
    let spec = init::Init::parse("kaiming_uniform(a=sqrt(5))").unwrap();
    fanin::Initializer::fill(&spec, &mut expected, &[64, 16], &mut Native::new(7).tensor("fc1.weight"))
        .unwrap();
    let found = weight.into_data();
    let found = found.as_slice::<f32>().unwrap();
    for (row, column) in [(0, 0), (3, 5), (63, 15), (17, 2)] {
        assert_eq!(found[column * 64 + row].to_bits(), expected[row * 16 + column].to_bits());
    }
    // The bound is 1/sqrt(fan_in) = 1/sqrt(16) = 1/4. With swapped fans, the bound would be 1/sqrt(64) = 1/8.
    let max = found.iter().fold(0f32, |max, x| max.max(x.abs()));
    assert!(max <= 0.25 && max > 0.24, "{max}");
    // With `Axes::Burn`, the weight is not transposed.
    let burn_net =
        NET.replace("\"*.weight\" ", "\"{fc1,fc2,head}.weight\" = \"xavier_uniform\"\n\"*.weight\" ");
    let init_net = recipe(&burn_net).axes(Axes::Burn);
    let net = init_net.module(Net::new(&Device::flex()), &mut SeedSource::native(7)).unwrap();
    init::xavier_uniform().fill(&mut expected, &[16, 64], &mut Native::new(7).tensor("fc1.weight")).unwrap();
    assert_eq!(net.fc1.weight.val().into_data().as_slice::<f32>().unwrap(), expected);
}

#[test]
fn ids_devices_and_require_grad_do_not_change() {
    for device in [Device::flex(), Device::flex().autodiff()] {
        let mut before = Net::new(&device);
        before.fc1 = before.fc1.set_require_grad(false);
        let after = recipe(NET).module(before.clone(), &mut SeedSource::native(7)).unwrap();
        assert_eq!(after.fc1.weight.id, before.fc1.weight.id);
        assert_eq!(after.head.weight.id, before.head.weight.id);
        assert_eq!(after.embed.weight.id, before.embed.weight.id);
        assert!(!after.fc1.weight.val().is_require_grad());
        assert_eq!(after.fc2.weight.val().is_require_grad(), device.is_autodiff());
        assert_eq!(after.fc2.weight.val().device(), before.fc2.weight.val().device());
        assert!(after.head.weight.clone().set_require_grad(true).val().dims() == [10, 3]);
    }
}

#[test]
fn the_values_of_every_dtype_are_those_of_the_crate_fanin() {
    let (scheme, device) = (init::trunc_normal(0.0, 0.5), Device::flex());
    macro_rules! check {
        ($type:ty, $dtype:ident) => {
            let mut expected = vec![<$type as Default>::default(); 165];
            scheme.fill(&mut expected, &[33, 5], &mut Native::new(3).tensor("w")).unwrap();
            let mut stream = Native::new(3).tensor("w");
            let drawn = tensor(&scheme, [33, 5], DType::$dtype, &device, &mut stream).unwrap();
            assert_eq!(drawn.dtype(), DType::$dtype);
            assert_eq!(drawn.into_data().as_slice::<$type>().unwrap(), expected);
        };
    }
    check!(f32, F32);
    check!(f64, F64);
    check!(f16, F16);
    check!(bf16, BF16);
    let autodiff = device.autodiff();
    let weight = param(&scheme, [33, 5], DType::F32, &autodiff, &mut Native::new(3).tensor("w")).unwrap();
    assert!(weight.val().is_require_grad());
}

#[derive(Module, Debug)]
struct Counted {
    steps: Param<Tensor<1, Int>>,
    inner: Vec<Linear>,
    other: Option<Linear>,
}

#[test]
fn integer_tensors_and_parameters_in_containers_are_initialized_by_name() {
    let device = Device::flex();
    let module = Counted {
        steps: Param::initialized(burn_core::module::ParamId::new(), Tensor::from_data([1, 2, 3], &device)),
        inner: vec![LinearConfig::new(2, 3).init(&device), LinearConfig::new(3, 2).init(&device)],
        other: Some(LinearConfig::new(2, 2).with_bias(false).init(&device)),
    };
    let init_steps = recipe("[init]\nsteps = \"constant(7)\"\n\"*\" = \"constant(0.5)\"");
    let names: Vec<String> =
        init_steps.plan(&module).unwrap().into_iter().map(|planned| planned.entry.name).collect();
    let expected =
        ["steps", "inner.0.weight", "inner.0.bias", "inner.1.weight", "inner.1.bias", "other.weight"];
    assert_eq!(names, expected);
    let module = init_steps.module(module, &mut SeedSource::native(0)).unwrap();
    assert_eq!(module.steps.val().into_data().convert::<i64>().as_slice::<i64>().unwrap(), [7, 7, 7]);
    // A parameter does not change if the closure returns `None` for the parameter.
    let module = init_module(module, Axes::Torch, &mut SeedSource::native(0), |request| {
        Ok((request.container == "Struct:Linear" && request.name.ends_with("bias"))
            .then(|| init::Init::parse("zeros").unwrap()))
    })
    .unwrap();
    let data = |tensor: Tensor<1>| tensor.into_data().convert::<f32>().as_slice::<f32>().unwrap().to_vec();
    assert_eq!(data(module.inner[0].bias.as_ref().unwrap().val()), [0.0; 3]);
    assert_eq!(data(module.inner[0].weight.val().flatten::<1>(0, 1)), [0.5; 6]);
}

#[test]
fn errors_are_returned_before_the_first_value_is_drawn() {
    let error = |text: &str| {
        let net = Net::new(&Device::flex());
        recipe(text).module(net, &mut SeedSource::native(0)).map(drop).unwrap_err().to_string()
    };
    for (text, needles) in [
        ("[init]\n\"*.bias\" = \"zeros\"", &["no rule matches", "fc1.weight", "norm.gamma"][..]),
        ("[init]\n\"*\" = \"zeros\"\n\"x\" = \"ones\"", &["unused rule \"x\""]),
        ("[init]\n\"*\" = \"eye\"", &["eye"]),
        ("[init]\n\"*\" = \"trunc_normal(method=rejection)\"", &["embed.weight", "rejection"]),
    ] {
        let error = error(text);
        for needle in needles {
            assert!(error.contains(needle), "{needle}: {error}");
        }
    }
}

#[derive(Module, Debug)]
struct Mlp {
    a: Linear,
    b: Linear,
}

impl Mlp {
    fn loss(&self, x: &Tensor<2>) -> Tensor<1> {
        let y = x.clone().powf_scalar(2.0).sum_dim(1);
        let hidden = burn_core::tensor::activation::relu(self.a.forward(x.clone()));
        (self.b.forward(hidden) - y).powf_scalar(2.0).mean()
    }
}

#[test]
fn a_module_can_be_trained_with_autodiff() {
    let device = Device::flex().autodiff();
    let mlp = Mlp { a: LinearConfig::new(2, 16).init(&device), b: LinearConfig::new(16, 1).init(&device) };
    let init_mlp = recipe("[init]\n\"*.bias\" = \"zeros\"\n\"*\" = \"kaiming_normal(nonlinearity=relu)\"");
    let mut mlp = init_mlp.module(mlp, &mut SeedSource::native(0)).unwrap();
    let mut points = Native::new(0).tensor("x");
    let x = tensor(&init::uniform(-1.0, 1.0), [64, 2], DType::F32, &device, &mut points).unwrap();
    let value = |mlp: &Mlp| mlp.loss(&x).into_data().as_slice::<f32>().unwrap()[0];
    let before = value(&mlp);
    let mut sgd = SgdConfig::new().init();
    for _ in 0..20 {
        let grads = GradientsParams::from_grads(mlp.loss(&x).backward(), &mlp);
        mlp = sgd.step(0.05, mlp, grads);
    }
    let after = value(&mlp);
    assert!(after < before / 2.0, "{before} to {after}");
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
fn the_command_line_verifies_and_reproduces_a_saved_module() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("net.toml"), NET).unwrap();
    let net = recipe(NET).module(Net::new(&Device::flex()), &mut SeedSource::native(11)).unwrap();
    let tensors = tensors(&net, Axes::Torch);
    let views = tensors.iter().map(|(name, data)| {
        let shape = data.shape().as_slice().to_vec();
        (name, safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape, data.as_bytes()).unwrap())
    });
    safetensors::serialize_to_file(views, None, &path("net.safetensors")).unwrap();
    let verify = |seed: &str| {
        command_line(&["verify", "net.safetensors", "--recipe", "net.toml", "--seed", seed], folder.path())
    };
    assert!(verify("11"));
    assert!(!verify("12"), "the values of another seed are different");
    // For the names and shapes of net.safetensors, `fanin init` writes the same tensor data as the adapter.
    let init = ["init", "net.toml", "--like", "net.safetensors", "--seed", "11", "-o", "same.safetensors"];
    assert!(command_line(&init, folder.path()));
    let data = |name: &str| {
        let bytes = std::fs::read(path(name)).unwrap();
        let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        bytes[8 + header..].to_vec()
    };
    assert_eq!(data("net.safetensors"), data("same.safetensors"));
}
