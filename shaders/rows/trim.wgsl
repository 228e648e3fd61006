// trim — y[t, h, :] = x[t, h, :] without its padding: the ends of both halves of a head
//
//   x  [T, heads, E]      f32  read
//   y  [T, heads, WIDTH]  f32  write
//
// dispatch  (ceil(heads·WIDTH / WG), T, 1): one value per invocation
// cost      bytes 8·T·heads·WIDTH: memory bound
// why       Heads are padded to a width that pages can hold; the matrix after attention keeps the form of its file.

override WG: u32 = 64;     // threads per workgroup
override E: u32 = 104;     // width of a head, even
override WIDTH: u32 = 100; // what counts of it, even

struct Params {
  heads: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn trim(@builtin(global_invocation_id) id: vec3u) {
  let columns = params.heads * WIDTH;
  if (id.x >= columns) { return; }
  let e = id.x % WIDTH;
  let channel = e + select(0u, (E - WIDTH) / 2u, e >= WIDTH / 2u);
  y[id.y * columns + id.x] = x[(id.y * params.heads + id.x / WIDTH) * E + channel];
}
