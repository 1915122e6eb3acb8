//! Reads the names, shapes, dtypes and values of a module's parameters.

use burn_core::module::{Module, ModuleVisitor, Param};
use burn_core::tensor::{DType, Int, Tensor, TensorData};
use fanin_recipe::{Entry, Error, Manifest, Result, StoredType};

use crate::Axes;
use crate::draw::fanin_dtype;
use crate::module_path::ModulePath;

/// Returns a manifest: the names, shapes and dtypes of a module's parameters and running states, in the order of the
/// module's fields. `axes` is the order of the axes in the shapes.
///
/// # Errors
/// Returns an error if the dtype of a tensor is neither an integer dtype nor f32, f64, f16 or bf16. For example,
/// quantized dtypes are not supported.
pub fn manifest<M: Module>(module: &M, axes: Axes) -> Result<Manifest> {
    let entries = parameters(module, axes)?.into_iter().map(|parameter| parameter.entry).collect();
    Ok(Manifest { entries, ..Manifest::default() })
}

/// Returns the names and values of a module's parameters and running states, for example to write a checkpoint. `axes`
/// is the order of the axes in the values.
pub fn tensors<M: Module>(module: &M, axes: Axes) -> Vec<(String, TensorData)> {
    let mut visitor = ValueVisitor { path: ModulePath::new(axes), tensors: Vec::new() };
    module.visit(&mut visitor);
    visitor.tensors
}

/// A parameter of a module: its name, shape, dtype and container.
pub(crate) struct Parameter {
    pub(crate) entry: Entry,
    /// The type of the struct that contains the parameter, for example `Struct:Linear`.
    pub(crate) container: String,
}

/// Returns the parameters of a module, in the order of the module's fields.
pub(crate) fn parameters<M: Module>(module: &M, axes: Axes) -> Result<Vec<Parameter>> {
    let mut visitor = ParameterVisitor { path: ModulePath::new(axes), parameters: Vec::new(), error: None };
    module.visit(&mut visitor);
    visitor.error.map_or(Ok(visitor.parameters), Err)
}

struct ParameterVisitor {
    path: ModulePath,
    parameters: Vec<Parameter>,
    /// The first error. The methods of a `ModuleVisitor` cannot return an error, so the error is stored here.
    error: Option<Error>,
}

impl ParameterVisitor {
    fn add(&mut self, dtype: DType, mut shape: Vec<usize>) {
        let name = self.path.name();
        if self.path.is_transposed(shape.len()) {
            shape.reverse();
        }
        match stored_type(dtype) {
            Ok(dtype) => {
                let container = self.path.container().to_owned();
                let entry = Entry { name, dtype, shape, offsets: None };
                self.parameters.push(Parameter { entry, container });
            }
            Err(error) => {
                self.error.get_or_insert_with(|| Error::Request(format!("{name}: {error}")));
            }
        }
    }
}

impl ModuleVisitor for ParameterVisitor {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let value = param.base();
        self.add(value.dtype(), value.dims().to_vec());
    }

    fn visit_int<const D: usize>(&mut self, param: &Param<Tensor<D, Int>>) {
        let value = param.base();
        self.add(value.dtype(), value.dims().to_vec());
    }
}

struct ValueVisitor {
    path: ModulePath,
    tensors: Vec<(String, TensorData)>,
}

impl ModuleVisitor for ValueVisitor {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let mut value = param.base();
        if self.path.is_transposed(D) {
            value = value.swap_dims(0, 1);
        }
        self.tensors.push((self.path.name(), value.into_data()));
    }

    fn visit_int<const D: usize>(&mut self, param: &Param<Tensor<D, Int>>) {
        self.tensors.push((self.path.name(), param.base().into_data()));
    }
}

/// Returns the safetensors dtype that corresponds to a burn dtype. Returns an error if safetensors has no such dtype.
fn stored_type(dtype: DType) -> Result<StoredType> {
    Ok(match dtype {
        DType::I64 => StoredType::I64,
        DType::I32 => StoredType::I32,
        DType::I16 => StoredType::I16,
        DType::I8 => StoredType::I8,
        DType::U64 => StoredType::U64,
        DType::U32 => StoredType::U32,
        DType::U16 => StoredType::U16,
        DType::U8 => StoredType::U8,
        float => StoredType::from_float(fanin_dtype(float)?),
    })
}
