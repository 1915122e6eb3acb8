//! [`ModelValues`]: draws the values of a planned model, one parameter at a time.

use std::collections::{HashMap, HashSet};

use fanin::{Plan, Stream};

use crate::error::{Error, Result};
use crate::recipe::{Action, Copy, Planned};
use crate::seed_source::SeedSource;

/// Draws the values of a model's planned parameters, one parameter at a time.
///
/// `T` is the type of a parameter's values, for example the tensor type of a framework. The values of tied parameters
/// are drawn once and stored. Each of the tied parameters gets a clone.
#[derive(Debug)]
pub struct ModelValues<T> {
    planned: Vec<Planned>,
    /// Maps the name of each parameter to the index of the parameter in `planned`.
    indices: HashMap<String, usize>,
    /// Maps the canonical name ([`Planned::source`]) of tied parameters to their values. `None` before the values are
    /// drawn.
    shared: HashMap<String, Option<T>>,
}

/// The values of one parameter.
#[derive(Debug, Clone, PartialEq)]
pub enum ParameterValues<T> {
    /// Drawn floating-point values.
    Drawn {
        /// The values, in row-major order.
        values: T,
        /// True if this parameter is tied to another parameter, or another parameter to this one. [`ModelValues`] then
        /// keeps a clone of `values` for the other parameter. If clones of `T` share memory, copy the elements into new
        /// memory before you change them.
        is_shared: bool,
    },
    /// The values of an integer parameter.
    Integers(Vec<i64>),
    /// The parameter keeps its current values. Its rule is `copy` or `skip`, or the parameter was not planned.
    Kept,
}

impl<T: Clone> ModelValues<T> {
    /// Checks the planned parameters, and returns their `ModelValues`. Draws no values.
    ///
    /// # Errors
    /// Returns [`Error::Tensor`] if the stream cannot draw the values of a plan. Returns [`Error::Request`] if the
    /// value of an integer parameter does not fit in an `i64`, or if a rule is `copy` with arguments.
    pub fn new(planned: Vec<Planned>, seed_source: &SeedSource) -> Result<Self> {
        for Planned { entry, integer, .. } in &planned {
            if let Some(value) = integer.filter(|value| i64::try_from(*value).is_err()) {
                let message = format!("{}: {value} does not fit in an i64", entry.name);
                return Err(Error::Request(message));
            }
        }
        // `copy` without arguments keeps the current values. With arguments, it needs a checkpoint to copy from.
        if let Some(planned) = planned
            .iter()
            .find(|planned| matches!(&planned.action, Action::Copy(copy) if *copy != Copy::default()))
        {
            let message =
                format!("{}: {} needs a checkpoint to copy from", planned.description(), planned.action);
            return Err(Error::Request(message));
        }
        // Several tied parameters can have the same canonical name. Each canonical name is checked once, because the
        // native stream returns an error if a name is used again.
        let untied = planned.iter().filter(|planned| planned.tied.is_none());
        let mut checked: HashSet<&str> = untied.map(|planned| planned.entry.name.as_str()).collect();
        let to_check =
            planned.iter().filter(|planned| planned.tied.is_none() || checked.insert(planned.source()));
        seed_source.check(to_check.filter_map(|planned| Some((planned.source(), planned.plan.as_ref()?))))?;
        let names = planned.iter().map(|planned| planned.entry.name.clone());
        let indices = names.enumerate().map(|(index, name)| (name, index)).collect();
        let shared = planned.iter().filter_map(|planned| Some((planned.tied.clone()?, None))).collect();
        Ok(Self { planned, indices, shared })
    }

    /// Returns the planned parameters of the model, as they were passed to [`new`](Self::new).
    pub fn planned(&self) -> &[Planned] {
        &self.planned
    }

    /// Returns the planned parameters and discards all drawn values.
    pub fn into_planned(self) -> Vec<Planned> {
        self.planned
    }

