#!/usr/bin/env python3
"""Texts to train on, from WordNet 3.0 (Princeton University; its licence allows use and distribution for any purpose).

Usage: wordnet.py DICT OUT

DICT is WordNet's directory of data.noun and the like; Debian and Ubuntu have it in the package wordnet-base
(/usr/share/wordnet). OUT gets, each with a -held-out twin that has every synset whose hash says so:

  sentences    definitions and example sentences, one per line
  kinds        .tsv: definitions of nouns, a tab, and the kind of thing that they define
  dictionary   "word: definition", a line for every word

The same input gives the same files.
"""

import hashlib
import pathlib
import re
import sys

# Lexicographer files of nouns whose definitions are kept, and what they hold.
KINDS = {5: "animal", 6: "artifact", 8: "body", 13: "food", 15: "place", 18: "person", 20: "plant", 27: "substance"}
# One synset of so many is held out.
HELD_OUT = 50


def synsets(path):
    """The lexicographer file, words, definition and examples of each synset."""
    for line in path.read_text(encoding="latin-1").splitlines():
        if line.startswith("  "):
            continue
        fields, _, gloss = line.partition(" | ")
        fields = fields.split()
        count = int(fields[3], 16)
        words = [re.sub(r"\((a|p|ip)\)$", "", word).replace("_", " ") for word in fields[4 : 4 + 2 * count : 2]]
        examples = re.findall(r'"([^"]+)"', gloss)
        definition = re.split(r';\s*"', gloss)[0]
        yield fields[0], int(fields[1]), words, tidy(definition), [tidy(example) for example in examples]


def tidy(text):
    """One line without quotes and doubled spaces."""
    return re.sub(r"\s+", " ", text.replace('"', "").replace("`", "'")).strip(" ;")


def main():
    source, out = map(pathlib.Path, sys.argv[1:3])
    out.mkdir(parents=True, exist_ok=True)
    files = {name: ([], []) for name in ("sentences.txt", "kinds.tsv", "dictionary.txt")}
    for part in ("noun", "verb", "adj", "adv"):
        for offset, kind, words, definition, examples in synsets(source / f"data.{part}"):
            digest = hashlib.sha256(f"{part} {offset}".encode()).digest()
            held = int(int.from_bytes(digest[:8], "big") % HELD_OUT == 0)
            texts = [text for text in [definition, *examples] if 3 <= len(text.split()) <= 40]
            files["sentences.txt"][held].extend((digest, text) for text in texts)
            if part == "noun" and kind in KINDS and 3 <= len(definition.split()) <= 24:
                files["kinds.tsv"][held].append((digest, f"{definition}\t{KINDS[kind]}"))
            if len(definition.split()) <= 24:
                files["dictionary.txt"][held].extend((digest, f"{word}: {definition}") for word in words)
    for name, parts in files.items():
        stem, end = name.split(".")
        for lines, suffix in zip(parts, ("", "-held-out")):
            # Hashes mix the synsets, so that a part of a file is like the whole.
            lines = dict.fromkeys(line for _, line in sorted(lines))
            (out / f"{stem}{suffix}.{end}").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


if __name__ == "__main__":
    main()
