//! What a tensor seems to be, from its name, its shape and its neighbours.

use std::collections::HashSet;

use fanin::Initializer as _;
use fanin::init::Init;

use super::vectors::vector;
use super::words::{contains, ends, has, scaled};
use crate::manifest::{Entry, Manifest};

/// The parts of a draft, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Section {
    Buffers,
    Norms,
    Biases,
    Embeddings,
    Recurrent,
    Residual,
    Convolutions,
    Heads,
    Matrices,
    Others,
}

impl Section {
    pub(super) fn title(self) -> &'static str {
        match self {
            Section::Buffers => "-- Buffers",
            Section::Norms => "-- Norms and scales",
            Section::Biases => "-- Biases",
            Section::Embeddings => "-- Embeddings",
            Section::Recurrent => "-- Recurrent layers",
            Section::Residual => "-- Projections that end in a residual sum",
            Section::Convolutions => "-- Convolutions",
            Section::Heads => "-- Heads",
            Section::Matrices => "-- Matrices",
            Section::Others => "-- Others",
        }
    }
}

/// What a tensor gets, and why.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Choice {
    pub(super) section: Section,
    pub(super) spec: String,
    pub(super) why: &'static str,
    pub(super) sure: bool,
}

pub(super) fn sure(section: Section, spec: &str, why: &'static str) -> Choice {
    Choice { section, spec: spec.to_owned(), why, sure: true }
}

pub(super) fn guess(section: Section, spec: &str, why: &'static str) -> Choice {
    Choice { sure: false, ..sure(section, spec, why) }
}

/// What is known of the model as a whole.
pub(super) struct Context<'a> {
    manifest: &'a Manifest,
    names: HashSet<&'a str>,
    /// It has attention: matrices start as those of transformers do.
    attention: bool,
    /// Where values come from can be copied.
    values: bool,
}

impl<'a> Context<'a> {
    pub(super) fn of(manifest: &'a Manifest, values: bool) -> Self {
        let names = manifest.entries.iter().map(|entry| entry.name.as_str()).collect();
        let attention = manifest.entries.iter().any(|entry| {
            entry.shape.len() == 2
                && (has(&entry.name, &["attn", "attention", "qkv"])
                    || contains(&entry.name, &["q_proj", "attn", "attention"]))
        });
        Self { manifest, names, attention, values }
    }

    /// The variable that counts the layers: the names that differ in a number where a residual projection stands.
    pub(super) fn layers(&self) -> String {
        let projections: Vec<&str> = self
            .manifest
            .entries
            .iter()
            .map(|entry| entry.name.as_str())
            .filter(|name| scaled(name))
            .collect();
        let groups = crate::names::groups(&projections, |_| ());
        let layers = groups.iter().map(|group| group.members.len()).max().unwrap_or(1);
        let starred = |name: &str| {
            let star =
                |part: &str| if part.parse::<u64>().is_ok() { "*".to_owned() } else { part.to_owned() };
            name.split('.').map(star).collect::<Vec<_>>().join(".")
        };
        let counted = groups.iter().filter(|group| group.members.len() == layers).find_map(|group| {
            let pattern = starred(projections[group.members[0]]);
            let matcher = globset::Glob::new(&pattern).ok()?.compile_matcher();
            (self.names.iter().filter(|name| matcher.is_match(name)).count() == layers).then_some(pattern)
        });
        match counted {
            Some(pattern) => format!("{{ count = {} }}", super::quoted(&pattern)),
            None => layers.to_string(),
        }
    }

    /// What a tensor gets: something that fits it in any case.
    pub(super) fn choose(&self, entry: &Entry) -> Choice {
        let choice = self.kind(entry);
        let variables = std::collections::BTreeMap::from([("n_layer".to_owned(), 1.0)]);
        let fits = entry.dtype.float().is_none_or(|dtype| {
            let word = ["copy", "skip"].contains(&choice.spec.as_str());
            word || Init::parse_with(&choice.spec, &variables)
                .and_then(|init| init.resolve(&entry.shape, dtype))
                .is_ok()
        });
        if fits {
            choice
        } else {
            guess(Section::Others, "zeros", "no scheme that is usual fits these shapes")
        }
    }

