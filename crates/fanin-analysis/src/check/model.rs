//! Compares the names, shapes and types of a file's tensors with those of a model.

use std::collections::{HashMap, HashSet};

use fanin_recipe::text::{counted, shape};
use fanin_recipe::{Entry, Manifest, Planned, Recipe, StoredType};

use crate::error::Result;

/// The result of comparing a file's tensors with a model's tensors. It also has a recipe's plans for the file and for
/// the model. Without a model, only `planned` is set.
#[derive(Debug, Default)]
pub struct ModelComparison {
    /// The plans of the file's tensors, in the file's order. A tensor that does not fit the model is listed in
    /// `mismatches`, and its plan is to skip it. Three kinds of tensors do not fit:
    /// - tensors with another shape than in the model;
    /// - tensors with another type than in the model, unless both types are floating-point types;
    /// - tensors that the model lacks, unless the recipe copies or skips them.
    pub planned: Vec<Planned>,
    /// The mismatches between the file and the model, in the file's order. A tensor with two mismatches is listed
    /// twice.
    pub mismatches: Vec<ModelMismatch>,
    /// The tensors of the model that the file lacks.
    pub missing: Vec<Entry>,
    /// The plans of the tensors of the model, in the model's order. The torch stream generates the tensors in this
    /// order. The list is empty if no model is given.
    pub model: Vec<Planned>,
}

/// A mismatch between a tensor of a file and the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelMismatch {
    /// The tensor's index in the file's manifest.
    pub tensor: usize,
    /// What does not match: `extra` (the model has no such tensor), `shape` or `dtype`.
    pub test: &'static str,
    /// A message that says what the file contains and what the model contains.
    pub text: String,
}

/// The tensors of a model by name. All names of a tied tensor lead to the same tensor.
struct ModelTensors<'a> {
    recipe: &'a Recipe,
    entries: &'a [Entry],
    /// For each name, the index of its tensor in the field `entries`.
    indices: HashMap<&'a str, usize>,
}

impl<'a> ModelTensors<'a> {
    fn new(recipe: &'a Recipe, model: &'a Manifest) -> Self {
        let names = || model.entries.iter().enumerate();
        let indices = names()
            .map(|(index, entry)| (recipe.canonical_name(&entry.name), index))
            .chain(names().map(|(index, entry)| (entry.name.as_str(), index)))
            .collect();
        Self { recipe, entries: &model.entries, indices }
    }

    /// Returns the index of the tensor `name` in the model. `name` may also be tied to a name in the model. Returns
    /// `None` if the model lacks the tensor.
    fn index(&self, name: &str) -> Option<usize> {
        self.indices.get(name).or_else(|| self.indices.get(self.recipe.canonical_name(name))).copied()
    }

    /// Returns the entry of a tensor of the model. See [`ModelTensors::index`].
    fn get(&self, name: &str) -> Option<&'a Entry> {
        self.index(name).map(|index| &self.entries[index])
    }
}

