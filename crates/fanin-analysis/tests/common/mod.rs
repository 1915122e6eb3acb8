//! Checkpoints for tests of `verify` and `audit`. Tensors are drawn from specs, changed, and written to a temporary
//! file.

#![allow(dead_code, reason = "each test file uses its part")]

use std::path::Path;

use fanin::half::{bf16, f16};
use fanin::init::Init;
use fanin::{DType, Element, F8E4M3, F8E5M2, Initializer, Native, Stream, Torch};
use fanin_analysis::audit::Audit;
use fanin_analysis::verify::{Request, Verification};
use fanin_checkpoint::{Checkpoint, StreamKind, ValueBuffer, decode};
use fanin_recipe::{Recipe, StoredType};

/// A tensor of a checkpoint.
#[derive(Debug, Clone)]
pub struct Tensor {
    pub name: String,
    pub dtype: DType,
    pub shape: Vec<usize>,
    pub values: Vec<f64>,
}

impl Tensor {
    /// Draws a tensor from a spec with the native stream. The seed and the name determine the values.
    pub fn drawn(name: &str, spec: &str, dtype: DType, shape: &[usize], seed: u64) -> Self {
        Self::try_drawn(name, spec, dtype, shape, seed).unwrap_or_else(|error| panic!("{spec}: {error}"))
    }

    /// Like [`Tensor::drawn`], but returns an error if the spec cannot be resolved for the shape and the type.
    pub fn try_drawn(
        name: &str,
        spec: &str,
        dtype: DType,
        shape: &[usize],
        seed: u64,
    ) -> Result<Self, fanin::Error> {
        Self::drawn_from(&mut Native::new(seed).tensor(name), name, spec, dtype, shape)
    }

    /// Draws the values of a spec from `stream`, and returns them as a tensor.
    fn drawn_from(
        stream: &mut dyn Stream,
        name: &str,
        spec: &str,
        dtype: DType,
        shape: &[usize],
    ) -> Result<Self, fanin::Error> {
        let plan = spec.parse::<Init>()?.resolve(shape, dtype)?;
        let mut buffer = ValueBuffer::new(dtype, shape.iter().product()).unwrap();
        stream.fill(&plan, buffer.tensor(shape)?)?;
        Ok(Self::of(name, dtype, shape, &buffer))
    }

    /// Draws a tensor from a spec with the torch stream, which generates the same random numbers as torch.
    pub fn drawn_by_torch(name: &str, spec: &str, dtype: DType, shape: &[usize], seed: u64) -> Self {
        Self::try_drawn_by_torch(name, spec, dtype, shape, seed).unwrap()
    }

    /// Like [`Tensor::drawn_by_torch`], but returns an error if the spec cannot be resolved, or if the torch stream
    /// does not implement the algorithm of the spec.
    pub fn try_drawn_by_torch(
        name: &str,
        spec: &str,
        dtype: DType,
        shape: &[usize],
        seed: u64,
    ) -> Result<Self, fanin::Error> {
        Self::drawn_from(&mut Torch::new(seed), name, spec, dtype, shape)
    }

    /// Returns a tensor with the values of a buffer.
    fn of(name: &str, dtype: DType, shape: &[usize], buffer: &ValueBuffer) -> Self {
        let values = decode(StoredType::from_float(dtype), &buffer.bytes());
        Self { name: name.to_owned(), dtype, shape: shape.to_vec(), values }
    }

    /// Returns the values converted to the tensor's type, as little-endian bytes.
    fn bytes(&self) -> Vec<u8> {
        let values = self.values.iter();
        match self.dtype {
            DType::F64 => values.flat_map(|x| x.to_le_bytes()).collect(),
            DType::F16 => values.flat_map(|x| f16::from_f64(*x).to_le_bytes()).collect(),
            DType::BF16 => values.flat_map(|x| bf16::from_f64(*x).to_le_bytes()).collect(),
            DType::F8E4M3 => values.map(|x| <F8E4M3 as Element>::from_f64(*x).to_bits()).collect(),
            DType::F8E5M2 => values.map(|x| <F8E5M2 as Element>::from_f64(*x).to_bits()).collect(),
            _ => values.flat_map(|x| (*x as f32).to_le_bytes()).collect(),
        }
    }
}

/// A checkpoint in a temporary folder.
pub struct File {
    folder: tempfile::TempDir,
    pub checkpoint: Checkpoint,
}

impl File {
    /// Writes tensors to a file and opens the file.
    pub fn new(tensors: &[Tensor]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.safetensors");
        let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
        for tensor in tensors {
            let start = data.len();
            data.extend(tensor.bytes());
            let dtype = StoredType::from_float(tensor.dtype).to_string();
            let entry = serde_json::json!({"dtype": dtype, "shape": tensor.shape, "data_offsets": [start, data.len()]});
            header.insert(tensor.name.clone(), entry);
        }
        let header = serde_json::to_vec(&header).unwrap();
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header);
        bytes.extend(data);
        std::fs::write(&path, bytes).unwrap();
        let checkpoint = Checkpoint::open(&path).unwrap();
        Self { folder, checkpoint }
    }

    /// Verifies the file against the `[init]` rules of a recipe, without a seed.
    pub fn verify(&self, rules: &str) -> Verification {
        self.verify_against(rules, None)
    }

    /// Like [`verify`](Self::verify), but compares copied tensors with the checkpoint `copied`. If `copied` is given,
    /// the tensors of the file must also have the names, shapes and types of the tensors of `copied`.
    pub fn verify_against(&self, rules: &str, copied: Option<&Checkpoint>) -> Verification {
        let recipe = Recipe::parse(&format!("[init]\n{rules}"), Path::new("r.toml")).unwrap();
        let request = Request {
            recipe: &recipe,
            settings: &[],
            model: copied.map(|checkpoint| checkpoint.manifest.clone()),
            model_given: copied.is_some(),
            copied,
            partial: false,
            seed: None,
            stream: StreamKind::Native,
            alpha: 1e-3,
            tied: false,
        };
        Verification::new(&self.checkpoint, request, &()).unwrap()
    }

    /// Verifies the file and returns the failed tests. Each is a text of the form `tensor: test: message`.
    pub fn deviations(&self, rules: &str) -> Vec<String> {
        deviations(&self.verify(rules))
    }

    /// Classifies the tensors of the file.
    pub fn audit(&self) -> Audit {
        Audit::new(&self.checkpoint, &()).unwrap()
    }
}

/// Returns the failed tests of a verification. Each is a text of the form `tensor: test: message`.
pub fn deviations(found: &Verification) -> Vec<String> {
    let of_tensors = found.tensors.iter().flat_map(|tensor| {
        let name = &tensor.planned.entry.name;
        tensor.deviations.iter().map(move |result| format!("{name}: {}: {}", result.test, result.text))
    });
    of_tensors.chain(found.rules.iter().map(|result| format!("{}: {}", result.test, result.text))).collect()
}
