//! `fanin fill`: one tensor.

use fanin::Initializer as _;
use fanin::init::Init;

use super::init::{destination, metadata, obstacle, warn, write_out};
use crate::args::Fill;
use crate::checkpoint::Form;
use crate::checkpoint::write::{self, Sharing};
use crate::error::{Error, Result};
use crate::manifest::{Entry, StoredType};
use crate::recipe::Planned;

pub(super) fn run(args: &Fill, quiet: bool) -> Result {
    let init = Init::parse(&args.spec)?;
    let plan = init.resolve(&args.shape.0, args.dtype)?;
    if args.name == "__metadata__" || args.name.is_empty() {
        return Err(Error::Request(format!("{:?} cannot be a tensor's name", args.name)));
    }
    let target = destination(&args.output, Form::File, false)?;
    let entry = Entry {
        name: args.name.clone(),
        dtype: StoredType::from_float(args.dtype),
        shape: args.shape.0.clone(),
        offsets: None,
    };
    let planned = [Planned::of(entry, init.clone(), plan)];
    write::check(&planned, args.output.stream)?;
    warn(&planned, quiet);
    if args.output.dry_run {
        obstacle(&args.output, Form::File, false, quiet, |_| Ok(()));
        return super::explain::show(&init, &args.shape.0, args.dtype);
    }
    let mut metadata = metadata(&args.output);
    metadata.push(("fanin.spec".to_owned(), init.to_string()));
    write_out(target, &planned, None, &metadata, &args.output, Sharing::default(), quiet)
}
