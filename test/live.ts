// GPU buffers that exist: made on any device of the page and not destroyed. Counting begins with the first import.
let live = 0;
const destroyed = new WeakSet<GPUBuffer>();

const { createBuffer } = GPUDevice.prototype;
GPUDevice.prototype.createBuffer = function (this: GPUDevice, descriptor: GPUBufferDescriptor) {
  live++;
  return createBuffer.call(this, descriptor);
};

const { destroy } = GPUBuffer.prototype;
GPUBuffer.prototype.destroy = function (this: GPUBuffer) {
  if (!destroyed.has(this)) live--;
  destroyed.add(this);
  return destroy.call(this);
};

export const liveBuffers = (): number => live;
