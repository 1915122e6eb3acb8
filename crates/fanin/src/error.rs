//! The error type of the crate, and the suggestions for misspelled names.

use crate::dtype::DType;

/// The error of a request that is invalid or that cannot be carried out. When a function returns an error other than
/// [`Error::Memory`], no value has been written.
///
/// Each variant has the arguments of the request as fields. The message names the argument, the value and the remedy.
/// If `torch.nn.init` raises an error for the same mistake, the message has torch's wording.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A numeric argument is outside its domain.
    #[error("{scheme}: {argument} = {value}: {requirement}")]
    Argument {
        /// The name of the scheme in specs.
        scheme: &'static str,
        /// The argument's name.
        argument: &'static str,
        /// The value given.
        value: f64,
        /// The requirement that the value violates, such as "must be finite".
        requirement: String,
    },
    /// The lower bound is greater than the upper bound.
    #[error(
        "{scheme}: a = {a} is greater than b = {b}: the lower bound a must not be greater than the upper bound b"
    )]
    Bounds {
        /// The name of the scheme in specs.
        scheme: &'static str,
        /// The lower bound.
        a: f64,
        /// The upper bound.
        b: f64,
    },
    /// The bounds, or their difference, are not finite numbers of the element type.
    #[error(
        "{scheme}: a = {a}, b = {b}: both bounds and their difference must be finite in {dtype} (largest value {})",
        dtype.largest()
    )]
    BoundsOverflow {
        /// The name of the scheme in specs.
        scheme: &'static str,
        /// The lower bound.
        a: f64,
        /// The upper bound.
        b: f64,
        /// The element type.
        dtype: DType,
    },
    /// The scheme needs fans, and the shape has fewer than two axes.
    #[error(
        "Fan in and fan out can not be computed for tensor with fewer than 2 dimensions (the shape is {shape:?})"
    )]
    Fans {
        /// The shape given.
        shape: Vec<usize>,
    },
    /// The number of letters of an axis layout differs from the number of axes of the shape.
    #[error(
        "layout = {layout} has {} letters, but the shape {shape:?} has {} axes: write one letter for each axis",
        layout.len(), shape.len()
    )]
    AxisLayout {
        /// The letters of the axis layout.
        layout: String,
        /// The shape given.
        shape: Vec<usize>,
    },
    /// An axis layout is neither a known name nor valid letters.
    #[error(
        "layout = {name} is not known{}: use out_in, in_out, kernel_in_out, or one letter for each axis (o out, i in, k kernel, \
         e expert) such as oikk or eoi",
        suggested(suggestion)
    )]
    LayoutName {
        /// The name given.
        name: String,
        /// The most similar known name. `None` if no known name is similar.
        suggestion: Option<&'static str>,
    },
    /// The number of groups is not possible with the axis layout and the shape.
    #[error(
        "groups = {groups} with layout = {layout} and shape {shape:?}: groups must be at least 1 and divide the axis with \
         the channels of all groups (out for out_in and kernel_in_out, in for in_out); letters must be in the order of a convolution with \
         groups: oik.., ok..i, k..io or iok.."
    )]
    FanGroups {
        /// The number of groups.
        groups: usize,
        /// The axis layout.
        layout: String,
        /// The shape given.
        shape: Vec<usize>,
    },
    /// The scheme is not defined for this number of dimensions.
    #[error("{scheme}: Only tensors with {supported} dimensions are supported (the shape is {shape:?})")]
    Dimensions {
        /// The name of the scheme in specs.
        scheme: &'static str,
        /// The supported numbers of dimensions, such as "3, 4, or 5".
        supported: &'static str,
        /// The shape given.
        shape: Vec<usize>,
    },
    /// The number of groups of `dirac` does not divide the number of output channels.
    #[error("dirac: dim 0 must be divisible by groups (groups = {groups}, the shape is {shape:?})")]
    Groups {
        /// The number of groups.
        groups: usize,
        /// The shape given.
        shape: Vec<usize>,
    },
    /// The blocks, the stack or the matrix of the scheme does not fit the shape or the axis layout. For example, the
    /// sizes of the blocks do not add up to the size of the axis, or the axis does not exist.
    #[error("{scheme}: {reason} (the shape is {shape:?})")]
    Blocks {
        /// The name of the scheme in specs.
        scheme: &'static str,
        /// The problem and the remedy.
        reason: String,
        /// The shape given.
        shape: Vec<usize>,
    },
    /// [`Plan::new`](crate::Plan::new) was called with [`Distribution::Blocks`](crate::Distribution::Blocks) or
    /// [`Distribution::Mapped`](crate::Distribution::Mapped). A plan with such a distribution requires other plans: the
    /// plans of the blocks, or the plan of the argument of the functions.
    #[error(
        "a distribution alone does not describe a tensor of blocks or of mapped values: use an initializer such as init::blocks or init::mapped (the shape is {shape:?})"
    )]
    CompositePlan {
        /// The shape given.
        shape: Vec<usize>,
    },
    /// A function such as `exp` cannot be applied to this distribution, or too many functions are nested. The argument
    /// must be constant, uniform, normal, truncated normal, log-uniform, `arange`, or a function of one of these. For
    /// example, `orthogonal` is not allowed, because its values depend on each other. At most
    /// [`Functions::MAX_LEN`](crate::Functions::MAX_LEN) functions can be nested.
    #[error(
        "{function}: its argument must be constant, uniform, normal, trunc_normal, log_uniform, arange or a function of one of these; at most 4 functions can be nested"
    )]
    Mapped {
        /// The name by which specs call the function.
        function: &'static str,
    },
    /// The stream does not support the distribution of the plan.
    #[error("the {stream} stream does not support {distribution}: {remedy}")]
    Unsupported {
        /// The name of the stream.
        stream: &'static str,
        /// The distribution.
        distribution: &'static str,
        /// How to correct the mistake.
        remedy: &'static str,
    },
    /// The number of values of `arange` differs from the length of the last axis.
    #[error(
        "arange: from {start} to {end} (exclusive) in steps of {step} there are {count} values, but the last axis of {shape:?} has {length}: change end or step"
    )]
    Arange {
        /// The first value.
        start: f64,
        /// The end (exclusive).
        end: f64,
        /// The difference between a value and the next.
        step: f64,
        /// The number of values.
        count: f64,
        /// The length of the last axis.
        length: usize,
        /// The shape given.
        shape: Vec<usize>,
    },
    /// The name of a nonlinearity is unknown.
    #[error("Unsupported nonlinearity {name}{}", suggested(suggestion))]
    Nonlinearity {
        /// The name given.
        name: String,
        /// The most similar known name. `None` if no known name is similar.
        suggestion: Option<&'static str>,
    },
    /// The `negative_slope` of `leaky_relu` is not a valid number.
    #[error("negative_slope {value} not a valid number")]
    NegativeSlope {
        /// The value given, as text.
        value: String,
    },
    /// A fan mode is neither `fan_in` nor `fan_out`.
    #[error("Mode {name} not supported, please use one of ['fan_in', 'fan_out']")]
    Mode {
        /// The name given.
        name: String,
    },
    /// The shape has more elements than fit in the address space.
    #[error(
        "the shape {shape:?} has more elements than fit in the address space of {} bits: use a smaller shape",
        usize::BITS
    )]
    ShapeOverflow {
        /// The shape given.
        shape: Vec<usize>,
    },
    /// The number of elements of the buffer differs from the number of elements of the shape.
    #[error(
        "the buffer has {found} values, but the shape {shape:?} has {expected}: the two numbers must be equal"
    )]
    Length {
        /// The shape given.
        shape: Vec<usize>,
        /// The element count of the shape.
        expected: usize,
        /// The length of the buffer.
        found: usize,
    },
    /// The element type of the memory differs from the element type of the plan.
    #[error(
        "the plan is for {expected} values, but the memory has {found} values: make a plan for {found} values"
    )]
    ElementType {
        /// The element type of the plan.
        expected: DType,
        /// The element type of the memory.
        found: DType,
    },
    /// The strides lead outside the buffer, or two elements have the same address.
    #[error("strides {strides:?} with shape {shape:?} and offset {offset}: {reason}")]
    Strides {
        /// The shape given.
        shape: Vec<usize>,
        /// The strides given, in elements.
        strides: Vec<isize>,
        /// The offset of the first element.
        offset: usize,
        /// The problem.
        reason: &'static str,
    },
    /// The region is not inside the shape of the whole tensor.
    #[error(
        "the region with start {start:?} and size {size:?} is not inside the shape {shape:?}: start + size must not be greater \
         than the shape along any axis"
    )]
    Region {
        /// The shape of the whole tensor.
        shape: Vec<usize>,
        /// The region's first index along each axis.
        start: Vec<usize>,
        /// The region's size along each axis.
        size: Vec<usize>,
    },
    /// A fill of a region was requested from a stream that can fill only whole tensors.
    #[error("a {stream} stream can only fill whole tensors: to fill a region, use the native stream")]
    NoRandomAccess {
        /// The name of the stream.
        stream: &'static str,
    },
    /// The stream does not implement the requested algorithm of the truncated normal distribution.
    #[error("the {stream} stream does not implement method={method}: leave the argument method out")]
    Method {
        /// The name of the stream.
        stream: &'static str,
        /// The requested algorithm, as specs spell it.
        method: &'static str,
    },
    /// Two tensors of a model have the same canonical name ([`canonical_name`](crate::canonical_name)), so they would
    /// get the same values.
    #[error(
        "two tensors of one model have the name {name:?} (given as {first:?} and as {second:?}), so they would get the same \
         values: give them different names"
    )]
    DuplicateName {
        /// The canonical name of both tensors.
        name: String,
        /// The name of the first tensor, as it was given.
        first: String,
        /// The name of the second tensor, as it was given.
        second: String,
    },
    /// The bytes given as the state of a generator are not a valid state.
    #[error("not a generator state: {reason}")]
    State {
        /// The problem.
        reason: String,
    },
    /// The working memory of a fill cannot be allocated.
    #[error(
        "cannot allocate the {bytes} bytes of working memory that the shape {shape:?} needs; a fill of one region needs as much"
    )]
    Memory {
        /// The shape of the plan.
        shape: Vec<usize>,
        /// The number of bytes that the fill needs.
        bytes: u128,
    },
    /// A spec cannot be parsed.
    #[error("{0}")]
    Spec(SpecError),
}

