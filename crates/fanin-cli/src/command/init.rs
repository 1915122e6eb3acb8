//! `fanin init`: writes a checkpoint with initial weights from a recipe and a seed.

use fanin_checkpoint::{Partitioning, Request};
use fanin_recipe::Recipe;

use super::dry_run;
use super::write::{draw, note_obstacles, target, warn, write};
use crate::args::Init;
use crate::error::Result;
use crate::terminal::output;

pub(super) fn run(args: &Init, quiet: bool) -> Result {
    let (recipe, model) = Recipe::find(&args.recipe)?;
    let variable = |name: &str| std::env::var(name).ok();
    let partition = args.part.map(|part| part.resolve(variable)).transpose()?;
    let partitioning =
        Partitioning { max_shard_size: args.max_shard_size, partition, layout: args.layout.into() };
    let target = target(&args.output, partitioning.form(), args.resume)?;
    let request = Request {
        recipe: &recipe,
        model,
        like: args.like.as_deref(),
        copy_from: args.copy_from.as_deref(),
        settings: &args.settings,
        dtype: args.dtype,
        draw: draw(&args.output),
        partitioning,
    };
    let plan = request.plan()?;
    warn(&plan.planned, quiet);
    if args.output.dry_run {
        note_obstacles(&plan, &args.output, args.resume, quiet);
        return if args.json {
            output::json(&dry_run::as_json(&plan.all, &plan.files()))
        } else {
            dry_run::show(&plan.all, &plan.files())
        };
    }
    write(&plan, target, quiet)
}
