// as_strided and its adjoint; the history of a write through a view is made of them.
#pragma once
#include "../core/op.h"

namespace flambeau {

// base with the strided window replaced by src.
struct AsStridedScatter final : OpOf<AsStridedScatter> {
  Dims shape, strides, base_strides;
  int64_t offset, base_offset;
  AsStridedScatter(const Tensor& base, const Dims& shape, const Dims& strides, int64_t offset)
      : shape(shape), strides(strides), base_strides(base.strides()), offset(offset),
        base_offset(base.offset()) {}
  const char* name() const override { return "as_strided_scatter"; }
  Specs infer(const Inputs& in) override;
  void cpu(const Inputs& in, Outputs& out) override;
  void cuda(const Inputs& in, Outputs& out) override;
  void write(const Inputs& in, Outputs& out) const; // on either device
  Grads vjp(const Saved& s, const Grads& g) override;
};

} // namespace flambeau
