"""Llama (arXiv 2302.13971): RMSNorm before each block, rotary positions, SwiGLU, no biases.

Modules are named as in transformers' LlamaForCausalLM, so that a state dict is a checkpoint which
that class loads as it is. Attention is causal over the whole sequence, across the documents packed
into it, as in GPT-3 (arXiv 2005.14165, section 2.1).

Shapes: B sequences, T tokens, C width, H heads, K heads of keys and values, D = C / H, V tokens in
the vocabulary.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from shared.training_run import ModelShape

#: A target that the loss leaves out.
IGNORED = -100
#: Standard deviation of every weight matrix at the start (GPT-2's, and MAP-Neo's, 2405.19327).
INIT_STD = 0.02


class RMSNorm(nn.Module):
    """Root mean square layer normalisation (arXiv 1910.07467)."""

    def __init__(self, width: int, epsilon: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) to (..., C)."""
        return functional.rms_norm(x, self.weight.shape, self.weight, self.epsilon)


def rotary_table(length: int, head_width: int, theta: float) -> tuple[Tensor, Tensor]:
    """Cosines and sines (T, D) of the rotary positions (RoFormer, arXiv 2104.09864)."""
    frequencies = theta ** -(torch.arange(0, head_width, 2, dtype=torch.float32) / head_width)
    angles = torch.outer(torch.arange(length, dtype=torch.float32), frequencies)
    angles = torch.cat([angles, angles], dim=-1)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """Turn each pair (i, i + D/2) of (B, H, T, D) by its position's angle."""
    first, second = x.chunk(2, dim=-1)
    turned = torch.cat([-second, first], dim=-1)
    return (x * cosines + turned * sines).type_as(x)


class Attention(nn.Module):
    """Causal self-attention; groups of heads share keys and values where K < H."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        self.head_width = shape.width // shape.heads
        narrow = shape.kv_heads * self.head_width
        self.q_proj = nn.Linear(shape.width, shape.width, bias=False)
        self.k_proj = nn.Linear(shape.width, narrow, bias=False)
        self.v_proj = nn.Linear(shape.width, narrow, bias=False)
        self.o_proj = nn.Linear(shape.width, shape.width, bias=False)

    def forward(self, x: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
        """(B, T, C) to (B, T, C)."""
        q, k, v = (
            project(x).unflatten(-1, (-1, self.head_width)).transpose(1, 2)  # (B, H or K, T, D)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        q, k = rotate(q, cosines, sines), rotate(k, cosines, sines)
        mixed = functional.scaled_dot_product_attention(
            q, k, v, is_causal=True, enable_gqa=q.shape[1] != k.shape[1]
        )
        out: Tensor = self.o_proj(mixed.transpose(1, 2).flatten(2))
        return out


class FeedForward(nn.Module):
    """SwiGLU (arXiv 2002.05202)."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(shape.width, shape.hidden, bias=False)
        self.up_proj = nn.Linear(shape.width, shape.hidden, bias=False)
        self.down_proj = nn.Linear(shape.hidden, shape.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) to (B, T, C)."""
        out: Tensor = self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))
        return out


class Block(nn.Module):
    """Attention, then feed-forward, each added to its input."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(shape.width, shape.norm_epsilon)
        self.self_attn = Attention(shape)
        self.post_attention_layernorm = RMSNorm(shape.width, shape.norm_epsilon)
        self.mlp = FeedForward(shape)

    def forward(self, x: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
        """(B, T, C) to (B, T, C)."""
        x = x + self.self_attn(self.input_layernorm(x), cosines, sines)
        out: Tensor = x + self.mlp(self.post_attention_layernorm(x))
        return out


class Trunk(nn.Module):
    """Embedding, blocks, last norm; named as in transformers."""

    def __init__(self, shape: ModelShape, vocab_size: int) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(vocab_size, shape.width)
        self.layers = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = RMSNorm(shape.width, shape.norm_epsilon)


class Llama(nn.Module):
    """A decoder of tokens. Weights start from the global random state of torch."""

    def __init__(self, shape: ModelShape, vocab_size: int, sequence_length: int) -> None:
        super().__init__()
        self.shape, self.vocab_size, self.sequence_length = shape, vocab_size, sequence_length
        self.model = Trunk(shape, vocab_size)
        self.lm_head = None if shape.tied else nn.Linear(shape.width, vocab_size, bias=False)
        cosines, sines = rotary_table(sequence_length, shape.width // shape.heads, shape.rope_theta)
        self.cosines: Tensor
        self.sines: Tensor
        self.register_buffer("cosines", cosines, persistent=False)
        self.register_buffer("sines", sines, persistent=False)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=INIT_STD)

    def logits(self, tokens: Tensor) -> Tensor:
        """(B, T) of token ids, T <= sequence_length, to (B, T, V)."""
        x = self.model.embed_tokens(tokens)
        cosines, sines = (table[: tokens.shape[1]] for table in (self.cosines, self.sines))
        for layer in self.model.layers:
            x = layer(x, cosines, sines)
        head = self.model.embed_tokens if self.lm_head is None else self.lm_head
        return functional.linear(self.model.norm(x), head.weight)

    def forward(self, tokens: Tensor, targets: Tensor, count: float) -> Tensor:
        """Cross-entropy in nats of (B, T) targets, summed, by `count`; IGNORED ones add nothing.

        With the number of targets that are not ignored it is their mean.
        """
        logits = self.logits(tokens).flatten(0, 1).float()
        total = functional.cross_entropy(
            logits, targets.flatten(), ignore_index=IGNORED, reduction="sum"
        )
        return total / count

    def transformers_config(self, eos_id: int) -> dict[str, Any]:
        """`config.json` with which transformers' LlamaForCausalLM loads the state dict."""
        return {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "attention_bias": False,
            "mlp_bias": False,
            "hidden_act": "silu",
            "hidden_size": self.shape.width,
            "intermediate_size": self.shape.hidden,
            "num_hidden_layers": self.shape.layers,
            "num_attention_heads": self.shape.heads,
            "num_key_value_heads": self.shape.kv_heads,
            "head_dim": self.shape.width // self.shape.heads,
            "max_position_embeddings": self.sequence_length,
            "rms_norm_eps": self.shape.norm_epsilon,
            "rope_theta": self.shape.rope_theta,
            "rope_parameters": {"rope_type": "default", "rope_theta": self.shape.rope_theta},
            "tie_word_embeddings": self.shape.tied,
            "vocab_size": self.vocab_size,
            "initializer_range": INIT_STD,
            "bos_token_id": eos_id,
            "eos_token_id": eos_id,
            "torch_dtype": "float32",
        }


@torch.no_grad()
def generate(model: Llama, prompt: list[int], count: int, seed: int) -> list[int]:
    """`count` tokens after a prompt of at least one, drawn from the model's own distribution.

    Each is drawn over the last `sequence_length` tokens. On the CPU the same seed gives the same.
    """
    generator = torch.Generator().manual_seed(seed)
    device = model.model.embed_tokens.weight.device
    tokens = list(prompt)
    for _ in range(count):
        window = torch.tensor([tokens[-model.sequence_length :]], device=device)
        odds = model.logits(window)[0, -1].float().softmax(-1).cpu()
        tokens.append(int(torch.multinomial(odds, 1, generator=generator)))
    return tokens[len(prompt) :]
