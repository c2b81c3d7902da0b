"""From files to preferences: containers give rows, formats read them, and a row that is no preference is refused in words."""
