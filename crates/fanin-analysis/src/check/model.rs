//! Whether a file has the tensors of a model: their names, shapes and types.

use std::collections::{HashMap, HashSet};

use crate::error::Result;
use fanin_recipe::manifest::{Entry, Manifest, StoredType};
use fanin_recipe::recipe::{Planned, Recipe};
use fanin_recipe::text::{counted, shape};

/// A file held against a model.
#[derive(Debug, Default)]
pub struct ModelComparison {
    /// What the recipe says of each tensor of the file, in its order. One that the model does not have, or has in
    /// another shape or kind of type, is skipped: it is among `odd`.
    pub planned: Vec<Planned>,
    /// What is wrong with a tensor of the file: its number, in which respect, how. The numbers ascend.
    pub odd: Vec<(usize, &'static str, String)>,
    /// The model's tensors that the file lacks.
    pub missing: Vec<Entry>,
    /// The model's tensors in its own order, which is that of a sequential stream; none if there is no model.
    pub model: Vec<Planned>,
}

impl ModelComparison {
    /// Plans the tensors of a file by a recipe, and holds their names, shapes and types against a model's if one is given.
    ///
    /// Tied names are one tensor: a file may have any of them. What the recipe copies or skips, the file may have beside
    /// the model's. The types are the model's, or another floating-point type for all, as `init --dtype` writes them.
    ///
    /// # Errors
    /// As [`Recipe::apply`].
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
        let model = named_as(file, model);
        let names = || model.entries.iter().enumerate();
        let spots: HashMap<&str, usize> = names()
            .map(|(spot, entry)| (recipe.canonical_name(&entry.name), spot))
            .chain(names().map(|(spot, entry)| (entry.name.as_str(), spot)))
            .collect();
        let spot = |name: &str| spots.get(name).or_else(|| spots.get(recipe.canonical_name(name))).copied();
        let there: HashSet<&str> =
            file.entries.iter().map(|entry| recipe.canonical_name(&entry.name)).collect();
        let mut held = Self::default();
        let absent = model.entries.iter().filter(|entry| !there.contains(recipe.canonical_name(&entry.name)));
        held.missing.extend(absent.cloned());
        // What is planned has the model's shapes and the file's types and order, and nothing is left out of it: so numbers
        // that are read off the model are the model's.
        let mut plans = Manifest { metadata: file.metadata.clone(), entries: Vec::new() };
        // Another than the model's, so that no plan fits it.
        let mut unlike = HashSet::new();
        for (number, entry) in file.entries.iter().enumerate() {
            let Some(right) = spot(&entry.name).map(|spot| &model.entries[spot]) else {
                if recipe.keeps_values(&entry.name) {
                    plans.entries.push(entry.clone());
                } else {
                    held.odd.push((number, "extra", "the model has no tensor of this name".to_owned()));
                }
                continue;
            };
            if entry.shape != right.shape {
                let turned = entry.shape.iter().rev().eq(&right.shape) && entry.shape.len() == 2;
                let text = format!(
                    "{}, the model has {}{}",
                    shape(&entry.shape),
                    shape(&right.shape),
                    if turned { ": transposed?" } else { "" }
                );
                held.odd.push((number, "shape", text));
                unlike.insert(number);
            }
            let floats = entry.dtype.float().is_some() && right.dtype.float().is_some();
            if entry.dtype != right.dtype && !floats {
                let text = format!("stored as {}, the model has {}", entry.dtype, right.dtype);
                held.odd.push((number, "dtype", text));
                unlike.insert(number);
            }
            let dtype = if floats { entry.dtype } else { right.dtype };
            plans.entries.push(Entry { name: entry.name.clone(), dtype, ..right.clone() });
        }
        if plans.entries.is_empty() {
            // Nothing in common: the recipe of another model, which mostly says so itself.
            recipe.plan(file, settings)?;
        }
        let first_missing = plans.entries.len();
        plans.entries.extend(held.missing.iter().cloned());
        let mut planned = recipe.plan(&plans, settings)?;
        let in_model = |planned: &Planned| spot(&planned.entry.name);
        held.model = planned.iter().filter(|planned| in_model(planned).is_some()).cloned().collect();
        held.model.sort_by_key(in_model);
        planned.truncate(first_missing);
        held.types(&planned, file, |name| spots.get(name).map(|&spot| model.entries[spot].dtype), recipe);
        let mut planned: HashMap<String, Planned> =
            planned.into_iter().map(|planned| (planned.entry.name.clone(), planned)).collect();
        for (number, entry) in file.entries.iter().enumerate() {
            let plan = planned.remove(&entry.name).filter(|_| !unlike.contains(&number));
            held.planned.push(plan.unwrap_or_else(|| Planned::skipped(entry.clone())));
        }
        held.odd.sort_by_key(|odd| odd.0);
        Ok(held)
    }

