"""The clouds, emulated as strict as they are: a package for each. They know the clouds, and nothing of the product.

What they know of a cloud is from its documentation, never from the product's own tables: an emulator that shared those
would agree with the product's mistakes.
"""