    /// Returns the values of the parameter `name`.
    ///
    /// Floating-point values are drawn by the closure `draw`. Its first argument is the plan of the parameter. Its
    /// second argument is a `Result`: the stream, or an error (see below). `draw` must return the values. Of several
    /// tied parameters, `draw` is called only for the first one that is requested. The others get clones of its values.
    ///
    /// # Errors
    /// Returns the error that `draw` returns. The native stream draws values only once for each canonical name
    /// ([`Planned::source`]). If `draw` is called again for the same canonical name, for example because an untied
    /// parameter is requested twice, the second argument of `draw` is an error.
    pub fn get<E>(
        &mut self,
        name: &str,
        seed_source: &mut SeedSource,
        draw: impl FnOnce(&Plan, std::result::Result<&mut dyn Stream, fanin::Error>) -> std::result::Result<T, E>,
    ) -> std::result::Result<ParameterValues<T>, E> {
        let Some(planned) = self.indices.get(name).map(|&index| &self.planned[index]) else {
            return Ok(ParameterValues::Kept);
        };
        let Some(plan) = &planned.plan else {
            return Ok(integers(planned).map_or(ParameterValues::Kept, ParameterValues::Integers));
        };
        let source = planned.source();
        let draw = || seed_source.with_stream(source, |stream| draw(plan, stream));
        let (values, is_shared) = match self.shared.get_mut(source) {
            None => (draw()?, false),
            Some(Some(values)) => (values.clone(), true),
            Some(shared) => (shared.insert(draw()?).clone(), true),
        };
        Ok(ParameterValues::Drawn { values, is_shared })
    }
}

/// Returns the values of an integer parameter, or `None` if its rule is `copy` or `skip`.
fn integers(planned: &Planned) -> Option<Vec<i64>> {
    let count = planned.entry.values();
    match (planned.integer, &planned.action) {
        (Some(value), _) => Some(vec![value as i64; count]),
        (None, Action::Arange) => Some((0..count).map(|index| planned.step(index) as i64).collect()),
        (None, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{Manifest, Recipe, RecipeInit};

    fn values(recipe: &str, json: &str, seed_source: &SeedSource) -> Result<ModelValues<Vec<f32>>> {
        let recipe = Recipe::parse(recipe, Path::new("r.toml"))?;
        RecipeInit::new(recipe).values(&Manifest::from_json(json, Path::new("m.json"))?, seed_source)
    }

    const TIED: &str = r#"{"head": {"dtype": "F32", "shape": [2, 3]}, "embed": {"dtype": "F32", "shape": [2, 3]},
        "fc": {"dtype": "F32", "shape": [2, 3]}, "ids": {"dtype": "I64", "shape": [2, 2]},
        "steps": {"dtype": "U8", "shape": []}, "mask": {"dtype": "F32", "shape": [2]}}"#;

    const RECIPE: &str = "[init]\n\"mask\" = \"skip\"\n\"ids\" = \"arange\"\n\"steps\" = \"constant(7)\"\n\
                          \"*\" = \"normal\"\n[tie]\nhead = \"embed\"";

    #[test]
    fn tied_parameters_share_values_that_are_drawn_once() {
        for mut seed_source in [SeedSource::native(3), SeedSource::torch(3)] {
            let mut values = values(RECIPE, TIED, &seed_source).unwrap();
            let mut get = |name: &str| {
                let draw = |plan: &Plan, stream: std::result::Result<&mut dyn Stream, fanin::Error>| {
                    let mut drawn = vec![0f32; plan.len()];
                    plan.fill(&mut drawn, stream?).map(|()| drawn)
                };
                values.get(name, &mut seed_source, draw).unwrap()
            };
            let head = get("head");
            assert!(matches!(head, ParameterValues::Drawn { is_shared: true, .. }));
            assert_eq!(get("embed"), head);
            let ParameterValues::Drawn { values: fc, is_shared: false } = get("fc") else { panic!() };
            assert!(head != ParameterValues::Drawn { values: fc, is_shared: true });
            assert_eq!(get("ids"), ParameterValues::Integers(vec![0, 1, 0, 1]));
            assert_eq!(get("steps"), ParameterValues::Integers(vec![7]));
            assert_eq!(get("mask"), ParameterValues::Kept);
            assert_eq!(get("unknown"), ParameterValues::Kept);
        }
    }

    #[test]
    fn all_parameters_are_checked_before_the_first_value_is_drawn() {
        let big = r#"{"n": {"dtype": "U64", "shape": []}}"#;
        let error = values("[init]\nn = \"constant(2^63)\"", big, &SeedSource::native(0)).unwrap_err();
        assert!(error.to_string().contains("n: 9223372036854775808 does not fit in an i64"), "{error}");
        let alias = r#"{"head": {"dtype": "F32", "shape": [2, 3]}}"#;
        let recipe = "[init]\n\"*\" = \"trunc_normal(method=rejection)\"\n[tie]\nhead = \"embed\"";
        let error = values(recipe, alias, &SeedSource::native(0)).unwrap_err().to_string();
        assert!(error.contains("embed") && error.contains("rejection"), "{error}");
    }
}
