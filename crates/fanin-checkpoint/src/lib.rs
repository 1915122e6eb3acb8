//! Initial checkpoints in the safetensors format: read, written, sharded, shared between processes, resumed.
//!
//! [`Checkpoint`] reads a file, a folder of shards or an index. [`Request`] describes an initial checkpoint; its
//! [`CheckpointPlan`] has every tensor planned and every error raised, and writes it.
//!
//! | module | what it has |
//! |---|---|
//! | [`checkpoint`], [`mod@file`] | reading: one file or many as one; one file |
//! | [`request`] | from a recipe to a plan of a checkpoint |
//! | [`write`](mod@write) | writing, comparing with what exists, resuming |
//! | [`target`] | where a checkpoint goes, and what happens to existing files |
//! | [`shards`], [`partitioned_file`] | file layouts; one file written by several processes |
//! | [`launcher`] | which of several processes this one is |
//! | [`unfinished`] | temporary files |
//! | [`draw`], [`torch_sequence`], [`values`], [`range`](mod@range), [`header`] | what writing is made of |

#![forbid(unsafe_code)]

pub mod checkpoint;
pub mod draw;
pub mod error;
pub mod file;
pub mod header;
pub mod launcher;
pub mod options;
pub mod partitioned_file;
pub mod progress;
pub mod range;
pub mod request;
pub mod shards;
pub mod target;
pub mod torch_sequence;
pub mod unfinished;
pub mod values;
pub mod write;

pub use checkpoint::{Checkpoint, read_manifest};
pub use error::{Error, Remedy, Result};
pub use file::SafetensorsFile;
pub use launcher::{PartitionArgument, parse_partition};
pub use options::{Draw, Existing, FileLayout, Form, Partition, Partitioning, StreamKind, parse_size};
pub use progress::Progress;
pub use request::{CheckpointPlan, Request};
pub use target::Target;
pub use write::{PlannedFile, Written};
