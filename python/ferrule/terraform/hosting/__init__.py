"""One provider as its host sees it, for both faces: how it is reached, how operations advance, how calls fail."""