    fn kind(&self, entry: &Entry) -> Choice {
        let (before, last) = ends(&entry.name);
        let beside = |name: &str| {
            let full = if before.is_empty() { name.to_owned() } else { format!("{before}.{name}") };
            self.names.contains(full.as_str())
        };
        if let Some((_, greatest)) = entry.dtype.integers() {
            return self.integers(entry, last, greatest);
        }
        if entry.dtype.float().is_none() {
            let why = "a type that fanin does not draw: its values are taken over";
            return self
                .taken_over(why, "a type that fanin does not draw, and no values to take over: left out");
        }
        if let Some(choice) = self.buffer(entry, last) {
            return choice;
        }
        if contains(last, &["lora_a"]) || contains(before, &["lora_a"]) {
            return sure(
                Section::Others,
                "kaiming_uniform(a=sqrt(5))",
                "LoRA's A as loralib and peft start it (Hu et al. 2021, section 4.1, has a Gaussian)",
            );
        }
        if contains(last, &["lora_b"]) || contains(before, &["lora_b"]) {
            return sure(
                Section::Others,
                "zeros",
                "LoRA's B: the adapter starts as nothing (Hu et al. 2021, section 4.1)",
            );
        }
        match entry.shape.len() {
            0 | 1 => vector(entry, before, last, beside),
            2 => self.matrix(entry, before, last),
            _ => self.kernel(entry, last),
        }
    }

    /// What code computes or counts: taken over if it can be.
    fn taken_over(&self, why: &'static str, otherwise: &'static str) -> Choice {
        if self.values {
            guess(Section::Buffers, "copy", why)
        } else {
            guess(Section::Buffers, "skip", otherwise)
        }
    }

    fn integers(&self, entry: &Entry, last: &str, greatest: i128) -> Choice {
        let steps = entry.shape.last().copied().unwrap_or(1) as i128;
        if last == "num_batches_tracked" {
            return sure(Section::Buffers, "zeros", "batches seen so far");
        }
        if contains(last, &["position_ids", "pos_ids"]) && steps - 1 <= greatest {
            return sure(Section::Buffers, "arange", "positions 0, 1, 2 ...");
        }
        if contains(last, &["token_type_ids"]) {
            return sure(Section::Buffers, "zeros", "token types: all the first");
        }
        if self.values {
            return guess(Section::Buffers, "copy", "integers: their values are taken over");
        }
        guess(Section::Buffers, "zeros", "integers of unknown meaning")
    }

    fn buffer(&self, entry: &Entry, last: &str) -> Option<Choice> {
        let why = "computed by the model's code, not drawn: taken over";
        let otherwise = "computed by the model's code, not drawn: left out, if the code makes it again";
        match last {
            "running_mean" => return Some(sure(Section::Buffers, "zeros", "running mean of a batch norm")),
            "running_var" => return Some(sure(Section::Buffers, "ones", "running variance of a batch norm")),
            _ => {}
        }
        let mask = ["bias", "mask", "tril"].contains(&last)
            && matches!(entry.shape.as_slice(), [1, 1, rows, columns] if rows == columns);
        let table = contains(
            last,
            &[
                "inv_freq",
                "freqs_cis",
                "masked_bias",
                "cos_cached",
                "sin_cached",
                "attn_mask",
                "causal_mask",
                "relative_coords",
            ],
        );
        (mask || table).then(|| self.taken_over(why, otherwise))
    }

