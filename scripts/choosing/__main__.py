"""Measures which initializations let deep networks learn. Writes docs/choosing.md, docs/choosing.json and the pictures.

    pip install scikit-learn matplotlib
    python scripts/choosing              # about 5 minutes on two cores
    python scripts/choosing --draw       # only draws the pictures and writes the page again, from docs/choosing.json

Each experiment compares several initializations of one kind of network. The mean squares of the signal and of its
gradient are measured at each layer before training. Then networks are trained on scikit-learn's digits. The learning
rate of an initialization is the best one for the first seed. The other seeds use the same rate.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import statistics
import time
from pathlib import Path
from typing import Any

import torch

import page
import pictures
from experiments import EXPERIMENTS, Experiment, Scheme
from signals import curves, mean_curve
from training import digits, initialized, picture, train

SEEDS = 3
#: The number of seeds for the curves of signal and gradient. They vary more between seeds than the results of training.
SIGNAL_SEEDS = 5
#: The number of steps over which the loss is averaged.
BIN = 5

#: The key of an experiment, the name of a scheme, a learning rate, and a seed. The job trains one network. If the
#: scheme's name is "", the job measures the curves of all schemes of the experiment instead.
Job = tuple[str, str, float, int]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python scripts/choosing", description=__doc__.split("\n")[0])
    parser.add_argument("--draw", action="store_true", help="do not measure: draw the pictures and write the page again")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="how many networks are trained at a time")
    parser.add_argument("--resume", type=Path, metavar="FILE", help="keep finished runs in FILE, and skip those that it has")
    options = parser.parse_args()
    if not options.draw:
        page.RESULTS.write_text(page.dumps(measure(options.processes, options.resume)))
    results = json.loads(page.RESULTS.read_text())
    pictures.draw(results)
    page.PAGE.write_text(page.render(page.PAGE.read_text(), results))


def measure(processes: int, resume: Path | None) -> dict[str, Any]:
    began = time.perf_counter()
    done: dict[Job, dict[str, Any]] = {}
    if resume is not None and resume.exists():
        done = {tuple(one["job"]): one for one in map(json.loads, resume.read_text().splitlines())}  # type: ignore[misc]

    def finish(jobs: list[Job]) -> None:
        for one in pool.imap_unordered(run, [job for job in jobs if job not in done], chunksize=1):
            done[tuple(one["job"])] = one  # type: ignore[index]
            if resume is not None:
                with resume.open("a") as file:
                    file.write(json.dumps(one) + "\n")
            print(f"{sum(job in done for job in jobs)}/{len(jobs)}", end="\r", flush=True)

    digits()
    every = [(experiment, scheme) for experiment in EXPERIMENTS for scheme in experiment.schemes]
    first: list[Job] = [(experiment.key, "", 0.0, 0) for experiment in EXPERIMENTS]
    first += [(experiment.key, scheme.name, rate, 0) for experiment, scheme in every for rate in experiment.rates]
    with multiprocessing.get_context("fork").Pool(processes, initializer=one_thread) as pool:
        finish(first)
        others: list[Job] = [
            (experiment.key, scheme.name, best_rate(experiment, scheme, done), seed)
            for seed in range(1, SEEDS)
            for experiment, scheme in every
        ]
        finish(others)
    jobs = first + others
    experiments = {one.key: summary(one, done) for one in EXPERIMENTS}
    seconds = sum(done[job]["seconds"] for job in jobs)
    machine = {"torch": torch.__version__.split("+")[0], "python": platform.python_version(), "seconds of processors": round(seconds)}
    print(f"{time.perf_counter() - began:.0f} s, {seconds:.0f} s of processors")
    return {"machine": machine, "seeds": SEEDS, "signal_seeds": SIGNAL_SEEDS, "experiments": experiments}


def one_thread() -> None:
    torch.set_num_threads(1)
    # Vanishing signals become subnormal numbers, with which CPUs compute slowly. Subnormal numbers are therefore replaced by 0.
    torch.set_flush_denormal(True)


def run(job: Job) -> dict[str, Any]:
    key, name, rate, seed = job
    experiment = next(one for one in EXPERIMENTS if one.key == key)
    began = time.process_time()
    if name:
        scheme = next(one for one in experiment.schemes if one.name == name)
        result = train(experiment, scheme, rate, seed)
    else:
        result = {"curves": [signal(experiment, scheme) for scheme in experiment.schemes]}
    return {"job": job, **result, "seconds": time.process_time() - began}


def signal(experiment: Experiment, scheme: Scheme) -> dict[str, list[float]]:
    """Returns the curves of signal and gradient of a scheme, averaged over the seeds."""
    inputs = picture()[0][::18] if experiment.fits_picture else digits()[0][:128]
    pairs = [curves(experiment, initialized(experiment, scheme, seed, is_deep=True), inputs, seed) for seed in range(SIGNAL_SEEDS)]
    signals, gradients = zip(*pairs)
    return {"signal": mean_curve(list(signals)), "gradient": mean_curve(list(gradients))}


def best_rate(experiment: Experiment, scheme: Scheme, done: dict[Job, dict[str, Any]]) -> float:
    """Returns the learning rate with the lowest final loss for seed 0. The loss of a run that ended early counts as infinite."""

    def final(rate: float) -> float:
        losses = done[experiment.key, scheme.name, rate, 0]["loss"]
        return statistics.fmean(losses[-4 * BIN :]) if len(losses) == experiment.steps else float("inf")

    return min(experiment.rates, key=final)


def summary(experiment: Experiment, done: dict[Job, dict[str, Any]]) -> dict[str, Any]:
    """Returns the results of one experiment for docs/choosing.md."""
    schemes = []
    for index, scheme in enumerate(experiment.schemes):
        rate = best_rate(experiment, scheme, done)
        runs = [done[experiment.key, scheme.name, rate, seed] for seed in range(SEEDS)]
        binned = [bins(run["loss"], experiment.steps) for run in runs]
        schemes.append({
            "name": scheme.name,
            "recipe": scheme.recipe,
            **done[experiment.key, "", 0.0, 0]["curves"][index],
            "rate": rate,
            "loss": [[rounded(kind(one)) for kind in (min, statistics.median, max)] for one in zip(*binned)],
            "score": sorted(round(run["score"], 3) for run in runs),
        })
    return {
        "title": experiment.title,
        "unit": experiment.unit,
        "step": experiment.step,
        "depth": experiment.depth,
        "steps": experiment.steps,
        "bin": BIN,
        "fits_picture": experiment.fits_picture,
        "schemes": schemes,
    }


def bins(losses: list[float], steps: int) -> list[float]:
    """Splits the losses into bins of BIN consecutive losses, and returns the mean of each bin.

    Losses above 1e9, NaN, and losses after the end of a run count as 1e9.
    """
    full = [min(one, 1e9) if one == one else 1e9 for one in losses] + [1e9] * (steps - len(losses))
    return [statistics.fmean(full[start : start + BIN]) for start in range(0, steps, BIN)]


def rounded(value: float) -> float:
    return float(f"{value:.3g}")


if __name__ == "__main__":
    main()
