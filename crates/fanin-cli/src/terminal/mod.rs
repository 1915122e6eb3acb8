//! Writes lines, tables and JSON to standard output, and messages and progress to standard error.

pub mod output;
pub mod progress;
pub mod table;
