"""The frozen records that describe an activation, the interface that makes functions of it, and errors."""
