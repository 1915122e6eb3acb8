//! Rules on the level of a model: how depth and width scale a standard deviation.
//!
//! Each is a number from the model's shape. In a spec they are functions, `normal(std=0.02*gpt2_residual(n_layer))` or
//! `xavier_normal(gain=deepnorm_beta(n_layer))`; here they are functions too. Depths are counts, widths are fans.

/// 1 / sqrt(2 N): the projections that end a residual branch, in a model of N layers with two branches each (Radford et al.
/// 2019, Language models are unsupervised multitask learners, section 2.3; Megatron's scaled_init_method).
pub fn gpt2_residual(layers: f64) -> f64 {
    1.0 / (2.0 * layers).sqrt()
}

/// 1 / sqrt(2 (l + 1)): the same by the layer's own number l, counted from 0 (torchtitan and OLMo, after Zhang et al. 2019,
/// Improving deep transformer with depth-scaled initialization).
pub fn depth_scaled(layer: f64) -> f64 {
    1.0 / (2.0 * (layer + 1.0)).sqrt()
}

/// sqrt(2 / (5 d)): the std of every matrix of a model of width d (Nguyen and Salazar 2019, Transformers without tears,
/// section 2.2: SmallInit; GPT-NeoX's small_init_init_method).
pub fn small_init(width: f64) -> f64 {
    (2.0 / (5.0 * width)).sqrt()
}

/// 2 / (N sqrt(d)): the std of the projections that end a residual branch, beside [`small_init`] (Wang and Komatsuzaki 2021,
/// mesh-transformer-jax; GPT-NeoX's wang_init_method).
pub fn wang_init(layers: f64, width: f64) -> f64 {
    2.0 / (layers * width.sqrt())
}

/// (base / fan_in)^(1/2): muP's factor for matrices whose both sides grow with the width (Yang et al. 2022, Tensor programs
/// V, arXiv 2203.03466, table 3: variance 1 / fan_in).
pub fn mup_hidden(fan_in: f64, base: f64) -> f64 {
    (base / fan_in).sqrt()
}

/// base / fan_in: muP's factor for the output weights (table 3: variance 1 / fan_in^2). The package mup keeps the std here
/// and divides the output instead (table 8).
pub fn mup_output(fan_in: f64, base: f64) -> f64 {
    base / fan_in
}

/// 1: muP's factor for embeddings, input weights and biases, whose fan_in does not grow (table 3).
pub fn mup_embedding(_fan_in: f64, _base: f64) -> f64 {
    1.0
}

/// (8 N)^(-1/4): DeepNorm's gain of the value, output and feed-forward matrices in an encoder or a decoder of N layers
/// (Wang et al. 2022, DeepNet, arXiv 2203.00555, figure 2).
pub fn deepnorm_beta(layers: f64) -> f64 {
    quarter_root(8.0 * layers)
}

/// 0.87 (N^4 M)^(-1/16): DeepNorm's gain in the encoder, of N layers, of a model with a decoder of M (figure 2).
pub fn deepnorm_encoder_beta(encoder: f64, decoder: f64) -> f64 {
    0.87 * libm::pow(encoder * encoder * encoder * encoder * decoder, -1.0 / 16.0)
}

/// (12 M)^(-1/4): DeepNorm's gain in the decoder, of M layers, of a model with an encoder (figure 2).
pub fn deepnorm_decoder_beta(decoder: f64) -> f64 {
    quarter_root(12.0 * decoder)
}

/// 0.67 N^(-1/4): T-Fixup's factor for the value, output and feed-forward matrices of an encoder of N layers (Huang et al.
/// 2020, Improving transformer optimization through better initialization, section 3).
pub fn tfixup_encoder(layers: f64) -> f64 {
    0.67 * quarter_root(layers)
}

/// (9 N)^(-1/4): the same for a decoder of N layers. The embeddings of both sides have std d^(-1/2) times this. (The authors'
/// code has another sqrt 2 on the value matrices, which undoes the gain 1/sqrt 2 that fairseq starts them with.)
pub fn tfixup_decoder(layers: f64) -> f64 {
    quarter_root(9.0 * layers)
}

/// L^(-1 / (2 m - 2)): Fixup's factor for the weights inside a residual branch of m layers, in a network of L branches; the
/// last layer of each branch, and the classifier, start at 0 (Zhang et al. 2019, Fixup initialization, arXiv 1901.09321,
/// section 3). NaN for a branch of one layer, which is its last.
pub fn fixup(branches: f64, depth: f64) -> f64 {
    if depth < 2.0 {
        return f64::NAN;
    }
    libm::pow(branches, -1.0 / (2.0 * depth - 2.0))
}

fn quarter_root(x: f64) -> f64 {
    1.0 / x.sqrt().sqrt()
}

/// A rule as specs know it.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Rule {
    /// The function's name.
    pub name: &'static str,
    /// Its arguments in order.
    pub parameters: &'static [&'static str],
    /// What it is.
    pub formula: &'static str,
    /// Where it comes from.
    pub source: &'static str,
    apply: fn(&[f64]) -> f64,
}

