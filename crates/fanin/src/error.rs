//! The one error type.

use crate::dtype::DType;

/// Everything that can be wrong with a request. Raised before a single value is written.
///
/// Each variant carries what was asked for, so that a message can name the argument, its value and the remedy.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A number outside its domain.
    #[error("{scheme}: {argument} = {value}: {requirement}")]
    Argument {
        /// The scheme as it is spelled in a spec.
        scheme: &'static str,
        /// The argument's name.
        argument: &'static str,
        /// The value given.
        value: f64,
        /// What the value must satisfy.
        requirement: String,
    },
    /// A lower bound above its upper bound.
    #[error(
        "{scheme}: a = {a} is above b = {b}: the lower bound a must not be greater than the upper bound b"
    )]
    Bounds {
        /// The scheme as it is spelled in a spec.
        scheme: &'static str,
        /// The lower bound.
        a: f64,
        /// The upper bound.
        b: f64,
    },
    /// Bounds whose difference is not a finite number of the element type.
    #[error(
        "{scheme}: a = {a}, b = {b}: both bounds and their difference must be finite in {dtype} (largest value {})",
        dtype.largest()
    )]
    BoundsOverflow {
        /// The scheme as it is spelled in a spec.
        scheme: &'static str,
        /// The lower bound.
        a: f64,
        /// The upper bound.
        b: f64,
        /// The element type asked for.
        dtype: DType,
    },
    /// Fans of a shape that has none.
    #[error(
        "Fan in and fan out can not be computed for tensor with fewer than 2 dimensions (the shape is {shape:?})"
    )]
    Fans {
        /// The shape given.
        shape: Vec<usize>,
    },
    /// Explicit axes that are not those of the shape.
    #[error("layout = {layout}: one letter an axis, but the shape {shape:?} has {} axes", shape.len())]
    AxisLayout {
        /// The layout's letters.
        layout: String,
        /// The shape given.
        shape: Vec<usize>,
    },
    /// A layout that is neither a name nor letters.
    #[error(
        "layout = {name} is not known{}: use out_in, in_out, kernel_in_out, or one letter an axis (o out, i in, k kernel, \
         e each) such as oikk or eoi",
        did_you_mean(suggestion)
    )]
    LayoutName {
        /// The name given.
        name: String,
        /// The nearest known name, if one is near.
        suggestion: Option<&'static str>,
    },
    /// Groups that a layout cannot have.
    #[error(
        "groups = {groups} with layout = {layout} and shape {shape:?}: groups must be at least 1 and divide the axis that \
         holds the channels of all groups (out of out_in and kernel_in_out, in of in_out; letters do not say which)"
    )]
    FanGroups {
        /// The number of groups.
        groups: usize,
        /// The layout.
        layout: String,
        /// The shape given.
        shape: Vec<usize>,
    },
    /// A scheme that is not defined for this number of dimensions.
    #[error("{scheme}: Only tensors with {supported} dimensions are supported (the shape is {shape:?})")]
    Dimensions {
        /// The scheme as it is spelled in a spec.
        scheme: &'static str,
        /// The numbers of dimensions that are, in words.
        supported: &'static str,
        /// The shape given.
        shape: Vec<usize>,
    },
    /// `dirac` with groups that do not divide the output channels.
    #[error("dirac: dim 0 must be divisible by groups (groups = {groups}, the shape is {shape:?})")]
    Groups {
        /// The number of groups.
        groups: usize,
        /// The shape given.
        shape: Vec<usize>,
    },
    /// Blocks that do not fit their axis, or an axis that is not there.
    #[error("{scheme}: {reason} (the shape is {shape:?})")]
    Blocks {
        /// The scheme as it is spelled in a spec.
        scheme: &'static str,
        /// What is wrong, and the remedy.
        reason: String,
        /// The shape given.
        shape: Vec<usize>,
    },
    /// A plan in blocks requested by its distribution alone.
    #[error("a plan in blocks comes from an initializer, not from its distribution (the shape is {shape:?})")]
    CompositePlan {
        /// The shape given.
        shape: Vec<usize>,
    },
    /// A nonlinearity that has no gain here.
    #[error("Unsupported nonlinearity {name}{}", did_you_mean(suggestion))]
    Nonlinearity {
        /// The name given.
        name: String,
        /// The nearest known name, if one is near.
        suggestion: Option<&'static str>,
    },
    /// A slope that is not a number.
    #[error("negative_slope {value} not a valid number")]
    NegativeSlope {
        /// The value given, as text.
        value: String,
    },
    /// A fan mode other than `fan_in` and `fan_out`.
    #[error("Mode {name} not supported, please use one of ['fan_in', 'fan_out']")]
    Mode {
        /// The name given.
        name: String,
    },
    /// A shape whose element count does not fit the address space.
    #[error("the shape {shape:?} has more elements than {} bits can count", usize::BITS)]
    ShapeOverflow {
        /// The shape given.
        shape: Vec<usize>,
    },
    /// A buffer whose length is not its shape's.
    #[error("the buffer holds {found} values, but the shape {shape:?} has {expected}")]
    Length {
        /// The shape given.
        shape: Vec<usize>,
        /// The shape's element count.
        expected: usize,
        /// The buffer's length.
        found: usize,
    },
    /// Memory of one type for a plan of another.
    #[error("the plan is for {expected} values, the memory holds {found}")]
    ElementType {
        /// The plan's type.
        expected: DType,
        /// The memory's type.
        found: DType,
    },
    /// Strides that leave the buffer, or that put two elements in one place.
    #[error("strides {strides:?} with shape {shape:?} and offset {offset}: {reason}")]
    Strides {
        /// The shape given.
        shape: Vec<usize>,
        /// The strides given, in elements.
        strides: Vec<isize>,
        /// The offset of the first element.
        offset: usize,
        /// What is wrong.
        reason: &'static str,
    },
    /// A region that is not inside the shape of the whole tensor.
    #[error("the region with start {start:?} and size {size:?} is not inside the shape {shape:?}")]
    Region {
        /// The shape of the whole tensor.
        shape: Vec<usize>,
        /// The region's first index along each axis.
        start: Vec<usize>,
        /// The region's size along each axis.
        size: Vec<usize>,
    },
    /// A region requested from a stream that can only be read from its beginning.
    #[error("a {stream} stream fills whole tensors only: for a region, use the native stream")]
    NoRandomAccess {
        /// The stream's name.
        stream: &'static str,
    },
    /// An algorithm that a stream does not have.
    #[error("the {stream} stream does not draw by method={method}: leave the method out")]
    Method {
        /// The stream's name.
        stream: &'static str,
        /// The algorithm asked for.
        method: &'static str,
    },
    /// Two tensors of one job that would get the same values.
    #[error(
        "two tensors of one job are called {name:?} (as {first:?} and as {second:?}): they would get the same values"
    )]
    DuplicateName {
        /// The canonical name.
        name: String,
        /// The first spelling.
        first: String,
        /// The second spelling.
        second: String,
    },
    /// Bytes that are no generator state.
    #[error("not a generator state: {reason}")]
    State {
        /// What is wrong.
        reason: String,
    },
    /// More memory than there is.
    #[error(
        "the shape {shape:?} takes {bytes} bytes to work in, more than there are: any part of it needs them"
    )]
    Memory {
        /// The plan's shape.
        shape: Vec<usize>,
        /// What was asked of the system.
        bytes: u128,
    },
    /// A spec that does not parse.
    #[error("{0}")]
    Spec(SpecError),
}

