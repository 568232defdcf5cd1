"""Pictures, pages and tables of results. Drawing libraries are imported when something is drawn."""
