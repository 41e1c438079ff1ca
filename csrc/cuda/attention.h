// Attention on a GPU without its matrix of scores.
#pragma once
#include "../core/tensor.h"

namespace flambeau::cuda {

// Whether the kernel takes these: 16-bit floats with heads of at most 128, in eights, and no more
// than two leading dimensions, which agree but for heads that share keys.
bool attention_takes(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& mask,
                     bool shared_heads);
// out (contiguous) = softmax(q k^T scale + mask) v; mask, if defined, of bool (false: masked out)
// or floating, and broadcast.
void attention(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& mask, bool causal,
               double scale, const Tensor& out);

} // namespace flambeau::cuda
