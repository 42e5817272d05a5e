#!/usr/bin/env python3
"""Sentences and paragraphs of documentation, from the comments of the crates that Cargo.lock names.

Usage: docs.py REGISTRY OUT

REGISTRY is a directory of unpacked crates (~/.cargo/registry/src/*/ after `cargo fetch`). Only crates under MIT or
Apache-2.0 are read. OUT gets docs.txt and docs-held-out.txt: the same lock file gives the same files.
"""

import hashlib
import pathlib
import re
import sys
import tomllib

HELD_OUT = 50


def paragraphs(path):
    """Paragraphs of a source file's documentation, without code and lists."""
    lines, code = [], False
    for line in path.read_text(encoding="utf-8", errors="ignore").splitlines() + [""]:
        match = re.match(r"\s*//[/!] ?(.*)", line)
        text = match.group(1).strip() if match else ""
        if text.startswith("```"):
            code = not code
            text = ""
        if code or not re.match(r"[A-Z][a-z]", text) and not lines:
            if lines:
                yield " ".join(lines)
            lines = []
            continue
        if text and not text.startswith(("#", "*", "-", "|", ">")):
            lines.append(text)
        elif lines:
            yield " ".join(lines)
            lines = []


def tidy(text):
    """Markdown as plain text."""
    text = re.sub(r"\[([^\]]*)\](\([^)]*\)|\[[^\]]*\])?", r"\1", text)
    return re.sub(r"\s+", " ", re.sub(r"[`*]+", "", text)).strip()


def main():
    registry, out = map(pathlib.Path, sys.argv[1:3])
    root = pathlib.Path(__file__).resolve().parents[2]
    lock = tomllib.loads((root / "Cargo.lock").read_text())
    texts = {}
    for package in sorted(lock["package"], key=lambda p: (p["name"], p["version"])):
        crate = registry / f"{package['name']}-{package['version']}"
        manifest = crate / "Cargo.toml"
        if not manifest.is_file():
            continue
        licence = tomllib.loads(manifest.read_text(encoding="utf-8"))["package"].get("license", "")
        if not re.search(r"MIT|Apache-2.0", licence):
            continue
        for path in sorted(crate.rglob("*.rs")):
            for paragraph in map(tidy, paragraphs(path)):
                for text in [paragraph, *re.split(r"(?<=[.!?]) (?=[A-Z])", paragraph)]:
                    if 4 <= len(text.split()) <= 90 and sum(c.isalpha() or c == " " for c in text) > 0.85 * len(text):
                        texts[text] = hashlib.sha256(text.encode()).digest()
    out.mkdir(parents=True, exist_ok=True)
    for name, held in (("docs.txt", False), ("docs-held-out.txt", True)):
        lines = [t for t, d in sorted(texts.items(), key=lambda x: x[1]) if (d[0] * 256 + d[1]) % HELD_OUT == 0 or not held]
        lines = [t for t in lines if ((texts[t][0] * 256 + texts[t][1]) % HELD_OUT == 0) == held]
        (out / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


if __name__ == "__main__":
    main()
