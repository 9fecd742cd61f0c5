"""The small Qt kit, once: docks, forms, tables, figures, preferences."""
