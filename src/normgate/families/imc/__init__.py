"""The IMC family: autoencoders of imaging mass cytometry, on grids and cell graphs."""
