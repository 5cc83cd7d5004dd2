"""The truth: Arb enclosures of a definition and of its derivatives, and the decisions they allow."""
