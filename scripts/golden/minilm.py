#!/usr/bin/env python3
"""Computes the embeddings that the float reference is checked against.

An implementation of BERT of its own, in double precision, that shares nothing with the one in
Rust but the tokenizers library. Needs numpy, tokenizers and safetensors, no torch:

    python3 -m venv venv && venv/bin/pip install numpy tokenizers safetensors
    scripts/fetch-minilm.sh
    venv/bin/python scripts/golden/minilm.py

With --torch, the embeddings are compared with those of transformers' BertModel (in double
precision as well) instead of being written. With torch 2.15.0 and transformers 5.23.0, none of
the 20 x 384 numbers differed by more than 4e-16.
"""

import argparse
import json
import math
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file
from tokenizers import Tokenizer

ROOT = Path(__file__).resolve().parents[2]

# Abramowitz and Stegun's formula would not do in double precision, and numpy has no erf.
erf = np.vectorize(math.erf)


def gelu(x):
    return 0.5 * x * (1.0 + erf(x / math.sqrt(2.0)))


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


class Bert:
    """The encoder of a checkpoint without the "bert." prefix, for one sequence at a time."""

    def __init__(self, directory):
        self.config = json.loads((directory / "config.json").read_text())
        tensors = load_file(directory / "model.safetensors")
        self.tensors = {name: t.astype(np.float64) for name, t in tensors.items()}

    def linear(self, name, x):
        return x @ self.tensors[f"{name}.weight"].T + self.tensors[f"{name}.bias"]

    def norm(self, name, x):
        centred = x - x.mean(axis=-1, keepdims=True)
        variance = (centred**2).mean(axis=-1, keepdims=True)
        x = centred / np.sqrt(variance + self.config["layer_norm_eps"])
        return x * self.tensors[f"{name}.weight"] + self.tensors[f"{name}.bias"]

    def attention(self, name, x):
        heads = self.config["num_attention_heads"]
        tokens, hidden = x.shape
        size = hidden // heads

        def split(part):
            y = self.linear(f"{name}.self.{part}", x)
            return y.reshape(tokens, heads, size).transpose(1, 0, 2)

        q, k, v = split("query"), split("key"), split("value")
        weights = softmax(q @ k.transpose(0, 2, 1) / math.sqrt(size))
        context = (weights @ v).transpose(1, 0, 2).reshape(tokens, hidden)
        return self.norm(f"{name}.output.LayerNorm", self.linear(f"{name}.output.dense", context) + x)

    def layer(self, name, x):
        x = self.attention(f"{name}.attention", x)
        y = gelu(self.linear(f"{name}.intermediate.dense", x))
        return self.norm(f"{name}.output.LayerNorm", self.linear(f"{name}.output.dense", y) + x)

    def hidden_states(self, ids, type_ids):
        t = self.tensors
        x = (
            t["embeddings.word_embeddings.weight"][ids]
            + t["embeddings.position_embeddings.weight"][: len(ids)]
            + t["embeddings.token_type_embeddings.weight"][type_ids]
        )
        x = self.norm("embeddings.LayerNorm", x)
        for i in range(self.config["num_hidden_layers"]):
            x = self.layer(f"encoder.layer.{i}", x)
        return x

    def embed(self, ids, type_ids):
        mean = self.hidden_states(ids, type_ids).mean(axis=0)
        return mean / np.linalg.norm(mean)


def torch_embeddings(directory, encoded):
    import torch
    from transformers import BertModel

    model = BertModel.from_pretrained(directory).double().eval()
    for e in encoded:
        with torch.no_grad():
            out = model(input_ids=torch.tensor([e.ids]), token_type_ids=torch.tensor([e.type_ids]))
        mean = out.last_hidden_state[0].mean(dim=0)
        yield (mean / mean.norm()).numpy()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, default=ROOT / "checkpoints/all-MiniLM-L6-v2")
    parser.add_argument("--sentences", type=Path, default=ROOT / "tests/data/minilm_sentences.txt")
    parser.add_argument("--output", type=Path, default=ROOT / "tests/data/minilm_golden.json")
    parser.add_argument("--torch", action="store_true", help="compare with transformers")
    args = parser.parse_args()

    tokenizer = Tokenizer.from_file(str(args.checkpoint / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    sentences = args.sentences.read_text(encoding="utf-8").splitlines()
    encoded = [tokenizer.encode(s) for s in sentences]
    bert = Bert(args.checkpoint)
    embeddings = [bert.embed(e.ids, e.type_ids) for e in encoded]

    if args.torch:
        others = torch_embeddings(args.checkpoint, encoded)
        worst = max(np.abs(a - b).max() for a, b in zip(embeddings, others, strict=True))
        print(f"largest difference over {len(encoded)} sentences: {worst:.3g}")
        return

    golden = [
        {"text": s, "ids": e.ids, "embedding": [round(float(v), 6) for v in row]}
        for s, e, row in zip(sentences, encoded, embeddings, strict=True)
    ]
    lines = ",\n".join(json.dumps(entry, ensure_ascii=False, separators=(",", ":")) for entry in golden)
    args.output.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    print(f"{len(golden)} sentences of {min(map(len, encoded))} to {max(map(len, encoded))} tokens")


if __name__ == "__main__":
    main()
