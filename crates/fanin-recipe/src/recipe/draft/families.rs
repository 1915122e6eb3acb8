//! Choices for the tensors of known model families, which follow the code that the authors published or that transformers
//! has. A family is recognized by the names of its tensors.

use super::choice::{Choice, Section, guess, known};
use super::words::{contains, split_last};
use crate::manifest::{Entry, Manifest};

/// A family of models whose initialization is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    /// State space models of state-spaces/mamba: Mamba 1 and 2.
    Mamba,
    T5,
    Rwkv,
    Whisper,
    Clip,
    Swin,
    ConvNext,
    Detr,
    /// Gemma 2 and later, whose norms multiply by `1 + weight`.
    Gemma,
    /// Decoders with the names of Llama: Llama, Qwen, Mixtral, DeepSeek, and Gemma 1.
    Llama,
    /// Models with the names of GPT-2, BERT, ViT and GPT-NeoX.
    Classic,
}

/// A model of a known family, with the numbers on which its rules depend.
#[derive(Debug)]
pub(super) struct KnownModel {
    family: Family,
    /// The number of layers of Mamba.
    mamba_layers: usize,
    /// The width and the number of heads of T5.
    t5_width: Option<usize>,
    t5_heads: Option<usize>,
    /// The numbers of layers of CLIP's towers, for images and for text.
    clip_layers: [usize; 2],
    /// Whether the model has as many tokens as Gemma, whose tensors have the names of Llama's.
    has_tokens_of_gemma: bool,
}

impl KnownModel {
    /// Returns the model if its family is known, and `None` otherwise.
    pub(super) fn of(manifest: &Manifest) -> Option<Self> {
        /// The number of tokens of Gemma.
        const GEMMA_TOKENS: usize = 256_000;
        let family = family(manifest)?;
        let count = |matches: &dyn Fn(&str) -> bool| {
            manifest.entries.iter().filter(|entry| matches(&entry.name)).count().max(1)
        };
        let columns = |text: &str| {
            let entry = manifest.entries.iter().find(|entry| entry.name.contains(text))?;
            entry.shape.get(1).copied()
        };
        let layers_of =
            |tower: &str| count(&|name| name.contains(tower) && name.ends_with("self_attn.q_proj.weight"));
        Some(Self {
            family,
            mamba_layers: count(&|name| name.ends_with("mixer.A_log")),
            t5_width: columns("SelfAttention.k.weight"),
            t5_heads: columns("relative_attention_bias.weight").filter(|heads| *heads > 0),
            clip_layers: ["vision_model", "text_model"].map(layers_of),
            has_tokens_of_gemma: manifest.entries.iter().any(|entry| {
                entry.shape.first() == Some(&GEMMA_TOKENS) && entry.name.ends_with("embed_tokens.weight")
            }),
        })
    }
}

/// Returns the family of a model, or `None` if it is not known.
fn family(manifest: &Manifest) -> Option<Family> {
    let any = |texts: &[&str]| {
        manifest.entries.iter().any(|entry| texts.iter().any(|text| entry.name.contains(text)))
    };
    let cases: [(Family, &[&str]); 11] = [
        (Family::Mamba, &["mixer.A_log"]),
        (Family::T5, &["SelfAttention.relative_attention_bias", "EncDecAttention.q"]),
        (Family::Rwkv, &["attention.time_decay", "att.time_decay"]),
        (Family::Whisper, &["encoder.embed_positions.weight"]),
        (Family::Clip, &["vision_model.embeddings.class_embedding", "text_model.embeddings.token_embedding"]),
        (Family::Swin, &["relative_position_bias_table"]),
        (Family::ConvNext, &["layer_scale_parameter", "conv_dw.weight", "dwconv.weight"]),
        (
            Family::Detr,
            &["query_position_embeddings.weight", "class_labels_classifier.weight", "query_embed.weight"],
        ),
        (Family::Gemma, &["pre_feedforward_layernorm.weight"]),
        (
            Family::Llama,
            &["self_attn.q_proj.weight", "self_attn.qkv_proj.weight", "self_attn.q_a_proj.weight"],
        ),
        (
            Family::Classic,
            &[
                "attn.c_attn.weight",
                "attention.self.query",
                "attn.qkv.weight",
                "attention.query_key_value",
                "attention.attention.query",
                "self_attention.in_proj",
            ],
        ),
    ];
    // Whisper has a convolution before its encoder, other speech models have not.
    let is_whisper = any(&["encoder.conv1.weight"]);
    cases
        .into_iter()
        .find(|(family, texts)| any(texts) && (*family != Family::Whisper || is_whisper))
        .map(|(family, _)| family)
}

