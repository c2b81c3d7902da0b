"""Noise: what is probably wrong with rows, one signal a file; `workbench` computes the stored columns, `signals` lists all signals."""
