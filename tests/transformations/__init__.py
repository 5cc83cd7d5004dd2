"""The own implementations under what the frameworks do to functions: does anything change their values or gradients?"""
