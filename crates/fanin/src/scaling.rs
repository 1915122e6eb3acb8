//! Scaling factors: functions that scale a standard deviation with the depth or the width of a model.
//!
//! The arguments are sizes of the model. A depth is a number of layers, and a width is a fan or a hidden size. Specs
//! call the same functions by name: `normal(std=0.02*gpt2_residual(n_layer))`,
//! `xavier_normal(gain=deepnorm_beta(n_layer))`. [`scaling_factors`] lists all factors.

/// Returns `1 / sqrt(2 * layers)`: GPT-2's factor for the last projection of each residual branch. The model has
/// `layers` layers with two residual branches each.
///
/// Sources: Radford et al. 2019, Language models are unsupervised multitask learners, section 2.3; Megatron's
/// `scaled_init_method`.
pub fn gpt2_residual(layers: f64) -> f64 {
    1.0 / (2.0 * layers).sqrt()
}

/// Returns `1 / sqrt(2 * (layer + 1))`: the factor for the last projection of each residual branch of one layer.
/// `layer` is the index of this layer. The first layer has the index 0.
///
/// torchtitan and OLMo use this factor. Source: Zhang et al. 2019, Improving deep transformer with depth-scaled
/// initialization.
pub fn depth_scaled(layer: f64) -> f64 {
    1.0 / (2.0 * (layer + 1.0)).sqrt()
}

/// Returns `sqrt(2 / (5 * width))`: SmallInit's standard deviation of every matrix. `width` is the hidden size of the
/// model.
///
/// Sources: Nguyen and Salazar 2019, Transformers without tears, section 2.2; GPT-NeoX's `small_init_init_method`.
pub fn small_init(width: f64) -> f64 {
    (2.0 / (5.0 * width)).sqrt()
}

/// Returns `2 / (layers * sqrt(width))`: the standard deviation of the last projection of each residual branch. The
/// model has `layers` layers and the hidden size `width`. All other matrices use [`small_init`].
///
/// Sources: Wang and Komatsuzaki 2021, mesh-transformer-jax; GPT-NeoX's `wang_init_method`.
pub fn wang_init(layers: f64, width: f64) -> f64 {
    2.0 / (layers * width.sqrt())
}

/// Returns `sqrt(base / fan_in)`: muP's factor for the standard deviation of a hidden matrix. Both fans of a hidden
/// matrix grow with the width of the model.
///
/// `base` is the fan_in of the same matrix in muP's base model. In the base model, the factor is 1.
///
/// Source: Yang et al. 2022, Tensor programs V, arXiv 2203.03466, table 3 (variance 1 / fan_in).
pub fn mup_hidden(fan_in: f64, base: f64) -> f64 {
    (base / fan_in).sqrt()
}

/// Returns `base / fan_in`: muP's factor for the output weights (Yang et al. 2022, table 3: variance 1 / fan_in^2).
///
/// `base` is the fan_in of the same matrix in muP's base model. The Python package `mup` does not use this factor.
/// Instead, the package divides the output of the layer (Yang et al. 2022, table 8).
pub fn mup_output(fan_in: f64, base: f64) -> f64 {
    base / fan_in
}

/// Returns 1: muP's factor for embeddings, input weights and biases (Yang et al. 2022, table 3). Their fan_in does not
/// grow with the width.
///
/// The arguments have no effect. They are the same as those of [`mup_hidden`], so that a spec can use either function.
pub fn mup_embedding(_fan_in: f64, _base: f64) -> f64 {
    1.0
}

/// Returns `(8 * layers)^(-1/4)`: DeepNorm's gain of the value, output and feed-forward matrices. The model has
/// `layers` layers, and is either encoder-only or decoder-only.
///
/// Source: Wang et al. 2022, DeepNet, arXiv 2203.00555, figure 2.
pub fn deepnorm_beta(layers: f64) -> f64 {
    quarter_root(8.0 * layers)
}

/// Returns `0.87 * (encoder^4 * decoder)^(-1/16)`: DeepNorm's gain in the encoder of an encoder-decoder model.
/// `encoder` is the number of encoder layers, and `decoder` is the number of decoder layers.
///
/// Source: Wang et al. 2022, figure 2.
pub fn deepnorm_encoder_beta(encoder: f64, decoder: f64) -> f64 {
    0.87 * libm::pow(encoder * encoder * encoder * encoder * decoder, -1.0 / 16.0)
}

