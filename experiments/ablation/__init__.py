"""Capacity and scoring studies: a grid of cells, budgets that match, tables, figures, a page."""
