// The launches of random fills and dropout.
#include "random.h"

#include "../cpu/philox_formulas.h"
#include "../ops/ops.h"
#include "launch.h"

namespace flambeau::cuda {

namespace {

const char* kernel_name(Fill kind, bool wide) {
  switch (kind) {
  case Fill::Uniform: return wide ? "uniform64" : "uniform32";
  case Fill::Normal: return wide ? "normal64" : "normal32";
  case Fill::Exponential: return wide ? "exponential64" : "exponential32";
  case Fill::Bernoulli: return "bernoulli";
  case Fill::Integers: break;
  }
  return wide ? "randint64" : "randint32";
}

} // namespace

void fill_random(const Tensor& t, Fill kind, bool wide, FillNumbers numbers,
                 const PhiloxDraw& draw) {
  if (t.numel() == 0) return;
  if (kind == Fill::Bernoulli) {
    philox::Cut c = philox::cut_of(numbers.a);
    numbers.range = c.cut;
    numbers.low = c.all;
  }
  int device = t.device().index;
  int64_t n = t.numel(), per = wide ? 2 : 4;
  Kernel& k =
      kernel(device, "random", "fill_random",
             define_type("FB_TYPE", t.dtype()) + define("FB_KIND", kernel_name(kind, wide)));
  int packed = address(t) % uint64_t(per * t.itemsize()) == 0;
  launch(k, device, blocks_for(device, ceil_div(n, per)), {256}, 0, address(t), n, draw, numbers,
         packed);
}

void dropout(const Tensor& x, const Tensor& y, const Tensor& mask, double p, double scale,
             const PhiloxDraw& draw) {
  if (x.numel() == 0) return;
  int device = x.device().index;
  int64_t n = x.numel();
  philox::Cut c = philox::cut_of(p);
  Kernel& k = kernel(device, "dropout", "dropout", define_type("FB_TYPE", x.dtype()));
  int packed =
      (address(x) | address(y)) % uint64_t(4 * x.itemsize()) == 0 && address(mask) % 4 == 0;
  launch(k, device, blocks_for(device, ceil_div(n, 4)), {256}, 0, address(x), address(y),
         address(mask), n, draw, c.cut, int(c.all), scale, packed);
}

int multinomial(const Tensor& weights, const Tensor& out, bool replace, uint64_t ticks,
                const PhiloxDraw& draw) {
  if (out.numel() == 0) return 0;
  Device on = weights.device();
  Tensor problem = zeros({1}, DType::I32, on), work = empty(weights.shape(), DType::F64, on);
  launch(kernel(on.index, "multinomial", "multinomial", ""), on.index, {weights.shape()[0]}, {256},
         0, address(weights), address(work), address(out), weights.shape()[1], out.shape()[1], draw,
         ticks, int(replace), address(problem));
  return is_capturing(on.index) ? 0 : int(item(problem).i);
}

} // namespace flambeau::cuda
