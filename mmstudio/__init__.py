"""Multimodal Studio: explore images, sounds, texts and videos through multimodal models."""

__version__ = "0.1.0"
