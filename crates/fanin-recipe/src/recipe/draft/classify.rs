//! Chooses an initializer for a tensor from its name, its shape and the names of the other tensors.

use std::collections::{BTreeMap, HashSet};

use fanin::Initializer as _;
use fanin::init::Init;

use super::choice::{Choice, Section, guess, known};
use super::families::KnownModel;
use super::kernels::kernel;
use super::matrices::matrix;
use super::vectors::vector;
use super::words::{contains, has, is_residual_projection, split_last};
use crate::manifest::{Entry, Manifest};
use crate::recipe::glob::Glob;
use crate::recipe::toml_string::quoted;

/// The properties of the whole model on which the choice for each tensor depends.
pub(super) struct Context<'a> {
    manifest: &'a Manifest,
    names: HashSet<&'a str>,
    /// Whether the model has attention. If so, the draft initializes its tensors as is common for transformers.
    has_attention: bool,
    /// The model, if it is of a family that the draft knows.
    known: Option<KnownModel>,
    /// Whether the manifest is the header of a checkpoint. If so, a rule can copy the values of the checkpoint.
    has_values: bool,
}

impl<'a> Context<'a> {
    pub(super) fn of(manifest: &'a Manifest, has_values: bool) -> Self {
        let names = manifest.entries.iter().map(|entry| entry.name.as_str()).collect();
        let has_attention = manifest.entries.iter().any(|entry| {
            entry.shape.len() == 2
                && (has(&entry.name, &["attn", "attention", "qkv"])
                    || contains(&entry.name, &["q_proj", "attn", "attention"]))
        });
        Self { manifest, names, has_attention, known: KnownModel::of(manifest), has_values }
    }

    /// Returns the value of the variable `n_layer`, as text of a recipe. The value is the number of residual
    /// projections whose names differ only in their numbers. If there are several groups of such names, the largest
    /// group counts. The text is `{ count = "pattern" }` if a pattern matches exactly this group. Otherwise the text is
    /// a number.
    pub(super) fn n_layer(&self) -> String {
        let names = self.manifest.entries.iter().map(|entry| entry.name.as_str());
        let projections: Vec<&str> = names.filter(|name| is_residual_projection(name)).collect();
        let groups = crate::names::groups(&projections, |_| ());
        let layers = groups.iter().map(|group| group.members.len()).max().unwrap_or(1);
        let star = |word: &str| if word.parse::<u64>().is_ok() { "*".to_owned() } else { word.to_owned() };
        let counted = groups.iter().filter(|group| group.members.len() == layers).find_map(|group| {
            let name = projections[group.members[0]];
            let pattern = name.split('.').map(star).collect::<Vec<_>>().join(".");
            let glob = Glob::parse(&pattern).ok()?;
            (self.names.iter().filter(|name| glob.matches(name)).count() == layers).then_some(pattern)
        });
        match counted {
            Some(pattern) => format!("{{ count = {} }}", quoted(&pattern)),
            None => layers.to_string(),
        }
    }

    /// Returns the choice for a tensor. If the spec of the choice does not fit the tensor's shape, returns the spec
    /// `zeros` as a guess.
    pub(super) fn choose(&self, entry: &Entry) -> Choice {
        let mut choice = self.classify(entry);
        // Most transformers draw their matrices from N(0, 0.02), and others do not: T5 once was one of them.
        let is_common = choice.spec == "normal(std=0.02)" && choice.section != Section::Buffers;
        choice.is_guess |= is_common && self.has_attention && self.known.is_none();
        let variables = BTreeMap::from([("n_layer".to_owned(), 1.0), ("weight_fan_in".to_owned(), 1.0)]);
        let fits = entry.dtype.float().is_none_or(|dtype| {
            let is_word = ["copy", "skip"].contains(&choice.spec.as_str());
            is_word
                || Init::parse_with(&choice.spec, &variables)
                    .and_then(|init| init.resolve(&entry.shape, dtype))
                    .is_ok()
        });
        if fits { choice } else { guess(Section::Others, "zeros", "no common initializer fits this shape") }
    }

