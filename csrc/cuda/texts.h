// The kernel texts, put into the module at build time (see cmake/embed_texts.cmake).
#pragma once

namespace flambeau::cuda {

struct Text {
  const char *name, *text;
};
extern const Text kTexts[]; // ends with a null name

} // namespace flambeau::cuda
