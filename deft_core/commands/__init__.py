"""Commands of `deft` by subject; cli.py puts them together."""
