"""Programs as graphs: operations with their operands, without values."""