    /// Whether the file has its tensors in the order of the model.
    pub fn in_order(&self) -> bool {
        let known: HashSet<&str> = self.model.iter().map(|planned| planned.entry.name.as_str()).collect();
        let mut left = self.model.iter().map(|planned| planned.entry.name.as_str());
        let mut file = self.planned.iter().map(|planned| planned.entry.name.as_str());
        file.all(|name| !known.contains(name) || left.any(|next| next == name))
    }

    /// Names the floating-point tensors whose type is neither the model's nor the one that the file has for all,
    /// whichever of the two leaves fewer. What the recipe says of types is held against the file elsewhere.
    fn types<'a>(
        &mut self,
        planned: &'a [Planned],
        file: &Manifest,
        right: impl Fn(&str) -> Option<StoredType>,
        recipe: &'a Recipe,
    ) {
        let places: HashMap<&str, usize> =
            file.entries.iter().enumerate().map(|(number, entry)| (entry.name.as_str(), number)).collect();
        let free: Vec<(&str, StoredType, StoredType)> = planned
            .iter()
            .filter(|planned| planned.plan.is_some() && planned.chosen_dtype.is_none())
            .filter_map(|planned| {
                let name = planned.entry.name.as_str();
                let right = right(name).or_else(|| right(recipe.canonical_name(name)))?;
                Some((name, planned.entry.dtype, right))
            })
            .collect();
        let off = |overall: Option<StoredType>| {
            let off =
                move |&&(_, is, right): &&(&str, StoredType, StoredType)| is != overall.unwrap_or(right);
            free.iter().filter(off).collect::<Vec<_>>()
        };
        let types = StoredType::ALL.into_iter().filter(|dtype| dtype.float().is_some());
        // As the model has them, where that is as good.
        let choices = [None].into_iter().chain(types.map(Some));
        let best = choices.min_by_key(|&overall| off(overall).len()).unwrap_or_default();
        for &&(name, is, right) in &off(best) {
            let others = counted((free.len() - off(best).len()) as u64, "other tensor");
            let text = match best {
                Some(overall) => format!("stored as {is}, and {others} as {overall}"),
                None => format!("stored as {is}, the model has {right}; {others} as it has them"),
            };
            self.odd.push((places[name], "dtype", text));
        }
    }
}

/// The model under the names that the file has: a model without its head is saved without the first word of its names
/// (transformers' GPT2Model has `wte.weight` where GPT2LMHeadModel has `transformer.wte.weight`).
fn named_as(file: &Manifest, mut model: Manifest) -> Manifest {
    let there: HashSet<&str> = file.entries.iter().map(|entry| entry.name.as_str()).collect();
    let Some(first) = model.entries.first().and_then(|entry| entry.name.split_once('.')) else {
        return model;
    };
    let prefix = format!("{}.", first.0);
    let short = |entry: &Entry| entry.name.strip_prefix(&prefix).is_some_and(|name| there.contains(name));
    if model.entries.iter().any(|entry| there.contains(entry.name.as_str()))
        || !model.entries.iter().any(short)
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
