//! Tests of recipes on the command line: the examples of docs/recipes.md, base recipes, dtypes, ties, copies and
//! drafts.

mod common;
mod docs_examples;
mod drafts;
mod errors;
mod explain;
#[path = "../fixture/mod.rs"]
mod fixture;
mod values;
