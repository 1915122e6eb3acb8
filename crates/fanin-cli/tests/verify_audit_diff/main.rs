//! Tests of `verify`, `audit` and `diff` with the binary. Correct files must pass, and each common bug must be
//! reported.

mod audit;
mod common;
mod files;
#[path = "../fixture/mod.rs"]
mod fixture;
mod model;
mod orthogonal;
mod verify;
