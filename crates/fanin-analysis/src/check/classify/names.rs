//! Derives properties of a tensor from its name.

/// Returns whether a tensor with this name and shape is a bias or the weight of a normalization layer. Initializers
/// rarely fill such a vector with normal values.
pub(crate) fn is_never_normal(name: &str, shape: &[usize]) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name).to_ascii_lowercase();
    let gain = ["weight", "gamma", "beta", "scale", "g"].contains(&last.as_str());
    shape.len() == 1 && (gain || last.contains("bias"))
}

/// Returns whether a tensor with this name belongs to an adapter, which is added to a trained model.
pub(crate) fn is_adapter(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.contains("lora") || name.contains("adapter")
}

/// Returns whether tensors with the names `a` and `b` are often tied, that is, share their values. One must be an
/// embedding, and the other an embedding or an output layer.
pub(crate) fn can_be_tied(a: &str, b: &str) -> bool {
    const EMBEDDINGS: [&str; 4] = ["emb", "wte", "shared", "vocab"];
    const OUTPUTS: [&str; 7] = ["head", "output", "decoder", "proj_out", "generator", "cls.", "logits"];
    let contains =
        |name: &str, words: &[&str]| words.iter().any(|word| name.to_ascii_lowercase().contains(word));
    let is_embedding = |name: &str| contains(name, &EMBEDDINGS);
    let is_either = |name: &str| is_embedding(name) || contains(name, &OUTPUTS);
    (is_embedding(a) && is_either(b)) || (is_embedding(b) && is_either(a))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_embedding_and_an_output_layer_can_be_tied_and_two_hidden_layers_cannot() {
        assert!(can_be_tied("transformer.wte.weight", "lm_head.weight"));
        assert!(can_be_tied("shared.weight", "encoder.embed_tokens.weight"));
        assert!(can_be_tied("cls.predictions.decoder.weight", "bert.embeddings.word_embeddings.weight"));
        assert!(!can_be_tied("model.layers.0.mlp.up_proj.weight", "model.layers.1.mlp.up_proj.weight"));
    }

    #[test]
    fn biases_and_weights_of_normalization_layers_are_never_normal() {
        assert!(is_never_normal("h.0.ln_1.weight", &[768]) && is_never_normal("fc.bias", &[10]));
        assert!(!is_never_normal("fc.weight", &[10, 20]) && !is_never_normal("class_embedding", &[768]));
    }
}
