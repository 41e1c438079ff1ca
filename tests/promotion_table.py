"""Golden results of type promotion, as PyTorch 2.13 gives them (- where that is a half complex)."""

NAMES = {
    "b1": "bool",
    "u1": "uint8",
    "i1": "int8",
    "i2": "int16",
    "i4": "int32",
    "i8": "int64",
    "f2": "float16",
    "bf": "bfloat16",
    "f4": "float32",
    "f8": "float64",
    "c4": "complex64",
    "c8": "complex128",
}

# row + column, both tensors with dimensions
TENSORS = """
b1: b1 u1 i1 i2 i4 i8 f2 bf f4 f8 c4 c8
u1: u1 u1 i2 i2 i4 i8 f2 bf f4 f8 c4 c8
i1: i1 i2 i1 i2 i4 i8 f2 bf f4 f8 c4 c8
i2: i2 i2 i2 i2 i4 i8 f2 bf f4 f8 c4 c8
i4: i4 i4 i4 i4 i4 i8 f2 bf f4 f8 c4 c8
i8: i8 i8 i8 i8 i8 i8 f2 bf f4 f8 c4 c8
f2: f2 f2 f2 f2 f2 f2 f2 f4 f4 f8 c4 c8
bf: bf bf bf bf bf bf f4 bf f4 f8 c4 c8
f4: f4 f4 f4 f4 f4 f4 f4 f4 f4 f8 c4 c8
f8: f8 f8 f8 f8 f8 f8 f8 f8 f8 f8 c8 c8
c4: c4 c4 c4 c4 c4 c4 c4 c4 c4 c8 c4 c8
c8: c8 c8 c8 c8 c8 c8 c8 c8 c8 c8 c8 c8
"""

# tensor with dimensions + Python scalar: True, 2, 2.5, 1j
SCALARS = """
b1: b1 i8 f4 c4
u1: u1 u1 f4 c4
i1: i1 i1 f4 c4
i2: i2 i2 f4 c4
i4: i4 i4 f4 c4
i8: i8 i8 f4 c4
f2: f2 f2 f2 -
bf: bf bf bf c4
f4: f4 f4 f4 c4
f8: f8 f8 f8 c8
c4: c4 c4 c4 c4
c8: c8 c8 c8 c8
"""

# tensor with dimensions (row) + tensor without (column)
ZERO_DIM = """
b1: b1 u1 i1 i2 i4 i8 f2 bf f4 f8 c4 c8
u1: u1 u1 u1 u1 u1 u1 f2 bf f4 f8 c4 c8
i1: i1 i1 i1 i1 i1 i1 f2 bf f4 f8 c4 c8
i2: i2 i2 i2 i2 i2 i2 f2 bf f4 f8 c4 c8
i4: i4 i4 i4 i4 i4 i4 f2 bf f4 f8 c4 c8
i8: i8 i8 i8 i8 i8 i8 f2 bf f4 f8 c4 c8
f2: f2 f2 f2 f2 f2 f2 f2 f2 f2 f2 - -
bf: bf bf bf bf bf bf bf bf bf bf c4 c4
f4: f4 f4 f4 f4 f4 f4 f4 f4 f4 f4 c4 c4
f8: f8 f8 f8 f8 f8 f8 f8 f8 f8 f8 c8 c8
c4: c4 c4 c4 c4 c4 c4 c4 c4 c4 c4 c4 c4
c8: c8 c8 c8 c8 c8 c8 c8 c8 c8 c8 c8 c8
"""

# true division, row / column
DIVISION = """
b1: f4 f4 f4 f4 f4 f4 f2 bf f4 f8 c4 c8
u1: f4 f4 f4 f4 f4 f4 f2 bf f4 f8 c4 c8
i1: f4 f4 f4 f4 f4 f4 f2 bf f4 f8 c4 c8
i2: f4 f4 f4 f4 f4 f4 f2 bf f4 f8 c4 c8
i4: f4 f4 f4 f4 f4 f4 f2 bf f4 f8 c4 c8
i8: f4 f4 f4 f4 f4 f4 f2 bf f4 f8 c4 c8
f2: f2 f2 f2 f2 f2 f2 f2 f4 f4 f8 c4 c8
bf: bf bf bf bf bf bf f4 bf f4 f8 c4 c8
f4: f4 f4 f4 f4 f4 f4 f4 f4 f4 f8 c4 c8
f8: f8 f8 f8 f8 f8 f8 f8 f8 f8 f8 c8 c8
c4: c4 c4 c4 c4 c4 c4 c4 c4 c4 c8 c4 c8
c8: c8 c8 c8 c8 c8 c8 c8 c8 c8 c8 c8 c8
"""

# can_cast(row, column): 1 or 0
CAN_CAST = """
b1: 1 1 1 1 1 1 1 1 1 1 1 1
u1: 0 1 1 1 1 1 1 1 1 1 1 1
i1: 0 1 1 1 1 1 1 1 1 1 1 1
i2: 0 1 1 1 1 1 1 1 1 1 1 1
i4: 0 1 1 1 1 1 1 1 1 1 1 1
i8: 0 1 1 1 1 1 1 1 1 1 1 1
f2: 0 0 0 0 0 0 1 1 1 1 1 1
bf: 0 0 0 0 0 0 1 1 1 1 1 1
f4: 0 0 0 0 0 0 1 1 1 1 1 1
f8: 0 0 0 0 0 0 1 1 1 1 1 1
c4: 0 0 0 0 0 0 0 0 0 0 1 1
c8: 0 0 0 0 0 0 0 0 0 0 1 1
"""
