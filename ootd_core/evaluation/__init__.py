"""Measuring pictures: metrics against a true picture, inside a mask."""
