//! [`ModelConfig`]: the configuration of a model, as transformers and timm save it beside a checkpoint.

use std::path::Path;

use serde_json::Value;

use crate::manifest::Manifest;

/// The key of the metadata of a manifest that has the content of config.json.
const METADATA_KEY: &str = "config";

/// The fields that have the width of a model, by the names that transformers uses.
const WIDTHS: [&str; 6] = ["hidden_size", "d_model", "n_embd", "dim", "embed_dim", "encoder_embed_dim"];

/// The largest config.json that is read, in bytes.
const MAX_BYTES: u64 = 64 << 20;

/// The configuration of a model: the content of its config.json.
#[derive(Debug, Clone)]
pub struct ModelConfig {
    json: Value,
}

impl ModelConfig {
    /// Parses the content of a config.json.
    ///
    /// # Errors
    /// Returns what is wrong if the text is not a JSON object that names a `model_type` of transformers or an
    /// `architecture` of timm.
    pub fn parse(text: &str) -> Result<Self, String> {
        let json: Value = serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))?;
        let config = Self { json };
        match (config.model_type(), config.architecture()) {
            (None, None) => {
                Err("it has neither the `model_type` of transformers nor the `architecture` of timm".into())
            }
            _ => Ok(config),
        }
    }

    /// Returns the configuration of the model with these tensors: from the metadata of the manifest, or else from the file
    /// config.json in `folder`. Returns `None` if there is no such file.
    ///
    /// # Errors
    /// Returns what is wrong with the configuration. It then cannot be used for the model.
    pub fn find(manifest: &Manifest, folder: Option<&Path>) -> Result<Option<Self>, String> {
        let file = folder.map(|folder| folder.join("config.json"));
        let text = match (manifest.metadata(METADATA_KEY), file) {
            (Some(text), _) => text.to_owned(),
            (None, Some(file)) if file.exists() => read(&file)?,
            _ => return Ok(None),
        };
        let config = Self::parse(&text)?;
        config.check_width(manifest)?;
        Ok(Some(config))
    }

    /// Returns an error if no tensor of the model has the width that the configuration gives.
    fn check_width(&self, manifest: &Manifest) -> Result<(), String> {
        let Some((field, width)) =
            WIDTHS.iter().find_map(|field| Some((field, self.json.get(field)?.as_u64()?)))
        else {
            return Ok(());
        };
        let has_width =
            manifest.entries.iter().any(|entry| entry.shape.iter().any(|&size| size as u64 == width));
        if has_width {
            Ok(())
        } else {
            Err(format!("no tensor has an axis of size {field} = {width}, so it is that of another model"))
        }
    }

    /// Returns the model type of transformers, for example `llama`.
    pub(super) fn model_type(&self) -> Option<&str> {
        self.json.get("model_type")?.as_str()
    }

    /// Returns the name of the model in timm, for example `resnet50`.
    pub(super) fn architecture(&self) -> Option<&str> {
        self.json.get("architecture")?.as_str()
    }

    /// Returns the value at a path of field names joined by dots. Returns `None` if there is no such field.
    pub(super) fn field(&self, path: &str) -> Option<&Value> {
        path.split('.').try_fold(&self.json, |value, name| value.get(name))
    }
}

fn read(file: &Path) -> Result<String, String> {
    let size = std::fs::metadata(file).map_err(|error| error.to_string())?;
    if !size.is_file() {
        return Err("it is not a file".to_owned());
    }
    if size.len() > MAX_BYTES {
        return Err(format!("it has {} bytes, more than a configuration has", size.len()));
    }
    let bytes = std::fs::read(file).map_err(|error| error.to_string())?;
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8 text".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_names_the_model_and_has_fields() {
        let config =
            ModelConfig::parse(r#"{"model_type": "clip", "vision_config": {"hidden_size": 8}}"#).unwrap();
        assert_eq!(config.model_type(), Some("clip"));
        assert_eq!(config.field("vision_config.hidden_size").and_then(Value::as_u64), Some(8));
        assert_eq!(config.field("vision_config.missing"), None);
        assert_eq!(config.field("model_type.x"), None);
    }

    #[test]
    fn what_is_no_configuration_is_an_error_that_says_why() {
        for (text, needle) in [("{", "not JSON"), ("[1]", "neither"), (r#"{"model_type": 3}"#, "neither")] {
            assert!(ModelConfig::parse(text).unwrap_err().contains(needle), "{text}");
        }
    }

    #[test]
    fn the_configuration_of_another_model_is_an_error() {
        let json = r#"{"__metadata__": {"config": "{\"model_type\": \"llama\", \"hidden_size\": 32}"},
                       "w": {"dtype": "F32", "shape": [16, 16]}}"#;
        let manifest = Manifest::from_json(json, Path::new("m.json")).unwrap();
        let error = ModelConfig::find(&manifest, None).unwrap_err();
        assert!(error.contains("hidden_size = 32"), "{error}");
    }
}
