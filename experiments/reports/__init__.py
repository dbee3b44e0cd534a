"""What all pages, figures and tables share; knows no experiment."""
