"""The only places that touch a framework; each adapter is thin and imports its framework itself."""
