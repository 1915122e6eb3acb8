//! `fanin recipe`: prints a drafted recipe, or the JSON schema of recipes.

use fanin_checkpoint::read_manifest;
use fanin_recipe::recipe::{draft, schema};

use crate::args::Draft;
use crate::error::Result;
use crate::terminal::output;

pub(super) fn run(args: &Draft) -> Result {
    match &args.file {
        Some(file) => {
            let draft = draft::draft(&read_manifest(file)?, &file.to_string_lossy())?;
            output::line(draft.trim_end())
        }
        None => output::json(&schema::schema()),
    }
}