/// Where and why a spec does not parse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecError {
    /// The whole text.
    pub text: String,
    /// Byte offset of the character at fault.
    pub at: usize,
    /// What is wrong there.
    pub message: String,
    /// What to write instead, if that is known.
    pub help: Option<String>,
}

impl std::error::Error for SpecError {}

impl std::fmt::Display for SpecError {
    /// The message, then the text with a caret under the character at fault, then the remedy.
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

    /// Reads fanin's, torch's or safetensors' name: `f16`, `float16`, `half`, `F16`; `float8_e4m3fn`, `F8_E4M3`.
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

fn did_you_mean(suggestion: &Option<&'static str>) -> String {
    suggestion.map(|name| format!(": did you mean {name}?")).unwrap_or_default()
}

/// The candidate nearest to `name`, if it is near enough to be meant.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_ascii_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&name, candidate), candidate))
        .filter(|&(distance, candidate)| distance <= 1 + candidate.len().min(name.len()) / 4)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Something worth saying that does not stop a fill. A library prints nothing: plans carry these.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Warning {
    /// The shape has no elements, so there is nothing to do.
    ZeroElements {
        /// The shape given.
        shape: Vec<usize>,
    },
    /// The mean lies more than two standard deviations outside the cut-offs.
    MeanFarOutside {
        /// Mean of the untruncated distribution.
        mean: f64,
        /// Standard deviation of the untruncated distribution.
        std: f64,
        /// Lower cut-off.
        a: f64,
        /// Upper cut-off.
        b: f64,
    },
    /// A normal distribution some of whose values are too large for the type: they become infinite, or the largest value of a type
    /// that has no infinity.
    Overflow {
        /// The mean.
        mean: f64,
        /// The standard deviation.
        std: f64,
        /// The type.
        dtype: DType,
    },
    /// A distribution that is narrower than the type's step at its mean: nearly all values become one number.
    Collapse {
        /// The mean.
        mean: f64,
        /// The standard deviation.
        std: f64,
        /// The type.
        dtype: DType,
    },
    /// A slope was given for a nonlinearity that has none.
    SlopeIgnored {
        /// The slope given.
        a: f64,
        /// The nonlinearity's name.
        nonlinearity: &'static str,
    },
    /// Called by a name that torch has deprecated.
    Deprecated {
        /// The name used.
        name: &'static str,
        /// The name to use.
        replacement: &'static str,
    },
}

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Warning::ZeroElements { .. } => f.write_str("Initializing zero-element tensors is a no-op"),
            Warning::MeanFarOutside { .. } => f.write_str(
                "mean is more than 2 std from [a, b] in nn.init.trunc_normal_. \
                 The distribution of values may be incorrect.",
            ),
            Warning::Overflow { mean, std, dtype } => write!(
                f,
                "N({mean}, {std}^2) has values beyond {}, the largest of {dtype}: they become {}. Cut the distribution, or use a \
                 wider type",
                dtype.largest(),
                if *dtype == DType::F8E4M3 { "that" } else { "infinite" }
            ),
            Warning::Collapse { mean, std, dtype } => write!(
                f,
                "std={std} is less than the step of {dtype} at mean={mean}: nearly all values become one number. Use a \
                 larger std or a wider type"
            ),
            Warning::SlopeIgnored { a, nonlinearity } => {
                write!(
                    f,
                    "a = {a} is the slope of leaky_relu and has no effect with nonlinearity={nonlinearity}"
                )
            }
            Warning::Deprecated { name, replacement } => {
                write!(f, "`nn.init.{name}` is now deprecated in favor of `nn.init.{replacement}`.")
            }
        }
    }
}
