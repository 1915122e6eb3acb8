//! [`ModelConfig`]: the configuration of a model, as transformers and timm save it beside a checkpoint.

use std::path::Path;

use serde_json::Value;

use crate::manifest::Manifest;

/// The key under which a manifest's metadata contains the content of config.json.
const METADATA_KEY: &str = "config";

/// The fields of config.json that contain the width of a model, under the names that transformers uses. The width is
/// the size of the hidden states.
const WIDTHS: [&str; 6] = ["hidden_size", "d_model", "n_embd", "dim", "embed_dim", "encoder_embed_dim"];

/// The maximum size of a config.json in bytes.
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
    /// Returns a message if the text is not JSON. Returns a message if neither the field `model_type` (of transformers)
    /// nor the field `architecture` (of timm) is a string.
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

    /// Returns the configuration of the model that `manifest` describes. The source is the key `config` of the
    /// manifest's metadata. Without this key, the source is the file config.json in `folder`. Returns `None` if there
    /// is neither.
    ///
    /// # Errors
    /// Returns a message if the configuration cannot be read or is invalid. Returns a message if the configuration
    /// contains a width, such as `hidden_size`, that is not the size of any axis of any tensor in `manifest`.
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

    /// Returns an error if the width in the configuration is not the size of any axis of any tensor. A configuration
    /// without a width is valid.
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
            Err(format!(
                "no tensor has an axis of size {field} = {width}, so config.json belongs to another model"
            ))
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

    /// Returns the value at `path`, or `None` if there is no such field. A path consists of field names joined by dots,
    /// such as `text_config.hidden_size`.
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
        return Err(format!("it has {} bytes, expected at most {MAX_BYTES}", size.len()));
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
