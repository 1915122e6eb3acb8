//! Parses and checks the TOML text of a replay. Every error has a line and a column.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use fanin::init::Init;
use fanin::{DType, Distribution, Initializer as _};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::super::source::{Source, Span};
use super::copies::Copies;
use super::definition::{Replay, ReplayTensor};
use super::step::{Start, Step, StepKind, Values, View};
use super::written::WrittenCheck;
use crate::error::{Result, did_you_mean};
use crate::manifest::Entry;
use crate::stored_type::StoredType;

/// The version of the file format.
const VERSION: i128 = 1;

/// The keys for the kind of a step. A step has exactly one of these keys.
const KINDS: [&str; 6] = ["fill", "copy", "values", "mul", "div", "add"];
/// The keys that a step can have in addition to its key from `KINDS`.
const DETAILS: [&str; 5] = ["at", "pair", "seed", "view", "from"];
/// The keys of a tensor that are not keys of a step.
const TENSOR_KEYS: [&str; 4] = ["dtype", "shape", "strides", "steps"];

type Value<'a> = Spanned<DeValue<'a>>;
type Table<'a> = DeTable<'a>;

pub(super) fn parse(text: &str, path: &Path) -> Result<Replay> {
    let source = Arc::new(Source::new(path, text, false));
    let span_of = |range: Range<usize>| Span::new(&source, range);
    let table = DeTable::parse(text)
        .map_err(|error| span_of(error.span().unwrap_or_default()).error(error.message().trim_end(), ""))?;
    let mut parser = Parser { source: &source, seed: 0, dtype: StoredType::F32, read: HashMap::new() };
    let mut lists: [Vec<(ReplayTensor, Span)>; 2] = Default::default();
    let mut copies = Copies::default();
    // The table [replay] is read first, because it contains the default seed and dtype of all tensors.
    let mut tables: Vec<_> = table.get_ref().iter().collect();
    tables.sort_by_key(|(key, _)| {
        ["replay", "temporary", "tensors"].iter().position(|name| key.get_ref() == name)
    });
    for (key, value) in tables {
        let name = key.get_ref().as_ref();
        let DeValue::Table(content) = value.get_ref() else {
            let message =
                format!("unknown key {name:?}{}", did_you_mean(name, ["replay", "tensors", "temporary"]));
            return Err(
                span_of(key.span()).error(message, "a replay has [replay], [tensors] and [temporary]")
            );
        };
        match name {
            "replay" => parser.header(content)?,
            "tensors" | "temporary" => {
                for (name, value) in content {
                    let tensor = parser.tensor(name.get_ref(), &span_of(name.span()), value)?;
                    copies.add(&tensor, &span_of(name.span()))?;
                    parser.read.insert(name.get_ref().to_string(), tensor.entry.clone());
                    lists[usize::from(key.get_ref() == "temporary")].push((tensor, span_of(name.span())));
                }
            }
            _ => {
                let message =
                    format!("unknown key {name:?}{}", did_you_mean(name, ["replay", "tensors", "temporary"]));
                return Err(
                    span_of(key.span()).error(message, "a replay has [replay], [tensors] and [temporary]")
                );
            }
        }
    }
    let [tensors, temporary] = lists;
    if tensors.is_empty() {
        return Err(span_of(0..0).error("the replay has no tensors", "list them under [tensors]"));
    }
    let (mut indices, mut written) = (HashMap::new(), WrittenCheck::default());
    for (index, (tensor, span)) in tensors.iter().chain(&temporary).enumerate() {
        written.check(tensor, span)?;
        if indices.insert(tensor.entry.name.clone(), index).is_some() {
            return Err(span.error("the name is used twice", "rename the temporary tensor"));
        }
    }
    let only = |list: Vec<(ReplayTensor, Span)>| list.into_iter().map(|(tensor, _)| tensor).collect();
    let (tensors, temporary) = (only(tensors), only(temporary));
    Ok(Replay { seed: parser.seed, text: text.to_owned(), tensors, temporary, indices })
}

struct Parser<'a> {
    source: &'a Arc<Source>,
    /// The seed in the section `[replay]` of the file. A step without its own seed uses this seed.
    seed: u64,
    /// The dtype in the section `[replay]` of the file. A tensor without its own dtype has this dtype.
    dtype: StoredType,
    /// The tensors that were already read. A step can copy only these tensors, so that no tensor copies itself.
    read: HashMap<String, Entry>,
}

