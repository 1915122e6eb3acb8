"""Measures `fanin.torch.init_module` on one rank and on two ranks: its time, and the memory that a rank needs beyond its shard.

Run this script by hand on an idle machine:

    target/python/bin/python scripts/many_processes.py [--values 300000000] [--rounds 3]

Each rank has one thread, because launchers start ranks with one thread. In each round, one rank and then two ranks are
measured. The median times of the rounds are compared. The memory beyond the shard is the largest growth of the peak
resident size during a fill. The shard is allocated and written to before the fill.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time


def rank_main(rank, count, store, values):
    """Measures one rank of `count` ranks, and prints the results as JSON. `values` is the number of values of the model."""
    import torch
    import torch.distributed as dist
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    import fanin.torch

    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=count)
    rows = values // 4 // 4096
    with torch.device("meta"):
        model = torch.nn.Sequential(*(torch.nn.Linear(4096, rows, bias=False) for _ in range(4)))
    fully_shard(model, mesh=init_device_mesh("cpu", (count,)))
    model.to_empty(device="cpu")
    recipe = fanin.Recipe(
        '[init]\n"0.*" = "normal(std=0.02)"\n"1.*" = "xavier_uniform"\n'
        '"2.*" = "trunc_normal(std=0.02, a=-0.04, b=0.04)"\n"3.*" = "kaiming_normal"'
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.to_local().fill_(1.0)
    shard = sum(parameter.to_local().nbytes for parameter in model.parameters())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    dist.barrier()
    start, cpu = time.perf_counter(), time.process_time()
    fanin.torch.init_module(model, recipe, seed=0)
    own, cpu = time.perf_counter() - start, time.process_time() - cpu
    dist.barrier()
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"wall": wall, "own": own, "cpu": cpu, "shard": shard, "extra": after - before}), flush=True)
    os._exit(0)


def run(count, values):
    """Starts `count` ranks, and returns the results of each rank."""
    settings = {"OMP_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo", "PYTHONWARNINGS": "ignore"}
    with tempfile.TemporaryDirectory() as folder:
        ranks = [
            subprocess.Popen(
                [sys.executable, __file__, "--rank", str(rank), str(count), f"{folder}/store", "--values", str(values)],
                env={**os.environ, **settings},
                stdout=subprocess.PIPE,
                text=True,
            )
            for rank in range(count)
        ]
        try:
            return [json.loads(rank.communicate(timeout=300)[0].splitlines()[-1]) for rank in ranks]
        finally:
            for rank in ranks:
                rank.kill()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--values", type=int, default=300_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rank", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.rank:
        rank_main(int(options.rank[0]), int(options.rank[1]), options.rank[2], options.values)
    walls, cpus, extra = {1: [], 2: []}, {1: [], 2: []}, 0
    for _ in range(options.rounds):
        for count in (1, 2):
            found = run(count, options.values)
            walls[count].append(max(rank["wall"] for rank in found))
            cpus[count].append(max(rank["cpu"] for rank in found))
            extra = max(extra, *(rank["extra"] for rank in found))
            print(count, found, flush=True)
    one, two = (statistics.median(walls[count]) for count in (1, 2))
    cpu = statistics.median(cpus[2]) / statistics.median(cpus[1])
    print(f"wall: 1 rank {one:.2f} s, 2 ranks {two:.2f} s: {two / one:.2f}; CPU time of a rank: {cpu:.2f}")
    print(f"memory beyond the shard: at most {extra / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
