"""Simulated calibrations with known truth: how often is the promise broken, and at what price?"""
