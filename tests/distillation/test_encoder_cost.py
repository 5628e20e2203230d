"""The encoders' parameters and operations by hand, and a layer by its formula."""

from __future__ import annotations

import torch
from torch import nn

from ppr.studies.distillation.encoder_cost import Encoder, operations, parameters

D, H, V, P = 768, 3072, 30_522, 512
LAYER = 4 * (D * D + D) + (D * H + H) + (H * D + D) + 2 * 2 * D


def test_parameters_are_those_counted_by_hand() -> None:
    with torch.device("meta"):
        teacher, student = Encoder(12, whole=True), Encoder(6, whole=False)
    embeddings = (V + P) * D + 2 * D
    assert parameters(student) == embeddings + 6 * LAYER == 66_362_880
    assert parameters(teacher) == embeddings + 2 * D + 12 * LAYER + D * D + D == 109_482_240


def test_operations_are_those_of_the_products() -> None:
    tokens = 10
    with torch.device("meta"):
        encoder = Encoder(2, whole=True)
    layer = 2 * tokens * (4 * D * D + 2 * D * H) + 2 * 2 * tokens**2 * D
    assert operations(encoder, tokens) == 2 * layer + 2 * D * D


def test_a_layer_is_berts() -> None:
    """Attention, then a feed-forward network, each added to its input and then normalised."""
    torch.manual_seed(0)
    encoder = Encoder(1, whole=False).double().eval()
    words = torch.randint(V, (1, 5))
    x = encoder.norm(encoder.words(words)[0] + encoder.positions.weight[:5])
    (layer,) = encoder.layers.layers
    q, k, v = (x @ layer.self_attn.in_proj_weight.T).view(5, 3, 12, D // 12).permute(1, 2, 0, 3)
    mixed = (q @ k.mT / (D // 12) ** 0.5).softmax(-1) @ v
    a = layer.norm1(x + layer.self_attn.out_proj(mixed.transpose(0, 1).reshape(5, D)))
    expected = layer.norm2(a + layer.linear2(nn.functional.gelu(layer.linear1(a))))
    torch.testing.assert_close(encoder(words)[0][0], expected)
