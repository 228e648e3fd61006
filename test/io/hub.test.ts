// Models on the hub: revisions, commits, refusals, proposals.

import { expect, test } from "playwright/test";
import { ModelError } from "../../src/errors.ts";
import { openCheckpoint } from "../../src/io/checkpoint.ts";
import { expectError } from "./failure.ts";
import { encode, shardedFolder, smallFolder, smallGguf } from "./formats.ts";
import { at, commit, expectAllTensors, hub, hubUrl, revisionUrl } from "./large.ts";
import { serve } from "./server.ts";

const openHub = (server: { fetch: typeof fetch }, source = "org/model") =>
  openCheckpoint(source, { fetch: server.fetch, hubUrl, retryMs: 1 });

test("a revision is resolved to its commit; absent files are not asked for", async () => {
  const server = hub();
  const checkpoint = await openHub(server);
  expect(checkpoint.name).toBe("org/model");
  await expectAllTensors(checkpoint);
  const paths = server.log.map(({ url }) => url.slice(hubUrl.length));
  expect(paths.slice(1).every((path) => path.startsWith(`/org/model/resolve/${commit}/`))).toBe(true);
  expect(paths.some((path) => path.endsWith("index.json") || path.endsWith(".jinja"))).toBe(false);
  await openHub(server, `${hubUrl}/org/model`);
});

test("a mirror without the API serves the revision by name", async () => {
  const server = serve(at(`${hubUrl}/org/model/resolve/v1.0/`, shardedFolder()));
  expect((await openHub(server, "org/model@v1.0")).tensors.size).toBe(3);
  await expectError(openHub(server), ModelError, "org/model", "config.json");
});

const isFile = (url: string) => url.includes("/resolve/");

test("absent, private and gated models, and GGUF repositories, are told apart", async () => {
  const answer = (status: number, code = "") => {
    const headers = { "x-error-code": code };
    return openHub(serve(new Map(), { interfere: () => new Response(null, { status, headers }) }));
  };
  await expectError(answer(401), ModelError, "no public model", "org/model");
  await expectError(answer(404, "RepoNotFound"), ModelError, "no public model");
  await expectError(answer(404, "RevisionNotFound"), ModelError, "no such revision", "main");
  await expectError(answer(403, "GatedRepo"), ModelError, "gated");
  const headers = { "x-error-code": "GatedRepo" };
  const gated = hub(smallFolder(), {
    interfere: ({ url }) => (isFile(url) ? new Response(null, { status: 403, headers }) : undefined),
  });
  await expectError(openHub(gated), ModelError, "the model is gated", "licence");
  const ggufs = hub(new Map([["a.Q4_0.gguf", smallGguf()]]));
  await expectError(openHub(ggufs), ModelError, `${hubUrl}/org/model/resolve/${commit}/a.Q4_0.gguf`);
});

test("of several GGUF files the one to take is proposed by size, with its precision", async () => {
  const sizes = {
    "m-BF16.gguf": 9e9,
    "m-IQ2_XXS.gguf": 1e8, // without an implementation
    "m-Q2_K.gguf": 2e8,
    "m-Q4_K_M.gguf": 4e8,
    "m-Q8_0-00001-of-00002.gguf": 5e8,
    "m-Q8_0-00002-of-00002.gguf": 3e8,
    "mmproj-m-F16.gguf": 1e7,
    "README.md": 10,
  };
  const server = hub(new Map(Object.keys(sizes).map((path) => [path, smallGguf()])));
  const list = (size: (path: string) => number | undefined) => {
    const siblings = Object.keys(sizes).map((rfilename) => ({ rfilename, size: size(rfilename) }));
    server.files.set(revisionUrl, encode(JSON.stringify({ sha: commit, siblings })));
  };
  const proposed = async (mostBytes: number): Promise<ModelError> => {
    const opening = openCheckpoint("org/model", { fetch: server.fetch, hubUrl, retryMs: 1, mostBytes });
    const error: unknown = await opening.catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(ModelError);
    return error as ModelError;
  };
  const named = ({ choices }: ModelError) => choices.map(({ precision }) => precision);
  list(() => undefined);
  expect(named(await proposed(Infinity)), "no sizes known").toEqual(["Q4_K_M", "Q8_0", "BF16", "Q2_K"]);
  list((path) => sizes[path as keyof typeof sizes]);
  const error = await proposed(Infinity);
  expect(error.message).toMatch(/by its URL: \S*\/m-Q4_K_M\.gguf \(Q4_K_M, 400 MB\)$/);
  expect(named(error)).toEqual(["Q4_K_M", "Q8_0", "BF16", "Q2_K"]);
  expect(error.choices[1]).toMatchObject({ bytes: 8e8, source: expect.stringMatching(/00001-of-00002\.gguf$/) });
  expect(named(await proposed(3e8)), "only Q2_K fits").toEqual(["Q2_K", "Q4_K_M", "Q8_0", "BF16"]);
});
