//! Terminal output: lines, tables and JSON on standard output, and messages and progress on standard error.

mod json;
pub mod output;
pub mod progress;
pub mod table;
