"""C, C++ and CUDA in strings and files: what its loops read and write, in which order."""
