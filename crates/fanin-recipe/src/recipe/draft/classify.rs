//! Chooses an initializer for a tensor from its name, its shape and the names of the other tensors.

use std::collections::{BTreeMap, HashMap};

use fanin::Initializer as _;
use fanin::init::Init;

use super::choice::{Choice, Section, guess, known};
use super::config::ModelConfig;
use super::kernels::kernel;
use super::known_model::KnownModel;
use super::matrices::matrix;
use super::vectors::vector;
use super::words::{contains, has, is_residual_projection, split_last};
use crate::manifest::{Entry, Manifest};
use crate::recipe::glob::Glob;
use crate::recipe::toml_string::quoted;
use crate::text::escaped;

/// The properties of the whole model that are used to choose each tensor's spec.
pub(super) struct Context<'a> {
    manifest: &'a Manifest,
    /// The index of each tensor in the manifest, by the tensor's name.
    indices: HashMap<&'a str, usize>,
    /// True if the model has attention. The draft then initializes the model's tensors as is common for transformers.
    has_attention: bool,
    /// The model's family, and the numbers that specs of the family can use, such as `initializer_range`. `None` if the
    /// family is unknown.
    pub(super) known: Option<KnownModel>,
    /// True if the manifest is the header of a checkpoint. A rule can then copy the values of the checkpoint.
    has_values: bool,
}

impl<'a> Context<'a> {
    pub(super) fn of(manifest: &'a Manifest, config: Option<&ModelConfig>, has_values: bool) -> Self {
        let names = manifest.entries.iter().map(|entry| entry.name.as_str());
        let indices = names.enumerate().map(|(index, name)| (name, index)).collect();
        let has_attention = manifest.entries.iter().any(|entry| {
            entry.shape.len() == 2
                && (has(&entry.name, &["attn", "attention", "qkv"])
                    || contains(&entry.name, &["q_proj", "attn", "attention"]))
        });
        Self { manifest, indices, has_attention, known: KnownModel::of(manifest, config), has_values }
    }

    /// Returns a sentence about the sources of the draft: config.json, or only the names and shapes of tensors.
    pub(super) fn source(&self, config: Option<&ModelConfig>) -> String {
        let name = config.and_then(|config| config.model_type().or(config.architecture()));
        match (name, &self.known) {
            (Some(name), Some(known)) => {
                format!("config.json names {}, and the draft follows {}.", escaped(name), known.code())
            }
            (Some(name), None) => format!(
                "It was made from names and shapes only: fanin does not know {}, which config.json names.",
                escaped(name)
            ),
            (None, Some(known)) => format!(
                "It was made from names and shapes only, which are like those of {}. With the model's config.json beside \
                 the file, it would be more certain.",
                known.code()
            ),
            (None, None) => "It was made from names and shapes only.".to_owned(),
        }
    }