impl Parser<'_> {
    fn span(&self, value: &Value<'_>) -> Span {
        Span::new(self.source, value.span())
    }

    fn header(&mut self, table: &Table<'_>) -> Result {
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "version" => {
                    let version = self.integer(value)?;
                    if version != VERSION {
                        let message = format!(
                            "unknown version {version}: this version of fanin reads version {VERSION} of the format"
                        );
                        return Err(self.span(value).error(message, "update fanin"));
                    }
                }
                "seed" => self.seed = self.seed(value)?,
                "dtype" => self.dtype = self.dtype(value)?,
                "torch" => _ = self.string(value)?,
                name => {
                    let keys = ["version", "seed", "dtype", "torch"];
                    return Err(self.unknown(key, name, &keys));
                }
            }
        }
        Ok(())
    }

    /// Parses a tensor: its dtype, its shape and its steps.
    fn tensor(&self, name: &str, span: &Span, value: &Value<'_>) -> Result<ReplayTensor> {
        let DeValue::Table(table) = value.get_ref() else {
            return Err(self
                .span(value)
                .error("a tensor must be a table", "write { shape = [2, 3], fill = \"zeros\" }"));
        };
        // The keys of a single step may stand beside the keys of the tensor.
        let known = if table.contains_key("steps") {
            TENSOR_KEYS.to_vec()
        } else {
            [&TENSOR_KEYS[..], &KINDS[..], &DETAILS[..]].concat()
        };
        self.only(table, &known)?;
        let dtype = table.get("dtype").map_or(Ok(self.dtype), |value| self.dtype(value))?;
        let shape = table
            .get("shape")
            .ok_or_else(|| span.error("the tensor has no shape", "write shape = [2, 3]"))?;
        let entry = Entry { name: name.to_owned(), dtype, shape: self.sizes(shape)?, offsets: None };
        let strides = table.get("strides").map(|value| self.sizes(value)).transpose()?;
        let mut tensor = ReplayTensor { entry, strides, steps: Vec::new() };
        if tensor.strides.as_ref().is_some_and(|strides| strides.len() != tensor.entry.shape.len()) {
            return Err(self.span(&table["strides"]).error("there must be one stride for each axis", ""));
        }
        if fanin::element_count(&tensor.entry.shape).is_err() || tensor.view().end().is_none() {
            return Err(self.span(shape).error("the shape has too many elements", ""));
        }
        match table.get("steps") {
            None => {
                let step = self.step(&tensor, span, table)?;
                tensor.steps.push(step);
            }
            Some(steps) => {
                let DeValue::Array(list) = steps.get_ref() else {
                    return Err(self.span(steps).error("steps must be an array of tables", ""));
                };
                for step in list {
                    let DeValue::Table(content) = step.get_ref() else {
                        return Err(self
                            .span(step)
                            .error("a step must be a table", "write { fill = \"zeros\" }"));
                    };
                    self.only(content, &[&KINDS[..], &DETAILS[..]].concat())?;
                    let step = self.step(&tensor, &self.span(step), content)?;
                    tensor.steps.push(step);
                }
            }
        }
        Ok(tensor)
    }

    fn step(&self, tensor: &ReplayTensor, span: &Span, table: &Table<'_>) -> Result<Step> {
        let given: Vec<_> = table.iter().filter(|(key, _)| KINDS.contains(&key.get_ref().as_ref())).collect();
        let [(key, value)] = given.as_slice() else {
            return Err(span.error(format!("a step must have one of {}", KINDS.join(", ")), ""));
        };
        let kind = key.get_ref().as_ref();
        let used: &[&str] = match kind {
            "fill" => &["at", "pair", "seed", "view"],
            "copy" => &["from", "view"],
            _ => &["view"],
        };
        let is_unused = |name: &str| DETAILS.contains(&name) && !used.contains(&name);
        if let Some((unused, _)) = table.iter().find(|(key, _)| is_unused(key.get_ref())) {
            let message = format!("{} has no effect in a step with {kind}", unused.get_ref());
            return Err(Span::new(self.source, unused.span()).error(message, "remove it"));
        }
        let view = table.get("view").map(|value| self.view(value, &tensor.view())).transpose()?;
        let shape = view.as_ref().map_or(&tensor.entry.shape, |view| &view.shape);
        let kind = match kind {
            "fill" => self.fill(&tensor.entry, shape, value, table)?,
            "copy" => self.copy(&tensor.entry, shape, value, table)?,
            "values" => self.values(&tensor.entry, shape, value)?,
            name => {
                let number = self.float(value)?;
                if tensor.entry.dtype.float().is_none() {
                    let message = format!(
                        "{name} needs a floating-point tensor, but this tensor has dtype {}",
                        tensor.entry.dtype
                    );
                    return Err(self.span(value).error(message, ""));
                }
                match name {
                    "mul" => StepKind::Multiply(number),
                    "div" => StepKind::Divide(number),
                    _ => StepKind::Add(number),
                }
            }
        };
        Ok(Step { view, kind })
    }

    fn fill(&self, entry: &Entry, shape: &[usize], value: &Value<'_>, table: &Table<'_>) -> Result<StepKind> {
        let (text, span) = (self.string(value)?, self.span(value));
        let Some(dtype) = entry.dtype.float() else {
            // Of a type that is neither an integer nor a real number, such as C64, only 0 can be written.
            let (min, max) = entry.dtype.integers().unwrap_or((0, 0));
            let error = || {
                let message = format!("{text} cannot be written as {}", entry.dtype);
                span.error(message, format!("write a constant from {min} to {max}, or arange up to {max}"))
            };
            if text == "arange" {
                // `arange` numbers the positions along the last axis.
                let largest = shape.last().map_or(0, |size| size.saturating_sub(1)) as i128;
                return if largest <= max { Ok(StepKind::Arange) } else { Err(error()) };
            }
            let init = Init::parse(text).map_err(|error| span.spec_error("", error))?;
            let plan = init.resolve(shape, DType::F64).map_err(|error| span.spec_error("", error))?;
            return match plan.distribution() {
                Distribution::Constant { value }
                    if value.fract() == 0.0 && (min..=max).contains(&(value as i128)) =>
                {
                    Ok(StepKind::Integer(value as i128))
                }
                _ => Err(error()),
            };
        };
        let init = Init::parse(text).map_err(|error| span.spec_error("", error))?;
        let plan = init.resolve(shape, dtype).map_err(|error| span.spec_error("", error))?;
        let at = table.get("at").map(|value| self.word(value)).transpose()?;
        let pair = table.get("pair").map(|value| self.word(value)).transpose()?;
        let seed = table.get("seed").map_or(Ok(self.seed), |value| self.seed(value))?;
        let start = at.map(|at| Start { seed, at, pair });
        if start.is_none() && !draws_nothing(plan.distribution()) {
            return Err(span.error(
                format!("{text} draws values, but the step has no position"),
                "write at = 0, where 0 is the number of 32-bit words that were drawn before",
            ));
        }
        if let (Some(pair), Some(at)) = (pair, at)
            && pair.checked_add(4).is_none_or(|end| end > at)
        {
            return Err(self
                .span(&table["pair"])
                .error(format!("the pair at {pair} must end before at = {at}"), ""));
        }
        Ok(StepKind::Fill { init, plan, start })
    }

    fn copy(&self, entry: &Entry, shape: &[usize], value: &Value<'_>, table: &Table<'_>) -> Result<StepKind> {
        let (name, span) = (self.string(value)?, self.span(value));
        let Some(source) = self.read.get(name) else {
            let message = format!("no tensor before this one is named {name:?}");
            return Err(span.error(message, "a tensor can copy a temporary tensor, or a tensor above it"));
        };
        if source.dtype != entry.dtype && (source.dtype.float().is_none() || entry.dtype.float().is_none()) {
            return Err(
                span.error(format!("{} values cannot be copied to {}", source.dtype, entry.dtype), "")
            );
        }
        let whole = View { offset: 0, shape: source.shape.clone(), strides: View::row_major(&source.shape) };
        let view = table.get("from").map(|value| self.view(value, &whole)).transpose()?;
        let count = shape.iter().product::<usize>();
        let found = view.as_ref().unwrap_or(&whole).count();
        if found != Some(count) {
            let message =
                format!("{name:?} gives {} values, but the step writes {count}", found.unwrap_or_default());
            return Err(span.error(message, ""));
        }
        Ok(StepKind::Copy { name: name.to_owned(), view })
    }

    fn values(&self, entry: &Entry, shape: &[usize], value: &Value<'_>) -> Result<StepKind> {
        let DeValue::Array(list) = value.get_ref() else {
            return Err(self.span(value).error("values must be an array of numbers", ""));
        };
        let count = shape.iter().product::<usize>();
        if list.len() != count {
            let message = format!("{} values are given, but the step writes {count}", list.len());
            return Err(self.span(value).error(message, ""));
        }
        let values = if entry.dtype.float().is_some() {
            Values::Floats(list.iter().map(|value| self.float(value)).collect::<Result<_>>()?)
        } else if let Some((min, max)) = entry.dtype.integers() {
            let check = |value: &Value<'_>| {
                let number = self.integer(value)?;
                let fits = (min..=max).contains(&number);
                let error =
                    || self.span(value).error(format!("{number} cannot be written as {}", entry.dtype), "");
                if fits { Ok(number) } else { Err(error()) }
            };
            Values::Integers(list.iter().map(check).collect::<Result<_>>()?)
        } else {
            return Err(self
                .span(value)
                .error(format!("{} values cannot be written in a replay", entry.dtype), ""));
        };
        Ok(StepKind::Values(values))
    }

    /// Parses a view `{ offset = 0, shape = [2], strides = [1] }`. Returns an error if the view is not inside `whole`.
    fn view(&self, value: &Value<'_>, whole: &View) -> Result<View> {
        let span = self.span(value);
        let DeValue::Table(table) = value.get_ref() else {
            return Err(span
                .error("a view must be a table", "write { offset = 0, shape = [2, 3], strides = [3, 1] }"));
        };
        let keys = ["offset", "shape", "strides"];
        self.only(table, &keys)?;
        let shape = table.get("shape").ok_or_else(|| span.error("the view has no shape", ""))?;
        let shape = self.sizes(shape)?;
        let strides = table.get("strides").map(|value| self.sizes(value)).transpose()?;
        let strides = strides.unwrap_or_else(|| View::row_major(&shape));
        let offset = table.get("offset").map_or(Ok(0), |value| self.word(value))? as usize;
        let view = View { offset, shape, strides };
        if view.strides.len() != view.shape.len() {
            return Err(span.error("there must be one stride for each axis", ""));
        }
        let fits = view.count().is_some()
            && view.end().is_some_and(|end| whole.end().is_some_and(|limit| end <= limit));
        if fits { Ok(view) } else { Err(span.error("the view is not inside the tensor", "")) }
    }

    fn sizes(&self, value: &Value<'_>) -> Result<Vec<usize>> {
        let DeValue::Array(list) = value.get_ref() else {
            return Err(self.span(value).error("expected an array of whole numbers", "write [2, 3]"));
        };
        list.iter().map(|value| Ok(self.word(value)? as usize)).collect()
    }

    fn word(&self, value: &Value<'_>) -> Result<u64> {
        let number = self.integer(value)?;
        u64::try_from(number).map_err(|_| self.span(value).error(format!("{number} must be at least 0"), ""))
    }

    /// Parses a seed. A negative seed is taken modulo 2^64, as in torch.
    fn seed(&self, value: &Value<'_>) -> Result<u64> {
        self.integer(value).map(|seed| seed as u64)
    }

    fn integer(&self, value: &Value<'_>) -> Result<i128> {
        let parsed = match value.get_ref() {
            DeValue::Integer(integer) => i128::from_str_radix(integer.as_str(), integer.radix()).ok(),
            DeValue::Boolean(value) => Some(i128::from(*value)),
            _ => None,
        };
        parsed.ok_or_else(|| self.span(value).error("expected a whole number", ""))
    }

    fn float(&self, value: &Value<'_>) -> Result<f64> {
        match value.get_ref() {
            DeValue::Float(float) => {
                float.as_str().parse().map_err(|_| self.span(value).error("expected a number", ""))
            }
            _ => self.integer(value).map(|number| number as f64),
        }
    }

    fn string<'v>(&self, value: &'v Value<'_>) -> Result<&'v str> {
        match value.get_ref() {
            DeValue::String(text) => Ok(text),
            _ => Err(self.span(value).error("expected a string in quotes", "")),
        }
    }

    fn dtype(&self, value: &Value<'_>) -> Result<StoredType> {
        let name = self.string(value)?;
        StoredType::named(name).ok_or_else(|| {
            let names = StoredType::ALL.map(|dtype| dtype.to_string());
            let hint = did_you_mean(name, names.iter().map(String::as_str));
            self.span(value)
                .error(format!("unknown dtype {name:?}{hint}"), "use a dtype of safetensors, such as F32")
        })
    }

    /// Returns an error if the table has a key that is not in `known`.
    fn only(&self, table: &Table<'_>, known: &[&str]) -> Result {
        match table.iter().find(|(key, _)| !known.contains(&key.get_ref().as_ref())) {
            Some((key, _)) => Err(self.unknown(key, key.get_ref(), known)),
            None => Ok(()),
        }
    }

    fn unknown(&self, key: &Spanned<Cow<'_, str>>, name: &str, known: &[&str]) -> crate::Error {
        let hint = did_you_mean(name, known.iter().copied());
        let message = format!("unknown key {name:?}{hint}");
        Span::new(self.source, key.span()).error(message, format!("the keys are {}", known.join(", ")))
    }
}

fn draws_nothing(distribution: Distribution) -> bool {
    use Distribution::{Constant, Dirac, Eye, Hadamard, RepeatedEye};
    matches!(distribution, Constant { .. } | Eye | Dirac { .. } | Hadamard { .. } | RepeatedEye { .. })
}