/// Returns `(12 * decoder)^(-1/4)`: DeepNorm's gain in the decoder of an encoder-decoder model (Wang et al. 2022,
/// figure 2). `decoder` is the number of decoder layers.
pub fn deepnorm_decoder_beta(decoder: f64) -> f64 {
    quarter_root(12.0 * decoder)
}

/// Returns `0.67 * layers^(-1/4)`: T-Fixup's factor for the value, output and feed-forward matrices of an encoder. The
/// encoder has `layers` layers.
///
/// Source: Huang et al. 2020, Improving transformer optimization through better initialization, section 3.
pub fn tfixup_encoder(layers: f64) -> f64 {
    0.67 * quarter_root(layers)
}

/// Returns `(9 * layers)^(-1/4)`: T-Fixup's factor for the value, output and feed-forward matrices of a decoder. The
/// decoder has `layers` layers.
///
/// The standard deviation of the embeddings, in the encoder and in the decoder, is `width^(-1/2)` times this factor.
/// The authors' code also multiplies the value matrices by sqrt(2), because fairseq initializes them with the gain
/// 1/sqrt(2).
///
/// Source: Huang et al. 2020, section 3.
pub fn tfixup_decoder(layers: f64) -> f64 {
    quarter_root(9.0 * layers)
}

/// Returns `branches^(-1 / (2 * depth - 2))`: Fixup's factor for the weights inside a residual branch. The network has
/// `branches` residual branches with `depth` layers each.
///
/// The factor does not apply to the last layer of a branch or to the classifier, which are initialized to 0. If `depth`
/// is less than 2, a branch has no other layer, and the result is NaN.
///
/// Source: Zhang et al. 2019, Fixup initialization, arXiv 1901.09321, section 3.
pub fn fixup(branches: f64, depth: f64) -> f64 {
    if depth < 2.0 {
        return f64::NAN;
    }
    libm::pow(branches, -1.0 / (2.0 * depth - 2.0))
}

fn quarter_root(x: f64) -> f64 {
    1.0 / x.sqrt().sqrt()
}

/// Describes a scaling factor: a function of the module [`scaling`](self). Specs can call this function.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct ScalingFactor {
    /// The name of the function.
    pub name: &'static str,
    /// The names of the arguments, in order.
    pub parameters: &'static [&'static str],
    /// The formula, written with the names in `parameters`.
    pub formula: &'static str,
    /// The paper or the code that defines the factor.
    pub source: &'static str,
    apply: fn(&[f64]) -> f64,
}

impl ScalingFactor {
    /// Returns the factor for these arguments.
    ///
    /// Returns `None` if the number of arguments differs from the number of parameters. Also returns `None` if an
    /// argument is negative or outside the domain of the formula, such as 0 layers.
    pub fn apply(&self, arguments: &[f64]) -> Option<f64> {
        (arguments.len() == self.parameters.len())
            .then(|| (self.apply)(arguments))
            .filter(|factor| factor.is_finite() && arguments.iter().all(|argument| *argument >= 0.0))
    }
}

/// Returns every scaling factor that a spec can call.
///
/// ```
/// let factors = fanin::scaling::scaling_factors();
/// let factor = factors.iter().find(|factor| factor.name == "mup_hidden").unwrap();
/// assert_eq!(factor.apply(&[1024.0, 256.0]), Some(0.5));
/// assert_eq!(factor.apply(&[1024.0]), None);
/// ```
pub fn scaling_factors() -> &'static [ScalingFactor] {
    &FACTORS
}

macro_rules! factor {
    ($name:ident ($($parameter:ident),+) $formula:literal, $source:literal) => {
        ScalingFactor {
            name: stringify!($name),
            parameters: &[$(stringify!($parameter)),+],
            formula: $formula,
            source: $source,
            apply: |arguments| {
                let [$($parameter),+] = arguments else { return f64::NAN };
                $name($(*$parameter),+)
            },
        }
    };
}

