"""How good is it: episodes, retrieval, baselines."""
