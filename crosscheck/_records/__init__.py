"""The frozen records that say what an activation is, the interface that makes functions of it, and errors."""