impl ModelComparison {
    /// Plans a file's tensors by a recipe. If `model` is given, also compares the tensors with those of the model.
    ///
    /// Each element of `settings` is the name of a variable and a number. The number replaces the variable's value in
    /// the recipe, as in [`Recipe::plan`].
    ///
    /// The comparison covers names, shapes and types:
    /// - The file may have a tied tensor under any of its names.
    /// - The file may have tensors that the model lacks, if the recipe copies or skips them.
    /// - The floating-point tensors must have the types of the model. Alternatively, all of them may have one other
    ///   type, as after a conversion of the whole checkpoint.
    ///
    /// # Errors
    /// Returns the errors of [`Recipe::plan`].
    pub fn new(
        recipe: &Recipe,
        settings: &[(String, f64)],
        file: &Manifest,
        model: Option<Manifest>,
    ) -> Result<Self> {
        let Some(model) = model else {
            let planned = recipe.plan(file, settings)?;
            return Ok(Self { planned, ..Self::default() });
        };
        let model = without_prefix(file, model);
        let tensors = ModelTensors::new(recipe, &model);
        let present: HashSet<&str> =
            file.entries.iter().map(|entry| recipe.canonical_name(&entry.name)).collect();
        let mut comparison = Self::default();
        let missing =
            model.entries.iter().filter(|entry| !present.contains(recipe.canonical_name(&entry.name)));
        comparison.missing.extend(missing.cloned());

        // The planned manifest has the names, the order and the floating-point types of the file, and the shapes of the
        // model. The tensors that the file lacks are appended, because variables such as the depth may depend on them.
        let mut entries = comparison.compare_entries(file, &tensors);
        if entries.is_empty() {
            // The file and the model have no tensor in common. Planning the file itself then returns the most helpful
            // error.
            recipe.plan(file, settings)?;
        }
        let first_missing = entries.len();
        entries.extend(comparison.missing.iter().cloned());
        let manifest = Manifest { metadata: file.metadata.clone(), entries };
        let mut planned = recipe.plan(&manifest, settings)?;
        let in_model = |planned: &Planned| tensors.index(&planned.entry.name);
        comparison.model = planned.iter().filter(|planned| in_model(planned).is_some()).cloned().collect();
        comparison.model.sort_by_key(in_model);
        planned.truncate(first_missing);

        // At this point, `mismatches` lists extra tensors, wrong shapes and incompatible types. These tensors do not
        // fit their plans, so they are skipped.
        let unfit: HashSet<usize> = comparison.mismatches.iter().map(|mismatch| mismatch.tensor).collect();
        comparison.compare_float_types(&planned, file, &tensors);
        let mut planned: HashMap<String, Planned> =
            planned.into_iter().map(|planned| (planned.entry.name.clone(), planned)).collect();
        for (tensor, entry) in file.entries.iter().enumerate() {
            let plan = planned.remove(&entry.name).filter(|_| !unfit.contains(&tensor));
            comparison.planned.push(plan.unwrap_or_else(|| Planned::skipped(entry.clone())));
        }
        comparison.mismatches.sort_by_key(|mismatch| mismatch.tensor);
        Ok(comparison)
    }

    /// Adds extra tensors, wrong shapes and incompatible types to `mismatches`. Returns the entries to plan, with the
    /// names and floating-point types of the file and the shapes of the model.
    fn compare_entries(&mut self, file: &Manifest, model: &ModelTensors<'_>) -> Vec<Entry> {
        let mut entries = Vec::new();
        for (tensor, entry) in file.entries.iter().enumerate() {
            let Some(expected) = model.get(&entry.name) else {
                if model.recipe.keeps_values(&entry.name) {
                    entries.push(entry.clone());
                } else {
                    self.mismatch(tensor, "extra", "the model has no tensor of this name".to_owned());
                }
                continue;
            };
            if entry.shape != expected.shape {
                let reversed = entry.shape.iter().rev().eq(&expected.shape) && entry.shape.len() == 2;
                let hint = if reversed { ": transposed?" } else { "" };
                let text =
                    format!("shape {}, the model has {}{hint}", shape(&entry.shape), shape(&expected.shape));
                self.mismatch(tensor, "shape", text);
            }
            let floats = entry.dtype.float().is_some() && expected.dtype.float().is_some();
            if entry.dtype != expected.dtype && !floats {
                let text = format!("stored as {}, the model has {}", entry.dtype, expected.dtype);
                self.mismatch(tensor, "dtype", text);
            }
            let dtype = if floats { entry.dtype } else { expected.dtype };
            entries.push(Entry { name: entry.name.clone(), dtype, ..expected.clone() });
        }
        entries
    }

    /// Adds a mismatch of the tensor at index `tensor` of the file's manifest.
    fn mismatch(&mut self, tensor: usize, test: &'static str, text: String) {
        self.mismatches.push(ModelMismatch { tensor, test, text });
    }