    /// Returns the value of the variable `n_layer` as text of a recipe: `{ count = "pattern" }` if possible, or a
    /// number. The value is the largest number of residual projections whose names differ only in numbers. For example,
    /// it is 2 for `h.0.c_proj.weight` and `h.1.c_proj.weight`.
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
            (self.indices.keys().filter(|name| glob.matches(name)).count() == layers).then_some(pattern)
        });
        match counted {
            Some(pattern) => format!("{{ count = {} }}", quoted(&pattern)),
            None => layers.to_string(),
        }
    }

    /// Returns the [`Choice`] for a tensor: the spec that the draft proposes, and the reason. If the chosen spec does
    /// not fit the shape, the spec is `zeros`, marked as a guess.
    pub(super) fn choose(&self, entry: &Entry) -> Choice {
        let choice = self.classify(entry);
        let variables = self.variables();
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
        let sibling = |name: &str| {
            let full = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
            self.indices.get(full.as_str()).map(|&index| &self.manifest.entries[index])
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
        let general = self.general(entry, path, last, |name| sibling(name).is_some());
        let has_fans = sibling("weight").is_some_and(|weight| weight.shape.len() >= 2);
        match self.known.as_ref().and_then(|model| model.choose(entry, general.section, has_fans)) {
            Some(choice) if choice.spec == "copy" => {
                let kept = self.kept(choice.reason, choice.reason);
                // A skipped tensor is not written. The user must then check that the model's code computes the tensor
                // again.
                Choice { is_guess: choice.is_guess || !self.has_values, ..kept }
            }
            Some(choice) => choice,
            None => general,
        }
    }

    /// Returns the [`Choice`] for a floating-point parameter. The names and shapes of tensors determine the spec. The
    /// rules of a known model are not used. The choice is a guess, except for the parameters of LoRA.
    fn general(&self, entry: &Entry, path: &str, last: &str, has_sibling: impl Fn(&str) -> bool) -> Choice {
        if contains(&entry.name, &["lora_embedding_"]) {
            let (is_a, reason) =
                (contains(&entry.name, &["embedding_a"]), "LoRA of an embedding, as in peft");
            return known(Section::Others, if is_a { "zeros" } else { "normal" }, reason);
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
        if let Some(choice) = self.weight_norm(entry, path, last) {
            return choice;
        }
        let choice = match entry.shape.len() {
            0 | 1 => vector(entry, path, last, has_sibling),
            _ if last.ends_with("_bias") && !contains(last, &["relative", "position"]) => {
                known(Section::Biases, "zeros", "biases of several experts or of all tokens in one tensor")
            }
            2 => matrix(entry, path, last, self.has_attention),
            _ => kernel(entry, last, self.has_attention),
        };
        Choice { is_guess: true, ..choice }
    }

    /// Returns the [`Choice`] for the magnitudes of a weight with torch's weight norm.
    ///
    /// Weight norm stores a weight as two tensors: magnitudes (`weight_g` or `original0`) and directions (`weight_v` or
    /// `original1`). The spec of the magnitudes is a constant: approximately the norm of a direction. Returns `None` if
    /// `entry` is not a tensor of magnitudes. Also returns `None` if the tensor of directions is missing, or if its
    /// spec, for example `copy`, is not an initializer.
    fn weight_norm(&self, entry: &Entry, path: &str, last: &str) -> Option<Choice> {
        let weight = path.strip_suffix(".parametrizations.weight");
        let sibling = match (last, weight) {
            ("original0", Some(_)) => "original1",
            ("weight_g", _) => "weight_v",
            _ => return None,
        };
        let name = format!("{path}{}{sibling}", if path.is_empty() { "" } else { "." });
        let direction = &self.manifest.entries[*self.indices.get(name.as_str())?];
        let values = direction.values() / entry.values().max(1);
        let std = self.std_of(direction)?;
        let reason = "magnitudes of a weight norm: about the norm of the direction, so that the weight is the direction";
        Some(guess(Section::Norms, &format!("constant({std}*sqrt({values}))"), reason))
    }

    /// Returns the std of the distribution that the draft chooses for a tensor. Returns `None` if the chosen spec is
    /// not an initializer, for example if the spec is `copy`.
    fn std_of(&self, entry: &Entry) -> Option<f64> {
        let choice = self.choose(entry);
        let init = Init::parse_for(&choice.spec, &entry.shape, &self.variables()).ok()?;
        Some(init.resolve(&entry.shape, entry.dtype.float()?).ok()?.std())
    }

    /// Returns the variables that specs of this draft can use: the numbers of the known model, and `n_layer`, `layer`
    /// and `weight_fan_in`. These three have the placeholder value 1, unless the known model has a number of this name.
    fn variables(&self) -> BTreeMap<String, f64> {
        let of_tensor = ["n_layer", "layer", "weight_fan_in"].map(|name| (name.to_owned(), 1.0));
        of_tensor.into_iter().chain(self.known.iter().flat_map(KnownModel::variables)).collect()
    }

    /// Returns the [`Choice`] for a tensor whose values are not drawn. The spec is `copy` if there is a checkpoint to
    /// copy from, and `skip` otherwise.
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

    /// Returns the [`Choice`] for a floating-point buffer. A buffer is a tensor that is not trained: a running
    /// statistic, a mask or a table. Returns `None` if the tensor's name and shape do not match a known buffer.
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
