// Indices out of range are noted for the host, which raises the error when it next waits: unlike a
// trap this leaves the GPU usable. The caller must not use such an index.
//! needs: types.cuh

struct Watch {
  ulonglong2* word;
  i64 op;
};

__forceinline__ bool out_of_range(const Watch& watch, i64 index, i64 size) {
  if ((uint64_t)index < (uint64_t)size) return false;
  *watch.word = make_ulonglong2((uint64_t)index, (uint64_t)size << 8 | (uint64_t)watch.op);
  return true;
}