    /// Returns whether the tensors that the file and the model have in common are in the same order in both.
    pub(crate) fn is_in_model_order(&self) -> bool {
        let known: HashSet<&str> = self.model.iter().map(|planned| planned.entry.name.as_str()).collect();
        let mut model = self.model.iter().map(|planned| planned.entry.name.as_str());
        let mut file = self.planned.iter().map(|planned| planned.entry.name.as_str());
        file.all(|name| !known.contains(name) || model.any(|next| next == name))
    }

    /// Adds a mismatch for each floating-point tensor that has an unexpected type.
    ///
    /// The expected types are either the model's types or one type for all tensors, whichever gives fewer mismatches.
    /// Tensors whose type the recipe sets are left out, because `verify` compares their types with the recipe.
    fn compare_float_types(&mut self, planned: &[Planned], file: &Manifest, model: &ModelTensors<'_>) {
        let indices: HashMap<&str, usize> =
            file.entries.iter().enumerate().map(|(index, entry)| (entry.name.as_str(), index)).collect();
        // The tensors whose types the recipe does not set: name, type in the file, type in the model.
        let free: Vec<(&str, StoredType, StoredType)> = planned
            .iter()
            .filter(|planned| planned.plan.is_some() && planned.chosen_dtype.is_none())
            .filter_map(|planned| {
                let name = planned.entry.name.as_str();
                let found = file.entries[indices[name]].dtype;
                // `compare_entries` reports a type that is not a floating-point type.
                found.float()?;
                Some((name, found, model.get(name)?.dtype))
            })
            .collect();
        let mismatches = |overall: Option<StoredType>| {
            let differs = move |&&(_, found, expected): &&(&str, StoredType, StoredType)| {
                found != overall.unwrap_or(expected)
            };
            free.iter().filter(differs).collect::<Vec<_>>()
        };
        let floats = StoredType::ALL.into_iter().filter(|dtype| dtype.float().is_some());
        // `None` stands for the model's types. `min_by_key` returns the first minimum, so the model's types win a tie.
        let choices = [None].into_iter().chain(floats.map(Some));
        let best = choices.min_by_key(|&overall| mismatches(overall).len()).unwrap_or_default();
        let wrong = mismatches(best);
        let others = counted((free.len() - wrong.len()) as u64, "other tensor");
        for &(name, found, expected) in wrong {
            let text = match best {
                Some(overall) => format!("stored as {found}, but {others} as {overall}"),
                None => {
                    format!("stored as {found}, the model has {expected}; {others} as in the model")
                }
            };
            self.mismatch(indices[name], "dtype", text);
        }
    }
}

/// Removes a prefix such as `transformer.` from the names in `model`, if `file` has such names without the prefix.
///
/// The prefix is the first name in `model` up to its first dot. If `file` contains any name of `model` in full, no name
/// is changed. A file that was saved without the head of the model lacks the prefix: transformers' GPT2Model has
/// `wte.weight`, and GPT2LMHeadModel has `transformer.wte.weight`.
fn without_prefix(file: &Manifest, mut model: Manifest) -> Manifest {
    let present: HashSet<&str> = file.entries.iter().map(|entry| entry.name.as_str()).collect();
    let Some((first, _)) = model.entries.first().and_then(|entry| entry.name.split_once('.')) else {
        return model;
    };
    let prefix = format!("{first}.");
    let matches_without =
        |entry: &Entry| entry.name.strip_prefix(&prefix).is_some_and(|name| present.contains(name));
    if model.entries.iter().any(|entry| present.contains(entry.name.as_str()))
        || !model.entries.iter().any(matches_without)
    {
        return model;
    }
    for entry in &mut model.entries {
        if let Some(name) = entry.name.strip_prefix(&prefix) {
            entry.name = name.to_owned();
        }
    }
    model
}
