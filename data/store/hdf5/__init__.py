"""Columns and files of HDF5."""