    fn matrix(&self, entry: &Entry, before: &str, last: &str) -> Choice {
        let name = &entry.name;
        let module = ends(before).1;
        if last.starts_with("weight_ih") {
            return sure(Section::Recurrent, "xavier_uniform", "input to hidden: Glorot, as Keras");
        }
        if last.starts_with("weight_hh") {
            return sure(
                Section::Recurrent,
                "orthogonal",
                "hidden to hidden: orthogonal (Saxe et al. 2013), as Keras",
            );
        }
        if last == "A_log" {
            return self.taken_over(
                "a state space model's decay: Mamba sets it by a formula of its own",
                "a state space model's decay: Mamba sets it by a formula of its own",
            );
        }
        let embedding = has(name, &["embed", "embedding", "embeddings", "wte", "wpe"])
            || contains(module, &["embed"])
            || contains(last, &["embed", "pos_emb", "token"]);
        if contains(name, &["relative_attention_bias", "relative_position_bias"]) {
            return guess(
                Section::Embeddings,
                "normal(std=0.02)",
                "biases of relative positions; Swin cuts N(0, 0.02), T5 has a scale of its own",
            );
        }
        if embedding && !contains(module, &["proj", "conv", "dense", "linear", "fc", "mlp"]) {
            return if self.attention {
                sure(
                    Section::Embeddings,
                    "normal(std=0.02)",
                    "N(0, 0.02) as GPT-2, BERT and ViT have it; torch's Embedding has N(0, 1)",
                )
            } else {
                guess(
                    Section::Embeddings,
                    "normal",
                    "N(0, 1), torch's default for Embedding; 0.02 where it is also the output",
                )
            };
        }
        if last == "kernel" {
            return guess(
                Section::Matrices,
                "kaiming_normal(nonlinearity=linear, layout=kernel_in_out)",
                "called kernel, so [in, out] as Keras and Flax: N(0, 1/fan_in), LeCun's",
            );
        }
        if scaled(name) && self.attention {
            return sure(
                Section::Residual,
                "normal(std=0.02/sqrt(2*n_layer))",
                "GPT-2, section 2.3: scaled down by the number of residual sums",
            );
        }
        let top = !name.split('.').any(|part| part.parse::<u64>().is_ok());
        if top
            && (has(name, &["head", "classifier", "score", "logits", "output", "decoder", "fc"])
                || contains(name, &["lm_head"]))
        {
            return if self.attention {
                sure(Section::Heads, "normal(std=0.02)", "output, as the other matrices")
            } else {
                guess(
                    Section::Heads,
                    "normal(std=0.01)",
                    "output, small as Goyal et al. 2017 have it, so that training begins near chance; torch's Linear has kaiming_uniform(a=sqrt(5))",
                )
            };
        }
        if self.attention {
            sure(
                Section::Matrices,
                "normal(std=0.02)",
                "attention and MLP: N(0, 0.02) as GPT, BERT and Llama; by width it is 1/sqrt(fan_in)",
            )
        } else {
            guess(
                Section::Matrices,
                "kaiming_normal(nonlinearity=relu)",
                "right before a ReLU (He et al. 2015, equation 10); xavier_uniform before tanh, kaiming_uniform(a=sqrt(5)) is torch's default",
            )
        }
    }

    /// Three axes and more.
    fn kernel(&self, entry: &Entry, last: &str) -> Choice {
        let name = &entry.name;
        if contains(
            last,
            &["token", "pos_embed", "position_embedding", "pos_emb", "embedding", "query_tokens", "prompt"],
        ) {
            return sure(
                Section::Embeddings,
                "normal(std=0.02)",
                "learned tokens and positions, N(0, 0.02) as ViT",
            );
        }
        if contains(name, &["expert"]) {
            return guess(
                Section::Matrices,
                "normal(std=0.02)",
                "matrices of experts in one tensor: the fans of such a tensor are no layer's",
            );
        }
        if last == "kernel" {
            return guess(
                Section::Convolutions,
                "kaiming_normal(nonlinearity=relu, layout=kernel_in_out)",
                "called kernel, so [taps, in, out] as Keras and Flax; right before a ReLU",
            );
        }
        if entry.shape.len() > 5 {
            return guess(Section::Others, "normal(std=0.02)", "more axes than any layer that is known here");
        }
        if has(name, &["deconv", "upconv", "transpose", "transposed", "convtranspose", "up"]) {
            return guess(
                Section::Convolutions,
                "kaiming_normal(nonlinearity=relu, layout=in_out)",
                "transposed by its name, so [in, out, taps]; with a stride fewer taps meet each output",
            );
        }
        if last == "in_proj_weight" || (entry.shape.len() == 3 && entry.shape[2] > 64) {
            return guess(
                Section::Others,
                "normal(std=0.02)",
                "three axes, the last of them no kernel's size",
            );
        }
        if entry.shape[1] == 1 && entry.shape[0] > 1 {
            return sure(
                Section::Convolutions,
                "kaiming_normal(mode=fan_in, nonlinearity=relu)",
                "one input channel a filter, so depthwise or the first layer: by fan_in, as fan_out would count every group",
            );
        }
        if self.attention {
            return guess(
                Section::Convolutions,
                "kaiming_uniform(a=sqrt(5))",
                "convolutions of a transformer (patches): torch's default, as timm leaves it",
            );
        }
        sure(
            Section::Convolutions,
            "kaiming_normal(mode=fan_out, nonlinearity=relu)",
            "He et al. 2015, equation 14, as ResNets; mode=fan_in keeps the forward variance instead",
        )
    }
}
