"""Using a promoted bundle on new data."""