impl KnownModel {
    /// Returns the choice for a floating-point tensor, or `None` if the family has no rule of its own for it.
    pub(super) fn choose(&self, entry: &Entry) -> Option<Choice> {
        let (path, last) = split_last(&entry.name);
        let module = split_last(path).1;
        match self.family {
            Family::Mamba => mamba(self, entry, module, last),
            Family::T5 => t5(self, entry, module, last),
            Family::Rwkv => rwkv(entry, module, last),
            Family::Clip => clip(self, entry, module, last),
            Family::Swin => swin(entry, last),
            Family::ConvNext => convnext(entry, last),
            Family::Detr => detr(entry, module, last),
            Family::Gemma => (last == "weight" && contains(module, &["norm"]) && entry.shape.len() == 1)
                .then(|| {
                    known(Section::Norms, "zeros", "gains of norms that multiply by 1 + weight, as in Gemma")
                }),
            Family::Llama => llama(self, entry, module, last),
            Family::Whisper => (entry.shape.len() > 1 && contains(module, &["conv1", "conv2"])).then(|| {
                known(
                    Section::Convolutions,
                    "normal(std=0.02)",
                    "convolutions before the encoder, as in Whisper",
                )
            }),
            Family::Classic => None,
        }
    }

    /// Returns whether the code of the model computes the values of this tensor by a formula that a spec cannot express.
    pub(super) fn is_computed(&self, entry: &Entry) -> bool {
        let name = &entry.name;
        match self.family {
            Family::Whisper => name.ends_with("encoder.embed_positions.weight"),
            Family::Rwkv => contains(
                split_last(name).1,
                &["time_decay", "time_first", "time_mix", "time_maa", "time_faaaa"],
            ),
            _ => false,
        }
    }
}

/// `mamba_ssm/modules/mamba_simple.py`, `mamba2.py` and `models/mixer_seq_simple.py` of state-spaces/mamba.
fn mamba(model: &KnownModel, entry: &Entry, module: &str, last: &str) -> Option<Choice> {
    const TIME_STEP: &str = "softplus_inverse(log_uniform(0.001, 0.1))";
    let layers = model.mamba_layers;
    let fitted = |spec: &str, reason| Some(known(Section::Others, spec, reason));
    match (module, last, entry.shape.len()) {
        (_, "A_log", 2) => fitted("log(arange(1, shape[1]+1))", "S4D-Real, as in Mamba"),
        (_, "A_log", 1) => fitted("log(uniform(1, 16))", "one decay a head, as in Mamba 2"),
        (_, "D", _) => fitted("ones", "the skip connection of Mamba"),
        (_, "dt_bias", _) | ("dt_proj", "bias", _) => {
            fitted(TIME_STEP, "time steps from 0.001 to 0.1 through the inverse of softplus, as in Mamba")
        }
        ("dt_proj", "weight", _) => {
            fitted("uniform(a=-1/sqrt(fan_in), b=1/sqrt(fan_in))", "U(+-dt_rank^-0.5), as in Mamba")
        }
        ("out_proj", "weight", _) => {
            let bound = format!("1/sqrt({layers}*fan_in)");
            let spec = format!("uniform(a=-{bound}, b={bound})");
            let reason = "torch's default divided by sqrt(layers), as in Mamba";
            Some(known(Section::Residual, &spec, reason))
        }
        ("in_proj" | "x_proj", "weight", _) => Some(known(
            Section::Matrices,
            "kaiming_uniform(a=sqrt(5))",
            "torch's default for Linear, as in Mamba",
        )),
        ("conv1d", "weight", _) => Some(known(
            Section::Convolutions,
            "kaiming_uniform(a=sqrt(5))",
            "torch's default for Conv1d, as in Mamba",
        )),
        ("conv1d", "bias", _) => Some(known(
            Section::Convolutions,
            "linear_default_bias(weight_fan_in)",
            "torch's default for the bias of Conv1d, as in Mamba",
        )),
        ("embeddings" | "embedding" | "lm_head", "weight", _) => {
            Some(known(Section::Embeddings, "normal(std=0.02)", "as in Mamba"))
        }
        _ => None,
    }
}

