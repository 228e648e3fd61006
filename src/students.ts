// The public types of making students: calibration and training. src/api.ts has them too.

/** Makes a student by least squares: docs/recovery.md. */
export interface CalibrateOptions {
  /**
   * Texts to fit the student to, or the token ids of one; what they are like is what it will be good at. At least four
   * tokens for each of the model's inputs, better twenty. Without it, weights are converted as they are.
   */
  calibrate?: string | readonly string[] | readonly number[];
  /** The text is read in windows of so many tokens. Default 512, or what the context allows. */
  window?: number;
  /** λ as a share of the mean square of the inputs: larger holds the fit back where tokens are few. Default 1e-4. */
  ridge?: number;
  /**
   * Whether keys and values get a constant each, a bias. Default true. The public layout of a family without biases has no
   * place for it: `saveCheckpoint` needs false there.
   */
  constant?: boolean;
  /** Called after each window, and as the equations are solved. */
  onProgress?: (progress: CalibrationProgress) => void;
}

/** How far a calibration has come. */
export interface CalibrationProgress {
  /** The model reads the text; then the equations are solved. */
  phase: "read" | "solve";
  /** Read so far. */
  tokens: number;
  /** Of the text. */
  totalTokens: number;
  /** Of this phase; null until it can be told. */
  secondsLeft: number | null;
}

/** How a student was calibrated. */
export interface CalibrationInfo {
  /** Of the text, and of a window. */
  tokens: number;
  /** Tokens of a window. */
  window: number;
  /** As asked for, and what it came to. */
  ridge: number;
  /** What `ridge` came to, added to the diagonal of the equations. */
  lambda: number;
  /** Of each layer from K on: the share of its keys and values (their squares) that the map from layer K's input gives. */
  r2: readonly number[];
}

/** Trains a student: docs/recovery.md. */
export interface DistilOptions {
  /** What to train on: texts, the token ids of one, or windows as they are. One of the three. */
  texts?: string | readonly string[];
  /** Ids of one text. */
  tokens?: readonly number[];
  /** As they are, none longer than `window`. */
  windows?: readonly DistilWindow[];
  /**
   * "calibrated", the default: fitted to the same text first. "folded": from the model's own weights. An engine that is a
   * student of this shape already is where its training begins, whatever this says.
   */
  start?: "calibrated" | "folded";
  /** Default 120. */
  steps?: number;
  /** Of AdamW, after `warmup` steps; from there it falls to 0. Default 3e-4, after 10 steps. */
  rate?: number;
  /** Steps in which the rate rises from 0. */
  warmup?: number;
  /** At which the teacher's and the student's logits are compared. Default 2. */
  temperature?: number;
  /** Of the second part of the loss, the distance of the residual streams before the last layer. Default 0. */
  hiddenWeight?: number;
  /** Most that the gradient's norm may be. Default 1. */
  clip?: number;
  /** Tokens of a window, and windows of a step. Default 512, or what the context allows, and 1. */
  window?: number;
  /** Windows of a step. Default 1. */
  batch?: number;
  /** Of the order in which windows are read. Default 0. */
  seed?: number;
  /**
   * Gets the state of the training after so many steps (default 50), after the last one, and on abort: what `resume`
   * takes, and `saveStudent` makes a student of. The training waits for it.
   */
  onCheckpoint?: (checkpoint: Uint8Array<ArrayBuffer>) => void | Promise<void>;
  /** Steps from one `onCheckpoint` to the next. Default 50. */
  checkpointEvery?: number;
  /** Goes on from such a state, with the same texts and options, as if it had not stopped. */
  resume?: Uint8Array<ArrayBuffer>;
  /** Called after each step. */
  onProgress?: (progress: DistilProgress) => void;
  /** The step under way is finished. */
  signal?: AbortSignal;
}

/** A stretch of text to train on. */
export interface DistilWindow {
  /** Ids, at least two. */
  tokens: readonly number[];
  /** mask[t] = 0: the prediction of token t + 1 does not count. Default: all count. */
  mask?: readonly number[];
}

/** How far a training has come. */
export interface DistilProgress {
  /** The start is fitted to the text; then it is trained. */
  phase: "calibrate" | "train";
  /** Steps done and in all; tokens of the text while it is fitted. */
  done: number;
  /** Steps, or tokens, in all. */
  total: number;
  /** Of the last step, null before the first: temperature² times the divergence from the teacher, per token. */
  loss: number | null;
  /** The second part of the loss, before its weight; null where it has none. */
  hiddenLoss: number | null;
  /** Before it was clipped. */
  gradientNorm: number | null;
  /** Of this phase; null until it can be told. */
  secondsLeft: number | null;
}

/** How a student was trained. */
export interface DistillationInfo {
  /** Steps taken, and tokens that they read. */
  steps: number;
  /** That the steps read. */
  tokens: number;
  /** As asked for, as the four that follow. */
  window: number;
  /** Highest rate. */
  rate: number;
  /** At which logits were compared. */
  temperature: number;
  /** Of the second part of the loss. */
  hiddenWeight: number;
  /** The part of the loss that compares logits, at that temperature: of the first and the last steps. */
  firstLoss: number;
  /** Of the last steps. */
  lastLoss: number;
}

/** Searches for layers that may read another one's keys and values: docs/kv.md, "KVSharer". */
export interface ShareOptions {
  /** How many layers are to share, at most. */
  layers: number;
  /** Texts to try on, or the token ids of one: 30 pieces of 64 tokens are taken, evenly spread. */
  texts: string | readonly string[] | readonly number[];
  /** A pair stays where the model's last residual stream keeps its direction: mean cosine above this. Default 0.5. */
  cosine?: number;
  /** Ends the search after the piece that is read; it then rejects with the signal's reason. */
  signal?: AbortSignal;
  /** Called after each try: pairs found and wanted, tried so far, and how many there are to try. */
  onProgress?: (progress: { found: number; wanted: number; tried: number; pairs: number }) => void;
}

/** A layer that reads another one's keys and values. Layers are counted from 0. */
export interface SharedPair {
  /** The layer that has none of its own. */
  reader: number;
  /** Whose keys and values it reads, as long as that one has its own. */
  owner: number;
  /** Euclidean distance between their averaged keys and values: the most unlike pairs are tried first. */
  distance: number;
  /** With it and those before it, against the model as it is. */
  cosine: number;
}

/** What a search found: `{ kv: "kvsharer:map=" + map }`. */
export interface Sharing {
  /** For the recipe: `reader-owner` pairs, joined by `/`; `none` where no pair stayed. */
  map: string;
  /** Of the model. */
  layers: number;
  /** Read for each try. */
  tokens: number;
  /** In the order in which they were found. */
  pairs: readonly SharedPair[];
}