/// The error of a spec that cannot be parsed, with the position of the problem in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecError {
    /// The whole text of the spec.
    pub text: String,
    /// The position of the problem: a byte offset in `text`.
    pub at: usize,
    /// The problem at this position.
    pub message: String,
    /// The remedy. `None` if the remedy is not known.
    pub help: Option<String>,
}

impl std::error::Error for SpecError {}

impl std::fmt::Display for SpecError {
    /// Prints the message, the spec with a caret under the position of the problem, and the remedy.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let column = self.text[..self.at.min(self.text.len())].chars().count();
        write!(f, "{}\n  {}\n  {:column$}^", self.message, self.text.replace(['\n', '\t'], " "), "")?;
        match &self.help {
            Some(help) => write!(f, " {help}"),
            None => Ok(()),
        }
    }
}

impl From<SpecError> for Error {
    fn from(error: SpecError) -> Self {
        Error::Spec(error)
    }
}

impl std::str::FromStr for DType {
    type Err = SpecError;

    /// Parses the name of an element type, in upper or lower case. The name is spelled as in fanin, torch or
    /// safetensors, such as `f16`, `float16`, `torch.half`, `F16`, `float8_e4m3fn` or `F8_E4M3`.
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name.to_ascii_lowercase().trim_start_matches("torch.") {
            "f32" | "float32" | "float" => Ok(DType::F32),
            "f64" | "float64" | "double" => Ok(DType::F64),
            "f16" | "float16" | "half" => Ok(DType::F16),
            "bf16" | "bfloat16" => Ok(DType::BF16),
            "f8_e4m3" | "float8_e4m3fn" => Ok(DType::F8E4M3),
            "f8_e5m2" | "float8_e5m2" => Ok(DType::F8E5M2),
            other => Err(SpecError {
                text: name.to_owned(),
                at: 0,
                message: format!("unknown dtype {other}"),
                help: Some("use one of f32, f64, f16, bf16, f8_e4m3, f8_e5m2".to_owned()),
            }),
        }
    }
}

