//! The long help of `fanin init`.

/// Examples and explanations, at most 100 columns wide.
pub(super) const INIT_HELP: &str = "Examples:
  fanin init gpt2 --seed 0 -o gpt2.safetensors
  fanin init gpt2 --set wpe_std=0.01 --dry-run        # show what would be written
  fanin init llama-3.2-1b --dtype bf16 -o start/
  fanin init my-recipe.toml --like trained.safetensors --seed 7 -o start.safetensors
  fanin init resnet50 --stream torch --seed 0 -o resnet50.safetensors
  fanin init llama-3.1-8b --max-shard-size 5GB -o start/ --resume

Recipes:
  A recipe is a TOML file. The first pattern that matches a parameter's name wins:
    [vars]
    n_layer = 12
    [init]
    \"*.bias\"          = \"zeros\"
    \"*.c_proj.weight\" = \"normal(std=0.02/sqrt(2*n_layer))\"
    \"*\"               = \"normal(std=0.02)\"
  fan_in and fan_out are the fans of the parameter. A parameter that no rule matches is an
  error, and so is a rule that matches no parameter. Instead of a spec, \"arange\" counts along
  the last axis, \"copy\" takes the values from the checkpoint of --copy-from or --like, and
  \"skip\" omits a tensor. docs/recipes.md describes recipes in full. `fanin recipe` drafts a
  recipe.

Copies of other models:
  fanin init grow.toml --like new.json --copy-from old.safetensors -o new.safetensors
    \"embed.weight\"       = \"copy(rest=mean_resizing)\"            # a larger vocabulary
    \"layers.*.experts.*\" = \"copy(from='layers.$1.mlp.$2')\"      # experts from a dense MLP
    \"layers.{24..47}.*\"  = \"copy(from='layers.{layer-16}.$2')\"  # a deeper model

Types:
  The type of a tensor is given by the first [dtype] rule of the recipe that matches, else by
  --dtype, else by the file of --like. Integer tensors keep their types.

Torch stream:
  With --stream torch, one generator draws the tensors one after another in the order of the
  file, as a loop over state_dict() in PyTorch would.

Several files:
  fanin init llama-3.1-8b --max-shard-size 5GB -o start/
  writes start/model-00001-of-00004.safetensors and so on, and the index
  start/model.safetensors.index.json. A checkpoint that fits one file is
  start/model.safetensors. A tensor larger than the maximum has a file of its own.

  --layout dcp writes files that torch.distributed.checkpoint's HuggingFaceStorageReader loads
  on any number of ranks: one file for each partition, or, with --max-shard-size, files of this
  size, with large tensors split between them.
  fanin init llama-3.1-8b --layout dcp --max-shard-size 5GB -o start/

Several processes:
  With --part K/N, each of N processes writes a partition of the checkpoint. The processes do
  not communicate, and together write the same bytes as one process. A process that was killed
  can be run again, and running one twice does no harm.
  Without --max-shard-size, all processes write one file. It is OUT.safetensors.HASH.parts/values
  until the last partition is written. With --max-shard-size, each process writes every N-th
  file, and the index.

  --part auto reads the partition from the environment variables of Slurm arrays, srun, torchrun,
  Open MPI, MPICH, Intel MPI, AWS Batch and Kubernetes. Kubernetes does not set the number of
  processes: use --part auto/4.
    array   sbatch --array=1-4 --wrap 'fanin init llama-3.1-8b -o start.safetensors --part auto'
    Slurm   srun -n 4 fanin init llama-3.1-8b --max-shard-size 1GB -o start/ --part auto
    MPI     mpirun -n 4 fanin init llama-3.1-8b -o start.safetensors --part auto
    Ray     ray.get([ray.remote(max_retries=3)(fanin.write_checkpoint).remote(\"llama-3.1-8b\",
                \"start.safetensors\", part=(k, 4)) for k in range(1, 5)])
  With --stream torch, a process skips the tensors of the others, which takes about a
  millisecond for each. Only trunc_normal must be drawn by every process, because it rejects an
  unknown number of values.

Interrupted runs:
  A file has a temporary name until it is complete on the disk. An interrupted run removes its
  temporary files. A killed run leaves a hidden *.unfinished file, which the next run removes.
  --resume completes the checkpoint: existing files are compared with what would be written, and
  kept if they are equal. This takes about as long as reading them.
  A symbolic link is followed: the file that it leads to is written.";
