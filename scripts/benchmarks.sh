#!/usr/bin/env bash
# Measures everything that benches/README.md publishes and writes the tables into it, between its two marks. Takes about
# an hour on 2 cores; nothing else should run. With an argument, only steps with that word in their name are measured, and
# the tables are printed instead. REPS says how many repetitions count (5).
set -euo pipefail
cd "$(dirname "$0")/.."

only=${1:-}
reps=${REPS:-5}
page=benches/README.md
begin='<!-- measured: scripts/benchmarks.sh writes from here -->'
end='<!-- to here -->'

cargo build --release -p ditto-benches
results=$(mktemp)
trap 'rm -f "$results" "$results.page"' EXIT

# A step: its name, then a program and its options. The table that comes of it stands below its command.
step() {
    local name=$1
    shift
    [[ $name == *"$only"* ]] || return 0
    echo "measuring $name" >&2
    {
        printf '\n```sh\ncargo run --release --bin %s\n```\n\n' "$1 -- ${*:2}"
        "target/release/$1" "${@:2}"
    } >> "$results"
}

step kernels primitives --plan ditto --reps "$reps"
step base bert --size base --seq 128 --plan accurate,ditto,puma --reps "$reps" --chart benches/bert-base.svg
step overlap bert --size base --seq 128 --plan ditto --overlap --reps "$reps"
step lan bert --size base --seq 128 --plan ditto --network lan --overlap --reps "$reps"
step wan bert --size base --seq 128 --plan ditto --network wan --overlap --reps "$reps"
step ablation bert --size base --seq 128 --ablation --reps "$reps"
step mpcformer bert --size base --seq 128 --plan ditto,mpcformer --reps "$reps"
step minilm bert --size minilm --seq 128 --plan ditto,accurate --reps "$reps"
step large bert --size large --seq 128 --plan ditto --reps "$reps"
step gpt2 gpt2 --size base --seq 32 --tokens 8 --plan ditto,accurate --reps "$reps"
step medium gpt2 --size medium --seq 32 --tokens 8 --plan ditto --reps "$reps"
step seq bert --size base --plan ditto --scaling seq --reps "$reps" --chart benches/growth-seq.svg
step layers bert --size base --seq 128 --plan ditto --scaling layers --reps "$reps" --chart benches/growth-layers.svg

if [[ -n $only ]]; then
    cat "$results"
    exit
fi
awk -v begin="$begin" -v end="$end" -v results="$results" '
    $0 == begin { print; while ((getline line < results) > 0) print line; print ""; skip = 1 }
    $0 == end { skip = 0 }
    !skip { print }
' "$page" > "$results.page"
cp "$results.page" "$page"