static FACTORS: [ScalingFactor; 13] = [
    factor!(gpt2_residual(layers) "1 / sqrt(2 * layers)", "Radford et al. 2019, section 2.3"),
    factor!(depth_scaled(layer) "1 / sqrt(2 * (layer + 1))", "Zhang et al. 2019; torchtitan, OLMo"),
    factor!(small_init(width) "sqrt(2 / (5 * width))", "Nguyen, Salazar 2019, section 2.2"),
    factor!(wang_init(layers, width) "2 / (layers * sqrt(width))", "Wang, Komatsuzaki 2021; GPT-NeoX"),
    factor!(mup_hidden(fan_in, base) "sqrt(base / fan_in)", "Yang et al. 2022, arXiv 2203.03466, table 3"),
    factor!(mup_output(fan_in, base) "base / fan_in", "Yang et al. 2022, arXiv 2203.03466, table 3"),
    factor!(mup_embedding(fan_in, base) "1", "Yang et al. 2022, arXiv 2203.03466, table 3"),
    factor!(deepnorm_beta(layers) "(8 * layers)^(-1/4)", "Wang et al. 2022, arXiv 2203.00555, figure 2"),
    factor!(deepnorm_encoder_beta(encoder, decoder) "0.87 * (encoder^4 * decoder)^(-1/16)", "Wang et al. 2022, arXiv 2203.00555, figure 2"),
    factor!(deepnorm_decoder_beta(decoder) "(12 * decoder)^(-1/4)", "Wang et al. 2022, arXiv 2203.00555, figure 2"),
    factor!(tfixup_encoder(layers) "0.67 * layers^(-1/4)", "Huang et al. 2020, section 3"),
    factor!(tfixup_decoder(layers) "(9 * layers)^(-1/4)", "Huang et al. 2020, section 3"),
    factor!(fixup(branches, depth) "branches^(-1 / (2 * depth - 2))", "Zhang et al. 2019, arXiv 1901.09321, section 3"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn find(name: &str) -> &'static ScalingFactor {
        scaling_factors().iter().find(|factor| factor.name == name).unwrap()
    }

    #[test]
    fn scaling_factors_agree_with_the_papers_and_with_reference_code() {
        for (name, arguments, number) in [
            // transformers' GPT2PreTrainedModel computes the std of GPT-2 small as 0.02 / sqrt(24).
            ("gpt2_residual", &[12.0][..], 0.204_124_145_231_931_54),
            // torchtitan computes the std as 0.02 / (2 * (layer_id + 1)) ** 0.5.
            ("depth_scaled", &[3.0], 0.353_553_390_593_273_8),
            // GPT-NeoX computes these two stds as math.sqrt(2 / (5 * 768)) and 2 / 12 / math.sqrt(768).
            ("small_init", &[768.0], 0.022_821_773_229_381_92),
            ("wang_init", &[12.0, 768.0], 0.006_014_065_304_058_602),
            // The width is 4 times the base width. mup 1.0 multiplies the std of hidden matrices by
            // `width_mult() ** -0.5`. mup does not use the factor `mup_output`, which is in the paper only.
            ("mup_hidden", &[1024.0, 256.0], 0.5),
            ("mup_output", &[1024.0, 256.0], 0.25),
            ("mup_embedding", &[1024.0, 256.0], 1.0),
            // DeepNet, figure 2. torchscale divides weights by math.pow(8.0 * decoder_layers, 0.25) and similar terms.
            ("deepnorm_beta", &[18.0], 0.288_675_134_594_812_87),
            ("deepnorm_encoder_beta", &[18.0, 18.0], 0.352_571_005_957_042_77),
            ("deepnorm_decoder_beta", &[18.0], 0.260_847_430_012_214_55),
            // T-Fixup, section 3, for 6 layers: 0.67 * 6 ** (-1/4) and (9 * 6) ** (-1/4).
            ("tfixup_encoder", &[6.0], 0.428_091_879_845_002_6),
            ("tfixup_decoder", &[6.0], 0.368_893_973_233_440_53),
            // Fixup's ResNet-110 has 54 basic blocks of two convolutions. The authors' code has the factor
            // num_layers ** (-0.5).
            ("fixup", &[54.0, 2.0], 0.136_082_763_487_954_34),
        ] {
            let factor = find(name);
            let found = factor.apply(arguments).unwrap();
            assert!((found / number - 1.0).abs() < 1e-12, "{name}: {found} {number}");
            assert_eq!(factor.apply(&[]), None);
            assert!(!factor.formula.is_empty() && !factor.source.is_empty());
        }
        assert_eq!(find("fixup").apply(&[0.0, 2.0]), None);
    }
}
