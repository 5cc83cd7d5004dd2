"""Programs of both sides as steps and operations, with the weights that they use."""
