"""Everything that needs torch or transformers. Browsing pages never import this package."""
