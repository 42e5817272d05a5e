#!/usr/bin/env python3
"""Fits the machine model of `ditto cost` to runs.

    cargo run --release -p ditto-models --example predicted -- --model DIR,DIR --seq 16,128 --json > runs.json
    scripts/fit-machine.py runs.json

Every line of the input is a run with its counts, the base rates measured beside it, and the processor time of each
party. Of repeated runs of a case the one that took least counts: what else the machine did can only add. Prints a factor
per kind of computing, for `FITTED` in ditto-core/src/cost/machine.rs, then the error of each case. Needs numpy.
"""

import collections
import json
import sys

import numpy

# Kinds that share a factor: too few cases tell them apart.
GROUPS = [
    ["draw"],
    ["pass"],
    ["fresh"],
    ["pack", "pack_wide"],
    ["step", "scan"],
    ["hash"],
    ["function"],
    ["multiply32", "multiply52", "multiply64"],
    ["stream"],
    ["wire"],
    ["message"],
    ["reading"],
]
SEATS = ["P2", "P0", "P1", "online"]
# How much a factor that differs from 1 weighs against relative errors of runs.
PRIOR = 0.02


def cases(path):
    runs = collections.defaultdict(list)
    for line in open(path, encoding="utf-8"):
        run = json.loads(line)
        runs[run["model"], run["plan"], run["seq"]].append(run)
    return runs


def main():
    runs = cases(sys.argv[1])
    everything = [run for group in runs.values() for run in group]
    kinds = everything[0]["kinds"]
    rates = numpy.min([run["rates"] for run in everything], axis=0)
    reading = {key: min(run["reading"] for run in group) for key, group in runs.items()}
    rows, targets, names = [], [], []
    for key, group in sorted(runs.items()):
        cpu = numpy.min([run["cpu"] for run in group], axis=0)
        for seat in range(4):
            if cpu[seat] < 0.03:
                continue  # Processor time comes in steps of 10 ms.
            seconds = dict(zip(kinds, numpy.array(group[0]["loads"][seat]) * rates))
            seconds["reading"] = reading[key]
            rows.append([sum(seconds[kind] for kind in group) / cpu[seat] for group in GROUPS])
            targets.append(1.0)
            names.append((*key, SEATS[seat], cpu[seat]))
    prior = PRIOR**0.5 * len(rows) ** 0.5 * numpy.eye(len(GROUPS)) / 10
    a = numpy.vstack([rows, prior])
    b = numpy.concatenate([targets, prior @ numpy.ones(len(GROUPS))])
    factors = nonnegative(a, b)
    for group, factor in zip(GROUPS, factors):
        print(f"{', '.join(group):36} {factor:.2f}")
    print("\npredicted / least measured processor time")
    for name, predicted in zip(names, numpy.array(rows) @ factors):
        model, plan, seq, seat, cpu = name
        print(f"{model.split('/')[-1]:20} {plan:10} {seq:4} {seat:6} {cpu:6.2f} s {predicted:5.2f}")


def nonnegative(a, b):
    """Least squares with x >= 0, by coordinate descent."""
    x = numpy.ones(a.shape[1])
    for _ in range(20000):
        for j in range(len(x)):
            rest = b - a @ x + a[:, j] * x[j]
            x[j] = max(0.0, a[:, j] @ rest / (a[:, j] @ a[:, j]))
    return x


main()
