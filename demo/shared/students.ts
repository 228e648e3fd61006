// The SwiftKV students that come with the page: files of a few megabytes, each for one model.

import type { SwiftKv } from "../../src/index.ts";

export interface ShippedStudent {
  /** The hash of the model that it goes with, as `engine.model.hash` has it. */
  base: string;
  swiftkv: SwiftKv;
  /** Below models/students/ */
  folder: string;
  /** Its least and its largest KL to the ordinary model, in nats a token, on texts that its making never saw (its README). */
  kl: readonly [number, number];
}

const student = (folder: string, base: string, layers: number, kl: ShippedStudent["kl"]): ShippedStudent => ({
  base,
  swiftkv: { layers, group: 1 },
  folder,
  kl,
});

export const FABLE = "9c36dd45454e44b30215158537a781d94e07e057fcf8f9a639092455f993e0c6";
export const SMOLLM2_135M_Q4 = "17eed2182545559ae4447e93bdc1eca847c48f7b8d15c1ed5e67c06579c97d72";

/** Of the embedded model, which starts with it. */
export const embeddedStudent = student("fable-k4", FABLE, 4, [0.112, 0.128]);

/** Of one model, the closest first. */
export const shippedStudents: readonly ShippedStudent[] = [
  embeddedStudent,
  student("smollm2-135m-instruct-k22", SMOLLM2_135M_Q4, 22, [0.037, 0.053]),
  student("smollm2-135m-instruct-k15", SMOLLM2_135M_Q4, 15, [0.154, 0.299]),
];
