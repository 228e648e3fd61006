// patch_pixels — y[(v, u), c, j, i] = scale[c]·pixel (v·P + j, u·P + i) of colour c + shift[c]
//
//   pixels  [side, P, side, P]     u32  read   red, green, blue, unused: bytes from the lowest
//   y       [side², 3, P, P]       f32  write
//
// dispatch  (ceil(P² / WG), side², 1): one pixel per invocation
// cost      bytes 16·side²·P², flops 6·side²·P²: memory bound
// why       A convolution whose windows do not overlap is a product with the windows laid out as rows. Colours arrive as
//           a canvas has them, four bytes a pixel: a quarter of what normalised numbers would take to upload.

override WG: u32 = 64;  // threads per workgroup
override P: u32 = 16;   // pixels along each side of a patch

struct Params {
  side: u32,   // patches along each side
  scaleR: f32, // of a byte / 255
  scaleG: f32,
  scaleB: f32,
  shiftR: f32,
  shiftG: f32,
  shiftB: f32,
}

@group(0) @binding(0) var<storage, read> pixels: array<u32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn patch_pixels(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= P * P) { return; }
  let patchDown = id.y / params.side;
  let patchAcross = id.y % params.side;
  let down = patchDown * P + id.x / P;
  let across = patchAcross * P + id.x % P;
  let colour = unpack4x8unorm(pixels[down * params.side * P + across]);
  let at = id.y * 3u * P * P + id.x;
  y[at] = colour.r * params.scaleR + params.shiftR;
  y[at + P * P] = colour.g * params.scaleG + params.shiftG;
  y[at + 2u * P * P] = colour.b * params.scaleB + params.shiftB;
}
