//! Tensors of unusual types with a recipe for them, and the manifest of gpt2.

use crate::fixture::Fixture;

/// Returns the bytes of a safetensors file with these tensors. The bytes of each tensor are 0, 1, 2 and so on.
pub fn checkpoint(tensors: &[(&str, safetensors::Dtype, &[usize])]) -> Vec<u8> {
    let bytes: Vec<Vec<u8>> = tensors
        .iter()
        .map(|(_, dtype, shape)| {
            let size = shape.iter().product::<usize>() * dtype.bitsize() / 8;
            (0..size).map(|k| (k % 251) as u8).collect()
        })
        .collect();
    let views = tensors.iter().zip(&bytes).map(|((name, dtype, shape), bytes)| {
        (*name, safetensors::tensor::TensorView::new(*dtype, shape.to_vec(), bytes).unwrap())
    });
    safetensors::serialize(views, None).unwrap()
}

/// Tensors with unusual types and shapes.
pub const ODD: [(&str, safetensors::Dtype, &[usize]); 8] = [
    ("lm_head.weight", safetensors::Dtype::F32, &[30, 8]),
    ("wte.weight", safetensors::Dtype::F32, &[30, 8]),
    ("norm.weight", safetensors::Dtype::F32, &[8]),
    ("position_ids", safetensors::Dtype::I32, &[2, 16]),
    ("inv_freq", safetensors::Dtype::F64, &[4]),
    ("scales", safetensors::Dtype::F8_E8M0, &[3, 5]),
    ("phases", safetensors::Dtype::C64, &[3]),
    ("packed", safetensors::Dtype::F4, &[2, 4]),
];

pub const ODD_RECIPE: &str = r#"
[init]
"norm.*" = "ones"
"*.weight" = "normal(std=0.02)"
"position_ids" = "arange"
"packed" = "skip"
"*" = "copy"
[dtype]
"norm.*" = "f32"
[tie]
"lm_head.weight" = "wte.weight"
"#;

/// Writes the recipe `ODD_RECIPE` without the rule that skips a tensor, and returns the file name of the recipe.
pub fn skipless(fixture: &Fixture) -> &'static str {
    std::fs::write(fixture.path("skipless.toml"), ODD_RECIPE.replace("\"packed\" = \"skip\"\n", "")).unwrap();
    "skipless.toml"
}

/// Writes the manifest of gpt2, and returns its file name.
pub fn gpt2_manifest(fixture: &Fixture) -> &'static str {
    let manifest = fixture.good(&["models", "gpt2", "--manifest"]).stdout;
    std::fs::write(fixture.path("gpt2.json"), manifest).unwrap();
    "gpt2.json"
}