/// `T5PreTrainedModel._init_weights` of transformers, after Mesh TensorFlow.
fn t5(model: &KnownModel, entry: &Entry, module: &str, last: &str) -> Option<Choice> {
    if last != "weight" {
        return None;
    }
    let scaled = "1/sqrt(fan_in), as in T5, which has no scale in its attention";
    match module {
        "q" => {
            let size = model.t5_heads.and_then(|heads| Some(entry.shape.first()? / heads));
            Some(match size.filter(|size| *size > 0) {
                Some(size) => {
                    let spec = format!("normal(std=1/sqrt({size}*fan_in))");
                    known(Section::Matrices, &spec, "1/sqrt(width * size of a head), as in T5")
                }
                None => {
                    guess(Section::Matrices, "normal(std=1/sqrt(64*fan_in))", "T5, with heads of size 64")
                }
            })
        }
        "k" | "v" | "o" | "wi" | "wi_0" | "wi_1" | "wo" => {
            Some(known(Section::Matrices, "normal(std=1/sqrt(fan_in))", scaled))
        }
        "relative_attention_bias" => model.t5_width.map(|width| {
            let spec = format!("normal(std=1/sqrt({width}))");
            known(Section::Embeddings, &spec, "1/sqrt(width), as in T5")
        }),
        "shared" | "embed_tokens" => Some(known(Section::Embeddings, "normal", "N(0, 1), as in T5")),
        "lm_head" => {
            Some(known(Section::Heads, "normal", "N(0, 1) if it is not tied to the embedding, as in T5"))
        }
        _ => None,
    }
}

/// `RwkvPreTrainedModel._init_weights` of transformers, after BlinkDL/RWKV-LM.
fn rwkv(entry: &Entry, module: &str, last: &str) -> Option<Choice> {
    if last != "weight" || entry.shape.len() != 2 {
        return None;
    }
    let gain = "sqrt(max(1, shape[0]/shape[1]))";
    Some(match module {
        "embeddings" | "emb" => {
            let spec = "orthogonal(gain=0.0001*sqrt(max(shape[0], shape[1])))";
            known(Section::Embeddings, spec, "as in RWKV")
        }
        "head" => known(Section::Heads, &format!("orthogonal(gain=0.5*{gain})"), "as in RWKV"),
        _ => known(Section::Matrices, &format!("orthogonal(gain={gain})"), "as in RWKV 4"),
    })
}

/// `CLIPPreTrainedModel._init_weights` of transformers.
fn clip(model: &KnownModel, entry: &Entry, module: &str, last: &str) -> Option<Choice> {
    let [vision, text] = model.clip_layers;
    let layers = if entry.name.contains("vision_model") { vision } else { text };
    if last == "class_embedding" {
        return Some(known(
            Section::Embeddings,
            "normal(std=1/sqrt(shape[-1]))",
            "1/sqrt(width), as in CLIP",
        ));
    }
    if last == "logit_scale" {
        return Some(known(Section::Norms, "constant(log(1/0.07))", "as in CLIP"));
    }
    if last != "weight" {
        return None;
    }
    let matrix = |spec: &str, reason| Some(known(Section::Matrices, spec, reason));
    let residual = "1/sqrt(width), divided by sqrt(2 layers), as in CLIP";
    match module {
        "q_proj" | "k_proj" | "v_proj" => matrix(&format!("normal(std=1/sqrt(2*{layers}*fan_in))"), residual),
        "fc2" => matrix(&format!("normal(std=1/sqrt(2*{layers}*fan_out))"), residual),
        "out_proj" | "text_projection" | "visual_projection" => {
            matrix("normal(std=1/sqrt(fan_in))", "1/sqrt(width), as in CLIP")
        }
        "fc1" => matrix("normal(std=1/sqrt(2*fan_in))", "1/sqrt(2 width), as in CLIP"),
        "patch_embedding" | "position_embedding" | "token_embedding" => {
            Some(known(Section::Embeddings, "normal(std=0.02)", "as in CLIP"))
        }
        _ => None,
    }
}