    fn classify(&self, entry: &Entry) -> Choice {
        let (path, last) = split_last(&entry.name);
        let has_sibling = |name: &str| {
            let full = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
            self.names.contains(full.as_str())
        };
        if let Some((_, max)) = entry.dtype.integers() {
            return self.integers(entry, last, max);
        }
        if entry.dtype.float().is_none() {
            return self.kept(
                "a dtype that fanin does not draw: values copied",
                "a dtype that fanin does not draw, and no values to copy: skipped",
            );
        }
        if let Some(choice) = self.buffer(entry, last) {
            return choice;
        }
        if let Some(model) = &self.known {
            if model.is_computed(entry) {
                let reason = "computed by a formula of the model's code";
                return self.kept(reason, reason);
            }
            if let Some(choice) = model.choose(entry) {
                return choice;
            }
        }
        if contains(last, &["lora_a"]) || contains(path, &["lora_a"]) {
            let reason = "LoRA's A as in loralib and peft (Hu et al. 2021, section 4.1, uses a Gaussian)";
            return known(Section::Others, "kaiming_uniform(a=sqrt(5))", reason);
        }
        if contains(last, &["lora_b"]) || contains(path, &["lora_b"]) {
            let reason =
                "LoRA's B: zero, so that the adapter changes nothing at first (Hu et al. 2021, section 4.1)";
            return known(Section::Others, "zeros", reason);
        }
        if last == "A_log" && entry.shape.len() == 2 {
            let reason = "decay of a state space model: Mamba computes it by a formula of its own";
            return self.kept(reason, reason);
        }
        match entry.shape.len() {
            0 | 1 => vector(entry, path, last, has_sibling),
            2 => matrix(entry, path, last, self.has_attention),
            _ => kernel(entry, last, self.has_attention),
        }
    }

    /// Returns the choice for a tensor whose values are not drawn, for example because the model's code computes them.
    /// The tensor is copied if the manifest is the header of a checkpoint, and skipped otherwise.
    fn kept(&self, reason_to_copy: &'static str, reason_to_skip: &'static str) -> Choice {
        if self.has_values {
            guess(Section::Buffers, "copy", reason_to_copy)
        } else {
            guess(Section::Buffers, "skip", reason_to_skip)
        }
    }

    fn integers(&self, entry: &Entry, last: &str, max: i128) -> Choice {
        let length = entry.shape.last().copied().unwrap_or(1) as i128;
        if last == "num_batches_tracked" {
            return known(Section::Buffers, "zeros", "number of batches seen so far");
        }
        if contains(last, &["position_ids", "pos_ids"]) && length - 1 <= max {
            return known(Section::Buffers, "arange", "positions 0, 1, 2, ...");
        }
        if contains(last, &["token_type_ids"]) {
            return known(Section::Buffers, "zeros", "token types: all of the first type");
        }
        if self.has_values {
            return guess(Section::Buffers, "copy", "integers: values copied");
        }
        guess(Section::Buffers, "zeros", "integers of unknown meaning")
    }

    /// Returns the choice for a floating-point buffer: a running statistic, a mask or a table, which is not trained.
    /// Returns `None` if the tensor's name and shape are not those of a known buffer.
    fn buffer(&self, entry: &Entry, last: &str) -> Option<Choice> {
        match last {
            "running_mean" => return Some(known(Section::Buffers, "zeros", "running mean of a batch norm")),
            "running_var" => {
                return Some(known(Section::Buffers, "ones", "running variance of a batch norm"));
            }
            _ => {}
        }
        let is_mask = ["bias", "mask", "tril"].contains(&last)
            && matches!(entry.shape.as_slice(), [1, 1, rows, columns] if rows == columns);
        let tables = [
            "inv_freq",
            "freqs_cis",
            "masked_bias",
            "cos_cached",
            "sin_cached",
            "attn_mask",
            "causal_mask",
            "relative_coords",
        ];
        (is_mask || contains(last, &tables)).then(|| {
            self.kept(
                "computed by the model's code, not drawn: values copied",
                "computed by the model's code, not drawn: skipped; check that the code computes it again",
            )
        })
    }
}
