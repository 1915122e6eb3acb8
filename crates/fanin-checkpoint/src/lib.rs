//! Reads and writes safetensors checkpoints for [`fanin`]. The written checkpoints contain the initial weights of a
//! model.
//!
//! [`Checkpoint`] reads a checkpoint: a file, a folder of files or an index. [`read_manifest`] reads only the names,
//! types and shapes of the tensors.
//!
//! [`Request`] describes a checkpoint to be written: a recipe, the shapes of a model, and a seed. [`Request::plan`]
//! plans every tensor, and returns a [`CheckpointPlan`] or an error. [`CheckpointPlan::write`] writes the checkpoint to
//! a [`Target`].
//!
//! ```
//! use fanin::CancelToken;
//! use fanin_checkpoint::{Checkpoint, Draw, Existing, OutputForm, Partitioning, Request, StreamKind, Target};
//!
//! let (recipe, model) = fanin_recipe::Recipe::find("gpt2")?;
//! let request = Request {
//!     recipe: &recipe,
//!     model,
//!     like: None,
//!     copy_from: None,
//!     settings: &[],
//!     dtype: None,
//!     draw: Draw { stream: StreamKind::Native, seed: 0, threads: None },
//!     partitioning: Partitioning::default(),
//! };
//! let plan = request.plan()?;
//! assert_eq!(plan.bytes(), 497_759_232);
//! # if false {
//! let target = Target::new("gpt2.safetensors".as_ref(), OutputForm::File, Existing::default())?;
//! plan.write(&target, &(), &CancelToken::new())?;
//! # }
//! # Ok::<(), fanin_checkpoint::Error>(())
//! ```
//!
//! A file is written under a temporary name, and renamed when the whole file is on the disk. A killed process therefore
//! leaves no incomplete file under a final name. A checkpoint can be split into files ([`FileLayout`]). Several
//! processes can write one checkpoint without communication ([`Partition`]). An interrupted write can be resumed
//! ([`Existing::resume`]).

#![forbid(unsafe_code)]

mod background_sync;
mod checkpoint;
mod checkpoint_values;
mod comparison;
mod copies;
mod decode;
mod disk_space;
mod error;
mod feasibility;
mod file;
mod file_names;
mod header;
mod index;
mod launcher;
mod messages;
mod model_description;
mod options;
mod output_plan;
mod partitioned_file;
mod paths;
mod plan;
mod producer;
mod progress;
mod replay;
mod request;
mod resume;
mod shards;
mod target;
mod temporary_file;
mod temporary_name;
mod tensor_range;
mod torch_sequence;
mod value_buffer;
mod write;
mod write_error;
mod written;

pub use checkpoint::{Checkpoint, ModelSource, ReadTensor, read_manifest};
pub use decode::decode;
pub use error::{Error, Remedy, Result};
pub use file::SafetensorsFile;
pub use launcher::{PartitionArgument, parse_partition};
pub use model_description::ModelDescription;
pub use options::{Draw, Existing, FileLayout, OutputForm, Partition, Partitioning, StreamKind, parse_size};
pub use output_plan::PlannedFile;
pub use plan::CheckpointPlan;
pub use progress::Progress;
pub use replay::replay_differences;
pub use request::Request;
pub use target::Target;
pub use temporary_file::{RemovedFiles, remove_temporary_files, write_atomically};
pub use torch_sequence::TorchSequence;
pub use value_buffer::ValueBuffer;
pub use written::Written;
