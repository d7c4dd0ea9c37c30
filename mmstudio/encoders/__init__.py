"""Media becomes vectors, tokens and attention.

Nothing here imports torch or transformers at the top: the window paints before they are loaded.
"""

from mmstudio.encoders.base import AttentionLayer, Encoder, Explanation, Positions, Prepared
from mmstudio.encoders.registry import ModelCard, catalog, load_encoder

__all__ = ["AttentionLayer", "Encoder", "Explanation", "ModelCard", "Positions", "Prepared", "catalog", "load_encoder"]