impl Rule {
    /// The number for these arguments, as many as there are parameters; `None` for another count, or where an argument is
    /// out of the rule's domain (0 layers, say).
    pub fn apply(&self, arguments: &[f64]) -> Option<f64> {
        (arguments.len() == self.parameters.len())
            .then(|| (self.apply)(arguments))
            // Layers and widths are counts: less than none is another mistake than none.
            .filter(|number| number.is_finite() && arguments.iter().all(|argument| *argument >= 0.0))
    }
}

/// Every rule that a spec can name.
pub fn rules() -> &'static [Rule] {
    &RULES
}

macro_rules! rule {
    ($name:ident ($($parameter:ident),+) $formula:literal, $source:literal) => {
        Rule {
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

static RULES: [Rule; 13] = [
    rule!(gpt2_residual(layers) "1 / sqrt(2 layers)", "Radford et al. 2019, section 2.3"),
    rule!(depth_scaled(layer) "1 / sqrt(2 (layer + 1))", "Zhang et al. 2019; torchtitan, OLMo"),
    rule!(small_init(width) "sqrt(2 / (5 width))", "Nguyen, Salazar 2019, section 2.2"),
    rule!(wang_init(layers, width) "2 / (layers sqrt(width))", "Wang, Komatsuzaki 2021; GPT-NeoX"),
    rule!(mup_hidden(fan_in, base) "sqrt(base / fan_in)", "Yang et al. 2022, arXiv 2203.03466, table 3"),
    rule!(mup_output(fan_in, base) "base / fan_in", "Yang et al. 2022, arXiv 2203.03466, table 3"),
    rule!(mup_embedding(fan_in, base) "1", "Yang et al. 2022, arXiv 2203.03466, table 3"),
    rule!(deepnorm_beta(layers) "(8 layers)^(-1/4)", "Wang et al. 2022, arXiv 2203.00555, figure 2"),
    rule!(deepnorm_encoder_beta(encoder, decoder) "0.87 (encoder^4 decoder)^(-1/16)", "Wang et al. 2022, arXiv 2203.00555, figure 2"),
    rule!(deepnorm_decoder_beta(decoder) "(12 decoder)^(-1/4)", "Wang et al. 2022, arXiv 2203.00555, figure 2"),
    rule!(tfixup_encoder(layers) "0.67 layers^(-1/4)", "Huang et al. 2020, section 3"),
    rule!(tfixup_decoder(layers) "(9 layers)^(-1/4)", "Huang et al. 2020, section 3"),
    rule!(fixup(branches, depth) "branches^(-1 / (2 depth - 2))", "Zhang et al. 2019, arXiv 1901.09321, section 3"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_the_papers_and_of_reference_code() {
        for (name, arguments, number) in [
            // GPT-2 small: 0.02 / sqrt(24), as transformers' GPT2PreTrainedModel computes it.
            ("gpt2_residual", &[12.0][..], 0.204_124_145_231_931_54),
            // torchtitan: 0.02 / (2 * (layer_id + 1)) ** 0.5.
            ("depth_scaled", &[3.0], 0.353_553_390_593_273_8),
            // GPT-NeoX: math.sqrt(2 / (5 * 768)) and 2 / 12 / math.sqrt(768).
            ("small_init", &[768.0], 0.022_821_773_229_381_92),
            ("wang_init", &[12.0, 768.0], 0.006_014_065_304_058_602),
            // mup 1.0, init.normal_ at 4 times the base width: width_mult() ** -0.5; its readout keeps the std.
            ("mup_hidden", &[1024.0, 256.0], 0.5),
            ("mup_output", &[1024.0, 256.0], 0.25),
            ("mup_embedding", &[1024.0, 256.0], 1.0),
            // DeepNet, figure 2; torchscale: math.pow(8.0 * decoder_layers, 0.25) and its fellows, inverted.
            ("deepnorm_beta", &[18.0], 0.288_675_134_594_812_87),
            ("deepnorm_encoder_beta", &[18.0, 18.0], 0.352_571_005_957_042_77),
            ("deepnorm_decoder_beta", &[18.0], 0.260_847_430_012_214_55),
            // T-Fixup: 0.67 * 6 ** (-1/4) and (9 * 6) ** (-1/4).
            ("tfixup_encoder", &[6.0], 0.428_091_879_845_002_6),
            ("tfixup_decoder", &[6.0], 0.368_893_973_233_440_53),
            // Fixup's ResNet-110 has 54 basic blocks of two convolutions: num_layers ** (-0.5).
            ("fixup", &[54.0, 2.0], 0.136_082_763_487_954_34),
        ] {
            let rule = rules().iter().find(|rule| rule.name == name).unwrap();
            let found = rule.apply(arguments).unwrap();
            assert!((found / number - 1.0).abs() < 1e-12, "{name}: {found} {number}");
            assert_eq!(rule.apply(&[]), None);
            assert!(!rule.formula.is_empty() && !rule.source.is_empty());
        }
        assert_eq!(rules().iter().find(|rule| rule.name == "fixup").unwrap().apply(&[0.0, 2.0]), None);
    }
}
