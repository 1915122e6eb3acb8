//! The long help of `fanin init`.

/// Examples and explanations for `fanin init --help`. Lines have at most 100 columns.
pub(super) const INIT_HELP: &str = "Examples:
  fanin init gpt2 --seed 0 -o gpt2.safetensors
  fanin init gpt2 --set wpe_std=0.01 --dry-run        # show what would be written
  fanin init llama-3.2-1b --dtype bf16 -o start/
  fanin init my-recipe.toml --like trained.safetensors --seed 7 -o start.safetensors
  fanin init resnet50 --stream torch --seed 0 -o resnet50.safetensors
  fanin init llama-3.1-8b --max-shard-size 5GB -o start/ --resume

Recipes:
  A recipe is a TOML file. The first pattern that matches the name of a parameter applies:
    [vars]
    n_layer = 12
    [init]
    \"*.bias\"          = \"zeros\"
    \"*.c_proj.weight\" = \"normal(std=0.02/sqrt(2*n_layer))\"
    \"*\"               = \"normal(std=0.02)\"
  fan_in and fan_out are the fans of the parameter. A parameter without a rule is an error. A
  rule that applies to no parameter is an error too. Instead of a spec, a rule can be
    \"arange\"   write 0, 1, 2, ... along the last axis
    \"copy\"     copy the values from the checkpoint of --copy-from or --like
    \"skip\"     do not write the tensor
  docs/recipes.md describes recipes in full. `fanin recipe` drafts a recipe.

Copies of other models:
  fanin init grow.toml --like new.json --copy-from old.safetensors -o new.safetensors
    \"embed.weight\"       = \"copy(rest=mean_resizing)\"            # a larger vocabulary
    \"layers.*.experts.*\" = \"copy(from='layers.$1.mlp.$2')\"      # experts from a dense MLP
    \"layers.{24..47}.*\"  = \"copy(from='layers.{layer-16}.$2')\"  # a deeper model

Types:
  The type of a floating-point tensor is the first of these that is given: the type of the first
  matching [dtype] rule of the recipe, the type of --dtype, the type in the file of --like.
  Integer tensors keep their types.

Torch stream:
  With --stream torch, one generator draws the tensors one after another in the order of the
  file, like a loop over state_dict() in PyTorch.

Several files:
  fanin init llama-3.1-8b --max-shard-size 5GB -o start/
  writes start/model-00001-of-00004.safetensors and so on, and the index
  start/model.safetensors.index.json. If one file is sufficient, it is start/model.safetensors.
  A tensor that is larger than the maximum has a separate file.

  --layout dcp writes files for HuggingFaceStorageReader of torch.distributed.checkpoint, which
  loads them on any number of ranks. There is one file for each partition. With
  --max-shard-size, there are files of this size, and large tensors are split between files.
  fanin init llama-3.1-8b --layout dcp --max-shard-size 5GB -o start/

Several processes:
  With --part K/N, each of N processes writes a partition of the checkpoint. The processes do
  not communicate. The checkpoint is the same as if one process wrote it, byte for byte. Each
  process can be run again, for example after it was killed.
  Without --max-shard-size, all processes write one file. Its name is
  OUT.safetensors.HASH.parts/values until the last partition is written. With --max-shard-size,
  each process writes every N-th file, and the index.

  --part auto reads the partition from the environment variables of Slurm arrays, srun, torchrun,
  Open MPI, MPICH, Intel MPI, AWS Batch and Kubernetes. Kubernetes does not set the number of
  processes: use --part auto/4.
    array   sbatch --array=1-4 --wrap 'fanin init llama-3.1-8b -o start.safetensors --part auto'
    Slurm   srun -n 4 fanin init llama-3.1-8b --max-shard-size 1GB -o start/ --part auto
    MPI     mpirun -n 4 fanin init llama-3.1-8b -o start.safetensors --part auto
    Ray     ray.get([ray.remote(max_retries=3)(fanin.write_checkpoint).remote(\"llama-3.1-8b\",
                \"start.safetensors\", part=(k, 4)) for k in range(1, 5)])
  With --stream torch, a process skips the tensors of other processes, which takes about a
  millisecond for each tensor. Only trunc_normal tensors must be drawn by every process, because
  the number of rejected values is unknown.

Interrupted runs:
  A file has a temporary name until it is complete on the disk. An interrupted run removes its
  temporary files. A killed run leaves a hidden *.unfinished file, which the next run removes.
  --resume completes the checkpoint. Existing files are compared with what would be written, and
  equal files are kept. The comparison reads the files and draws their values again.
  If the output is a symbolic link, the file at the end of the link is written.";
