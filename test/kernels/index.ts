// Every kernel's test. test/kernels.test.ts fails if a shader has none.
import type { KernelSpec } from "./spec.ts";
import rmsnorm from "./rmsnorm.ts";

export const specs: readonly KernelSpec[] = [rmsnorm];
