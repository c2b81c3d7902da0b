"""`python -m deft_core` is the `deft` command."""

from deft_core.cli import main

if __name__ == "__main__":
    main()
