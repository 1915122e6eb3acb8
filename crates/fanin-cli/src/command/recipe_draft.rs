//! `fanin recipe`, which prints a draft of a recipe for the tensors of a file, or the JSON schema of recipes.

use fanin_checkpoint::ModelDescription;
use fanin_recipe::recipe::schema;
use fanin_recipe::text;

use crate::args::Draft;
use crate::error::Result;
use crate::terminal::output;

pub(super) fn run(args: &Draft) -> Result {
    match &args.file {
        Some(file) => {
            let name = file.to_string_lossy();
            let draft = ModelDescription::read(file)?.draft(&name)?;
            output::line(format_args!(
                "# To see what each tensor gets: fanin init THIS.toml --like {} --dry-run\n\
                 # For completion in an editor: fanin recipe --schema > recipe.schema.json, and as the first line here\n\
                 # #:schema ./recipe.schema.json\n{}",
                text::escaped(&name),
                draft.trim_end()
            ))
        }
        None => output::json(&schema::schema()),
    }
}
