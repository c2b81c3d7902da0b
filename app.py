"""DEFT Studio's router: the list of pages is in pages/shared/frame.py, so that a page opened by its own address finds it too."""

from pages.shared import frame

frame.navigation().run()