/// Returns ": did you mean NAME?", or an empty text if there is no suggestion.
fn suggested(suggestion: &Option<&'static str>) -> String {
    suggestion.map(|name| format!(": did you mean {name}?")).unwrap_or_default()
}

/// Returns "did you mean NAME?" with the candidate most similar to `name`, or `otherwise()` if none is similar.
pub(crate) fn did_you_mean_or<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
    otherwise: impl FnOnce() -> String,
) -> String {
    nearest(name, candidates).map_or_else(otherwise, |candidate| format!("did you mean {candidate}?"))
}

/// Returns the candidate most similar to `name`, or `None` if no candidate is similar. Error messages use the result
/// for "did you mean".
///
/// `name` is converted to lower case first. A candidate is similar if its Damerau-Levenshtein distance from `name` is
/// at most `1 + n / 4` (rounded down). `n` is the length of the shorter text in bytes.
///
/// ```
/// assert_eq!(fanin::nearest("nromal", ["uniform", "normal"]), Some("normal"));
/// assert_eq!(fanin::nearest("fancy", ["uniform", "normal"]), None);
/// ```
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_ascii_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&name, candidate), candidate))
        .filter(|&(distance, candidate)| distance <= 1 + candidate.len().min(name.len()) / 4)
        .min()
        .map(|(_, candidate)| candidate)
}
