"""Every saved picture, measured in one definition."""