/// `SwinTransformer._init_weights` of microsoft/Swin-Transformer.
fn swin(entry: &Entry, last: &str) -> Option<Choice> {
    match (last, entry.shape.len()) {
        ("relative_position_bias_table", _) => Some(known(
            Section::Embeddings,
            "trunc_normal(std=0.02)",
            "as in Swin; transformers writes zeros",
        )),
        ("weight", 2) => Some(known(Section::Matrices, "trunc_normal(std=0.02)", "as in Swin")),
        ("weight", 4) => Some(known(
            Section::Convolutions,
            "kaiming_uniform(a=sqrt(5))",
            "torch's default for the patches, as in Swin; transformers has normal(std=0.02)",
        )),
        ("mask_token", _) => Some(known(Section::Embeddings, "zeros", "as in Swin of transformers")),
        _ => None,
    }
}

/// `ConvNeXt._init_weights` of facebookresearch/ConvNeXt.
fn convnext(entry: &Entry, last: &str) -> Option<Choice> {
    match (last, entry.shape.len()) {
        ("weight", 2) => Some(known(Section::Matrices, "trunc_normal(std=0.02)", "as in ConvNeXt")),
        ("weight", 4) => Some(known(Section::Convolutions, "trunc_normal(std=0.02)", "as in ConvNeXt")),
        ("layer_scale_parameter" | "gamma", 1) => {
            Some(known(Section::Norms, "constant(1e-6)", "as in ConvNeXt"))
        }
        _ => None,
    }
}

/// `DetrPreTrainedModel._init_weights` of transformers, or `Transformer._reset_parameters` of facebookresearch/detr.
fn detr(entry: &Entry, module: &str, last: &str) -> Option<Choice> {
    let name = &entry.name;
    if contains(name, &["backbone"]) {
        let reason = "the backbone of DETR is a trained ResNet: copy its weights rather than draw them";
        return (entry.shape.len() > 1).then(|| {
            guess(Section::Convolutions, "kaiming_normal(mode=fan_out, nonlinearity=relu)", reason)
        });
    }
    let is_original =
        name.starts_with("transformer.") || contains(module, &["query_embed", "class_embed", "input_proj"]);
    match (is_original, last, entry.shape.len()) {
        (true, _, 2) if module == "query_embed" => {
            Some(known(Section::Embeddings, "normal", "N(0, 1), as in DETR"))
        }
        (true, _, 2) if name.starts_with("transformer.") => {
            Some(known(Section::Matrices, "xavier_uniform", "as in DETR"))
        }
        (true, "weight", 2 | 4) => {
            Some(known(Section::Heads, "kaiming_uniform(a=sqrt(5))", "torch's default, as in DETR"))
        }
        (false, "weight", 2) => {
            Some(known(Section::Matrices, "normal(std=0.02)", "as in DETR of transformers"))
        }
        (false, "weight", 4) if module == "input_projection" => {
            Some(known(Section::Convolutions, "normal(std=0.02)", "as in DETR of transformers"))
        }
        _ => None,
    }
}

/// `_init_weights` of Llama, Qwen, Mixtral and DeepSeek in transformers: N(0, 0.02), zeros, and ones for norms.
fn llama(model: &KnownModel, entry: &Entry, module: &str, last: &str) -> Option<Choice> {
    let is_expert = entry.shape.len() == 3 && contains(&entry.name, &["experts"]);
    if is_expert {
        let reason = "the matrices of all experts, N(0, 0.02) as in Mixtral, Qwen and DeepSeek";
        return Some(known(Section::Matrices, "normal(std=0.02)", reason));
    }
    if model.has_tokens_of_gemma && last == "weight" && contains(module, &["norm"]) {
        let reason =
            "256,000 tokens as in Gemma, whose norms multiply by 1 + weight; ones for any other model";
        return Some(guess(Section::Norms, "zeros", reason));
    }
    None
}
