"""The plate family: classifiers of cells on multi-well plates."""
