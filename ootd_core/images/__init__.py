"""Pictures: from files, onto the networks' canvas, and back into their originals.

files         reading and writing picture files
fitting       any shape to 3:4, and the exact way back
compositing   pasting a result back into its original
comparison    PSNR, SSIM and colour error of two pictures
tensors       arrays to the networks' tensors and back
"""
