"""Pure maths on vectors: similarity, fusion without learning, projection, clusters."""
