"""BERT and GPT-2 with Quad in place of GELU, for the transformers library.

`AutoModel.from_pretrained(DIR, trust_remote_code=True)` and its like find this file by `auto_map` in the configuration.
"""

import torch
from torch import nn
from transformers import (
    AttentionInterface,
    AttentionMaskInterface,
    BertForMaskedLM,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
    BertModel,
    GPT2LMHeadModel,
    GPT2Model,
)
from transformers.activations import ACT2FN
from transformers.masking_utils import eager_mask


class Quad(nn.Module):
    """0.125 x^2 + 0.25 x + 0.5 (MPCFormer, Li et al., ICLR 2023)."""

    def forward(self, x):
        return 0.125 * x * x + 0.25 * x + 0.5


def two_quad_attention(module, query, key, value, attention_mask, scaling=None, dropout=0.0, **_):
    """Attention whose weights are (score + 5)^2 over their sum (MPCFormer, Li et al., ICLR 2023)."""
    scaling = query.size(-1) ** -0.5 if scaling is None else scaling
    weights = (torch.matmul(query, key.transpose(-1, -2)) * scaling + 5) ** 2
    if attention_mask is not None:
        weights = weights * (attention_mask == 0)
    weights = weights / weights.sum(dim=-1, keepdim=True)
    weights = nn.functional.dropout(weights, p=dropout, training=module.training)
    return torch.matmul(weights, value).transpose(1, 2).contiguous(), weights


ACT2FN["quad"] = Quad
AttentionInterface.register("two_quad", two_quad_attention)
AttentionMaskInterface.register("two_quad", eager_mask)


class _Attention:
    """The attention that the configuration names."""

    def __init__(self, config, *args, **kwargs):
        super().__init__(config, *args, **kwargs)
        if getattr(config, "two_quad_softmax", False):
            self.set_attn_implementation("two_quad")


class QuadBertModel(_Attention, BertModel):
    pass


class QuadBertForMaskedLM(_Attention, BertForMaskedLM):
    pass


class QuadBertForQuestionAnswering(_Attention, BertForQuestionAnswering):
    pass


class QuadBertForSequenceClassification(_Attention, BertForSequenceClassification):
    pass


class QuadBertForTokenClassification(_Attention, BertForTokenClassification):
    pass


class QuadGPT2Model(_Attention, GPT2Model):
    pass


class QuadGPT2LMHeadModel(_Attention, GPT2LMHeadModel):
    pass
