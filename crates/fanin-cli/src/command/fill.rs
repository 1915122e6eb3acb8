//! `fanin fill`, which writes a checkpoint of one tensor.

use fanin::Initializer as _;
use fanin::init::Init;
use fanin_checkpoint::{CheckpointPlan, OutputForm};
use fanin_recipe::{Entry, StoredType};

use super::write::{draw, note_obstacles, target, warn, write};
use crate::args::Fill;
use crate::error::{Error, Result};

pub(super) fn run(args: &Fill, quiet: bool) -> Result {
    let init = Init::parse(&args.spec)?;
    let plan = init.resolve(&args.shape.0, args.dtype)?;
    if args.name == "__metadata__" || args.name.is_empty() {
        return Err(Error::Request(format!("{:?} cannot be the name of a tensor", args.name)));
    }
    let target = target(&args.output, OutputForm::File, false)?;
    let entry = Entry {
        name: args.name.clone(),
        dtype: StoredType::from_float(args.dtype),
        shape: args.shape.0.clone(),
        offsets: None,
    };
    let plan = CheckpointPlan::of_tensor(entry, &init, plan, draw(&args.output))?;
    warn(&plan.planned, quiet);
    if args.output.dry_run {
        note_obstacles(&plan, &args.output, false, quiet);
        return super::explain::show(&init, &args.shape.0, args.dtype);
    }
    write(&plan, target, quiet)
}
