//! `fanin init`, which writes a checkpoint with initial weights from a recipe and a seed.

use fanin_checkpoint::{CheckpointPlan, Partitioning, Request, StreamKind};
use fanin_recipe::{Recipe, Replay};

use super::dry_run;
use super::write::{draw, note_obstacles, target, warn, write};
use crate::args::Init;
use crate::error::{Error, Result};
use crate::terminal::output;

pub(super) fn run(args: &Init, quiet: bool) -> Result {
    let variable = |name: &str| std::env::var(name).ok();
    let partition = args.part.map(|part| part.resolve(variable)).transpose()?;
    let partitioning =
        Partitioning { max_shard_size: args.max_shard_size, partition, layout: args.layout.into() };
    let target = target(&args.output, partitioning.form(), args.resume)?;
    let plan = match Replay::find(&args.recipe)? {
        Some(replay) => {
            check_replay_options(args, &replay)?;
            CheckpointPlan::of_replay(replay, draw(&args.output), partitioning)?
        }
        None => {
            let (recipe, model) = Recipe::find(&args.recipe)?;
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
            request.plan()?
        }
    };
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

/// Returns an error if `args` has an option that a replay does not allow, such as `--dtype`. Also returns an error
/// without `--stream torch`, or if `--seed` is not the seed of the replay.
fn check_replay_options(args: &Init, replay: &Replay) -> Result {
    let given = [
        ("--copy-from", args.copy_from.is_some()),
        ("--like", args.like.is_some()),
        ("--set", !args.settings.is_empty()),
        ("--dtype", args.dtype.is_some()),
    ];
    if let Some((option, _)) = given.into_iter().find(|(_, is_given)| *is_given) {
        return Err(Error::Request(format!(
            "{option} cannot be used with a replay, which contains the names, shapes and dtypes: leave {option} out"
        )));
    }
    if StreamKind::from(args.output.stream) != StreamKind::Torch {
        return Err(Error::Request("a replay has values of the torch stream: add --stream torch".to_owned()));
    }
    if let Some(seed) = args.output.seed
        && seed != replay.seed
    {
        let message = format!(
            "--seed {} contradicts the replay, which has seed {}: leave --seed out",
            seed as i64, replay.seed as i64
        );
        return Err(Error::Request(message));
    }
    Ok(())
}
