// The Python names of the view ops.
#include "../core/registry.h"
#include "ops.h"

namespace flambeau {
namespace {

Tensor unflatten(const Tensor& t, int64_t dim, const Dims& sizes) {
  int d = int(wrap_dim(dim, t.dim(), "unflatten"));
  FB_CHECK(!sizes.empty(), "unflatten: sizes must be non-empty");
  Dims shape;
  int64_t known = 1, unknown = 0, n = t.shape()[d];
  for (int64_t s : sizes) s == -1 ? ++unknown : known *= s;
  FB_CHECK(unknown <= 1, "only one dimension can be inferred");
  FB_CHECK(unknown ? known > 0 && n % known == 0 : known == n, "unflatten: Provided sizes ", sizes,
           " don't multiply up to the size of dim ", d, " (", n, ") in the input tensor");
  for (int i = 0; i < t.dim(); ++i) {
    if (i != d)
      shape.push_back(t.shape()[i]);
    else
      for (int64_t s : sizes) shape.push_back(s == -1 ? n / known : s);
  }
  return view(t, shape);
}

Tensor matrix_t(const Tensor& x, const char* op) {
  FB_CHECK(x.dim() >= 2, "tensor.", op,
           " is only supported on matrices or batches of matrices. Got ", x.dim(), "-D tensor.");
  return transpose(x, -2, -1);
}

Tensor reversed(const Tensor& x) {
  Dims d;
  for (int i = x.dim() - 1; i >= 0; --i) d.push_back(i);
  return permute(x, d);
}

Register views({
    {"view(Tensor self, int[*] size) -> Tensor", kMethod,
     [](Args& a) -> Value { return view(a.tensor(0), a.dims(1)); },
     "The same memory in another shape; -1 stands for the size that fits."},
    {"view(Tensor self, dtype dtype) -> Tensor", kMethod,
     [](Args& a) -> Value { return view_dtype(a.tensor(0), a.list[1].dtype); },
     "The same bytes as another dtype."},
    {"reshape(Tensor input, int[*] shape) -> Tensor", kFM,
     [](Args& a) -> Value { return reshape(a.tensor(0), a.dims(1)); },
     "The same values in another shape: a view where possible, else a copy."},
    {"view_as(Tensor self, Tensor other) -> Tensor", kMethod,
     [](Args& a) -> Value { return view(a.tensor(0), a.tensor(1).shape()); },
     "self viewed in other's shape."},
    {"reshape_as(Tensor self, Tensor other) -> Tensor", kMethod,
     [](Args& a) -> Value { return reshape(a.tensor(0), a.tensor(1).shape()); },
     "self in other's shape."},
    {"permute(Tensor input, int[*] dims) -> Tensor", kFM,
     [](Args& a) -> Value { return permute(a.tensor(0), a.dims(1)); },
     "Dimensions in another order."},
    {"transpose(Tensor input, int dim0, int dim1) -> Tensor", kFM,
     [](Args& a) -> Value { return transpose(a.tensor(0), a.integer(1), a.integer(2)); },
     "Two dimensions exchanged."},
    {"swapaxes(Tensor input, int axis0, int axis1) -> Tensor", kFM,
     [](Args& a) -> Value { return transpose(a.tensor(0), a.integer(1), a.integer(2)); },
     "Two dimensions exchanged."},
    {"swapdims(Tensor input, int dim0, int dim1) -> Tensor", kFM,
     [](Args& a) -> Value { return transpose(a.tensor(0), a.integer(1), a.integer(2)); },
     "Two dimensions exchanged."},
    {"t(Tensor input) -> Tensor", kFM, [](Args& a) -> Value { return t(a.tensor(0)); },
     "The transpose of a matrix."},
    {"adjoint(Tensor input) -> Tensor", kFM,
     [](Args& a) -> Value { return conj(matrix_t(a.tensor(0), "adjoint()")); },
     "The conjugate transpose of the last two dimensions."},
    {"_matrix_t(Tensor self) -> Tensor", kMethod,
     [](Args& a) -> Value { return matrix_t(a.tensor(0), "mT"); }, "The last two exchanged."},
    {"_reversed_dims(Tensor self) -> Tensor", kMethod,
     [](Args& a) -> Value { return reversed(a.tensor(0)); }, "All dimensions reversed."},
    {"expand(Tensor self, int[*] size, *, bool implicit=False) -> Tensor", kMethod,
     [](Args& a) -> Value { return expand(a.tensor(0), a.dims(1)); },
     "Dimensions of size 1 repeated without a copy."},
    {"expand_as(Tensor self, Tensor other) -> Tensor", kMethod,
     [](Args& a) -> Value { return expand(a.tensor(0), a.tensor(1).shape()); },
     "self expanded to other's shape."},
    {"broadcast_to(Tensor input, int[*] size) -> Tensor", kFM,
     [](Args& a) -> Value { return expand(a.tensor(0), a.dims(1)); },
     "Dimensions of size 1 repeated without a copy."},
    {"unsqueeze(Tensor input, int dim) -> Tensor", kFM,
     [](Args& a) -> Value { return unsqueeze(a.tensor(0), a.integer(1)); },
     "A dimension of size 1 inserted at dim."},
    {"squeeze(Tensor input) -> Tensor", kFM, [](Args& a) -> Value { return squeeze(a.tensor(0)); },
     "Without the dimensions of size 1."},
    {"squeeze(Tensor input, int[1] dim) -> Tensor", kFM,
     [](Args& a) -> Value { return squeeze(a.tensor(0), a.dims(1)); },
     "Without dim where its size is 1."},
    {"select(Tensor input, int dim, int index) -> Tensor", kFM,
     [](Args& a) -> Value { return select(a.tensor(0), a.integer(1), a.integer(2)); },
     "The slice at index along dim."},
    {"_slice(Tensor self, int dim, int? start=None, int? end=None, int step=1) -> Tensor", kMethod,
     [](Args& a) -> Value {
       return slice(a.tensor(0), a.integer(1), a.opt_int(2), a.opt_int(3), a.integer(4));
     },
     "self[start:end:step] along dim."},
    {"narrow(Tensor input, int dim, Operand start, int length) -> Tensor", kFM,
     [](Args& a) -> Value {
       return narrow(a.tensor(0), a.integer(1), item(a.tensor(2)).to_int(), a.integer(3));
     },
     "`length` elements along dim, from start."},
    {"flatten(Tensor input, int start_dim=0, int end_dim=-1) -> Tensor", kFM,
     [](Args& a) -> Value { return flatten(a.tensor(0), a.integer(1), a.integer(2)); },
     "Dimensions start_dim to end_dim merged into one."},
    {"ravel(Tensor input) -> Tensor", kFM,
     [](Args& a) -> Value { return reshape(a.tensor(0), {-1}); }, "All dimensions merged."},
    {"unflatten(Tensor input, int dim, int[] sizes) -> Tensor", kFM,
     [](Args& a) -> Value { return unflatten(a.tensor(0), a.integer(1), a.dims(2)); },
     "One dimension split into several."},
    {"diagonal(Tensor input, int offset=0, int dim1=0, int dim2=1) -> Tensor", kFM,
     [](Args& a) -> Value {
       return diagonal(a.tensor(0), a.integer(1), a.integer(2), a.integer(3));
     },
     "The diagonal of two dimensions, as the last one."},
    {"unfold(Tensor self, int dimension, int size, int step) -> Tensor", kMethod,
     [](Args& a) -> Value { return unfold(a.tensor(0), a.integer(1), a.integer(2), a.integer(3)); },
     "Sliding windows of `size` along a dimension, as a new last dimension."},
    {"movedim(Tensor input, int[1] source, int[1] destination) -> Tensor", kFM,
     [](Args& a) -> Value { return movedim(a.tensor(0), a.dims(1), a.dims(2)); },
     "Dimensions moved to other places."},
    {"moveaxis(Tensor input, int[1] source, int[1] destination) -> Tensor", kFM,
     [](Args& a) -> Value { return movedim(a.tensor(0), a.dims(1), a.dims(2)); },
     "Dimensions moved to other places."},
    {"as_strided(Tensor input, int[] size, int[] stride, int? storage_offset=None) -> Tensor", kFM,
     [](Args& a) -> Value {
       Tensor t = a.tensor(0);
       return as_strided(t, a.dims(1), a.dims(2), a.given(3) ? a.integer(3) : t.offset());
     },
     "A view with any sizes and strides of the underlying storage."},
    {"as_strided_scatter(Tensor input, Tensor src, int[] size, int[] stride, int? "
     "storage_offset=None) -> Tensor",
     kFM,
     [](Args& a) -> Value {
       Tensor t = a.tensor(0), s = a.tensor(1);
       FB_CHECK(s.shape() == a.dims(2),
                "expected src to have a size equal to the slice of self. "
                "src size = ",
                s.shape(), ", slice size = ", a.dims(2));
       return as_strided_scatter(t, to_dtype(s, t.dtype()), a.dims(2), a.dims(3),
                                 a.given(4) ? a.integer(4) : t.offset());
     },
     "input with the strided window replaced by src."},
    {"split(Tensor tensor, int split_size_or_sections, int dim=0) -> Tensor()", kFM,
     [](Args& a) -> Value { return split(a.tensor(0), a.integer(1), a.integer(2)); },
     "Views of split_size along dim."},
    {"split(Tensor tensor, int[] split_size_or_sections, int dim=0) -> Tensor()", kFM,
     [](Args& a) -> Value { return split(a.tensor(0), a.dims(1), a.integer(2)); },
     "Views of the given sizes along dim."},
    {"split_with_sizes(Tensor input, int[] split_sizes, int dim=0) -> Tensor()", kFM,
     [](Args& a) -> Value { return split(a.tensor(0), a.dims(1), a.integer(2)); },
     "Views of the given sizes along dim."},
    {"chunk(Tensor input, int chunks, int dim=0) -> Tensor()", kFM,
     [](Args& a) -> Value { return chunk(a.tensor(0), a.integer(1), a.integer(2)); },
     "At most `chunks` views along dim."},
    {"unbind(Tensor input, int dim=0) -> Tensor()", kFM,
     [](Args& a) -> Value { return unbind(a.tensor(0), a.integer(1)); }, "All slices along dim."},
    {"real(Tensor input) -> Tensor", kFunction, [](Args& a) -> Value { return real(a.tensor(0)); },
     "The real part, as a view."},
    {"imag(Tensor input) -> Tensor", kFunction, [](Args& a) -> Value { return imag(a.tensor(0)); },
     "The imaginary part, as a view."},
    {"view_as_real(Tensor input) -> Tensor", kFunction,
     [](Args& a) -> Value { return view_as_real(a.tensor(0)); },
     "Complex values as pairs in a new last dimension."},
    {"view_as_complex(Tensor input) -> Tensor", kFunction,
     [](Args& a) -> Value { return view_as_complex(a.tensor(0)); },
     "The last dimension's pairs as complex values."},
    {"conj(Tensor input) -> Tensor", kFM, [](Args& a) -> Value { return conj(a.tensor(0)); },
     "Complex conjugate; a real tensor itself."},
    {"sum_to_size(Tensor self, int[*] size) -> Tensor", kMethod,
     [](Args& a) -> Value {
       FB_CHECK(can_sum_to(a.tensor(0).shape(), a.dims(1)), "size {", a.dims(1),
                "} is not expandable to size {", a.tensor(0).shape(), "}.");
       return sum_to(a.tensor(0), a.dims(1));
     },
     "The inverse of broadcasting: sums over what was repeated."},
});

} // namespace
} // namespace flambeau
